"""One step of the R-peak detector on arrays of any library, in integers."""

from __future__ import annotations

from array_api_compat import array_namespace

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ops.r_peak_rules import (
    KEPT,
    LEARNED,
    LONG_AGO,
    NEW,
    SCALARS,
    SEARCHED,
    RPeakRules,
)


class RPeakStep:
    """One run of the detector; every value is an array over the batch.

    Args:
        rules: Of the detector.
        x: (..., C) for slopes.
        z: (..., D) in which peaks are located.
        state: (..., S).
    """

    def __init__(self, rules: RPeakRules, x: Array, z: Array, state: Array) -> None:
        self.xp = array_namespace(x)
        self.t, self.rules, self.x, self.z = rules.times, rules, x, z
        self.layout = rules.layout(x.shape[-1])
        is_new = state[..., :1] == NEW
        state = self.xp.where(is_new, state * 0, state)
        self.v = {n: state[..., place] for n, place in self.layout.items()}
        self.scalars = [n for n in self.layout if n in SCALARS or n == LEARNED[0]]
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
        learning = v["blocks"] < self.rules.blocks
        is_start, start_peak = (
            self._tell_learned() if self.rules.told_blocks else (height < 0, peak)
        )
        self._learn(height, peak, learning)
        is_beat, beat_peak = self._judge(height, age, peak, ~learning)
        is_found, found_peak = self._search(~learning & ~is_beat & ~is_start)
        told = where(is_beat, beat_peak, where(is_start, start_peak, found_peak))
        is_heard = is_beat | is_start | is_found
        is_told = is_heard & (told < v["event_age"])
        v["event_age"] = where(is_told, told, v["event_age"])
        self._fade(~learning, is_heard)
        event = where(is_told, told + self.t.delay + 1, 0)
        parts = [v[n][..., None] if n in self.scalars else v[n] for n in self.layout]
        return self.xp.concat(parts, axis=-1), event[..., None]

    def _age(self) -> None:
        for name in ("beat_age", "event_age", "held_age", "held_peak_age", "missed_age"):
            self.v[name] = (self.v[name] + 1).clip(None, LONG_AGO)
        self.v["missed_peak_age"] = (self.v["missed_peak_age"] + 1).clip(None, LONG_AGO)
        if self.rules.told_blocks:
            self._age_learned()

    def _age_learned(self) -> None:
        v, where = self.v, self.xp.where
        starts = v["blocks"] < 2 * self.rules.told_blocks
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
        return noise + (((self._mean("heights") - noise) * self.rules.share) >> 8)

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
        for _ in range(KEPT // self.rules.blocks):
            self._push("heights", v["block_top"], full)
        if self.rules.told_blocks:
            v["block_peak_age"] = where(is_higher, peak, v["block_peak_age"])
            self._keep_learned(full)
        v["blocks"] = where(full, v["blocks"] + 1, v["blocks"])
        v["clock"], v["block_top"] = where(full, 0, v["clock"]), where(full, 0, v["block_top"])

    def _keep_learned(self, full: Array) -> None:
        """Keep the age of a block's peak, and after the last block of those that are beats."""
        v, where, count = self.v, self.xp.where, self.rules.told_blocks
        here = full[..., None] & (self.xp.arange(count) == v["blocks"][..., None])
        v["learned_ages"] = where(here, v["block_peak_age"][..., None], v["learned_ages"])
        v["block_peak_age"] = where(full, 0, v["block_peak_age"])
        is_last = full & (v["blocks"] == count - 1)
        heights = self.xp.flip(v["heights"][..., :: KEPT // count], axis=-1)
        threshold = (self._mean("heights") * self.rules.share) >> 8
        is_beat = heights > threshold[..., None]
        is_beat = is_beat & (v["learned_ages"] <= self.rules.furthest_start)
        v["learned_ages"] = where(is_last[..., None] & ~is_beat, 0, v["learned_ages"])

    def _tell_learned(self) -> tuple[Array, Array]:
        """Tell the next of the peaks that were learned from, one a sample."""
        v, where, count = self.v, self.xp.where, self.rules.told_blocks
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
