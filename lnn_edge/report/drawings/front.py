"""A figure over a size: every point named, and the front of those that no other one beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.drawings.plane import Plane, Sheet, ends
from lnn_edge.report.markup import (
    INVERTED_IN_THE_DARK,
    Html,
    circle,
    element,
    label,
    path,
    svg,
    text,
)

_SHEET = Sheet(width=640, height=380, left=64, right=24, top=20, bottom=42)
_MOST_NAMED = 12  # points whose names are drawn; the others show theirs on hovering
_STYLE = """
svg { background: #ffffff; font: 11px system-ui, "Liberation Sans", sans-serif; }
text { fill: #5b6675; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.rule { stroke: #dde2e8; fill: none; } .edge { stroke: #5b6675; fill: none; }
.front { stroke: #1f5fa8; stroke-width: 1.6; fill: none; } .on { fill: #1f5fa8; }
.off { fill: #ffffff; stroke: #5b6675; }
"""


@dataclass(frozen=True)
class Point:
    """One thing that was measured.

    Attributes:
        name: Of it.
        x: Its size.
        y: Its figure.
        is_on_front: Whether no other one beats it in both.
    """

    name: str
    x: float
    y: float
    is_on_front: bool


def draw_front(title: str, points: Sequence[Point], axes: tuple[str, str]) -> str:
    """Return an SVG document.

    Args:
        title: For those who do not see it.
        points: At least one.
        axes: What x and y are.
    """
    plane = Plane(
        _SHEET, ends(np.array([p.x for p in points])), ends(np.array([p.y for p in points]))
    )
    ordered = sorted((p for p in points if p.is_on_front), key=lambda p: p.x)
    line = "L".join("{:.1f} {:.1f}".format(*plane.place(p.x, p.y)) for p in ordered)
    marks = (mark for point in points for mark in _marks(plane, point, len(points)))
    style = element("style", {}, Html(_STYLE + INVERTED_IN_THE_DARK))
    size, front = (_SHEET.width, _SHEET.height), path("front", f"M{line}")
    return f"{svg(*size, title, style, *plane.numbers(), *plane.frame(axes), front, *marks)}\n"


def _marks(plane: Plane, point: Point, count: int) -> Iterator[Html]:
    x, y = plane.place(point.x, point.y)
    tip = element("title", {}, text(f"{point.name}: {point.y:.4g} at {point.x:,.0f}"))
    yield circle("on" if point.is_on_front else "off", x, y, 4, tip)
    if count <= _MOST_NAMED:
        is_right = x > _SHEET.width / 2
        yield label("end" if is_right else "tick", x - 8 if is_right else x + 8, y - 6, point.name)
