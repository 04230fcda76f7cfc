"""Recordings -> sequences of decisions, prepared by the graph's own integer operators. No torch.

Training, calibration and evaluation take their inputs from here, so there is one preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.batch import decision_inputs, pad
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import EventTrigger

CHUNK = 64  # recordings


class LabelledSignal(Protocol):
    """What a recording of any task offers."""

    @property
    def name(self) -> str:
        """Name of the recording."""

    @property
    def patient(self) -> str:
        """Who was recorded."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean."""

    @property
    def frames(self) -> np.ndarray:
        """Samples, (N, C) int16."""

    @property
    def events(self) -> np.ndarray:
        """Stamps of the events, (M,) int64 ascending; none where frames decide."""

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the classes by which decisions at ascending stamps are judged, -1 if by none.

        -2 where a decision on an event stands for none.
        """

    def missed_at(self, stamps: np.ndarray, places: range) -> np.ndarray:
        """Return the classes of events at places for which none of ascending stamps stands."""

    def targets_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the target class of the decision at each stamp, ascending; -1 if none."""


@dataclass(frozen=True)
class DecisionSequence:
    """The decisions on one recording.

    Attributes:
        name: Name of the recording.
        patient: Who was recorded.
        stamps: (D,) int64 sample indices.
        labels: (D,) int64 class indices, -1 where a decision is not scored, -2 where it stands for
            no event; or (D, classes) int64 findings, 1 present, 0 absent, -1 unknown; or
            (D, values) float64, NaN where unknown.
        values: Wanted tensors by name, (D, *shape) integers.
        missed: (M,) int64 class indices of events that were not found.
    """

    name: str
    patient: str
    stamps: np.ndarray
    labels: np.ndarray
    values: Values
    missed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def labelled(
    pipeline: Pipeline, recording: LabelledSignal, stamps: np.ndarray, values: Values
) -> DecisionSequence:
    """Return decisions of a pipeline with their labels.

    Where it finds its events itself, those that it could have decided on and did not find are
    missed.

    Args:
        pipeline: Whose decisions.
        recording: On which.
        stamps: (D,) of them, ascending.
        values: Of them by name, (D, *shape).
    """
    labels, trigger = recording.labels_at(stamps), pipeline.deciding_stage.trigger
    found = DecisionSequence(recording.name, recording.patient, stamps, labels, values)
    if not isinstance(trigger, EventTrigger) or trigger.source is None:
        return found
    places = trigger.surely_decided(len(recording.frames))
    return replace(found, missed=recording.missed_at(stamps, places))


def run_decisions(
    pipeline: Pipeline, recordings: Sequence[LabelledSignal], wanted: tuple[str, ...]
) -> list[DecisionSequence]:
    """Run a pipeline over recordings, each from a reset, a chunk of them side by side.

    Args:
        pipeline: A whole model, or only its front end.
        recordings: In the contract of the model (rate, gain, channels).
        wanted: Names of the deciding stage's tensors to return.
    """
    return [d for chunk in chunks(recordings) for d in _run_chunk(pipeline, chunk, wanted)]


def chunks(recordings: Sequence[LabelledSignal]) -> Iterator[list[LabelledSignal]]:
    """Yield recordings in chunks that fit in memory; a set on disk is read chunk by chunk."""
    for start in range(0, len(recordings), CHUNK):
        yield [recordings[i] for i in range(start, min(start + CHUNK, len(recordings)))]


def _run_chunk(
    pipeline: Pipeline, recordings: Sequence[LabelledSignal], wanted: tuple[str, ...]
) -> list[DecisionSequence]:
    runs = run_records(pipeline, [(r.frames, r.events) for r in recordings], wanted)
    return [
        labelled(pipeline, r, stamps, values)
        for r, (stamps, values) in zip(recordings, runs, strict=True)
    ]


def run_records(
    pipeline: Pipeline,
    records: Sequence[tuple[np.ndarray, np.ndarray]],
    wanted: tuple[str, ...],
    most: int | None = None,
) -> list[tuple[np.ndarray, Values]]:
    """Return stamps (D,) and wanted tensors (D, *shape) of records side by side.

    Args:
        pipeline: A whole model, or only its front end.
        records: Frames (N, C) int16 and stamps of events (M,), each from a reset.
        wanted: Names of the deciding stage's tensors.
        most: Decisions that are made on each record, the first ones; None for all.
    """
    stage = pipeline.deciding_stage
    fed = [
        (stamps[:most], {name: x[:most] for name, x in inputs.items()})
        for stamps, inputs in decision_inputs(pipeline, records)
    ]
    given = {t.name for t in stage.inputs}
    inside = tuple(name for name in wanted if name not in given)
    values: Values = {}
    if inside:
        most = max(1, *(len(stamps) for stamps, _ in fed))  # one is run though none is made
        padded = {name: pad([x[name] for _, x in fed], most) for name in given}
        state = interpreter.initial_state(stage, (len(records),))
        values, _ = interpreter.run_sequence(stage, padded, state, inside)
    return [
        (
            stamps,
            {name: v[: len(stamps), i] for name, v in values.items()}
            | {name: inputs[name] for name in wanted if name in given},
        )
        for i, (stamps, inputs) in enumerate(fed)
    ]


def run_values(graph: QGraph, data: np.ndarray) -> list[np.ndarray]:
    """Return the outputs (D, K), in real units, of sequences of real frames.

    Args:
        graph: A model that needs no events from outside.
        data: (T, C) or (N, T, C); what the frame's format does not hold saturates.

    Raises:
        UsageError: The model needs events, or frames of other channels.
    """
    channels = graph.frame.size
    if graph.takes_events:
        raise UsageError(f"model {graph.name} fires on events from outside; evaluate recordings")
    frames = np.asarray(data)
    if frames.ndim not in (2, 3) or frames.shape[-1] != channels:
        raise UsageError(
            f"data have shape {frames.shape}; model {graph.name} needs (T, {channels}) or "
            f"(N, T, {channels})"
        )
    quantized = graph.frame.quantize(frames.reshape(-1, *frames.shape[-2:])).astype(np.int16)
    no_events = np.zeros(0, np.int64)
    runs = run_records(graph, [(q, no_events) for q in quantized], (graph.output.name,))
    return [graph.output.dequantize(values[graph.output.name]) for _, values in runs]
