"""Leaky average over steps or over elapsed time, its state in 32 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from array_api_compat import array_namespace

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor, Run

FRACTION_BITS = 14
EMPTY = -(1 << 31)


@dataclass(frozen=True, eq=False)
class LeakyAverage(AbstractOp):
    """s' = s + alpha * (x - s), per element; the first value after a reset is taken whole.

    With a third input dt (uint16, one value) alpha = dt / T: each value weighs as long as it took,
    so that many short steps do not outvote few long ones (the first order of 1 - exp(-dt / T)).

    The state s is int32 with 14 fraction bits more than x: int16 would lose updates below half an
    LSB, alpha * |x - s| < 0.5, so that an average over many beats stops short of its value. With
    14 bits more the dead zone is 0.5 / (alpha * 2**14) of an LSB of x.

    s = -2**31 means empty:  s' = x << 14
    else                     s' = s + requantize((x << 14) - s, multiplier * dt, shift)
    y = saturate((s' + 2**13) >> 14), the average in the format of x; dt = 1 without that input.

    Attributes:
        multiplier: alpha * 2**32, or with dt that of one step of dt.
        shift: 0.
    """

    kind: ClassVar[str] = "leaky_average"
    channel_scales: ClassVar[tuple[str, ...]] = ("x", "y")
    multiplier: int
    shift: int

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, state: QTensor, update: QTensor, y: QTensor, alpha: float
    ) -> LeakyAverage:
        """Take the multiplier from alpha in (0, 0.5)."""
        return cls(name, (x, state), (update, y), *fixed.quantize_multiplier(alpha))

    @classmethod
    def over_time(
        cls,
        name: str,
        tensors: tuple[QTensor, QTensor, QTensor],
        outputs: tuple[QTensor, QTensor],
        time_s: float,
    ) -> LeakyAverage:
        """Average over elapsed time.

        Args:
            name: C identifier.
            tensors: x, the state and dt.
            outputs: The next state and y.
            time_s: Time constant T, more than twice the longest dt.
        """
        multiplier = round(tensors[2].scales[0] / time_s * 2**32)
        return cls(name, tensors, outputs, multiplier, 0)

    def check(self) -> None:
        """Check formats; the difference of int16 with 14 fraction bits fits 31 bits."""
        x, state, *elapsed = self.inputs
        update, y = self.outputs
        self.require(
            all(t.dtype == "uint16" and t.size == 1 for t in elapsed), "dt must be one uint16"
        )
        self.require(x.shape == state.shape == update.shape == y.shape, "all shapes must be alike")
        self.require(state.dtype == update.dtype == "int32", "the state must be int32")
        self.require(
            x.scales == y.scales
            and state.scales == update.scales == tuple(s / (1 << FRACTION_BITS) for s in x.scales),
            "y needs the scale of x, the state that scale / 2**14",
        )
        self.require(
            all(set(t.zero_points) == {0} for t in (*self.inputs, update, y)),
            "zero points must be 0",
        )
        most = elapsed[0].qmax if elapsed else 1
        self.require(
            0 < self.multiplier and self.multiplier * most < 1 << 31 and self.shift == 0,
            "alpha must be in (0, 0.5)" + (f", also at dt = {most} steps" if elapsed else ""),
        )
        self.require(x.dtype == "int16" and y.qmin <= x.qmin <= x.qmax <= y.qmax, "x must be int16")
        low, high = x.qmin << FRACTION_BITS, x.qmax << FRACTION_BITS
        self.require(
            update.qmin <= low and high <= update.qmax, f"the state must hold [{low}, {high}]"
        )

    def limits_of(self, update: QTensor) -> tuple[Run, ...]:
        """Return the range of x in the format of the state."""
        x = self.inputs[0]
        return (Run(x.qmin << FRACTION_BITS, x.qmax << FRACTION_BITS, update.size),)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (s', y), exactly."""
        x, state, *elapsed = inputs
        y = self.outputs[1]
        wide = x << FRACTION_BITS
        alpha = elapsed[0] * self.multiplier if elapsed else self.multiplier
        moved = state + fixed.requantize(wide - state, alpha, self.shift)
        update = array_namespace(x).where(state == EMPTY, wide, moved)
        view = (update + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS
        return update, fixed.saturate(view, y.qmin, y.qmax)
