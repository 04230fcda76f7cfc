"""One-dimensional convolution over time, channels last, int8 weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.rows import AbstractRowOp, quantize_rows


@dataclass(frozen=True, eq=False)
class Conv1d(AbstractRowOp):
    """y[t] = W x[t * stride : t * stride + kernel_size] + b, valid padding.

    Shapes (T, C) -> ((T - kernel_size) // stride + 1, O). Channels last, so the columns of one
    output frame lie side by side in memory and each frame is a matrix-vector product with
    K = kernel_size * C; the column of tap k and channel c is k * C + c.
    """

    kind: ClassVar[str] = "conv1d"
    kernel_size: int
    stride: int

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, y: QTensor, weight: np.ndarray, bias: np.ndarray, stride: int
    ) -> Conv1d:
        """Quantize real weight (O, C, kernel_size), torch's layout, and bias (O,)."""
        filters, _, kernel_size = weight.shape
        rows = weight.transpose(0, 2, 1).reshape(filters, -1)
        return cls(name, (x,), (y,), *quantize_rows(x, y, rows, bias), kernel_size, stride)

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(x.shape) == 2 and self.stride >= 1 and 1 <= self.kernel_size <= x.shape[0],
            f"kernel {self.kernel_size}, stride {self.stride} do not fit an input of {x.shape}",
        )
        frames = (x.shape[0] - self.kernel_size) // self.stride + 1
        self.require(
            y.shape == (frames, self.weight.shape[0])
            and self.weight.shape[1] == self.kernel_size * x.shape[1],
            f"weight {self.weight.shape} maps {x.shape} to {(frames, self.weight.shape[0])}, "
            f"not to {y.shape}",
        )
        self.check_rows()

    def _columns(self, x: Array) -> Array:
        frames, taps = self.outputs[0].shape[0], np.arange(self.kernel_size)
        index = np.arange(frames)[:, None] * self.stride + taps
        return x[..., index, :].reshape(*x.shape[:-2], frames, -1)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return y (..., T', O) of x (..., T, C), exactly."""
        return (self.accumulate(self._columns(inputs[0])),)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the convolution in real numbers, limited to the output's range."""
        return (self.real_rows(self._columns(inputs[0])),)

    @property
    def macs(self) -> int:
        """One per weight and output frame."""
        return int(self.weight.size) * self.outputs[0].shape[0]
