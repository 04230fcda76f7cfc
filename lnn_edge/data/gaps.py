"""Lines over values that are absent, in a channel that comes part after part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


class OverGaps:
    """A channel whose gaps are filled: by a line, before the first value and after the last by it.

    What comes out is that of one np.interp over the whole channel, bit for bit; of a gap, only its
    length is kept until the value after it comes.

    Attributes:
        absent: Values that were absent, as far as parts were taken.
        there: Values that were not.
    """

    def __init__(self, parts: Iterable[np.ndarray]) -> None:
        """Take a channel.

        Args:
            parts: Of it, float64, NaN or infinite where a value is absent.
        """
        self._parts = parts
        self.absent = self.there = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the channel in parts of other lengths; nothing where no value is there."""
        last: tuple[int, float] | None = None  # place and value of the last one that is there
        at = held = 0  # where the part begins, and how many before it are not told yet
        for part in self._parts:
            there = np.flatnonzero(np.isfinite(part))
            self.there += len(there)
            self.absent += len(part) - len(there)
            if not len(there):
                held += len(part)
            else:
                after = int(there[-1]) + 1
                told = part[:after]
                yield told if len(there) == after and not held else _filled(told, held, at, last)
                last, held = (at + after - 1, float(part[after - 1])), len(part) - after
            at += len(part)
        if last is not None and held:
            yield np.full(held, last[1])


def _filled(told: np.ndarray, held: int, at: int, last: tuple[int, float] | None) -> np.ndarray:
    """Return values from place `at` on, with `held` absent ones before, after the last one."""
    values = np.concatenate((np.full(held, np.nan), told))
    places = np.arange(at - held, at + len(told))
    is_there = np.isfinite(values)
    known, of = places[is_there], values[is_there]
    if last is not None:
        known, of = np.append(last[0], known), np.append(last[1], of)
    values[~is_there] = np.interp(places[~is_there], known, of)
    return values
