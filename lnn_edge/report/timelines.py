"""Predictions and reference sequences -> timelines: what stands in which lane, word and row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from lnn_edge.data.record import Channel
from lnn_edge.graph.flaws import SIGNAL, told_flaws
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.report.drawings.timeline import Lane, Rows, Timeline, Word
from lnn_edge.report.liquid import Layer, Values, activity
from lnn_edge.report.played import Played
from lnn_edge.report.predictions import Prediction
from lnn_edge.tasks.labelled import NOT_SCORED, Labelled
from lnn_edge.tasks.predicted import Predicted

UNDECIDED = "\N{MIDDLE DOT}"
UNSCORED = "Q"
ECG_S, SLOW_S, FRAMES = 15.0, 60.0, 200.0  # length of a strip
_FAST_HZ = 100.0
_FEW_LEADS = 3
_TALL, _FLAT = 30.0, 20.0  # pixels per mV
_PLAIN = 84.0
_CLASS_ROW = 10.0
_PAIR = ("value wanted", "value")  # CSS classes of what should be, and of what is
_NEURON_ROWS = 96.0  # pixels of a layer of many neurons


def timeline_of(prediction: Prediction, layers: Sequence[Layer]) -> Timeline:
    """Return the timeline of a recording."""
    recording = prediction.recording
    record = recording.record
    on_events, is_value = recording.task.decide == "events", prediction.is_value
    spans = _spans(prediction.times_s, record.duration_s, centered=on_events)
    decided: Iterable[Word] = _at_events(prediction) if on_events else _held(prediction, spans)
    true: Iterable[Word] = _true_events(recording) if on_events else _true_spans(recording)
    if is_value:
        true = decided = ()
    return Timeline(
        record.name,
        record.rate_hz,
        "s",
        record.duration_s,
        _strip(record.rate_hz, record.duration_s),
        (
            *_lanes(record.channels, record.values()),
            *(_judged_lanes(prediction) if is_value else ()),
        ),
        tuple(true),
        tuple(decided),
        spans,
        tuple(_rows(prediction, layers)),
        signal=tuple(_flawed(prediction.flaws, record.channels, prediction.times_s, spans)),
    )


def timeline_of_played(played: Played, graph: QGraph, layers: Sequence[Layer]) -> Timeline:
    """Return the timeline of a reference sequence: outputs of integers over those of forward."""
    rate = graph.contract.sample_rate_hz
    count = graph.frame.size
    names = graph.contract.leads or tuple(f"channel {i + 1}" for i in range(count))
    units = graph.contract.units or ("",) * count
    length = len(played.frames) / (rate or 1.0)
    times = (played.stamps + 1) / (rate or 1.0)
    channels = tuple(Channel(n, u) for n, u in zip(names, units, strict=True))
    spans = _spans(times, length, centered=False)
    return Timeline(
        played.name,
        rate or 1.0,
        "s" if rate else "",
        length,
        _strip(rate, length) if rate else min(FRAMES, length),
        (*_lanes(channels, played.frames), *_output_lanes(played, graph)),
        (),
        (),
        spans,
        tuple(_neurons(played.values, layers)),
    )


def timeline_of_predicted(
    predicted: Predicted, start_s: float, strips: int, *, events: bool
) -> Timeline:
    """Return the timeline of what a model says of a recording without labels.

    Args:
        predicted: Of the recording.
        start_s: Where it begins.
        strips: The most that it may hold.
        events: Whether decisions stand for instants, as beats, not for the time up to the next.
    """
    record, times, said = predicted.fed.record, predicted.times_s, predicted.classes
    strip = _strip(record.rate_hz, record.duration_s)
    stop_s = min(record.duration_s, start_s + strips * strip)
    first, stop = (round(time * record.rate_hz) for time in (start_s, stop_s))
    spans = _spans(times, record.duration_s, centered=events)
    flaws = predicted.answer.flaws
    bits = None if flaws is None else flaws.part(predicted.steps).astype(np.int64)
    decided = (
        (Word(time, time, word) for time, word in zip(times.tolist(), said, strict=False))
        if events
        else _stretched(said, np.zeros(len(said), bool), spans)
    )
    lanes = _lanes(record.channels, record.values(first, stop))
    values = _value_lanes(predicted, np.arange(first, stop))
    return Timeline(
        record.name,
        record.rate_hz,
        "s",
        stop_s,
        strip,
        (*lanes, *values),
        (),
        tuple(decided),
        first=start_s,
        signal=tuple(_flawed(bits, record.channels, times, spans)),
    )


def _value_lanes(predicted: Predicted, frames: np.ndarray) -> Iterator[Lane]:
    """Yield a lane for each output other than scores and flaws."""
    answer, values = predicted.answer, predicted.values
    for output in answer.outputs:
        if output.kind != "flaws" and (output.kind != "scores" or not answer.classes):
            for column in range(output.first, output.end):
                curve = _held_curve(predicted.stamps, frames, values[:, column])
                yield Lane(answer.columns[column], curve[None], False, _PLAIN, ("value",))


def _held_curve(stamps: np.ndarray, frames: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return at each frame the value of the last decision, NaN before the first."""
    held = np.searchsorted(stamps, frames, side="right")
    return np.append(np.nan, values)[held]


