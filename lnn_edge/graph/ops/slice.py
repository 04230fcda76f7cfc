"""Part of a tensor, in another format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.rescale import AbstractRescale, quantize_factors


@dataclass(frozen=True, eq=False)
class Slice(AbstractRescale):
    """y = elements [first, first + y.size) of x in another format; arithmetic of AbstractRescale.

    y_i = saturate(requantize(x_(first + i) - zx, multiplier, shift) + zy)

    Attributes:
        first: Index of the first element.
    """

    kind: ClassVar[str] = "slice"
    first: int

    @property
    def start(self) -> int:
        """Index of the first element of x that is read."""
        return self.first

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, first: int = 0) -> Slice:
        """Take the factors from the scales."""
        multiplier, shift = quantize_factors(x, y, first)
        return cls(name, (x,), (y,), multiplier, shift, first)

    def check(self) -> None:
        """Check that the elements exist, and the range of the shifted value."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(y.shape) == 1, f"output shape must be a vector, not {y.shape}")
        self.require(
            0 <= self.first <= x.size - y.size,
            f"elements {self.first} to {self.first + y.size - 1} of {x.size}",
        )
        self.check_factors()
        self.check_in_step()
