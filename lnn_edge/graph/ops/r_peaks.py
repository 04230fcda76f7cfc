"""R-peak detector, one sample at a time: it tells how far back the peak lies."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

from array_api_compat import array_namespace

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor, Run, Total

KEPT = 8  # heights and intervals that means are taken over
LONG_AGO = 1 << 20  # an age saturates
NEW = -1  # initial value of the state
SHARE = 104  # of 256: where the threshold lies between noise and peaks, unless it is told
SEARCHED = 128  # of 256: the part of the threshold that a search back asks for


@dataclass(frozen=True)
class RPeakTimes:
    """Times of the detector in samples.

    Attributes:
        slope: Distance of the two samples whose difference is a slope.
        window: Over which magnitudes of slopes are added.
        fall: A top that has not fallen to half for so long ends all the same.
        blank: After a top a higher one takes its place for so long.
        learn: Length of each of the first blocks, whose highest tops are the first heights.
        gap: A beat is searched for no nearer to the last one.
        longest_search: Searched for at the latest so long after the last one, and the blank.
        longest_interval: Intervals count as no longer.
        quiet: Without a beat for so long heights sink by a quarter, and again after each second.
        second: One second.
        delay: Of the filter in front of the tensor in which peaks are located.
    """

    slope: int
    window: int
    fall: int
    blank: int
    learn: int
    gap: int
    longest_search: int
    longest_interval: int
    quiet: int
    second: int
    delay: int

    @classmethod
    def at(cls, rate_hz: int, delay: int) -> RPeakTimes:
        """Return the times at a sampling rate; chosen on MIT-BIH DS1 at 360 Hz."""

        def samples(seconds: float) -> int:
            return max(round(seconds * rate_hz), 1)

        return cls(
            slope=samples(1 / 60),
            window=samples(1 / 9),
            fall=samples(1 / 8),
            blank=samples(1 / 5),
            learn=samples(1 / 3),
            gap=samples(13 / 36),
            longest_search=samples(4 / 3),
            longest_interval=samples(2),
            quiet=samples(8),
            second=rate_hz,
            delay=delay,
        )

    @property
    def looked_back(self) -> int:
        """Samples from a top back to the earliest that its peak can be."""
        return self.window + 2

    @property
    def ring(self) -> int:
        """Magnitudes that are kept: a top is noticed `fall` samples late."""
        return self.looked_back + self.fall + 1

    @property
    def usual_delay(self) -> int:
        """Frames from a peak to the latest sample that reports it without a search back."""
        return self.fall + self.blank + self.looked_back + self.delay

    @property
    def longest_delay(self) -> int:
        """Frames from a peak to the latest sample that reports it."""
        searched = self.longest_search + self.blank + self.looked_back + self.delay
        return max(self.usual_delay, searched)


SCALARS = (  # of the state, in order; then the rings
    "x_place", "slope_place", "magnitude_place",  # of the next entry
    "total",  # of the slopes in the window
    "top", "top_age", "before",  # the rising top, its age + 1 (0 none yet), the total before
    "held", "held_age", "held_peak_age", "blank",  # a top that waits, and for how long yet
    "blocks", "clock", "block_top",  # learning
    "beat_age", "event_age",  # of the last beat's top, and of the last peak told
    "missed", "missed_age", "missed_peak_age",  # the highest top since that was taken for noise
    "silence",
)  # fmt: skip
MEANS = ("heights", "noises", "intervals")
LEARNED = ("block_peak_age", "learned_ages")  # of peaks that are told after learning, 0 for none


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
        times: RPeakTimes,
        share: int = SHARE,
        told_blocks: int = 0,
    ) -> RPeaks:
        """Build from x, z, state and state', event."""
        plain = tuple(getattr(times, f.name) for f in fields(times))
        return cls(name, inputs, outputs, plain, share, told_blocks)

    @cached_property
    def t(self) -> RPeakTimes:
        """The times by name."""
        return RPeakTimes(*self.times)

    @cached_property
    def layout(self) -> dict[str, slice]:
        """Elements of the state by name."""
        return _layout(self.inputs[0].size, self.t, self.told_blocks)

    @property
    def blocks(self) -> int:
        """Blocks that it learns from."""
        return self.told_blocks or KEPT

    @property
    def furthest_start(self) -> int:
        """Age at the end of learning up to which a peak is told: later it is too far back."""
        return self.t.longest_delay - self.t.delay - self.told_blocks

    @property
    def state_size(self) -> int:
        """S."""
        return _size(self.layout)

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
        return _Step(self, *inputs).run()


