"""Time constants of a layer: for each neuron a range and its middle, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lnn_edge.report.markup import Html, circle, label, path, svg

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 560.0, 34.0, 64.0, 17.0, 20.0
_INNER = _WIDTH - _LEFT - _RIGHT


def draw_constants(spread: np.ndarray, unit: str, title: str) -> Html:
    """Return a chart of time constants.

    Args:
        spread: (3, H): low end, middle and high end of each neuron; infinite is drawn at the edge.
        unit: Of them.
        title: For those who do not see it.
    """
    finite = spread[np.isfinite(spread) & (spread > 0)]
    low, high = (float(f(finite)) if finite.size else 1.0 for f in (np.min, np.max))
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(high, low * 1.01)))

    def x(value: float) -> float:
        if not math.isfinite(value):
            return _LEFT + _INNER
        share = (math.log10(max(value, 10.0**first)) - first) / (last - first)
        return _LEFT + _INNER * min(share, 1.0)

    bottom = _TOP + _ROW * spread.shape[1]
    parts = list(_axis(first, last, unit, bottom))
    for i, (least, middle, most) in enumerate(spread.T.tolist()):
        y = _TOP + (i + 0.5) * _ROW
        parts.append(label("tick end", _LEFT - 8, y + 4, f"{i + 1}"))
        parts.append(path("span", f"M{x(least):.1f} {y:g}H{max(x(most), x(least) + 1):.1f}"))
        parts.append(circle("dot", x(middle), y, 3.5))
        parts.append(label("number end", _WIDTH - 2, y + 4, _said(middle, unit)))
    return svg(_WIDTH, bottom + 4, title, *parts)


def _said(value: float, unit: str) -> str:
    shown = "\N{INFINITY}" if not math.isfinite(value) else f"{value:.3g}"
    return f"{shown} {unit}"


def _axis(first: int, last: int, unit: str, bottom: float) -> Iterator[Html]:
    lines = []
    for power in range(first, last + 1):
        for step in (1, 2, 5) if last - first <= 3 else (1,):
            share = (power + math.log10(step) - first) / (last - first)
            if share <= 1.0:
                x = _LEFT + _INNER * share
                lines.append(f"M{x:.1f} {_TOP - 4:g}V{bottom:g}")
                yield label("tick middle", x, 11, f"{step * 10.0**power:g} {unit}")
    yield path("rule", "".join(lines))
