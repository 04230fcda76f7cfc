"""What convolutions share: rows of weights over patches of an image, in groups of channels."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.geometry import Walk
from lnn_edge.graph.ops.rows import AbstractRowOp, Quantized, quantize_rows


@dataclass(frozen=True, eq=False)
class AbstractConvolution(AbstractRowOp):
    """y[r, c] = W patch(r, c) + b, patch the kernel's view of x; arithmetic of AbstractRowOp.

    Beyond its edges x holds its zero point. The column of kernel element p and channel k is
    p * I + k; weight holds only those of its group's channels, (O, elements * I / groups).

    Attributes:
        groups: Of channels and filters, as many each: a filter reads its own group's channels.
    """

    groups: int = field(default=1, kw_only=True)

    @property
    @abc.abstractmethod
    def walk(self) -> Walk:
        """How the kernel moves over the image."""

    @property
    def elements(self) -> int:
        """Elements of the kernel."""
        rows, columns = self.walk.geometry.kernel_size
        return rows * columns

    @cached_property
    def rows(self) -> np.ndarray:
        """Weights over all channels, 0 outside the group, (O, K)."""
        if self.groups == 1:
            return self.weight
        taps = self.weight.reshape(len(self.weight), self.elements, -1)
        return spread(taps, self.groups).reshape(len(taps), -1)

    def check_walk(self) -> None:
        """Check shapes, groups and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(self.walk.fits, self.walk.problem(y))
        channels, filters = x.shape[-1], y.shape[-1]
        self.require(
            self.groups >= 1 and channels % self.groups == filters % self.groups == 0,
            f"{self.groups} groups of {channels} channels and {filters} filters",
        )
        wanted = (filters, self.elements * channels // self.groups)
        self.require(
            self.weight.shape == wanted,
            f"weight must be {wanted} to map {x.shape} to {y.shape}, not {self.weight.shape}",
        )
        self.require(
            len(set(x.zero_points)) == 1 or self.walk.stays_inside,
            f"{x.name} has a zero point per channel, padding holds one; requantize it",
        )
        self.check_rows()

    def columns(self, x: Array) -> Array:
        """Return the patches (..., R', C', K) of x (..., *shape), zero points still in."""
        batch = x.shape[: x.ndim - len(self.inputs[0].shape)]
        image = x.reshape(*batch, *self.walk.image)
        patches = self.walk.patches(image, self.inputs[0].zero_points[0])
        return patches.reshape(*batch, *self.outputs[0].shape[:-1], -1)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the convolution, exactly."""
        return (self.accumulate(self.columns(inputs[0])),)

    @property
    def macs(self) -> int:
        """One per weight and output position."""
        rows, columns = self.walk.geometry.output
        return int(self.weight.size) * rows * columns


def spread(taps: np.ndarray, groups: int) -> np.ndarray:
    """Return weights (O, elements, I / groups) over all channels, (O, elements, I)."""
    filters, elements, own = taps.shape
    wide = np.zeros((groups, filters // groups, elements, groups, own), taps.dtype)
    for group, part in enumerate(np.split(taps, groups)):
        wide[group, :, :, group] = part
    return wide.reshape(filters, elements, groups * own)


def quantize_taps(
    x: QTensor, y: QTensor, taps: np.ndarray, bias: np.ndarray, groups: int
) -> Quantized:
    """Quantize real weights (O, elements, I / groups): see quantize_rows; groups forget them."""
    if groups == 1:
        return quantize_rows(x, y, taps.reshape(len(taps), -1), bias)
    wide = spread(taps, groups).reshape(len(taps), -1)
    rows, *rest, _ = quantize_rows(x, y, wide, bias)
    shape = (groups, len(taps) // groups, taps.shape[1], groups, -1)
    own = np.stack([part[:, :, group] for group, part in enumerate(rows.reshape(shape))])
    return own.reshape(len(taps), -1), rest[0], rest[1], rest[2], None