def _strip(rate: float, length: float) -> float:
    """Return how much a strip holds, in seconds: no more than there is."""
    return min(ECG_S if rate >= _FAST_HZ else SLOW_S, float(np.ceil(length)))


def _output_lanes(played: Played, graph: QGraph) -> Iterator[Lane]:
    """Yield a lane for each output, its integers over the numbers of the model before."""
    frames = np.arange(len(played.frames))
    for output in graph.outputs:
        columns = range(output.first, output.end)
        curves = [
            _held_curve(played.stamps, frames, values[:, column])
            for column in columns
            for values in (played.wanted, played.outputs)
        ]
        kinds = _PAIR * len(columns)
        yield Lane(f"output {output.name}", np.array(curves), False, _PLAIN, kinds)


def _judged_lanes(prediction: Prediction) -> Iterator[Lane]:
    """Yield a lane for each value: what is true, and what the model says until it decides again."""
    recording = prediction.recording
    task, frames = recording.task, np.arange(len(recording.frames))
    for at, (name, unit) in enumerate(task.named_units):
        if task.decide == "events":
            true = _held_curve(recording.events, frames, recording.labels[:, at])
        else:
            true = np.broadcast_to(recording.labels[..., at], frames.shape)
        said = _held_curve(prediction.stamps, frames, prediction.scores[:, at])
        title = f"{name} ({unit})" if unit else name
        yield Lane(title, np.stack([true, said]), False, _PLAIN, _PAIR)


def _lanes(channels: Sequence[Channel], values: np.ndarray) -> Iterator[Lane]:
    """Yield a lane for each lead of an ECG; other channels of one unit share one, three at most."""
    places = range(len(channels))
    leads = sum(c.unit == "mV" for c in channels)
    height = _TALL if leads <= _FEW_LEADS else _FLAT
    for unit, alike in groupby(places, key=lambda i: channels[i].unit):
        here = list(alike)
        if unit == "mV":
            for i in here:
                yield Lane(f"{channels[i].name} (mV)", values[:, [i]].T, True, height)
            continue
        for first in range(0, len(here), 3):
            few = here[first : first + 3]
            name = ", ".join(channels[i].name for i in few) + (f" ({unit})" if unit else "")
            yield Lane(name, values[:, few].T, False, _PLAIN)


def _spans(times: np.ndarray, end: float, *, centered: bool) -> np.ndarray:
    """Return the time that each decision is shown for: until the next, or around an event."""
    if not len(times):
        return np.zeros((0, 2))
    if not centered:
        return np.stack([times, np.append(times[1:], max(end, times[-1]))], axis=1)
    middles = (times[1:] + times[:-1]) / 2
    return np.stack([np.append(times[0] - 0.4, middles), np.append(middles, times[-1] + 0.4)], 1)


def _true_events(recording: Labelled) -> Iterator[Word]:
    for stamp, truth in zip(recording.events.tolist(), recording.labels.tolist(), strict=True):
        time = stamp / recording.record.rate_hz
        yield Word(time, time, UNSCORED if truth == NOT_SCORED else recording.classes[truth])


def _at_events(prediction: Prediction) -> Iterator[Word]:
    """Yield what is decided at each event, and a point at events that are not decided."""
    recording = prediction.recording
    rate, classes = recording.record.rate_hz, recording.classes
    for stamp, index, wrong in zip(
        prediction.stamps.tolist(), prediction.decided.tolist(), prediction.is_wrong.tolist(),
        strict=True,
    ):  # fmt: skip
        yield Word(stamp / rate, stamp / rate, classes[index], wrong)
    near = recording.task.tolerance_s * rate
    for event in recording.events.tolist():
        if not len(prediction.stamps) or np.abs(prediction.stamps - event).min() > near:
            yield Word(event / rate, event / rate, UNDECIDED, is_none=True)


