"""R-peak detector, one sample at a time: it tells how far back the peak lies."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import ClassVar

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor, Run, Total
from lnn_edge.graph.ops.r_peak_rules import (
    KEPT,
    LONG_AGO,
    SEARCHED,
    SHARE,
    RPeakRules,
    RPeakTimes,
)
from lnn_edge.graph.ops.r_peak_step import RPeakStep


@dataclass(frozen=True, eq=False)
class RPeaks(AbstractOp):
    """event = k where the frame k - 1 before the newest is an R peak just recognised, else 0.

    Inputs x (C,), band-passed 5 to 15 Hz, and z (D,), band-passed 0.5 to 40 Hz, both int16; state
    (S,) int32. Leads add up: t[n] = sum over the window of sum_c |x_c[n] - x_c[n - slope]|.

    * A top of t ends when t falls below half of it, or after `fall` samples. Its peak is the
      largest sum_d |z_d| between `looked_back` samples before it and it, less the filter's delay.
    * A top is taken up when no higher one came within `blank` samples. Above the threshold
      noise + share / 256 (height - noise), means of the last 8 each, it is a beat, else noise.
      Means are floored sums / 8.
    * Without a further beat for 1.5 mean intervals (1.33 s at most), the highest top since that lay
      `gap` behind the last beat is one if it exceeds half the threshold.
    * For the first blocks of `learn` samples it is silent, and the highest top of each is a first
      height: 8 blocks, or `told_blocks`, of which each counts 8 / told_blocks times. The peaks of
      the latter above share / 256 of the mean height are told in the samples after, one a sample,
      unless they lie too far back. After long silence heights sink.

    Events are told in the order of their stamps, none twice. Where the state's first element is
    -1 (the initial value of all) it is new.

    Source: Pan and Tompkins 1985, IEEE Trans Biomed Eng 32(3):230-236; rules of Hamilton and
    Tompkins 1986, same journal 33(12):1157-1165, simplified, magnitudes for squares.
    """

    kind: ClassVar[str] = "r_peaks"
    times: tuple[int, ...]
    share: int = SHARE
    told_blocks: int = 0

    @classmethod
    def make(
        cls,
        name: str,
        inputs: tuple[QTensor, QTensor, QTensor],
        outputs: tuple[QTensor, QTensor],
        rules: RPeakRules,
    ) -> RPeaks:
        """Build from x, z, state and state', event."""
        return cls(name, inputs, outputs, astuple(rules.times), rules.share, rules.told_blocks)

    @cached_property
    def t(self) -> RPeakTimes:
        """The times by name."""
        return RPeakTimes(*self.times)

    @cached_property
    def rules(self) -> RPeakRules:
        """What it goes by."""
        return RPeakRules(self.t, self.share, self.told_blocks)

    @cached_property
    def layout(self) -> dict[str, slice]:
        """Elements of the state by name."""
        return self.rules.layout(self.inputs[0].size)

    @property
    def state_size(self) -> int:
        """S."""
        size: int = self.layout["magnitude_ring"].stop
        return size

    def check(self) -> None:
        """Check formats; sums of magnitudes times 104 fit 32 bits."""
        x, z, state = self.inputs
        update, event = self.outputs
        self.require(
            x.dtype == z.dtype == "int16" and len(x.shape) == len(z.shape) == 1,
            "input and output must be int16 vectors",
        )
        self.require(
            all(t.zero_points[0] == 0 for t in (*self.inputs, *self.outputs)),
            "zero points must be 0",
        )
        self.require(
            len(self.times) == len(fields(RPeakTimes)) and min(self.times[:-1]) >= 1,
            f"times must be {len(fields(RPeakTimes))} of at least 1 sample, not {self.times}",
        )
        self.require(self.t.delay >= 0, "the delay must not be negative")
        self.require(0 < self.share <= 256, f"the share must be 1 to 256 of 256, not {self.share}")
        self.require(
            self.told_blocks in (0, 1, 2, 4),
            f"told blocks must be 0, 1, 2 or 4, not {self.told_blocks}",
        )
        self.require(self.t.longest_interval < LONG_AGO, "intervals are limited below ages")
        self.require(
            state.shape == update.shape == (self.state_size,)
            and state.dtype == update.dtype == "int32",
            f"state must be int32 ({self.state_size},), not {state.dtype} {state.shape}",
        )
        self.require(
            update.qmin == -(1 << 31) and update.qmax == (1 << 31) - 1,
            "the state needs the whole range of int32",
        )
        self.require(
            event.dtype == "uint16" and event.shape == (1,),
            f"event must be one uint16, not {event.dtype} {event.shape}",
        )
        self.require(
            self.t.longest_delay < event.qmax <= 65535,
            f"an event can lie {self.t.longest_delay + 1} back, the tensor holds {event.qmax}",
        )
        most = x.size * (x.qmax - x.qmin) * self.t.window
        self.require_bound(most * KEPT, "sum of heights")
        self.require_bound(most * max(self.share, SEARCHED), "share of a height")
        self.require_bound(z.size * max(-z.qmin, z.qmax), "sum of magnitudes")

    def limits_of(self, update: QTensor) -> tuple[Run, ...]:
        """Return the limits of each part of the state, in the order of `layout`."""
        (x, z, _), t = self.inputs, self.t
        steep = x.size * (x.qmax - x.qmin)
        height, age = (0, steep * t.window), (0, LONG_AGO)
        limits = {
            "x_place": (0, t.slope - 1),
            "slope_place": (0, t.window - 1),
            "magnitude_place": (0, t.ring - 1),
            "top_age": (0, t.fall + 1),
            "blank": (0, t.blank),
            "blocks": (0, KEPT),
            "clock": (0, t.learn),
            "silence": (0, t.quiet),
            "learned_ages": (0, LONG_AGO),
            "intervals": (0, max(t.second, t.longest_interval)),
            "x_ring": (x.qmin, x.qmax),
            "slope_ring": (0, steep),
            "magnitude_ring": (0, z.size * max(-z.qmin, z.qmax)),
        }
        ages = (n for n in self.layout if n.endswith("_age") and n not in limits)
        limits |= dict.fromkeys(ages, age)
        return tuple(
            Run(*limits.get(name, height), place.stop - place.start)
            for name, place in self.layout.items()
        )

    def total_of(self, update: QTensor) -> Total:
        """Return the place of t and of the slopes that it is the sum of."""
        slopes = self.layout["slope_ring"]
        return Total(self.layout["total"].start, slopes.start, slopes.stop - slopes.start)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (state', event), exactly."""
        return RPeakStep(self.rules, *inputs).run()
