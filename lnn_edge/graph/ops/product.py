"""Product of two values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor


@dataclass(frozen=True, eq=False)
class Multiply(AbstractOp):
    """y = a * b, b of a's size, or a vector of channels that multiplies every frame of a.

    y_i = saturate(requantize((a_i - za) * (b_j - zb), multiplier, shift) + zy), j = i modulo b.size

    Attributes:
        multiplier: Of the factor a.scale b.scale / y.scale, see fixed.requantize.
        shift: Of the factor.
    """

    kind: ClassVar[str] = "multiply"
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, a: QTensor, b: QTensor, y: QTensor) -> Multiply:
        """Take the factor from the scales."""
        pair = fixed.quantize_multiplier(a.scales[0] * b.scales[0] / y.scales[0])
        return cls(name, (a, b), (y,), *pair)

    def check(self) -> None:
        """Check shapes, and prove the product."""
        (a, b), y = self.inputs, self.outputs[0]
        self.require(
            a.shape == y.shape and b.size in (a.size, a.shape[-1]),
            "a and y must have one shape, and b as many elements as a or as a has "
            f"channels; they are {a.shape}, {y.shape} and {b.shape}",
        )
        self.require_factor(self.multiplier, self.shift)
        self.require_bound((a.magnitude * b.magnitude) << self.shift, "product")

    def _along(self, a: Array, b: Array) -> Array:
        """Return b in the shape of a, or of its channels."""
        shape = self.inputs[0].shape
        batch = a.shape[: a.ndim - len(shape)]
        if self.inputs[1].size < self.inputs[0].size:
            shape = (*(1,) * (len(shape) - 1), shape[-1])
        return b.reshape(*batch, *shape)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a * b, exactly."""
        a, b = (q - t.zero_points[0] for q, t in zip(inputs, self.inputs, strict=True))
        y = self.outputs[0]
        q = fixed.requantize(a * self._along(a, b), self.multiplier, self.shift)
        return (fixed.saturate(q + y.zero_points[0], y.qmin, y.qmax),)
