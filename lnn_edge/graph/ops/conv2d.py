"""Two-dimensional convolution, channels last, int8 weights, padding by the zero point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.convolution import AbstractConvolution, quantize_taps
from lnn_edge.graph.ops.geometry import Geometry, Pair, Walk, image_of


@dataclass(frozen=True, eq=False)
class Conv2d(AbstractConvolution):
    """y[r, c] = W patch(r, c) + b, patch the kernel's view of x at (r, c) strides - before.

    Shapes (R, C, I) -> (R', C', O); the column of kernel row i, column j and channel k is
    (i * kernel_columns + j) * I + k. An input (C, I) is one row.

    Attributes:
        kernel_size: Rows and columns.
        strides: Along rows and columns.
        before: Padding above and to the left; below and to the right as much as y needs.
        dilation: Distance between neighbours in the kernel, along rows and columns.
    """

    kind: ClassVar[str] = "conv2d"
    channel_zero_points: ClassVar[tuple[str, ...]] = ()  # padding holds one value
    kernel_size: Pair
    strides: Pair
    before: Pair
    dilation: Pair = (1, 1)

    @classmethod
    def quantize(
        cls,
        name: str,
        x: QTensor,
        y: QTensor,
        weight: np.ndarray,
        bias: np.ndarray,
        geometry: Geometry,
        *,
        groups: int = 1,
    ) -> Conv2d:
        """Quantize real weight (rows, columns, I / groups, O), Keras' layout, and bias (O,)."""
        taps = np.moveaxis(weight, -1, 0).reshape(weight.shape[-1], -1, weight.shape[2])
        rows = quantize_taps(x, y, taps, bias, groups)
        way = geometry.kernel_size, geometry.strides, geometry.before, geometry.dilation
        return cls(name, (x,), (y,), *rows[:4], *way, groups=groups, exact=rows[4])

    @property
    def image(self) -> tuple[int, ...]:
        """Rows, columns and channels of the input."""
        return image_of(self.inputs[0])

    @cached_property
    def walk(self) -> Walk:
        """How the kernel moves over the image."""
        rows, columns = self.outputs[0].shape[:2]
        way = self.kernel_size, self.strides, self.before, (rows, columns), self.dilation
        return Walk(self.image, Geometry(*way))

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(self.image) == len(y.shape) == 3,
            f"shapes must be (rows, columns, channels), not {x.shape} and {y.shape}",
        )
        self.check_walk()
