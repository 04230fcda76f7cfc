"""Two-dimensional convolution, channels last, int8 weights, padding by the zero point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.rows import AbstractRowOp, quantize_rows

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves over rows and columns.

    Attributes:
        kernel_size: Rows and columns of the kernel.
        strides: Steps along rows and columns.
        before: Rows and columns of padding above and to the left.
        output: Rows and columns of the output.
    """

    kernel_size: Pair
    strides: Pair
    before: Pair
    output: Pair


def geometry_of(size: Pair, kernel_size: Pair, strides: Pair, padding: str) -> Geometry:
    """Return the geometry of Keras.

    "valid": floor((n - k) / s) + 1 positions, none beyond the input. "same": ceil(n / s) positions,
    max((out - 1) s + k - n, 0) of padding, the smaller half before.

    Args:
        size: Rows and columns of the input.
        kernel_size: Of the kernel.
        strides: Along rows and columns.
        padding: "valid" or "same".
    """
    output, before = [], []
    for n, k, s in zip(size, kernel_size, strides, strict=True):
        if padding == "valid":
            output.append((n - k) // s + 1)
            before.append(0)
        else:
            output.append(-(-n // s))
            before.append(max((output[-1] - 1) * s + k - n, 0) // 2)
    return Geometry(kernel_size, strides, (before[0], before[1]), (output[0], output[1]))


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
        shape = self.inputs[0].shape
        return (1, *shape) if len(shape) == 2 else shape

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(self.image) == len(y.shape) == 3,
            f"shapes {x.shape} and {y.shape}, needed are rows, columns and channels",
        )
        for n, out, k, s, before in zip(
            self.image, y.shape, self.kernel_size, self.strides, self.before, strict=False
        ):
            self.require(
                min(k, s) >= 1 and 0 <= before < k and (out - 1) * s - before < n,
                f"kernel {self.kernel_size}, strides {self.strides}, padding {self.before} do not "
                f"map {x.shape} to {y.shape}",
            )
        columns = self.kernel_size[0] * self.kernel_size[1] * self.image[2]
        self.require(
            self.weight.shape == (y.shape[2], columns),
            f"weight {self.weight.shape}, needed {(y.shape[2], columns)}",
        )
        self.check_rows()

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of every patch, limited to the image, and which of them lie in it."""
        inside, places = [], []
        for axis in (0, 1):
            size, count = self.image[axis], self.outputs[0].shape[axis]
            place = np.arange(count)[:, None] * self.strides[axis] - self.before[axis]
            place = place + np.arange(self.kernel_size[axis])
            inside.append((place >= 0) & (place < size))
            places.append(place.clip(0, size - 1))
        rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
        exists = inside[0][:, None, :, None] & inside[1][None, :, None, :]
        return rows, columns, exists[..., None]

    def _columns(self, x: Array, padding: float) -> Array:
        """Return the patches (..., R', C', K) of x (..., R, C, I)."""
        rows, columns, exists = self._places
        xp = array_namespace(x)
        if len(self.inputs[0].shape) == 2:
            x = x[..., None, :, :]
        patches = x[..., rows, columns, :]
        if not exists.all():
            patches = xp.where(xp.asarray(exists), patches, xp.full_like(patches, padding))
        return patches.reshape(*x.shape[:-3], *self.outputs[0].shape[:2], -1)

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