def _layout(leads: int, times: RPeakTimes, told_blocks: int) -> dict[str, slice]:
    """Return the elements of the state by name."""
    sizes = dict.fromkeys(SCALARS, 1) | dict.fromkeys(MEANS, KEPT)
    sizes |= dict(zip(LEARNED, (1, told_blocks), strict=True)) if told_blocks else {}
    sizes |= {
        "x_ring": times.slope * leads,
        "slope_ring": times.window,
        "magnitude_ring": times.ring,
    }
    ends = [0]
    for size in sizes.values():
        ends.append(ends[-1] + size)
    return {n: slice(*pair) for n, pair in zip(sizes, pairwise(ends), strict=True)}


def _size(layout: dict[str, slice]) -> int:
    size: int = layout["magnitude_ring"].stop
    return size


def r_peak_state(
    name: str, leads: int, times: RPeakTimes, told_blocks: int = 0
) -> tuple[QTensor, QTensor]:
    """Return state and next state of a detector on `leads` leads; the initial value is NEW."""
    size = _size(_layout(leads, times, told_blocks))
    return QTensor(f"{name}_state", (size,), "int32", role="state"), QTensor(
        f"{name}_update", (size,), "int32"
    )


class _Step:
    """One run of the detector; every value is an array over the batch."""

    def __init__(self, op: RPeaks, x: Array, z: Array, state: Array) -> None:
        self.xp = array_namespace(x)
        self.t, self.op, self.x, self.z = op.t, op, x, z
        is_new = state[..., :1] == NEW
        state = self.xp.where(is_new, state * 0, state)
        self.v = {n: state[..., place] for n, place in op.layout.items()}
        self.scalars = [n for n in op.layout if n in SCALARS or n == LEARNED[0]]
        for name in self.scalars:
            self.v[name] = self.v[name][..., 0]
        for name, length in self._rings:  # whatever a state holds, memory stays memory
            self.v[f"{name}_place"] = self.v[f"{name}_place"].clip(0, length - 1)
        fresh = is_new[..., 0]
        for name in ("beat_age", "event_age"):
            self.v[name] = self.xp.where(fresh, LONG_AGO, self.v[name])
        self.v["intervals"] = self.xp.where(is_new, self.t.second, self.v["intervals"])

    @property
    def _rings(self) -> tuple[tuple[str, int], ...]:
        return ("x", self.t.slope), ("slope", self.t.window), ("magnitude", self.t.ring)

    def run(self) -> tuple[Array, ...]:
        """Return (state', event)."""
        v, where = self.v, self.xp.where
        self._age()
        self._measure()
        top, top_age, peak_age = self._end_top()
        height, age, peak = self._wait(top, top_age, peak_age)
        learning = v["blocks"] < self.op.blocks
        is_start, start_peak = self._tell_learned() if self.op.told_blocks else (height < 0, peak)
        self._learn(height, peak, learning)
        is_beat, beat_peak = self._judge(height, age, peak, ~learning)
        is_found, found_peak = self._search(~learning & ~is_beat & ~is_start)
        told = where(is_beat, beat_peak, where(is_start, start_peak, found_peak))
        is_heard = is_beat | is_start | is_found
        is_told = is_heard & (told < v["event_age"])
        v["event_age"] = where(is_told, told, v["event_age"])
        self._fade(~learning, is_heard)
        event = where(is_told, told + self.t.delay + 1, 0)
        parts = [v[n][..., None] if n in self.scalars else v[n] for n in self.op.layout]
        return self.xp.concat(parts, axis=-1), event[..., None]

    def _age(self) -> None:
        for name in ("beat_age", "event_age", "held_age", "held_peak_age", "missed_age"):
            self.v[name] = (self.v[name] + 1).clip(None, LONG_AGO)
        self.v["missed_peak_age"] = (self.v["missed_peak_age"] + 1).clip(None, LONG_AGO)
        if self.op.told_blocks:
            self._age_learned()

    def _age_learned(self) -> None:
        v, where = self.v, self.xp.where
        starts = v["blocks"] < 2 * self.op.told_blocks
        for name, wanted in zip(LEARNED, (starts, starts[..., None]), strict=True):
            older = (v[name] + 1).clip(None, LONG_AGO)
            v[name] = where(wanted & (v[name] > 0), older, v[name])

    def _mean(self, name: str) -> Array:
        return self.xp.sum(self.v[name], axis=-1) >> 3

    def _push(self, name: str, value: Array, wanted: Array) -> None:
        if not self.xp.any(wanted):
            return
        old = self.v[name]
        pushed = self.xp.concat((value[..., None], old[..., :-1]), axis=-1)
        self.v[name] = self.xp.where(wanted[..., None], pushed, old)

    @property
    def _threshold(self) -> Array:
        noise = self._mean("noises")
        return noise + (((self._mean("heights") - noise) * self.op.share) >> 8)

    def _swap(self, ring: str, place: str, value: Array, length: int) -> Array:
        """Put a value into a ring, return what was there."""
        xp, v = self.xp, self.v
        here = xp.arange(length) == v[place][..., None]
        old = xp.sum(xp.where(here, v[ring], 0), axis=-1)
        v[ring] = xp.where(here, value[..., None], v[ring])
        v[place] = (v[place] + 1) % length
        return old

    def _measure(self) -> None:
        """Take up the sample: slope, total and magnitude."""
        xp, v, slope = self.xp, self.v, self.t.slope
        leads = self.x.shape[-1]
        ring = v["x_ring"].reshape(*v["x_ring"].shape[:-1], slope, leads)
        here = (xp.arange(slope) == v["x_place"][..., None])[..., None]
        old = xp.sum(xp.where(here, ring, 0), axis=-2)
        ring = xp.where(here, self.x[..., None, :], ring)
        v["x_ring"] = ring.reshape(*ring.shape[:-2], -1)
        v["x_place"] = (v["x_place"] + 1) % slope
        steep = xp.sum(abs(self.x - old), axis=-1)
        left = self._swap("slope_ring", "slope_place", steep, self.t.window)
        v["total"] = v["total"] + steep - left
        magnitude = xp.sum(abs(self.z), axis=-1)
        self._swap("magnitude_ring", "magnitude_place", magnitude, self.t.ring)

    def _end_top(self) -> tuple[Array, Array, Array]:
        """Return height (0 for none), age and age of the peak of a top that has ended."""
        v, where = self.v, self.xp.where
        v["top_age"] = where(v["top_age"] > 0, v["top_age"] + 1, 0)
        total, top = v["total"], v["top"]
        rises = (total > v["before"]) & (total > top)
        ended = ~rises & ((total < (top >> 1)) | (v["top_age"] > self.t.fall))
        height = where(ended, top, 0)
        age = where(ended, (v["top_age"] - 1).clip(0, self.t.fall), 0)
        v["top"] = where(rises, total, where(ended, 0, top))
        v["top_age"] = where(rises, 1, where(ended, 0, v["top_age"]))
        v["before"] = total
        return height, age, self.xp.where(ended, self._locate(age, ended), 0)

    def _locate(self, age: Array, ended: Array) -> Array:
        """Return the age of the largest magnitude before a top; of equal ones the oldest."""
        xp, length = self.xp, self.t.ring
        if not xp.any(ended):
            return age
        order = (self.v["magnitude_place"][..., None] + xp.arange(length)) % length
        oldest_first = xp.take_along_axis(self.v["magnitude_ring"], order, axis=-1)
        ages = length - 1 - xp.arange(length)
        last = age[..., None]
        inside = (ages >= last) & (ages <= last + self.t.looked_back)
        return length - 1 - xp.argmax(xp.where(inside, oldest_first, -1), axis=-1)

    def _wait(self, top: Array, age: Array, peak: Array) -> tuple[Array, Array, Array]:
        """Hold a top back for a while; return the one whose time is over (height 0 for none)."""
        v, where = self.v, self.xp.where
        waits = v["blank"] > 0
        taken = (top > 0) & (~waits | (top > v["held"]))
        v["blank"] = where(taken, self.t.blank, (v["blank"] - 1).clip(0, None))
        for name, value in (("held", top), ("held_age", age), ("held_peak_age", peak)):
            v[name] = where(taken, value, v[name])
        over = waits & ~taken & (v["blank"] == 0)
        return where(over, v["held"], 0), v["held_age"], v["held_peak_age"]

    def _learn(self, height: Array, peak: Array, learning: Array) -> None:
        v, where = self.v, self.xp.where
        is_higher = learning & (height > v["block_top"])
        v["block_top"] = where(is_higher, height, v["block_top"])
        v["clock"] = where(learning, v["clock"] + 1, v["clock"])
        full = learning & (v["clock"] == self.t.learn)
        for _ in range(KEPT // self.op.blocks):
            self._push("heights", v["block_top"], full)
        if self.op.told_blocks:
            v["block_peak_age"] = where(is_higher, peak, v["block_peak_age"])
            self._keep_learned(full)
        v["blocks"] = where(full, v["blocks"] + 1, v["blocks"])
        v["clock"], v["block_top"] = where(full, 0, v["clock"]), where(full, 0, v["block_top"])

    def _keep_learned(self, full: Array) -> None:
        """Keep the age of a block's peak, and after the last block of those that are beats."""
        v, where, count = self.v, self.xp.where, self.op.told_blocks
        here = full[..., None] & (self.xp.arange(count) == v["blocks"][..., None])
        v["learned_ages"] = where(here, v["block_peak_age"][..., None], v["learned_ages"])
        v["block_peak_age"] = where(full, 0, v["block_peak_age"])
        is_last = full & (v["blocks"] == count - 1)
        heights = self.xp.flip(v["heights"][..., :: KEPT // count], axis=-1)
        threshold = (self._mean("heights") * self.op.share) >> 8
        is_beat = heights > threshold[..., None]
        is_beat = is_beat & (v["learned_ages"] <= self.op.furthest_start)
        v["learned_ages"] = where(is_last[..., None] & ~is_beat, 0, v["learned_ages"])

    def _tell_learned(self) -> tuple[Array, Array]:
        """Tell the next of the peaks that were learned from, one a sample."""
        v, where, count = self.v, self.xp.where, self.op.told_blocks
        turn = v["blocks"] - count
        tells = (turn >= 0) & (turn < count)
        here = tells[..., None] & (self.xp.arange(count) == turn[..., None])
        age = self.xp.sum(where(here, v["learned_ages"], 0), axis=-1)
        v["learned_ages"] = where(here, 0, v["learned_ages"])
        v["blocks"] = where(tells, v["blocks"] + 1, v["blocks"])
        v["beat_age"] = where(age > 0, age, v["beat_age"])
        return age > 0, age

    def _judge(self, height: Array, age: Array, peak: Array, awake: Array) -> tuple[Array, Array]:
        """Take a top for a beat or for noise."""
        v, where = self.v, self.xp.where
        if not self.xp.any(height > 0):
            return height > 0, peak
        since = v["beat_age"] - age
        judged = awake & (height > 0)
        is_beat = judged & (height > self._threshold) & (since > self.t.blank)
        is_noise = judged & ~is_beat
        self._beat(is_beat, height, since, age)
        self._push("noises", height, is_noise)
        missed = is_noise & (height > v["missed"]) & (since >= self.t.gap)
        for name, value in (("missed", height), ("missed_age", age), ("missed_peak_age", peak)):
            v[name] = where(missed, value, v[name])
        return is_beat, peak

    def _beat(self, wanted: Array, height: Array, interval: Array, age: Array) -> None:
        v, where = self.v, self.xp.where
        known = wanted & (v["beat_age"] < LONG_AGO)
        self._push("heights", height, wanted)
        self._push("intervals", interval.clip(0, self.t.longest_interval), known)
        v["beat_age"] = where(wanted, age, v["beat_age"])
        v["missed"] = where(wanted, 0, v["missed"])

    def _search(self, allowed: Array) -> tuple[Array, Array]:
        """Take the highest top since the last beat for one, if a beat is overdue."""
        v, where = self.v, self.xp.where
        forgotten = v["missed_age"] > self.t.longest_search + self.t.blank
        v["missed"] = where(forgotten, 0, v["missed"])
        if not self.xp.any(v["missed"] > 0):
            return v["missed"] > 0, v["missed_peak_age"]
        mean = self._mean("intervals")
        limit = (mean + (mean >> 1)).clip(None, self.t.longest_search) + self.t.blank
        enough = v["missed"] > ((self._threshold * SEARCHED) >> 8)
        overdue = (v["beat_age"] > limit) & (v["beat_age"] < LONG_AGO)
        is_found = allowed & overdue & enough & (v["missed"] > 0)
        age, peak = v["missed_age"], v["missed_peak_age"]
        self._beat(is_found, v["missed"], v["beat_age"] - age, age)
        return is_found, peak

    def _fade(self, awake: Array, heard: Array) -> None:
        """Let heights sink after long silence."""
        v, where = self.v, self.xp.where
        v["silence"] = where(heard, 0, where(awake, v["silence"] + 1, v["silence"]))
        over = v["silence"] >= self.t.quiet
        if not self.xp.any(over):
            return
        for name in ("heights", "noises"):
            v[name] = where(over[..., None], v[name] - (v[name] >> 2), v[name])
        v["silence"] = where(over, v["silence"] - self.t.second, v["silence"])
