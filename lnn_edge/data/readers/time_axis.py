"""Times of rows to a rate: their unit, stretches without a hole, rows put on a regular grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lnn_edge.data.on_disk import parts
from lnn_edge.data.readers.long_times import LongTimes
from lnn_edge.data.readers.reader import MOST_RECORDS
from lnn_edge.data.record import MOST_VALUES
from lnn_edge.errors import DataError

_SOME_VALUES, _MOST_FILLED = 1 << 22, 4  # of a record: in all cases, times the values of its rows
LONGEST_FILL_S = 10.0  # a longer hole parts two records
_HOLE = 1.5  # periods: a step beyond it skips at least one row
_HOLE_IRREGULAR = 2.5  # the same where steps differ by themselves
_ALIKE = 0.2  # of the median step: nine of ten steps are as near to it where times are regular
_JITTER = 0.5  # periods: rows farther from their place are interpolated
_LONG = 1 << 22  # rows that are first looked at part by part, for memory


@dataclass(frozen=True, eq=False)
class Stretch:
    """Rows that make one record.

    Attributes:
        rows: (N,) index of the row of each sample, -1 where there is none; a range where each row
            is the sample after the one before.
        filled: Samples without a row.
        own: (M,) index of each row of the stretch, in order; None where that is `rows`.
        places: (N,) place of each sample among `own`, for interpolation; None where rows are
            taken as they are.
    """

    rows: np.ndarray | range
    filled: int
    own: np.ndarray | None = None
    places: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """What times say.

    Attributes:
        rate_hz: Rows per second.
        stretches: Without a hole longer than LONGEST_FILL_S, times never backward.
        dropped: Rows at the time of the row before.
        assumed: The unit that was taken for one that was not told, "" where it was.
    """

    rate_hz: float
    stretches: tuple[Stretch, ...]
    dropped: int
    assumed: str


def time_axis(
    where: str, times: np.ndarray, second: float | None, rate_hz: float | None, channels: int
) -> TimeAxis:
    """Make records out of times.

    Args:
        where: File and column, for messages.
        times: (N,) float64, in some unit.
        second: Seconds per unit; None guesses from the numbers, and says so.
        rate_hz: The rate, where it is known better than from the times.
        channels: Values of a row, for the bound of what holes may become.

    Raises:
        DataError: Times are absent, or too few, or their unit cannot be guessed.
    """
    if not all(np.isfinite(part).all() for part in parts(times)):
        row = int(np.flatnonzero(~np.isfinite(times))[0]) + 1
        raise DataError(f"{where}: row {row} has no time; fill it, or leave the row out")
    if len(times) > _LONG and LongTimes(times).goes_on:
        found = _regular(where, times, second, rate_hz, MOST_VALUES // channels)
        if found is not None:
            return found
    steps = np.diff(times)
    forward = steps[steps > 0]
    if not forward.size:
        raise DataError(f"{where}: times never go on; name another time column, or give a rate")
    assumed = ""
    if second is None:
        second, assumed = _guess(where, times, float(np.median(forward)))
    seconds = (times - times[0]) * second
    own_rate, hole = _rate(seconds)
    rate = rate_hz or own_rate
    keep = np.concatenate(([True], steps != 0))
    kept = np.flatnonzero(keep)
    pieces = _parts(where, seconds[kept], rate)
    longest = max(float(seconds[kept[p[-1]]] - seconds[kept[p[0]]]) for p in pieces) * rate
    most = min(MOST_VALUES, max(_SOME_VALUES, _MOST_FILLED * len(times) * channels)) // channels
    if not longest < most:
        raise DataError(
            f"{where}: times of {len(times):,} rows reach over {longest:.3g} samples in one piece; "
            f"a record of as many must have at most {most:,}: check the times and their unit"
        )
    stretches = tuple(_stretch(seconds[kept[p]], kept[p], rate, hole) for p in pieces)
    return TimeAxis(rate, stretches, int((~keep).sum()), assumed)


def _guess(where: str, times: np.ndarray, step: float) -> tuple[float, str]:
    """Guess the unit from the size of the numbers (an epoch) or of the steps."""
    start = abs(float(times[0]))
    for least, second, name in ((1e17, 1e-9, "ns"), (1e14, 1e-6, "µs"), (1e11, 1e-3, "ms")):
        if start >= least:
            return second, name
    whole = all(bool((part == np.rint(part)).all()) for part in parts(times))
    if start >= 1e8 or not whole or step < 1:
        return 1.0, "s"
    if step == 1:
        raise DataError(
            f"{where}: times go on by 1 in a unit that is not told; write the unit in its name, as "
            "in time_ms, or give a rate"
        )
    for below, second, name in ((1e3, 1e-3, "ms"), (1e6, 1e-6, "µs")):
        if step < below:
            return second, name
    return 1e-9, "ns"


def _rate(seconds: np.ndarray) -> tuple[float, float]:
    """Return the rate of rows, round if it nearly is, and how many periods are a hole."""
    steps = np.diff(seconds)
    steps = steps[steps > 0]
    median = float(np.median(steps))
    alike = np.abs(steps / median - 1) <= _ALIKE
    hole = _HOLE if alike.mean() >= 0.9 else _HOLE_IRREGULAR
    taken = steps[alike] if hole == _HOLE else steps[steps < hole * median]
    return _rounded(1 / float(taken.mean())), hole


def _rounded(rate: float) -> float:
    rounded = round(rate, 1 if rate < 10 else 0)
    near = rounded and abs(rate / rounded - 1) < 5e-4
    return float(rounded) if near else float(f"{rate:.6g}")


def _regular(
    where: str, times: np.ndarray, second: float | None, rate_hz: float | None, most: int
) -> TimeAxis | None:
    """Return what the rest of this file says of times that go on, without an array of their length.

    None where they leave a hole, drift, or reach over `most` samples, which takes arrays.
    """
    assumed = ""
    if second is None:
        second, assumed = _guess(where, times, LongTimes(times).median_step())
    long = LongTimes(times, float(times[0]), second)
    if not long.goes_on:  # steps so small that they vanish in seconds
        return None
    median = long.median_step()
    alike = sum(int((np.abs(step / median - 1) <= _ALIKE).sum()) for step in long.steps())
    hole = _HOLE if alike >= 0.9 * (len(times) - 1) else _HOLE_IRREGULAR
    count, total = 0, []
    for step in long.steps():
        is_taken = np.abs(step / median - 1) <= _ALIKE if hole == _HOLE else step < hole * median
        count += int(is_taken.sum())
        total.append(float(step[is_taken].sum()))
    rate = rate_hz or _rounded(count / math.fsum(total))
    is_short = (float(times[-1]) - long.origin) * second * rate < most
    if not is_short or _drift(long, rate, hole) > max(_JITTER, 1e-3 * len(times)):
        return None
    return TimeAxis(rate, (Stretch(range(len(times)), 0),), 0, assumed)


def _drift(long: LongTimes, rate: float, hole: float) -> float:
    """Return how many periods rows lie apart from a regular grid; infinity over a hole."""
    low, high, at = math.inf, -math.inf, 0
    for seconds in long.parts():
        exact = seconds * rate
        steps = np.diff(seconds)
        if (np.diff(exact) > hole).any() or steps.max() > max(LONGEST_FILL_S, _HOLE / rate):
            return math.inf
        drift = exact - np.arange(at, at + len(exact))
        low, high = min(low, float(drift.min())), max(high, float(drift.max()))
        at += len(exact) - 1
    return high - low


def _parts(where: str, seconds: np.ndarray, rate: float) -> list[np.ndarray]:
    steps = np.diff(seconds)
    cuts = np.flatnonzero((steps < 0) | (steps > max(LONGEST_FILL_S, _HOLE / rate))) + 1
    if len(cuts) >= MOST_RECORDS:
        raise DataError(
            f"{where}: times go back or leave a hole {len(cuts):,} times, which makes more than "
            f"{MOST_RECORDS:,} records; sort the rows, or name another time column"
        )
    return [p for p in np.split(np.arange(len(seconds)), cuts) if len(p)]


def _stretch(seconds: np.ndarray, rows: np.ndarray, rate: float, hole: float) -> Stretch:
    """Put the rows of one stretch on the grid."""
    exact = (seconds - seconds[0]) * rate
    if not (np.diff(exact) > hole).any():
        ideal = np.arange(len(rows))
        drift = exact - ideal
        if np.abs(drift - np.median(drift)).max() <= max(_JITTER, 1e-3 * len(rows)):
            return Stretch(_in_a_row(rows), 0)
    grid = np.rint(exact).astype(np.int64)
    length = int(grid[-1]) + 1
    out = np.full(length, -1, np.int64)
    out[grid[::-1]] = rows[::-1]  # of two rows on one place the first
    filled = int((out < 0).sum())
    if len(np.unique(grid)) == len(grid) and np.abs(exact - grid).max() <= _JITTER:
        return Stretch(out, filled, rows)
    places = np.interp(np.arange(length), exact, np.arange(len(rows)))
    in_hole = _in_hole(exact, length, hole)
    nearest = rows[np.rint(places).astype(np.int64)]
    return Stretch(np.where(in_hole, -1, nearest), int(in_hole.sum()), rows, places)


def _in_a_row(rows: np.ndarray) -> np.ndarray | range:
    """Return a range where rows, which ascend, leave none out."""
    first, after = int(rows[0]), int(rows[-1]) + 1
    return range(first, after) if after - first == len(rows) else rows


def _in_hole(exact: np.ndarray, length: int, hole: float) -> np.ndarray:
    """Whether a place of the grid lies in a hole between two rows, (length,) bool."""
    inside = np.zeros(length, bool)
    for before in np.flatnonzero(np.diff(exact) > hole):
        inside[int(np.floor(exact[before])) + 1 : int(np.ceil(exact[before + 1]))] = True
    return inside
