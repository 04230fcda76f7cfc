"""One-dimensional convolution over time, channels last, int8 weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.convolution import AbstractConvolution, quantize_taps
from lnn_edge.graph.ops.geometry import Geometry, Walk


@dataclass(frozen=True, eq=False)
class Conv1d(AbstractConvolution):
    """y[t] = sum_k W_k x[t * stride - before + k * dilation] + b, shapes (T, C) -> (T', O).

    Channels last, so without padding, dilation and groups the columns of one output frame lie side
    by side in memory and each frame is a matrix-vector product with K = kernel_size * C.

    Attributes:
        kernel_size: Taps.
        stride: Frames from one output to the next.
        before: Frames of padding before the first; behind the last as many as y needs.
        dilation: Frames from tap to tap.
    """

    kind: ClassVar[str] = "conv1d"
    kernel_size: int
    stride: int
    before: int = 0
    dilation: int = 1

    @classmethod
    def quantize(
        cls,
        name: str,
        x: QTensor,
        y: QTensor,
        weight: np.ndarray,
        bias: np.ndarray,
        stride: int,
        *,
        before: int = 0,
        dilation: int = 1,
        groups: int = 1,
    ) -> Conv1d:
        """Quantize real weight (O, C / groups, kernel_size), torch's layout, and bias (O,)."""
        rows = quantize_taps(x, y, weight.transpose(0, 2, 1), bias, groups)
        way = weight.shape[2], stride, before, dilation
        return cls(name, (x,), (y,), *rows[:4], *way, groups=groups, exact=rows[4])

    @cached_property
    def walk(self) -> Walk:
        """How the kernel moves: a window is an image of one row."""
        (frames, channels), to = self.inputs[0].shape, self.outputs[0].shape[0]
        sizes = ((1, self.kernel_size), (1, self.stride), (0, self.before), (1, to))
        return Walk((1, frames, channels), Geometry(*sizes, (1, self.dilation)))

    @property
    def is_contiguous(self) -> bool:
        """Whether the columns of an output frame lie side by side in memory."""
        return self.groups == 1 and self.dilation == 1 and self.walk.stays_inside

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(x.shape) == len(y.shape) == 2,
            f"shapes must be (frames, channels), not {x.shape} and {y.shape}",
        )
        self.check_walk()
