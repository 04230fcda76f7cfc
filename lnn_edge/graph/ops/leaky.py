"""Leaky average over steps, its state in 32 bits."""

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

    The state s is int32 with 14 fraction bits more than x: int16 would lose updates below half an
    LSB, alpha * |x - s| < 0.5, so that an average over many beats stops short of its value. With
    14 bits more the dead zone is 0.5 / (alpha * 2**14) of an LSB of x.

    s = -2**31 means empty:  s' = x << 14
    else                     s' = s + requantize((x << 14) - s, multiplier, shift)
    y = saturate((s' + 2**13) >> 14), the average in the format of x.
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

    def check(self) -> None:
        """Check formats; the difference of int16 with 14 fraction bits fits 31 bits."""
        x, state = self.inputs
        update, y = self.outputs
        self.require(x.shape == state.shape == update.shape == y.shape, "all shapes must be alike")
        self.require(state.dtype == update.dtype == "int32", "the state must be int32")
        self.require(
            x.scales == y.scales
            and state.scales == update.scales == tuple(s / (1 << FRACTION_BITS) for s in x.scales),
            "y needs the scale of x, the state that scale / 2**14",
        )
        self.require(
            all(set(t.zero_points) == {0} for t in (x, state, update, y)), "zero points must be 0"
        )
        self.require(0 < self.multiplier < 1 << 31 and self.shift == 0, "alpha must be in (0, 0.5)")
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
        x, state = inputs
        y = self.outputs[1]
        wide = x << FRACTION_BITS
        moved = state + fixed.requantize(wide - state, self.multiplier, self.shift)
        update = array_namespace(x).where(state == EMPTY, wide, moved)
        view = (update + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS
        return update, fixed.saturate(view, y.qmin, y.qmax)
