"""Two-dimensional convolution, channels last, int8 weights, padding by the zero point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.geometry import Geometry, Pair, Walk, image_of
from lnn_edge.graph.ops.rows import AbstractRowOp, quantize_rows


@dataclass(frozen=True, eq=False)
class Conv2d(AbstractRowOp):
    """y[r, c] = W patch(r, c) + b, patch the kernel's view of x at (r, c) strides - before.

    Shapes (R, C, I) -> (R', C', O); the column of kernel row i, column j and channel k is
    (i * kernel_columns + j) * I + k. Beyond its edges x holds its zero point. An input (C, I) is
    one row.

    Attributes:
        kernel_size: Rows and columns.
        strides: Along rows and columns.
        before: Padding above and to the left.
    """

    kind: ClassVar[str] = "conv2d"
    channel_zero_points: ClassVar[tuple[str, ...]] = ()  # padding holds one value
    kernel_size: Pair
    strides: Pair
    before: Pair

    @classmethod
    def quantize(
        cls,
        name: str,
        x: QTensor,
        y: QTensor,
        weight: np.ndarray,
        bias: np.ndarray,
        geometry: Geometry,
    ) -> Conv2d:
        """Quantize real weight (rows, columns, I, O), the layout of Keras, and bias (O,)."""
        rows = weight.reshape(-1, weight.shape[-1]).T
        quantized = quantize_rows(x, y, rows, bias)
        return cls(
            name, (x,), (y,), *quantized, geometry.kernel_size, geometry.strides, geometry.before
        )

    @property
    def image(self) -> tuple[int, ...]:
        """Rows, columns and channels of the input."""
        return image_of(self.inputs[0])

    @cached_property
    def walk(self) -> Walk:
        """How the kernel moves over the image."""
        rows, columns = self.outputs[0].shape[:2]
        geometry = Geometry(self.kernel_size, self.strides, self.before, (rows, columns))
        return Walk(self.image, geometry)

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(self.image) == len(y.shape) == 3,
            f"shapes {x.shape} and {y.shape}, needed are rows, columns and channels",
        )
        self.require(self.walk.fits, self.walk.problem(y))
        columns = self.kernel_size[0] * self.kernel_size[1] * self.image[2]
        self.require(
            self.weight.shape == (y.shape[2], columns),
            f"weight {self.weight.shape}, needed {(y.shape[2], columns)}",
        )
        self.check_rows()

    def _columns(self, x: Array, padding: float) -> Array:
        """Return the patches (..., R', C', K) of x (..., R, C, I)."""
        batch = x.shape[: x.ndim - len(self.inputs[0].shape)]
        patches = self.walk.patches(x.reshape(*batch, *self.image), padding)
        return patches.reshape(*batch, *self.outputs[0].shape[:2], -1)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return y (..., R', C', O) of x (..., R, C, I), exactly."""
        return (self.accumulate(self._columns(inputs[0], self.inputs[0].zero_points[0])),)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the convolution in real numbers, limited to the output's range."""
        return (self.real_rows(self._columns(inputs[0], 0.0)),)

    @property
    def macs(self) -> int:
        """One per weight and output position."""
        rows, columns = self.outputs[0].shape[:2]
        return int(self.weight.size) * rows * columns
