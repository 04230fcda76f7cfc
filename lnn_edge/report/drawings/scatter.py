"""Points in a square: what is said over what is true, and differences over means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.drawings.plane import Plane, Sheet, ends
from lnn_edge.report.markup import Html, label, path, svg

MOST_POINTS = 2000  # drawn; of more, at equal distances
_SHEET = Sheet(width=420, height=340, left=58, right=64, top=14, bottom=42)


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
    plane = Plane(_SHEET, ends(both), ends(both))
    low, high = plane.x_ends
    (x0, y0), (x1, y1) = plane.place(low, low), plane.place(high, high)
    identity = path("rule soft", f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    return _draw(plane, title, (true, said), ("true", "model"), unit, [identity])


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
    plane = Plane(_SHEET, ends(means), ends(np.concatenate([errors, levels, [0.0]])))
    right = _SHEET.width - _SHEET.right
    lines: list[Html] = []
    for rule in rules:
        y = plane.place(means[0], rule.level)[1]
        lines.append(path("rule soft", f"M{_SHEET.left:g} {y:.1f}H{right:g}"))
        lines.append(label("tick", right + 5, y - 2, rule.name))
        lines.append(label("tick", right + 5, y + 10, f"{rule.level:.3g}"))
    return _draw(plane, title, (means, errors), ("mean of both", "model - true"), unit, lines)


def _draw(
    plane: Plane,
    title: str,
    points: tuple[np.ndarray, np.ndarray],
    names: tuple[str, str],
    unit: str,
    lines: Sequence[Html],
) -> Html:
    picks = np.linspace(0, len(points[0]) - 1, min(len(points[0]), MOST_POINTS)).astype(int)
    pairs = zip(points[0][picks].tolist(), points[1][picks].tolist(), strict=True)
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in (plane.place(*pair) for pair in pairs))
    said = f" ({unit})" if unit else ""
    axes = plane.frame((f"{names[0]}{said}", f"{names[1]}{said}"))
    size = _SHEET.width, _SHEET.height
    return svg(*size, title, *plane.numbers(), *lines, path("points", dots), *axes)
