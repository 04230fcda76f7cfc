"""Brings a record to another rate; marks and intervals move with the samples."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from lnn_edge.data.record import MOST_VALUES, Interval, Mark, Record
from lnn_edge.errors import DataError

# The filter has 20 * max(up, down) + 1 taps: this bounds it. 44,100 to 16,000 Hz takes 160 / 441.
MOST_FACTOR = 20_000
_WINDOW = ("kaiser", 8.6)  # 90 dB: a zero of 1024 steps ripples by 0.03; scipy's 5.0 by 0.5


def resample(record: Record, rate_hz: float) -> Record:
    """Return a record at another rate, by a polyphase filter without delay.

    A mark at sample m moves to round(m * new / old). Absent values (NaN) are bridged by straight
    lines for the filter, and are absent again afterwards. int16 stays int16, rounded.

    Args:
        record: At any rate.
        rate_hz: The rate wanted.

    Raises:
        DataError: The two rates have no ratio of small numbers, or the result is too long.
    """
    if rate_hz == record.rate_hz:
        return record
    ratio = _ratio(record, rate_hz)
    length = -(-len(record.samples) * ratio.numerator // ratio.denominator)
    if length * len(record.channels) > MOST_VALUES:
        raise DataError(
            f"record {record.name} at {rate_hz:g} Hz would have {length:,} samples; cut it into "
            "shorter ones"
        )
    samples, clipped = _resampled(record.samples, ratio)
    changes = record.changes.also(
        "resampled",
        f"from {record.rate_hz:g} Hz to {rate_hz:g} Hz",
        len(record.samples),
        "samples",
        record.name,
    ).also("converted", "beyond 16 bit to the nearest step", clipped, "samples", record.name)
    return replace(
        record,
        samples=samples,
        rate_hz=rate_hz,
        marks=tuple(Mark(_moved(m.sample, ratio, length), m.symbol) for m in record.marks),
        intervals=tuple(_moved_interval(i, ratio, length) for i in record.intervals),
        changes=changes,
    )


def to_rate(values: np.ndarray, old_hz: float, new_hz: float) -> np.ndarray:
    """Resample one channel of values, (N,) float64, NaN where absent.

    Raises:
        ValueError: The two rates have no ratio of small numbers.
    """
    return _filtered(values[:, None], ratio_of(old_hz, new_hz))[:, 0]


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


def _resampled(samples: np.ndarray, ratio: Fraction) -> tuple[np.ndarray, int]:
    values = _filtered(samples.astype(np.float64), ratio)
    if samples.dtype != np.int16:
        return values.astype(samples.dtype), 0
    limits = np.iinfo(np.int16)
    steps = np.rint(values)
    clipped = int(((steps < limits.min) | (steps > limits.max)).sum())
    return steps.clip(limits.min, limits.max).astype(np.int16), clipped


def _filtered(values: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Resample columns; absent values stay absent."""
    from scipy.signal import resample_poly  # takes half a second

    absent = ~np.isfinite(values)
    columns = zip(values.T, absent.T, strict=True)
    bridged = np.stack([_bridged(c, a) for c, a in columns], axis=1)
    up, down = ratio.numerator, ratio.denominator
    out: np.ndarray = resample_poly(bridged, up, down, axis=0, window=_WINDOW, padtype="line")
    nearest = (np.arange(len(out)) * down + up // 2) // up
    out[absent[nearest.clip(max=len(values) - 1)]] = np.nan
    return out


def _bridged(column: np.ndarray, absent: np.ndarray) -> np.ndarray:
    if not absent.any():
        return column
    if absent.all():
        return np.zeros_like(column)
    places = np.arange(len(column))
    bridged: np.ndarray = np.interp(places, places[~absent], column[~absent])
    return bridged


def _moved(sample: int, ratio: Fraction, length: int) -> int:
    return min(int(sample * ratio + Fraction(1, 2)), length - 1)


def _moved_interval(interval: Interval, ratio: Fraction, length: int) -> Interval:
    first = _moved(interval.first, ratio, length)
    after = int((interval.last + 1) * ratio + Fraction(1, 2))
    return Interval(first, max(first, min(after, length) - 1), interval.label)
