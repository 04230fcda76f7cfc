"""Every step that Stream.run would take on whole records, all at once.

Training, calibration and evaluation run thousands of steps; a stream runs them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, Ring, Stage, every_trigger

GROUP = 32  # records side by side; of like length, so that padding costs little
FOREVER = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, eq=False)
class Events:
    """Events of a record.

    Attributes:
        stamps: (M,) int64 ascending.
        known: (M,) int64: number of frames after which each is known.
    """

    stamps: np.ndarray
    known: np.ndarray

    @classmethod
    def without_delay(cls, stamps: np.ndarray) -> Events:
        """Return events that are known with their own frame."""
        return cls(stamps, stamps + 1)


def decision_inputs(
    pipeline: Pipeline, records: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, Values]]:
    """Run all stages before the decision.

    Args:
        pipeline: A model, or as much of it as does not depend on training.
        records: Frames (N, C) int16 and stamps of events (M,); the latter are not read by a
            pipeline that finds its own.

    Returns:
        Of each record the stamps (D,) of its decisions, and the inputs of the deciding stage by
        name, (D, *shape), windows in the type of their frames.
    """
    prepared = run_input_stage(pipeline, [frames for frames, _ in records])
    pairs = zip(records, prepared, strict=True)
    return [_deciding_inputs(pipeline, *record, values) for record, values in pairs]


def _deciding_inputs(
    pipeline: Pipeline, frames: np.ndarray, stamps: np.ndarray, values: Values
) -> tuple[np.ndarray, Values]:
    """Return stamps and inputs of the decisions on one record, see decision_inputs."""
    rings = _run_stages_between(pipeline, {pipeline.frame.name: frames, **values})
    trigger = pipeline.deciding_trigger
    if isinstance(trigger, EveryTrigger):
        return _every_inputs(pipeline, trigger, rings)
    events = stamps_of_events(trigger, stamps, values)
    return event_inputs(trigger, pipeline.ring(trigger.ring), rings[trigger.ring], events)


def run_tensors(pipeline: Pipeline, records: Sequence[np.ndarray]) -> list[Values]:
    """Return every tensor of every run of its stage, (M, *shape), on each record.

    Args:
        pipeline: One whose stages all fire on frames.
        records: Frames (N, C) int16 of each.
    """
    name = pipeline.frame.name
    values: list[Values] = [{name: frames} for frames in records]
    rings: list[Values] = [{} for _ in records]
    for stage in pipeline.stages:
        given = [{name: frames} for frames in records]
        if stage is not pipeline.stages[0]:
            given = [_windows(pipeline, every_trigger(stage), each) for each in rings]
        made = _run_together(stage, given, [t for op in stage.ops for t in op.outputs])
        for known, new, ring_of in zip(values, made, rings, strict=True):
            known |= new
            if stage is not pipeline.deciding_stage:
                ring = pipeline.filled_by(stage)
                ring_of[ring.name] = known[ring.frame.name]
    return values


def _run_together(
    stage: Stage, inputs: Sequence[Values], wanted: Sequence[QTensor]
) -> list[dict[str, np.ndarray]]:
    """Run a stage on the inputs (T, *shape) of several records, side by side where it has state."""
    if not stage.states:
        return [_run_alone(stage, given, wanted) for given in inputs]
    lengths = [len(given[stage.inputs[0].name]) for given in inputs]
    names = [t.name for t in stage.inputs]
    padded = {n: pad([given[n] for given in inputs], max(lengths)) for n in names}
    made = _scan(stage, padded, wanted)
    return [
        {name: values[:length, slot] for name, values in made.items()}
        for slot, length in enumerate(lengths)
    ]


def run_input_stage(pipeline: Pipeline, records: list[np.ndarray]) -> list[Values]:
    """Return what the input stage writes on every frame of each record, (N, *shape)."""
    stage = pipeline.stages[0]
    outputs = [t for t in stage.outputs if t != pipeline.frame]
    results: list[Values] = [{} for _ in records]
    if not outputs:
        return results
    order = sorted(range(len(records)), key=lambda i: len(records[i]))
    for start in range(0, len(order), GROUP):
        group = order[start : start + GROUP]
        padded = pad([records[i] for i in group], len(records[group[-1]]))
        values = _scan(stage, {pipeline.frame.name: padded}, outputs)
        for slot, index in enumerate(group):
            length = len(records[index])
            results[index] = {name: v[:length, slot] for name, v in values.items()}
    return results


def _scan(stage: Stage, inputs: Values, wanted: Sequence[QTensor]) -> dict[str, np.ndarray]:
    """Run a stage on inputs (T, B, *shape); keep the wanted tensors in their own small types."""
    steps, batch = inputs[stage.inputs[0].name].shape[:2]
    kept = {t.name: np.zeros((steps, batch, *t.shape), t.dtype) for t in wanted}
    state = interpreter.initial_state(stage, (batch,))
    done = 0
    for values, _ in interpreter.run_spans(stage, inputs, state, kept.keys()):
        first, done = done, done + len(values[wanted[0].name])
        for name, over_time in kept.items():
            over_time[first:done] = values[name]
    return kept


def _run_stages_between(pipeline: Pipeline, values: Values) -> dict[str, np.ndarray]:
    """Return the frames of every ring, one record's, by name."""
    rings = {
        pipeline.stages[0].trigger.ring: values[pipeline.filled_by(pipeline.stages[0]).frame.name]
    }
    for stage in pipeline.preparing_stages[1:]:
        trigger, ring = every_trigger(stage), pipeline.filled_by(stage)
        windows = _windows(pipeline, trigger, rings)
        rings[ring.name] = _run_alone(stage, windows, (ring.frame,))[ring.frame.name]
    return rings


