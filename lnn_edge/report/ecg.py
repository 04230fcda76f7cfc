"""ECG strips: what the electrodes saw, what the cardiologists said, what the model says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.facts import Prediction
from lnn_edge.report.markup import Html, element, figure, join, label, path, rectangle, svg
from lnn_edge.report.task import UNDECIDED, UNSCORED
from lnn_edge.tasks.labelled import NOT_SCORED, Labelled

STRIP_S = 15

_WIDTH, _LEFT, _RIGHT = 1160.0, 46.0, 8.0
_PX_PER_MV = 30.0
_LETTERS = 20.0  # height of a row of letters
_AXIS = 16.0
_GAP = 14.0
_SAMPLES_PER_COLUMN = 6  # two points each, smallest and largest: at 360 Hz every R peak survives
_POINTS_PER_PX = 10


@dataclass(frozen=True)
class _Lane:
    """Where one lead is drawn.

    Attributes:
        name: The lead.
        mv: Its samples in millivolts.
        low: Lower end in half millivolts.
        high: Upper end in half millivolts.
        top: Upper end in the drawing.
    """

    name: str
    mv: np.ndarray
    low: int
    high: int
    top: float

    @property
    def bottom(self) -> float:
        return self.top + (self.high - self.low) / 2 * _PX_PER_MV

    def y(self, mv: float) -> float:
        return self.top + (self.high / 2 - mv) * _PX_PER_MV


@dataclass(frozen=True)
class _Shown:
    """A recording and the class decided at each R peak that was."""

    recording: Labelled
    decided: dict[int, int]


def draw_recording(prediction: Prediction) -> Html:
    """Return a recording in strips of STRIP_S seconds."""
    recording = prediction.recording
    shown = _Shown(recording, prediction.decided)
    lanes = _lanes(recording)
    count = math.ceil(recording.duration_s / STRIP_S)
    wrong = sum(_is_wrong(shown, i) for i in range(len(recording.events)))
    judged = sum(_is_judged(shown, i) for i in range(len(recording.events)))
    caption = (
        f"Record {recording.name}, {' and '.join(recording.leads)}: "
        f"{judged - wrong} of {judged} beats right"
    )
    return figure(caption, *(_strip(shown, lanes, index) for index in range(count)))


def _lanes(recording: Labelled) -> list[_Lane]:
    lanes: list[_Lane] = []
    top, values = _LETTERS, recording.record.values()
    for index, name in enumerate(recording.leads):
        mv = values[:, index]
        low, high = math.floor(2 * float(mv.min())), math.ceil(2 * float(mv.max()))
        lanes.append(_Lane(name, mv, min(low, -1), max(high, 1), top))
        top = lanes[-1].bottom + _GAP
    return lanes


def _is_judged(shown: _Shown, beat: int) -> bool:
    stamp = int(shown.recording.events[beat])
    return stamp in shown.decided and shown.recording.labels[beat] != NOT_SCORED


def _is_wrong(shown: _Shown, beat: int) -> bool:
    recording = shown.recording
    decided = shown.decided.get(int(recording.events[beat]))
    return _is_judged(shown, beat) and decided != recording.labels[beat]


def _strip(shown: _Shown, lanes: list[_Lane], index: int) -> Html:
    recording = shown.recording
    rate = recording.record.rate_hz
    start, stop = round(index * STRIP_S * rate), round((index + 1) * STRIP_S * rate)
    beats = [i for i, t in enumerate(recording.events.tolist()) if start <= t < stop]
    px_per_sample = (_WIDTH - _LEFT - _RIGHT) / (STRIP_S * rate)
    bottom = lanes[-1].bottom
    height = bottom + _LETTERS + _AXIS
    places = {i: _LEFT + (int(recording.events[i]) - start) * px_per_sample for i in beats}
    wrong = [i for i in beats if _is_wrong(shown, i)]
    title = (
        f"Record {recording.name}, second {index * STRIP_S} to {(index + 1) * STRIP_S}: "
        f"{len(beats)} beats, {len(wrong)} classified wrongly"
    )
    return svg(
        _WIDTH,
        height,
        title,
        *(rectangle("wrong-band", places[i] - 9, 0, 18, bottom + _LETTERS) for i in wrong),
        *(_grid(lane) for lane in lanes),
        *(_trace(lane.mv[start:stop], lane, px_per_sample) for lane in lanes),
        *(_names(lane) for lane in lanes),
        join(_letters(shown, i, places[i], bottom) for i in beats),
        _margin(bottom),
        _seconds(index, height),
    )


def _grid(lane: _Lane) -> Html:
    """Return lines every 0.2 s and 0.5 mV, stronger every second and millivolt."""
    right = _WIDTH - _RIGHT
    strong: list[str] = []
    weak: list[str] = []
    for tick in range(STRIP_S * 5 + 1):
        x = _LEFT + (right - _LEFT) * tick / (STRIP_S * 5)
        (weak if tick % 5 else strong).append(f"M{x:.1f} {lane.top:g}V{lane.bottom:g}")
    for half in range(lane.low, lane.high + 1):
        (weak if half % 2 else strong).append(f"M{_LEFT:g} {lane.y(half / 2):g}H{right:g}")
    return join([path("grid", "".join(weak)), path("grid-strong", "".join(strong))])


def _names(lane: _Lane) -> Html:
    marks = [h // 2 for h in range(lane.low, lane.high + 1) if h % 2 == 0]
    numbers = (label("tick end", _LEFT - 5, lane.y(mv) + 3.5, f"{mv:g}") for mv in marks)
    return join([label("lead", _LEFT + 4, lane.top + 12, f"{lane.name} (mV)"), *numbers])


def _trace(mv: np.ndarray, lane: _Lane, px_per_sample: float) -> Html:
    """Return a line through the smallest and largest sample of each column, in time order."""
    whole = len(mv) // _SAMPLES_PER_COLUMN * _SAMPLES_PER_COLUMN
    columns = mv[:whole].reshape(-1, _SAMPLES_PER_COLUMN)
    if not len(columns):
        return Html("")
    low, high = columns.min(1), columns.max(1)
    rises = columns.argmin(1) < columns.argmax(1)
    points = np.stack([np.where(rises, low, high), np.where(rises, high, low)], 1).ravel()
    y = np.round((lane.high / 2 - points) * _PX_PER_MV * _POINTS_PER_PX).astype(int)
    steps = " ".join(f"1{d}" if d < 0 else f"1 {d}" for d in np.diff(y).tolist())
    width = px_per_sample * _SAMPLES_PER_COLUMN / 2
    attributes = {
        "class": "trace",
        "d": f"M0 {y[0]}l{steps}",
        "transform": f"translate({_LEFT:g} {lane.top:g}) scale({width:.5f} {1 / _POINTS_PER_PX:g})",
        "vector-effect": "non-scaling-stroke",
    }
    return element("path", attributes)


def _letters(shown: _Shown, beat: int, x: float, bottom: float) -> Html:
    """Return the true class above a beat and the predicted one below it."""
    recording = shown.recording
    truth = int(recording.labels[beat])
    decided = shown.decided.get(int(recording.events[beat]))
    above = UNSCORED if truth == NOT_SCORED else recording.classes[truth]
    below = UNDECIDED if decided is None else recording.classes[decided]
    y = bottom + 14
    parts = [label(f"beat beat-{above}", x, 14, above)]
    if _is_wrong(shown, beat):
        parts.append(rectangle("wrong-box", x - 7, bottom + 3, 14, 15))
        parts.append(label("beat wrong", x, y, below))
    else:
        kind = "none" if decided is None else below
        parts.append(label(f"beat beat-{kind}", x, y, below))
    return join(parts)


def _margin(bottom: float) -> Html:
    return join([label("tick", 0, 14, "true"), label("tick", 0, bottom + 14, "model")])


def _seconds(index: int, height: float) -> Html:
    width = (_WIDTH - _LEFT - _RIGHT) / STRIP_S
    return join(
        label("tick middle", _LEFT + i * width, height - 4, f"{index * STRIP_S + i} s")
        for i in range(STRIP_S)
    )
