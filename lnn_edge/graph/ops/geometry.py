"""How a kernel moves over an image, rows and columns with the channels last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves over rows and columns.

    Attributes:
        kernel_size: Rows and columns of the kernel.
        strides: Steps along rows and columns.
        before: Rows and columns of padding above and to the left.
        output: Rows and columns of the output.
        dilation: Distance between neighbours in the kernel, along rows and columns.
    """

    kernel_size: Pair
    strides: Pair
    before: Pair
    output: Pair
    dilation: Pair = (1, 1)


def geometry_of(
    size: Pair,
    kernel_size: Pair,
    strides: Pair,
    padding: str | Pair,
    dilation: Pair = (1, 1),
) -> Geometry:
    """Return the geometry of Keras, or of torch where padding is a pair.

    With k = (kernel_size - 1) dilation + 1: "valid": floor((n - k) / s) + 1 positions, none beyond
    the input. "same": ceil(n / s) positions, max((out - 1) s + k - n, 0) of padding, the smaller
    half before. A pair p: floor((n + 2 p - k) / s) + 1 positions, p of padding at both ends.

    Args:
        size: Rows and columns of the input.
        kernel_size: Of the kernel.
        strides: Along rows and columns.
        padding: "valid", "same", or rows and columns at both ends.
        dilation: Distance between neighbours in the kernel.
    """
    output, before = [], []
    for axis, (n, taps, s, d) in enumerate(zip(size, kernel_size, strides, dilation, strict=True)):
        k = (taps - 1) * d + 1
        if padding == "same":
            output.append(-(-n // s))
            before.append(max((output[-1] - 1) * s + k - n, 0) // 2)
        else:
            before.append(0 if isinstance(padding, str) else padding[axis])
            output.append((n + 2 * before[-1] - k) // s + 1)
    return Geometry(kernel_size, strides, (before[0], before[1]), (output[0], output[1]), dilation)


def image_of(x: QTensor) -> tuple[int, ...]:
    """Return rows, columns and channels of a tensor; one of two axes is one row."""
    return (1, *x.shape) if len(x.shape) == 2 else x.shape


@dataclass(frozen=True)
class Walk:
    """A kernel on its way over an image.

    Attributes:
        image: Rows, columns and channels.
        geometry: How it moves.
    """

    image: tuple[int, ...]
    geometry: Geometry

    @property
    def fits(self) -> bool:
        """Whether every position begins before the end of the image and ends behind its start."""
        g = self.geometry
        sides = zip(
            self.image, g.kernel_size, g.strides, g.before, g.output, g.dilation, strict=False
        )
        return len(self.image) == 3 and all(
            min(k, s, d, out) >= 1 and 0 <= b <= (k - 1) * d and (out - 1) * s - b < n
            for n, k, s, b, out, d in sides
        )

    def problem(self, y: QTensor) -> str:
        """Return what to say where it does not fit."""
        g = self.geometry
        return (
            f"kernel {g.kernel_size}, strides {g.strides}, padding {g.before}, dilation "
            f"{g.dilation} do not map {self.image} to {y.shape}"
        )

    @property
    def stays_inside(self) -> bool:
        """Whether no position reaches beyond the image."""
        g = self.geometry
        sides = zip(self.image, g.kernel_size, g.strides, g.output, g.dilation, strict=False)
        last = ((out - 1) * s + (k - 1) * d < n for n, k, s, out, d in sides)
        return g.before == (0, 0) and all(last)

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of every patch, limited to the image, and which of them lie in it."""
        g, inside, places = self.geometry, [], []
        for axis in (0, 1):
            size = self.image[axis]
            place = np.arange(g.output[axis])[:, None] * g.strides[axis] - g.before[axis]
            place = place + np.arange(g.kernel_size[axis]) * g.dilation[axis]
            inside.append((place >= 0) & (place < size))
            places.append(place.clip(0, size - 1))
        rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
        exists = inside[0][:, None, :, None] & inside[1][None, :, None, :]
        return rows, columns, exists[..., None]

    def patches(self, x: Array, padding: float) -> Array:
        """Return what the kernel sees (..., R', C', kernel elements, I) of x (..., R, C, I)."""
        rows, columns, exists = self._places
        xp = array_namespace(x)
        patches = x[..., rows, columns, :]
        if not self.stays_inside:
            patches = xp.where(xp.asarray(exists), patches, xp.full_like(patches, padding))
        return patches.reshape(*x.shape[:-3], *self.geometry.output, -1, self.image[2])