def _run_alone(stage: Stage, inputs: Values, wanted: Sequence[QTensor]) -> dict[str, np.ndarray]:
    """Run a stage on one record's inputs (T, *shape), all at once where nothing is kept."""
    if stage.states or not len(inputs[stage.inputs[0].name]):
        made = _scan(stage, {k: x[:, None] for k, x in inputs.items()}, wanted)
        return {name: values[:, 0] for name, values in made.items()}
    wide = {name: x.astype(np.int64) for name, x in inputs.items()}
    values = interpreter.run_stage(stage, wide, {})
    return {t.name: values[t.name].astype(t.dtype) for t in wanted}


def _windows(pipeline: Pipeline, trigger: EveryTrigger, rings: dict[str, np.ndarray]) -> Values:
    """Return the windows of all firings, (M, length, *shape) in the types of their frames."""
    last = np.arange(trigger.first - 1, len(rings[trigger.ring]), trigger.hop)[:, None]
    windows: Values = {}
    for window in trigger.windows:
        ring = pipeline.ring(window.ring)
        newest = last + pipeline.lead(trigger, window)
        places = newest + np.arange(1 - window.length, 1) * window.dilation
        taps = _read(ring, rings[window.ring], places)
        windows[window.frames.name] = taps.reshape(-1, *window.frames.shape)
    return windows


def _read(ring: Ring, frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return frames of a record by their index; those below 0 are what the ring starts with."""
    found: np.ndarray = frames[np.maximum(places, 0)]
    if ring.starts_at_zero:
        found[places < 0] = ring.zero
    return found


def _every_inputs(
    pipeline: Pipeline, trigger: EveryTrigger, rings: dict[str, np.ndarray]
) -> tuple[np.ndarray, Values]:
    first, hop = pipeline.pace(pipeline.ring(trigger.ring))
    count = len(rings[trigger.ring])
    stamps = first - 1 + hop * np.arange(trigger.first - 1, count, trigger.hop)
    return stamps, _windows(pipeline, trigger, rings)


def stamps_of_events(trigger: EventTrigger, stamps: np.ndarray, values: Values) -> Events:
    """Return the events from outside, or those of which the input stage told."""
    if trigger.source is None:
        return Events.without_delay(stamps)
    distance = values[trigger.source.name][:, 0].astype(np.int64)
    known = np.flatnonzero(distance) + 1
    return Events(known - distance[known - 1], known)


def event_inputs(
    trigger: EventTrigger, ring: Ring, frames: np.ndarray, events: Events
) -> tuple[np.ndarray, Values]:
    """Return the inputs of every step that an event leads to.

    Args:
        trigger: Trigger of the deciding stage.
        ring: The ring that it reads.
        frames: (N, C) int16.
        events: In ascending order.

    Returns:
        Stamps of those decided (the last ones may lack samples), and the stage's inputs by name,
        (D, *shape), the window in the type of its frames.

    Raises:
        GraphError: An event is known so late that its window is gone.
    """
    stamps = events.stamps
    ready = np.maximum(stamps + trigger.post, events.known)
    if trigger.wait:
        next_known = np.append(events.known[1:], FOREVER)
        ready = np.maximum(ready, np.minimum(next_known, stamps + trigger.wait))
    ready = np.maximum.accumulate(ready)  # in order: none before the one before it
    index = np.flatnonzero(ready <= len(frames))
    if (ready[index] + trigger.pre > stamps[index] + ring.length).any():
        raise GraphError(
            f"ring {ring.name} has {ring.length} frames and an event was known too late for it; "
            "make it longer"
        )
    elapsed = np.diff(stamps, prepend=stamps[:1] - trigger.first_dt)[index]
    span = stamps[index][:, None] + np.arange(-trigger.pre, trigger.post)
    inputs = {
        trigger.window.name: _read(ring, frames, span),
        trigger.dt.name: elapsed.clip(trigger.dt.qmin, trigger.dt.qmax)[:, None],
    }
    if trigger.dt_next is not None:
        gaps = np.diff(stamps, append=FOREVER)[index]
        gaps = np.where(next_known[index] <= ready[index], gaps, trigger.wait)
        limited = np.minimum(gaps, trigger.wait).clip(trigger.dt_next.qmin, trigger.dt_next.qmax)
        inputs[trigger.dt_next.name] = limited[:, None]
    return stamps[index], inputs


def pad(arrays: list[np.ndarray], length: int) -> np.ndarray:
    """Stack (D_i, *shape) arrays to (length, N, *shape), the last entry repeated."""
    slots = np.arange(length)
    filled = [a if len(a) else np.zeros((1, *a.shape[1:]), a.dtype) for a in arrays]
    return np.stack([a[np.minimum(slots, len(a) - 1)] for a in filled], axis=1)
