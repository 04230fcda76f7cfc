"""What is wrong with the signal in a window around an event, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from array_api_compat import array_namespace

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.flaws import FLAT, NOISY, SATURATED
from lnn_edge.graph.ir import AbstractOp

MOST_BITS = 8  # of a share of the event's range


@dataclass(frozen=True, eq=False)
class SignalQuality(AbstractOp):
    """y = flaws of a window and of each channel of it, shapes (T, C) -> (1 + C,).

    y_(1 + c) = FLAT if max x - min x <= flat
              + SATURATED if min x <= low or max x >= high
              + NOISY if sum |x_(t - 1) - 2 x_t + x_(t + 1)| > most r / 256

    per channel, r the range of x over [first, last), where the event lies, and the sum over all t
    with t - 1, t, t + 1 outside it: what stands beside the event, against the event. A second
    difference is 4 sin^2(pi f / rate) of a sine, so that slow waves hardly count.

    y_0 is FLAT or SATURATED if any channel is, and NOISY if all are: a model reads all channels,
    and one of them is noisy in many a good recording, where it sees the event little.

    Attributes:
        flat: Largest range of a flat channel, in steps of x.
        low: Largest value at the lower rail.
        high: Smallest value at the upper rail.
        first: First frame of the event.
        last: Frame behind its last.
        most: Largest sum of a channel that is not noisy, in 1 / 256 of r.
    """

    kind: ClassVar[str] = "signal_quality"
    flat: int
    low: int
    high: int
    first: int
    last: int
    most: int

    def check(self) -> None:
        """Check shapes and the order of limits, and prove the sum and the product."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(x.shape) == 2, f"input must be (T, C), not {x.shape}")
        self.require(
            y.shape == (1 + x.shape[1],), f"output must be {(1 + x.shape[1],)}, not {y.shape}"
        )
        self.require(
            y.qmin <= 0 and FLAT | SATURATED | NOISY <= y.qmax,
            f"y in [{y.qmin}, {y.qmax}] must hold 0 to {FLAT | SATURATED | NOISY}",
        )
        self.require(x.zero_points == (0,) == y.zero_points, "zero points must be 0")
        self.require(
            2 <= self.first < self.last <= x.shape[0] - 2,
            f"frames {self.first} to {self.last} of the event must leave 2 of {x.shape[0]} at "
            "either side",
        )
        self.require(
            self.flat >= 0 and self.low < self.high and self.most >= 1,
            "flat must be at least 0, low below high and most at least 1",
        )
        span = x.qmax - x.qmin
        self.require_bound(2 * span * x.shape[0], "sum")
        self.require_bound(self.most * span, "most r")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the flaws (..., 1 + C), exactly."""
        (x,) = inputs
        xp = array_namespace(x)
        highest, lowest = xp.max(x, axis=-2), -xp.max(-x, axis=-2)
        event = x[..., self.first : self.last, :]
        most = (self.most * (xp.max(event, axis=-2) + xp.max(-event, axis=-2))) >> MOST_BITS
        bends = abs(x[..., :-2, :] - 2 * x[..., 1:-1, :] + x[..., 2:, :])
        before, after = bends[..., : self.first - 2, :], bends[..., self.last :, :]
        noise = xp.sum(before, axis=-2) + xp.sum(after, axis=-2)
        at_rail = (lowest <= self.low) | (highest >= self.high)
        none = 0 * highest
        flat = xp.where(highest - lowest <= self.flat, none + FLAT, none)
        saturated = xp.where(at_rail, none + SATURATED, none)
        noisy = xp.where(noise > most, none + NOISY, none)
        whole = xp.max(flat, axis=-1) + xp.max(saturated, axis=-1) - xp.max(-noisy, axis=-1)
        return (xp.concat((whole[..., None], flat + saturated + noisy), axis=-1),)
