"""Two axes with round numbers, and where a point lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.markup import Html, label, path

_TICKS = 5


@dataclass(frozen=True)
class Sheet:
    """A drawing and its margins, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Plane:
    """What lies between two axes.

    Attributes:
        sheet: On which it is drawn.
        x_ends: Left and right end.
        y_ends: Lower and upper end.
    """

    sheet: Sheet
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixels of a point."""
        (x0, x1), (y0, y1), s = self.x_ends, self.y_ends, self.sheet
        return (
            s.left + (s.width - s.left - s.right) * (x - x0) / (x1 - x0),
            s.height - s.bottom - (s.height - s.top - s.bottom) * (y - y0) / (y1 - y0),
        )

    def numbers(self) -> Iterator[Html]:
        """Yield round numbers along both axes, and a level line at each."""
        s = self.sheet
        for x in _round_marks(*self.x_ends):
            yield label("tick middle", self.place(x, 0)[0], s.height - s.bottom + 14, f"{x:,.12g}")
        for y in _round_marks(*self.y_ends):
            height = self.place(0, y)[1]
            yield path("rule", f"M{s.left:g} {height:.1f}H{s.width - s.right:g}")
            yield label("tick end", s.left - 6, height + 4, f"{y:,.12g}")

    def frame(self, names: tuple[str, str]) -> Iterator[Html]:
        """Yield both axes with their names."""
        s = self.sheet
        middle, bottom = s.left + (s.width - s.left - s.right) / 2, s.height - s.bottom
        yield label("key middle", middle, s.height - 6, names[0])
        yield label("key", 0, s.top - 3, names[1])
        yield path("edge", f"M{s.left:g} {s.top:g}V{bottom:g}H{s.width - s.right:g}")


def ends(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest value with a little room beyond."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or abs(high) or 1.0
    return low - room, high + room


def _round_marks(low: float, high: float) -> list[float]:
    """Return about _TICKS round numbers between two."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]
