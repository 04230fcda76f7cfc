"""Motion strips: what the accelerometer felt, what the person did, what the model says."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lnn_edge.report.facts import Prediction
from lnn_edge.report.markup import Html, figure, join, label, path, rectangle, svg
from lnn_edge.tasks.labelled import NOT_SCORED, Labelled

STRIP_S = 60

_WIDTH, _LEFT, _RIGHT = 1160.0, 46.0, 8.0
_ROW, _AXIS = 20.0, 16.0
_TOP_G, _PX_PER_G = 2.0, 34.0  # of the drawing: what lies beyond is cut
_BOTTOM = _ROW + 2 * _TOP_G * _PX_PER_G
_PX_PER_S = (_WIDTH - _LEFT - _RIGHT) / STRIP_S
_STEP = 2  # samples between points of a line

Span = tuple[float, float, str]
"""Start and end in seconds, class."""


def draw_run(prediction: Prediction) -> Html:
    """Return a run in strips of STRIP_S seconds."""
    run = prediction.recording
    stamps = np.array(sorted(prediction.decided), np.int64)
    labels = run.labels_at(stamps)
    judged = [(t, c) for t, c in zip(stamps.tolist(), labels.tolist(), strict=True) if c >= 0]
    right = sum(prediction.decided[t] == c for t, c in judged)
    caption = f"Run {run.name}: {right} of {len(judged)} windows right"
    held = _held(prediction, len(run.frames))
    wrong = np.where((held != run.labels) & (run.labels != NOT_SCORED), held, NOT_SCORED)
    true, decided, off = (list(_spans(run, values)) for values in (run.labels, held, wrong))
    count = math.ceil(run.duration_s / STRIP_S)
    return figure(caption, *(_strip(run, true, decided, off, index) for index in range(count)))


def _spans(run: Labelled, labels: np.ndarray) -> Iterator[Span]:
    """Yield stretches of one label."""
    rate = run.record.rate_hz
    edges = np.flatnonzero(np.diff(labels)) + 1
    for start, stop in zip([0, *edges], [*edges, len(labels)], strict=True):
        if labels[start] != NOT_SCORED:
            yield int(start) / rate, int(stop) / rate, run.classes[labels[start]]


def _held(prediction: Prediction, end: int) -> np.ndarray:
    """Return what the model says at each sample, (end,): each decision until the next."""
    stamps = sorted(prediction.decided)
    held = np.full(end, NOT_SCORED, np.int64)
    for start, stop in zip(stamps, [*stamps[1:], end], strict=True):
        held[start:stop] = prediction.decided[start]
    return held


def _strip(
    run: Labelled, true: list[Span], decided: list[Span], wrong: list[Span], index: int
) -> Html:
    start, stop = index * STRIP_S, (index + 1) * STRIP_S
    title = f"Run {run.name}, second {start} to {stop}"
    height = _BOTTOM + _ROW + _AXIS
    return svg(
        _WIDTH,
        height,
        title,
        *(_band(s, start, stop) for s in wrong),
        _grid(),
        *(_line(run, axis, start, stop) for axis in range(min(3, len(run.leads)))),
        _names(true, start, stop, 14, "beat"),
        _names(decided, start, stop, _BOTTOM + 14, "beat"),
        join([label("tick", 0, 14, "true"), label("tick", 0, _BOTTOM + 14, "model")]),
        join(
            label("tick middle", _LEFT + s * _PX_PER_S, height - 4, f"{start + s} s")
            for s in range(0, STRIP_S, 5)
        ),
    )


def _x(second: float, start: int, stop: int) -> float:
    return _LEFT + (min(max(second, start), stop) - start) * _PX_PER_S


def _band(span: Span, start: int, stop: int) -> Html:
    left, right = (_x(second, start, stop) for second in span[:2])
    return rectangle("wrong-band", left, 0, max(right - left, 0), _BOTTOM + _ROW)


def _names(spans: list[Span], start: int, stop: int, y: float, kind: str) -> Html:
    """Return the name of each span, where it is wide enough for one."""
    shown = []
    for first, end, name in spans:
        left, right = _x(first, start, stop), _x(end, start, stop)
        if right - left > 8 * len(name):
            shown.append(label(kind, (left + right) / 2, y, name))
    return join(shown)


def _grid() -> Html:
    lines = [f"M{_LEFT:g} {_y(g):.1f}H{_WIDTH - _RIGHT:g}" for g in (-2, -1, 0, 1, 2)]
    marks = (label("tick end", _LEFT - 5, _y(g) + 3.5, f"{g} g") for g in (-1, 0, 1))
    return join([path("grid", "".join(lines)), *marks])


def _y(g: float) -> float:
    return _ROW + (_TOP_G - min(max(g, -_TOP_G), _TOP_G)) * _PX_PER_G


def _line(run: Labelled, axis: int, start: int, stop: int) -> Html:
    rate = run.record.rate_hz
    inside = slice(round(start * rate), round(stop * rate), _STEP)
    g = run.frames[inside, axis] / run.record.channels[axis].gain
    if not len(g):
        return Html("")
    points = " ".join(
        f"{_LEFT + i * _STEP / rate * _PX_PER_S:.1f} {_y(v):.1f}" for i, v in enumerate(g)
    )
    return path(f"trace axis{axis}", f"M{points}")
