"""Division of a window by an amplitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp


@dataclass(frozen=True, eq=False)
class Normalize(AbstractOp):
    """y = x / max(amplitude, floor) per channel, shapes (T, C), (C,) -> (T, C).

    y = saturate(divide(gain * x, max(a, floor))), divide rounds half up; y.scale = 1 / gain, x and
    a in the same unit.

    Attributes:
        gain: Output steps per unit of x / amplitude.
        floor: Smallest divisor, in steps of the amplitude; a flat channel stays near zero.
    """

    kind: ClassVar[str] = "normalize"
    channel_scales: ClassVar[tuple[str, ...]] = ("x",)
    gain: int
    floor: int

    def check(self) -> None:
        """Check formats; gain * x must fit 31 bits after doubling."""
        x, amplitude = self.inputs
        y = self.outputs[0]
        self.require(self.floor >= 1 and self.gain >= 1, "floor and gain must be at least 1")
        self.require(x.shape == y.shape and amplitude.shape == x.shape[1:], "shapes must fit")
        self.require(x.scales == amplitude.scales, "x and amplitude need the same scale")
        self.require(y.scales == (1 / self.gain,), f"y needs the scale 1 / {self.gain}")
        self.require(all(t.zero_points == (0,) for t in (*self.inputs, y)), "zero points must be 0")
        largest = max(amplitude.qmax, self.floor)
        self.require_bound(2 * self.gain * max(abs(x.qmin), abs(x.qmax)) + largest, "2 gain x + a")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the normalised window, exactly."""
        x, amplitude = inputs
        y = self.outputs[0]
        divisor = amplitude.clip(self.floor, None)[..., None, :]
        return (fixed.saturate(fixed.divide(self.gain * x, divisor), y.qmin, y.qmax),)
