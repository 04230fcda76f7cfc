"""Curves over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lnn_edge.report.markup import Html, circle, join, label, path, svg

_WIDTH, _HEIGHT = 380.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 12.0, 26.0, 24.0
KINDS = tuple(
    f"curve {kind}".rstrip() for kind in ("", "other", "third", "fourth", "fifth", "sixth")
)


def draw_curves(
    title: str, epochs: Sequence[int], curves: Mapping[str, Sequence[float | None]]
) -> Html:
    """Return a plot of a few curves over epochs, from their lowest to their highest value.

    Args:
        title: For those who do not see it.
        epochs: In ascending order.
        curves: By name, a value an epoch; None leaves it out.
    """
    known = [v for values in curves.values() for v in values if v is not None]
    low, high = min(known), max(known)
    spread = (high - low) or abs(high) or 1.0
    last = max(epochs[-1], epochs[0] + 1)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(epoch: int, value: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * (epoch - epochs[0]) / (last - epochs[0])
        return x, bottom - (bottom - _TOP) * (value - low) / spread

    marks = [low, (low + high) / 2, high] if high > low else [low]
    rules = "".join(f"M{_LEFT:g} {place(epochs[0], m)[1]:.1f}H{right:g}" for m in marks)
    parts = [path("rule", rules)]
    parts += [label("tick end", _LEFT - 6, place(0, m)[1] + 4, f"{m:.3g}") for m in marks]
    parts += [label("tick middle", place(e, low)[0], _HEIGHT - 6, f"{e}") for e in _some(epochs)]
    legend = _LEFT
    for (name, values), kind in zip(curves.items(), KINDS, strict=False):
        points = [place(e, v) for e, v in zip(epochs, values, strict=True) if v is not None]
        parts.append(path(kind, "M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points)))
        parts += [circle(f"{kind} end-point", *points[-1], 2.5)] if points else []
        parts.append(join([path(kind, f"M{legend:g} 10h14"), label("key", legend + 18, 14, name)]))
        legend += 32 + 6.4 * len(name)
    return svg(_WIDTH, _HEIGHT, title, *parts)


def _some(epochs: Sequence[int]) -> list[int]:
    """Return the first, the last and a few epochs between."""
    step = max(1, len(epochs) // 5)
    inner = [e for e in epochs[:-1:step] if epochs[-1] - e >= step * 0.6]
    return [*inner, epochs[-1]]
