"""Pooling over a window (frames, channels) or an image (rows, columns, channels)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.errors import GraphError
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.geometry import Geometry, Pair, Walk, image_of


@dataclass(frozen=True, eq=False)
class AbstractPool(AbstractOp):
    """One value of what a kernel sees at each of its positions, per channel.

    Shapes (R, C, I) -> (R', C', I), or (T, I) -> (T', I), which is one row. Position (r, c) begins
    at (r, c) strides - before.

    Attributes:
        kernel_size: Rows and columns.
        strides: Along rows and columns.
        before: Padding above and to the left.
    """

    kernel_size: Pair
    strides: Pair
    before: Pair

    @classmethod
    def _way(cls, name: str, geometry: Geometry) -> tuple[Pair, Pair, Pair]:
        """Return kernel, strides and padding.

        Raises:
            GraphError: The geometry has a dilation.
        """
        if geometry.dilation != (1, 1):
            raise GraphError(f"{cls.kind} {name}: dilation must be (1, 1), not {geometry.dilation}")
        return geometry.kernel_size, geometry.strides, geometry.before

    @cached_property
    def walk(self) -> Walk:
        """How the kernel moves over the image."""
        rows, columns = image_of(self.outputs[0])[:2]
        geometry = Geometry(self.kernel_size, self.strides, self.before, (rows, columns))
        return Walk(image_of(self.inputs[0]), geometry)

    def check_shapes(self) -> None:
        """Check that the kernel leads from x to y."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            2 <= len(x.shape) == len(y.shape) <= 3 and x.shape[-1] == y.shape[-1],
            "shapes must both be (frames, channels) or (rows, columns, channels), not "
            f"{x.shape} and {y.shape}",
        )
        self.require(self.walk.fits, self.walk.problem(y))

    def patches(self, x: Array, padding: float) -> Array:
        """Return what the kernel sees (..., R', C', kernel elements, I)."""
        batch = x.shape[: x.ndim - len(self.inputs[0].shape)]
        return self.walk.patches(x.reshape(*batch, *self.walk.image), padding)

    def shaped(self, pooled: Array) -> Array:
        """Return (..., R', C', I) in the shape of y."""
        return pooled.reshape(*pooled.shape[:-3], *self.outputs[0].shape)


@dataclass(frozen=True, eq=False)
class MaxPool(AbstractPool):
    """y = the largest of what the kernel sees; padding never wins. y has the format of x."""

    kind: ClassVar[str] = "max_pool"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0", "y0")
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x0", "y0")

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, geometry: Geometry) -> MaxPool:
        """Take kernel, strides and padding from the geometry."""
        return cls(name, (x,), (y,), *cls._way(name, geometry))

    def check(self) -> None:
        """Check shapes, and that values can be copied."""
        self.check_shapes()
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            x.dtype == y.dtype and _format(x) == _format(y),
            f"{x.name} and {y.name} need the same dtype, scale and zero point",
        )
        self.require(
            y.qmin <= x.qmin and x.qmax <= y.qmax,
            f"values in [{x.qmin}, {x.qmax}] are copied to [{y.qmin}, {y.qmax}]",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the largest values, exactly."""
        patches = self.patches(inputs[0], self.inputs[0].qmin)
        return (self.shaped(array_namespace(patches).max(patches, axis=-2)),)


def _format(tensor: QTensor) -> tuple[list[float], list[int]]:
    """Return scale and zero point of each channel."""
    values = (np.broadcast_to(v, tensor.shape[-1:]) for v in (tensor.scales, tensor.zero_points))
    scales, points = (v.tolist() for v in values)
    return scales, points


@dataclass(frozen=True, eq=False)
class AveragePool(AbstractPool):
    """y = mean of what the kernel sees; padding counts as zeros (torch's count_include_pad).

    y = saturate(requantize(sum(x - zx), multiplier, shift) + zy)

    Attributes:
        multiplier: Of the factor x.scale / y.scale / elements of the kernel.
        shift: Of the factor.
    """

    kind: ClassVar[str] = "average_pool"
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, geometry: Geometry) -> AveragePool:
        """Take kernel, strides and padding from the geometry, the factor from the scales."""
        rows, columns = geometry.kernel_size
        pair = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / (rows * columns))
        return cls(name, (x,), (y,), *cls._way(name, geometry), *pair)

    @property
    def elements(self) -> int:
        """Elements of the kernel."""
        return self.kernel_size[0] * self.kernel_size[1]

    def check(self) -> None:
        """Check shapes and prove the sum."""
        self.check_shapes()
        self.require_factor(self.multiplier, self.shift)
        self.require_bound((self.inputs[0].magnitude * self.elements) << self.shift, "sum")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the means, exactly."""
        zero, y = self.inputs[0].zero_points[0], self.outputs[0]
        patches = self.patches(inputs[0], zero)
        total = array_namespace(patches).sum(patches, axis=-2) - self.elements * zero
        q = fixed.requantize(total, self.multiplier, self.shift) + y.zero_points[0]
        return (self.shaped(fixed.saturate(q, y.qmin, y.qmax)),)
