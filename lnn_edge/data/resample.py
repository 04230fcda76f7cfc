"""Brings a record to another rate; marks and intervals move with the samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.on_disk import let_go, parts
from lnn_edge.data.record import MOST_VALUES, Interval, Mark, Record
from lnn_edge.errors import DataError

# The filter has 20 * max(up, down) + 1 taps: this bounds it. 44,100 to 16,000 Hz takes 160 / 441.
MOST_FACTOR = 20_000
_HALF_TAPS = 10  # on either side, times max(up, down)
_SPAN = 1 << 18  # samples that are filtered together
_WINDOW = ("kaiser", 8.6)  # 90 dB: a zero of 1024 steps ripples by 0.03; scipy's 5.0 by 0.5


@dataclass(frozen=True)
class Resampling:
    """How samples, marks and intervals of one record move to another rate.

    A mark at sample m moves to round(m * new / old). Samples pass a polyphase filter without
    delay; beyond its ends a channel goes on as the line through its first and last sample.

    Attributes:
        ratio: New rate / old rate, 1 where nothing moves.
        old_length: Samples at the old rate.
    """

    ratio: Fraction
    old_length: int

    @classmethod
    def of(cls, record: Record, rate_hz: float) -> Resampling:
        """Return that of a record.

        Raises:
            DataError: The two rates have no ratio of small numbers, or the result is too long.
        """
        moving = cls(_ratio(record, rate_hz), len(record.samples))
        if moving.length * len(record.channels) > MOST_VALUES:
            raise DataError(
                f"record {record.name} at {rate_hz:g} Hz would have {moving.length:,} samples; cut "
                "it into shorter ones"
            )
        return moving

    @property
    def length(self) -> int:
        """Samples at the new rate."""
        return -(-self.old_length * self.ratio.numerator // self.ratio.denominator)

    def marks(self, marks: Sequence[Mark]) -> tuple[Mark, ...]:
        """Return marks at the new rate."""
        return tuple(Mark(self._moved(m.sample), m.symbol) for m in marks)

    def intervals(self, intervals: Sequence[Interval]) -> tuple[Interval, ...]:
        """Return intervals at the new rate."""
        return tuple(self._moved_interval(i) for i in intervals)

    def changes(self, record: Record, rate_hz: float) -> Changes:
        """Say that a record moves, where it does."""
        moved = self.old_length if self.ratio != 1 else 0
        detail = f"from {record.rate_hz:g} Hz to {rate_hz:g} Hz"
        return Changes().also("resampled", detail, moved, "samples", record.name)

    def spans(self, column: np.ndarray) -> Iterator[np.ndarray]:
        """Yield one channel at the new rate, float64, a span after the other.

        So a day of samples does not lie in memory in float64. Absent values are bridged by lines
        for the filter, and are absent again afterwards.

        Args:
            column: (N,), NaN where a value is absent.
        """
        if self.ratio == 1:
            for part in parts(column):
                yield part.astype(np.float64)
            return
        absent = _absent(column)
        bridged = column if absent is None else _bridged(column.astype(np.float64), absent)
        place = 0
        for span in self._filtered(bridged):
            if absent is not None:
                span[absent[self._nearest(place, len(span))]] = np.nan
            place += len(span)
            yield span

    def _filtered(self, column: np.ndarray) -> Iterator[np.ndarray]:
        from scipy.signal import firwin, resample_poly  # takes half a second

        up, down = self.ratio.numerator, self.ratio.denominator
        half = _HALF_TAPS * max(up, down)
        taps = firwin(2 * half + 1, 1 / max(up, down), window=_WINDOW)
        around = -(-(half // up + 1) // down) * down  # samples that the filter sees on either side
        step = max(1, _SPAN // max(up, down)) * down
        for start in range(0, self.old_length, step):
            stop = min(start + step, self.old_length)
            seen = _with_ends(column, start - around, stop + around)
            out: np.ndarray = resample_poly(seen, up, down, window=taps, padtype="constant")
            first = around * up // down
            yield out[first : first - (start - stop) * up // down]
            let_go(column)

    def _nearest(self, first: int, count: int) -> np.ndarray:
        """Return the old sample nearest to each of some new ones."""
        up, down = self.ratio.numerator, self.ratio.denominator
        nearest: np.ndarray = (np.arange(first, first + count) * down + up // 2) // up
        return nearest.clip(max=self.old_length - 1)

    def _moved(self, sample: int) -> int:
        return min(int(sample * self.ratio + Fraction(1, 2)), self.length - 1)

    def _moved_interval(self, interval: Interval) -> Interval:
        first = self._moved(interval.first)
        after = int((interval.last + 1) * self.ratio + Fraction(1, 2))
        return Interval(first, max(first, min(after, self.length) - 1), interval.label)


def resample(record: Record, rate_hz: float) -> Record:
    """Return a record at another rate, see Resampling. int16 stays int16, rounded.

    Args:
        record: At any rate.
        rate_hz: The rate wanted.

    Raises:
        DataError: The two rates have no ratio of small numbers, or the result is too long.
    """
    if rate_hz == record.rate_hz:
        return record
    moving = Resampling.of(record, rate_hz)
    samples = np.empty((moving.length, len(record.channels)), record.samples.dtype)
    clipped = sum(
        _fill(samples[:, place], moving.spans(column))
        for place, column in enumerate(record.samples.T)
    )
    return replace(
        record,
        samples=samples,
        rate_hz=rate_hz,
        marks=moving.marks(record.marks),
        intervals=moving.intervals(record.intervals),
        changes=(record.changes + moving.changes(record, rate_hz)).also(
            "converted", "beyond 16 bit to the nearest step", clipped, "samples", record.name
        ),
    )


def to_rate(values: np.ndarray, old_hz: float, new_hz: float) -> np.ndarray:
    """Resample one channel of values, (N,) float64, NaN where absent.

    Raises:
        ValueError: The two rates have no ratio of small numbers.
    """
    spans = Resampling(ratio_of(old_hz, new_hz), len(values)).spans(values)
    return np.concatenate(list(spans))


def ratio_of(old_hz: float, new_hz: float) -> Fraction:
    """Return new / old in small numbers.

    Raises:
        ValueError: There are none.
    """
    exact = Fraction(repr(float(new_hz))) / Fraction(repr(float(old_hz)))
    for most in (100, 1000, MOST_FACTOR):  # the smallest pair that is as good as exact
        ratio = exact.limit_denominator(most)
        if ratio and abs(ratio / exact - 1) < Fraction(1, 10**7):
            break
    if not ratio or max(ratio.numerator, ratio.denominator) > MOST_FACTOR:
        raise ValueError(f"from {old_hz:g} Hz to {new_hz:g} Hz")
    return ratio


def _ratio(record: Record, rate_hz: float) -> Fraction:
    try:
        return ratio_of(record.rate_hz, rate_hz)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise DataError(
            f"record {record.name} cannot be resampled {error}: their ratio must be of numbers "
            f"up to {MOST_FACTOR:,}; give rates closer to each other"
        ) from None


def _fill(column: np.ndarray, spans: Iterator[np.ndarray]) -> int:
    """Write spans to a column, rounded where it holds steps; return how many lay beyond them."""
    place = clipped = 0
    limits = np.iinfo(np.int16)
    for span in spans:
        part = column[place : place + len(span)]
        place += len(span)
        if column.dtype == np.int16:
            steps = np.rint(span)
            clipped += int(((steps < limits.min) | (steps > limits.max)).sum())
            part[:] = steps.clip(limits.min, limits.max)
        else:
            part[:] = span
    return clipped


def _with_ends(column: np.ndarray, first: int, stop: int) -> np.ndarray:
    """Return samples [first, stop) in float64; those that are not there lie on a line."""
    count = len(column)
    begin, end = float(column[0]), float(column[-1])
    slope = (end - begin) / max(1, count - 1)
    before, after = np.arange(min(first, 0), 0), np.arange(1, max(stop - count, 0) + 1)
    inside = column[max(first, 0) : stop].astype(np.float64)
    return np.concatenate((begin + slope * before, inside, end + slope * after))


def _absent(column: np.ndarray) -> np.ndarray | None:
    """Return whether each value is absent, (N,) bool; None where none is."""
    if column.dtype.kind != "f":
        return None
    absent = np.concatenate([~np.isfinite(part) for part in parts(column)])
    return absent if absent.any() else None


def _bridged(column: np.ndarray, absent: np.ndarray) -> np.ndarray:
    if absent.all():
        return np.zeros_like(column)
    places = np.arange(len(column))
    bridged: np.ndarray = np.interp(places, places[~absent], column[~absent])
    return bridged
