"""Part of a tensor, in another format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

SAME_FACTOR = 1e-9  # relative: scales that should differ by one factor were each rounded


@dataclass(frozen=True, eq=False)
class Slice(AbstractOp):
    """y = elements [first, first + y.size) of x in another format.

    y_i = saturate(requantize(x_(first + i), multiplier, shift) + zy)

    x is read as the vector that it is in memory (last axis fastest); its zero point is 0.
    Scales may differ from element to element if y's differ by the same factors.

    Attributes:
        first: Index of the first element.
        multiplier: Of the factor x.scale / y.scale, see fixed.requantize.
        shift: Of the factor.
    """

    kind: ClassVar[str] = "slice"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0", "y0")
    first: int
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, first: int = 0) -> Slice:
        """Take the factor from the scales.

        Raises:
            GraphError: The elements' scales differ by several factors.
        """
        factor = float(cls._factors(x, y, first)[0])
        return cls(name, (x,), (y,), first, *fixed.quantize_multiplier(factor))

    @staticmethod
    def _factors(x: QTensor, y: QTensor, first: int) -> np.ndarray:
        """Return x.scale / y.scale of each element of y."""
        scales = np.broadcast_to(x.scales, x.shape).reshape(-1)[first : first + y.size]
        factors: np.ndarray = scales / np.broadcast_to(y.scales, (len(scales),))
        return factors

    def check(self) -> None:
        """Check that the elements exist, and the range of the shifted value."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(y.shape) == 1, f"output shape {y.shape}, needed a vector")
        self.require(
            0 <= self.first <= x.size - y.size,
            f"elements {self.first} to {self.first + y.size - 1} of {x.size}",
        )
        self.require(x.zero_points == (0,), "the input's zero point must be 0")
        self.require(len(y.zero_points) == 1, "the output needs one zero point")
        self.require_factor(self.multiplier, self.shift)
        self.require_bound(x.magnitude << self.shift, "shifted input")
        factors = self._factors(x, y, self.first)
        step = 2.0 ** (self.shift - 32)  # of a factor; it is rounded to half of that
        off = np.abs(factors - fixed.real_multiplier(self.multiplier, self.shift))
        self.require(
            bool((off <= step / 2 + SAME_FACTOR * factors).all()),
            f"the scales of {x.name} and {y.name} are not in step",
        )

    def _part(self, x: Array) -> Array:
        axes = len(self.inputs[0].shape)
        flat = x.reshape(*x.shape[: x.ndim - axes], -1)
        return flat[..., self.first : self.first + self.outputs[0].size]

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the elements in the format of y, exactly."""
        y = self.outputs[0]
        q = fixed.requantize(self._part(inputs[0]), self.multiplier, self.shift)
        return (fixed.saturate(q + y.zero_points[0], y.qmin, y.qmax),)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the elements."""
        return (self._part(inputs[0]),)