def _true_spans(recording: Labelled) -> Iterator[Word]:
    """Yield stretches of one label; of labels of a record, what is known of all of it."""
    classes, labels, rate = recording.classes, recording.labels, recording.record.rate_hz
    if labels.ndim == 1 and recording.task.labels == "sample":
        for start, stop in _stretches(labels):
            if labels[start] != NOT_SCORED:
                yield Word(start / rate, stop / rate, classes[labels[start]])
        return
    known = [c for c, v in zip(classes, np.atleast_1d(labels), strict=False) if v == 1]
    if labels.ndim == 0:
        known = [classes[int(labels)]] if labels != NOT_SCORED else []
    yield Word(0, recording.duration_s, " + ".join(known) or "none of the classes")


def _held(prediction: Prediction, spans: np.ndarray) -> Iterator[Word]:
    """Yield what is said until the next decision; wrong where it differs from what is true."""
    recording = prediction.recording
    classes = recording.classes
    if recording.task.labels == "sample":
        yield from _held_samples(prediction, len(recording.frames))
        return
    wrong = prediction.is_wrong
    said = [_found(row, classes) for row in prediction.scores]
    if not prediction.is_multi_label:
        said = [classes[i] for i in prediction.decided.tolist()]
    yield from _stretched(said, wrong, spans)


def _stretched(said: Sequence[str], wrong: np.ndarray, spans: np.ndarray) -> Iterator[Word]:
    """Yield a word for neighbours that say the same, and are wrong or right alike."""
    keys = [f"{s}{w}" for s, w in zip(said, wrong.tolist(), strict=True)]
    for start, stop in _stretches(np.array(keys)) if keys else ():
        yield Word(spans[start, 0], spans[stop - 1, 1], said[start], bool(wrong[start]))


def _found(scores: np.ndarray, classes: Sequence[str]) -> str:
    return " + ".join(c for c, s in zip(classes, scores, strict=True) if s > 0) or "nothing"


def _held_samples(prediction: Prediction, end: int) -> Iterator[Word]:
    recording = prediction.recording
    rate = recording.record.rate_hz
    held = np.full(end, NOT_SCORED, np.int64)
    stops = np.append(prediction.stamps[1:], end)
    for start, stop, index in zip(prediction.stamps, stops, prediction.decided, strict=True):
        held[start:stop] = index
    wrong = (held != recording.labels) & (recording.labels != NOT_SCORED) & (held != NOT_SCORED)
    for start, stop in _stretches(2 * held + wrong):
        if held[start] != NOT_SCORED:
            word = recording.classes[held[start]]
            yield Word(start / rate, stop / rate, word, bool(wrong[start]))


def _stretches(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and end of stretches of one value."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True)


def _flawed(
    bits: np.ndarray | None, channels: Sequence[Channel], times: np.ndarray, spans: np.ndarray
) -> Iterator[tuple[str, tuple[Word, ...]]]:
    """Yield name and words of what is wrong with the signal: of decisions, and of each lead.

    Args:
        bits: (D, 1 + C), see graph.flaws; None where they are not told.
        channels: The leads.
        times: (D,) of the decisions.
        spans: (D, 2) of the decisions; neighbours with the same flaws are one word.
    """
    names = (SIGNAL, *(c.name for c in channels))
    for name, column in zip(names, () if bits is None else bits.T, strict=False):
        words = tuple(
            Word(times[start], times[start], told_flaws(int(column[start])))
            if stop - start == 1  # so that it is said though there is little room
            else Word(spans[start, 0], spans[stop - 1, 1], told_flaws(int(column[start])))
            for start, stop in (_stretches(column) if len(column) else ())
            if column[start]
        )
        if words:
            yield name, words


def _rows(prediction: Prediction, layers: Sequence[Layer]) -> Iterator[Rows]:
    if not prediction.is_value:
        classes = prediction.recording.classes[: prediction.scores.shape[1]]
        yield Rows("scores", classes, prediction.probabilities.T, _CLASS_ROW)
    yield from _neurons(prediction.values, layers)


def _neurons(values: Values, layers: Sequence[Layer]) -> Iterator[Rows]:
    for layer in layers:
        states = activity(layer, values).T
        names = tuple(str(i + 1) for i in range(len(states)))
        height = min(6.0, _NEURON_ROWS / len(states))
        yield Rows("neurons" if len(layers) == 1 else layer.label[:12], names, states, height)
