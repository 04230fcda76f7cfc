"""Times of a long table that go on regularly, looked at part by part: a day of them is no array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lnn_edge.data.on_disk import let_go

_PART = 1 << 18  # times
_DIGITS = (42, 21, 0)  # where the three digits of a float above 0 begin, which has 63 bits
_MOST = 1 << 21  # of a digit


@dataclass(frozen=True, eq=False)
class LongTimes:
    """Times in seconds since the first one.

    Attributes:
        times: (N,) finite float64, in some unit; at least two.
        origin: Taken from each.
        second: Seconds per unit.
    """

    times: np.ndarray
    origin: float = 0.0
    second: float = 1.0

    def parts(self) -> Iterator[np.ndarray]:
        """Yield the times part after part; each begins with the last of the one before."""
        for start in range(0, len(self.times) - 1, _PART):
            yield (self.times[start : start + _PART + 1] - self.origin) * self.second
            let_go(self.times)

    def steps(self) -> Iterator[np.ndarray]:
        """Yield the steps from each time to the next, part after part."""
        return (np.diff(part) for part in self.parts())

    @property
    def goes_on(self) -> bool:
        """Whether each time is after the one before."""
        return all(bool((step > 0).all()) for step in self.steps())

    def median_step(self) -> float:
        """Return the median of the steps, all above 0; that of numpy, bit for bit.

        Floats above 0 are in the order of their bits, which are counted digit by digit.
        """
        count = len(self.times) - 1
        lower = self._in_order((count - 1) // 2)
        if count % 2:
            return lower
        places, above = 0, math.inf
        for step in self.steps():
            places += int((step <= lower).sum())
            above = min(above, float(step[step > lower].min(initial=math.inf)))
        return lower if places > count // 2 else float(np.mean([lower, above]))

    def _in_order(self, place: int) -> float:
        """Return the step at a place of all of them in order."""
        found = 0  # its bits, as far as they are known
        for at, digit in enumerate(_DIGITS):
            counts = np.zeros(_MOST, np.int64)
            for step in self.steps():
                bits = step.view(np.int64)
                if at:
                    bits = bits[bits >> _DIGITS[at - 1] == found >> _DIGITS[at - 1]]
                counts += np.bincount(bits >> digit & (_MOST - 1), minlength=_MOST)
            sums = np.cumsum(counts)
            value = int(np.searchsorted(sums, place, "right"))
            place -= int(sums[value - 1]) if value else 0
            found |= value << digit
        return float(np.array(found, np.int64).view(np.float64))
