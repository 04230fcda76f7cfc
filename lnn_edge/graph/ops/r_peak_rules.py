"""What the R-peak detector goes by: its times, its shares, and how its state is laid out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from lnn_edge.graph.ir import QTensor

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


@dataclass(frozen=True)
class RPeakRules:
    """Rules of one detector, see RPeaks.

    Attributes:
        times: In samples.
        share: Of 256, where the threshold lies between noise and peaks.
        told_blocks: Blocks that it learns from and reports afterwards; 0 learns from KEPT, and
            reports none of them.
    """

    times: RPeakTimes
    share: int = SHARE
    told_blocks: int = 0

    @property
    def blocks(self) -> int:
        """Blocks that it learns from."""
        return self.told_blocks or KEPT

    @property
    def furthest_start(self) -> int:
        """Age at the end of learning up to which a peak is told: later it is too far back."""
        return self.times.longest_delay - self.times.delay - self.told_blocks

    def layout(self, leads: int) -> dict[str, slice]:
        """Return the elements of the state by name."""
        sizes = dict.fromkeys(SCALARS, 1) | dict.fromkeys(MEANS, KEPT)
        if self.told_blocks:
            sizes |= dict(zip(LEARNED, (1, self.told_blocks), strict=True))
        sizes |= {
            "x_ring": self.times.slope * leads,
            "slope_ring": self.times.window,
            "magnitude_ring": self.times.ring,
        }
        ends = [0]
        for size in sizes.values():
            ends.append(ends[-1] + size)
        return {n: slice(*pair) for n, pair in zip(sizes, pairwise(ends), strict=True)}


def r_peak_state(name: str, leads: int, rules: RPeakRules) -> tuple[QTensor, QTensor]:
    """Return state and next state of a detector on `leads` leads; the initial value is NEW."""
    size: int = rules.layout(leads)["magnitude_ring"].stop
    return QTensor(f"{name}_state", (size,), "int32", role="state"), QTensor(
        f"{name}_update", (size,), "int32"
    )
