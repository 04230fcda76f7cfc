"""Points in a square: what is said over what is true, and differences over means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.markup import Html, label, path, svg

MOST_POINTS = 2000  # drawn; of more, at equal distances
_WIDTH, _HEIGHT = 420.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 64.0, 14.0, 42.0
_TICKS = 5


@dataclass(frozen=True)
class Rule:
    """A level line of a plot, named at its right end."""

    level: float
    name: str


def draw_identity(title: str, true: np.ndarray, said: np.ndarray, unit: str) -> Html:
    """Return what is said over what is true, both on one scale, and the line on which they agree.

    Args:
        title: For those who do not see it.
        true: (M,).
        said: (M,).
        unit: Of both, "" for none.
    """
    both = np.concatenate([true, said])
    plot = _Plot(_ends(both), _ends(both))
    low, high = plot.x_ends
    (x0, y0), (x1, y1) = plot.place(low, low), plot.place(high, high)
    identity = path("rule soft", f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    return plot.draw(title, (true, said), ("true", "model"), unit, [identity])


def draw_differences(
    title: str, means: np.ndarray, errors: np.ndarray, unit: str, rules: Sequence[Rule]
) -> Html:
    """Return differences over means, as Bland and Altman 1986 draw agreement.

    Args:
        title: For those who do not see it.
        means: (M,) of what is true and what is said.
        errors: (M,) what is said minus what is true.
        unit: Of both, "" for none.
        rules: Bias and limits of agreement.
    """
    levels = np.array([rule.level for rule in rules])
    plot = _Plot(_ends(means), _ends(np.concatenate([errors, levels, [0.0]])))
    lines: list[Html] = []
    for rule in rules:
        y = plot.place(means[0], rule.level)[1]
        lines.append(path("rule soft", f"M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}"))
        lines.append(label("tick", _WIDTH - _RIGHT + 5, y - 2, rule.name))
        lines.append(label("tick", _WIDTH - _RIGHT + 5, y + 10, f"{rule.level:.3g}"))
    return plot.draw(title, (means, errors), ("mean of both", "model - true"), unit, lines)


@dataclass(frozen=True)
class _Plot:
    """Axes and where a point lies between them."""

    x_ends: tuple[float, float]
    y_ends: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = self.x_ends, self.y_ends
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - x0) / (x1 - x0),
            _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (y - y0) / (y1 - y0),
        )

    def draw(
        self,
        title: str,
        points: tuple[np.ndarray, np.ndarray],
        names: tuple[str, str],
        unit: str,
        lines: Sequence[Html],
    ) -> Html:
        picks = np.linspace(0, len(points[0]) - 1, min(len(points[0]), MOST_POINTS)).astype(int)
        pairs = zip(points[0][picks].tolist(), points[1][picks].tolist(), strict=True)
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in (self.place(*pair) for pair in pairs))
        bottom, said = _HEIGHT - _BOTTOM, f" ({unit})" if unit else ""
        middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
        return svg(
            _WIDTH,
            _HEIGHT,
            title,
            *self._axes(),
            *lines,
            path("points", dots),
            label("key middle", middle, _HEIGHT - 6, f"{names[0]}{said}"),
            label("key", 0, _TOP - 3, f"{names[1]}{said}"),
            path("edge", f"M{_LEFT:g} {_TOP:g}V{bottom:g}H{_WIDTH - _RIGHT:g}"),
        )

    def _axes(self) -> Iterator[Html]:
        for x in _round_marks(*self.x_ends):
            yield label("tick middle", self.place(x, 0)[0], _HEIGHT - _BOTTOM + 14, f"{x:g}")
        for y in _round_marks(*self.y_ends):
            height = self.place(0, y)[1]
            yield path("rule", f"M{_LEFT:g} {height:.1f}H{_WIDTH - _RIGHT:g}")
            yield label("tick end", _LEFT - 6, height + 4, f"{y:g}")


def _ends(values: np.ndarray) -> tuple[float, float]:
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
