"""One recording and what a model says of it, as one SVG: strips of signal with decisions below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.markup import Html, element, join, label, path, svg
from lnn_edge.tasks.predicted import Predicted

MOST_STRIPS = 40
_WIDTH, _LEFT, _RIGHT = 1160.0, 60.0, 8.0
_INNER = _WIDTH - _LEFT - _RIGHT
_LANE, _ROW, _AXIS, _GAP = 72.0, 18.0, 16.0, 14.0
_FAST_HZ = 100.0  # above it a strip holds _SHORT_S, as ECG wants it
_SHORT_S, _LONG_S = 15, 60
_LETTER_PX = 7.0
_HEAD = 24.0
_STYLE = """
svg { background: #ffffff; font: 11px system-ui, "Liberation Sans", sans-serif; }
text { fill: #5b6675; } .lead, .caption { fill: #1c2430; font-weight: 600; }
.said { text-anchor: middle; font-weight: 700; fill: #1c2430; font-size: 12px; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .caption { font-size: 14px; }
.grid { stroke: #e3e7ec; fill: none; } .trace { stroke: #1c2430; fill: none; }
.edge { stroke: #5b6675; fill: none; }
.value { stroke: #1f5fa8; fill: none; stroke-width: 1.5; }
"""


@dataclass(frozen=True, eq=False)
class _Lane:
    """One line over the whole recording: of a channel, or of an output."""

    name: str
    kind: str
    times_s: np.ndarray
    values: np.ndarray
    low: float
    high: float


def draw_predicted(predicted: Predicted, *, events: bool, start_s: float = 0.0) -> str:
    """Return an SVG document of at most MOST_STRIPS strips.

    Args:
        predicted: Of one recording.
        events: Whether decisions stand for instants, as beats, not for the time up to the next.
        start_s: Where to begin.
    """
    record = predicted.fed.record
    strip_s = _SHORT_S if record.rate_hz >= _FAST_HZ else _LONG_S
    count = min(math.ceil((record.duration_s - start_s) / strip_s), MOST_STRIPS)
    stop_s = start_s + count * strip_s
    lanes = list(_lanes(predicted, start_s, stop_s))
    height = len(lanes) * (_LANE + _GAP) + _ROW + _AXIS
    caption = f"Record {record.name}, second {start_s:g} to {min(stop_s, record.duration_s):g}"
    strips = (
        _shifted(_HEAD + i * (height + _GAP), _strip(predicted, lanes, start_s + i * strip_s,
                                                     strip_s, events=events))
        for i in range(count)
    )  # fmt: skip
    whole = _HEAD + count * (height + _GAP)
    drawing = svg(
        _WIDTH,
        whole,
        caption,
        element("style", {}, Html(_STYLE)),
        label("caption", 0, 14, caption),
        *strips,
    )
    size = f'<svg width="{_WIDTH:g}" height="{whole:g}"'  # a browser would fit it to its window
    return f'<?xml version="1.0" encoding="utf-8"?>\n{str(drawing).replace("<svg", size, 1)}\n'


def _lanes(predicted: Predicted, start_s: float, stop_s: float) -> Iterator[_Lane]:
    """Yield lanes of the channels, and of outputs that are no scores."""
    record, answer = predicted.fed.record, predicted.answer
    first, stop = round(start_s * record.rate_hz), round(stop_s * record.rate_hz)
    times = np.arange(first, min(stop, len(record.samples))) / record.rate_hz
    for at, c in enumerate(record.channels):
        values = (record.samples[first:stop, at] - c.zero) / c.gain
        yield _lane(f"{c.name} ({c.unit})" if c.unit else c.name, "trace", times, values)
    told = predicted.values
    place = 0
    for output in answer.outputs:
        if output.kind != "scores" or not answer.classes:
            for at in range(place, place + output.size):
                yield _lane(answer.columns[at], "value", predicted.times_s, told[:, at])
        place += output.size


def _lane(name: str, kind: str, times: np.ndarray, values: np.ndarray) -> _Lane:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return _Lane(name, kind, times, values, low, high if high > low else low + 1)


def _shifted(top: float, content: Html) -> Html:
    return element("g", {"transform": f"translate(0 {top:g})"}, content)


def _strip(
    predicted: Predicted, lanes: list[_Lane], start_s: float, strip_s: int, *, events: bool
) -> Html:
    parts: list[Html] = []
    top = 0.0
    for lane in lanes:
        parts.append(_shifted(top, _drawn(lane, start_s, strip_s)))
        top += _LANE + _GAP
    parts.append(join(_said(predicted, start_s, strip_s, top + 8, events=events)))
    width = _INNER / strip_s
    step = 1 if strip_s == _SHORT_S else 5
    ticks = (
        label("middle", _LEFT + s * width, top + _ROW + 12, f"{start_s + s:g} s")
        for s in range(0, strip_s + 1, step)
    )
    return join([*parts, *ticks])


def _drawn(lane: _Lane, start_s: float, strip_s: int) -> Html:
    inside = (lane.times_s >= start_s) & (lane.times_s < start_s + strip_s)
    x = _LEFT + (lane.times_s[inside] - start_s) * (_INNER / strip_s)
    y = _LANE * (lane.high - lane.values[inside]) / (lane.high - lane.low)
    edges = "".join(f"M{_LEFT:g} {edge:g}H{_WIDTH - _RIGHT:g}" for edge in (0, _LANE))
    names = [
        label("end", _LEFT - 4, 8, f"{lane.high:.3g}"),
        label("end", _LEFT - 4, _LANE, f"{lane.low:.3g}"),
        label("lead", _LEFT + 4, 10, lane.name),
    ]
    x, y = _thinned(x, y)
    points = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    line = path(lane.kind, f"M{points}") if points else Html("")
    return join([path("grid", edges), line, *names])


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the smallest and the largest of each pixel, in the order of time."""
    per = max(1, len(x) // int(_INNER))
    if per == 1:
        return x, y
    whole = len(x) // per * per
    columns = y[:whole].reshape(-1, per)
    ends = np.sort(np.stack([columns.argmin(1), columns.argmax(1)], axis=1), axis=1)
    places = (ends + np.arange(len(columns))[:, None] * per).ravel()
    return x[places], y[places]


def _said(
    predicted: Predicted, start_s: float, strip_s: int, y: float, *, events: bool
) -> Iterator[Html]:
    """Yield the class of each decision: at an event, or over the time that it holds."""
    width, times, said = _INNER / strip_s, predicted.times_s.tolist(), predicted.classes
    if events:
        for time, name in zip(times, said, strict=False):
            if start_s <= time < start_s + strip_s:
                yield label("said", _LEFT + (time - start_s) * width, y, name)
        return
    for first, stop, name in _spans(times, said, predicted.fed.record.duration_s):
        left, right = max(first, start_s), min(stop, start_s + strip_s)
        if left == first < right:
            x = _LEFT + (left - start_s) * width
            yield path("edge", f"M{x:.1f} {y - 10:g}v14")
        if (right - left) * width > _LETTER_PX * len(name):
            yield label("said", _LEFT + ((left + right) / 2 - start_s) * width, y, name)


def _spans(times: list[float], said: list[str], end: float) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and class of each stretch of decisions alike."""
    start = 0
    for at in range(1, len(said) + 1):
        if at == len(said) or said[at] != said[start]:
            yield times[start], times[at] if at < len(said) else end, said[start]
            start = at
