"""Recordings of a task and what a model says of them, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn_edge.build.decide import decide
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, run_decisions
from lnn_edge.report.liquid import Values, layers_of
from lnn_edge.report.wiring import wiring_of
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.labelled import FALSE, Labelled, is_told
from lnn_edge.tasks.recordings import chosen_lead
from lnn_edge.tasks.registry import task_of

RESAMPLES = 1000
MOST_SHOWN = 6  # recordings in strips and with their neurons; all of them count
NOTHING = "-"  # of several findings, none


@dataclass(frozen=True, eq=False)
class Prediction:
    """A recording and what the model says of it.

    Attributes:
        recording: The recording.
        stamps: (D,) of its decisions.
        labels: By which they are judged, see DecisionSequence.
        scores: (D, C) log odds of the classes; of values (D, V) in their units.
        is_multi_label: Whether each class is decided by itself.
        values: Integers of the neurons and of what moves them, (D, *shape) by name; none where
            the recording is not shown.
        flaws: (D, 1 + C) bits of what is wrong with the signal, see graph.flaws; none where the
            model does not tell.
        missed: Classes of events that were not found, see DecisionSequence.
    """

    recording: Labelled
    stamps: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    is_multi_label: bool = False
    values: Values = field(default_factory=dict)
    flaws: np.ndarray | None = None
    missed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def is_value(self) -> bool:
        """Whether these are values, of which none is right or wrong."""
        return self.recording.task.is_value

    @property
    def said(self) -> list[str]:
        """What is decided, D times, in words."""
        if self.is_value:
            return [_numbers(row) for row in self.scores.tolist()]
        classes = self.recording.classes
        if not self.is_multi_label:
            return [classes[i] for i in self.decided.tolist()]
        rows = ([c for c, s in zip(classes, row, strict=False) if s > 0] for row in self.scores)
        return ["+".join(row) or NOTHING for row in rows]

    @property
    def true(self) -> list[str]:
        """What is true of each decision, in words; "" where it has no label, or several."""
        if self.is_multi_label:
            return ["" for _ in self.stamps]
        if self.is_value:
            return [
                _numbers(row) if t else ""
                for row, t in zip(self.labels, self.is_judged, strict=True)
            ]
        return [self.recording.classes[i] if i >= 0 else "" for i in self.labels.tolist()]

    @property
    def levels(self) -> np.ndarray:
        """How strong each output is, (D, C): probabilities, or values over their largest."""
        if not self.is_value:
            return self.probabilities
        return np.asarray(self.scores / np.abs(self.scores).max(0, initial=1e-30))

    @property
    def probabilities(self) -> np.ndarray:
        """Of each class after each decision, (D, C): softmax, or the logistic function."""
        if self.is_multi_label:
            return np.asarray(1 / (1 + np.exp(-self.scores)))
        odds = np.exp(self.scores - self.scores.max(1, keepdims=True))
        return np.asarray(odds / odds.sum(1, keepdims=True))

    @property
    def decided(self) -> np.ndarray:
        """Index of the class of highest score, (D,)."""
        return np.asarray(self.scores.argmax(1))

    @property
    def is_judged(self) -> np.ndarray:
        """Whether a decision has a label or stands for no event, (D,); none of several labels."""
        if self.is_multi_label:
            return np.zeros(len(self.stamps), bool)
        told = is_told(self.labels) | (self.labels == FALSE)
        return np.asarray(told.any(1) if self.is_value else told)

    @property
    def is_wrong(self) -> np.ndarray:
        """Whether a decision is another class than its label, (D,)."""
        if self.is_multi_label or self.is_value:
            return np.zeros(len(self.stamps), bool)
        return np.asarray(self.is_judged & (self.decided != self.labels))

    @property
    def times_s(self) -> np.ndarray:
        """When decisions stand, (D,)."""
        return np.asarray(self.stamps / self.recording.record.rate_hz)


@dataclass(frozen=True)
class RecordFindings:
    """What a model of findings says of a recording.

    Attributes:
        recording: The recording.
        probabilities: Of each class, of the mean score of all decisions.
        known: 1 present, 0 absent, -1 unknown, of each class.
    """

    recording: Labelled
    probabilities: tuple[float, ...]
    known: tuple[int, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether a finding that is there has at most 1/2, or one that is absent more."""
        pairs = zip(self.probabilities, self.known, strict=True)
        return any(k >= 0 and (p > 0.5) != bool(k) for p, k in pairs)


def predict(graph: QGraph, recordings: Sequence[Labelled]) -> tuple[Prediction, ...]:
    """Return what a model says of recordings; nothing where their labels are not the model's.

    Of the first MOST_SHOWN with the neurons.
    """
    part = judged_output(graph).output
    if part is None or not _fits(graph, recordings):
        return ()
    task, name, flaws = task_of(graph.metadata), graph.output.name, graph.flaws
    wanted = tuple({name: 0, **dict.fromkeys(seen_in(graph))})
    sequences = run_decisions(graph, recordings[:MOST_SHOWN], wanted)
    rest = decide(graph, recordings[MOST_SHOWN:]).sequences
    return tuple(
        Prediction(
            recording,
            s.stamps,
            s.labels,
            part.dequantize(part.part(s.values[name])),
            task is not None and task.is_multi_label,
            s.values if number < MOST_SHOWN else {},
            None if flaws is None else flaws.part(s.values[name]).astype(np.int64),
            s.missed,
        )
        for number, (recording, s) in enumerate(zip(recordings, [*sequences, *rest], strict=True))
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def seen_in(graph: QGraph) -> tuple[str, ...]:
    """Return the names of the tensors that the liquid part of a page reads."""
    layers = layers_of(graph)
    if not layers:
        return ()
    wiring = wiring_of(graph, layers)
    stage = graph.deciding_stage
    names = [name for layer in layers for name in layer.needs]
    names += [t.name for t in wiring.inputs] if wiring else []
    names += [s.update.name for s in stage.states]
    return tuple(dict.fromkeys([*names, *(t.name for t in stage.inputs)]))


def evaluation_of(graph: QGraph, predictions: Sequence[Prediction]) -> Figures | None:
    """Return the figures over all decisions of one class or of values; None for findings."""
    if not predictions or predictions[0].is_multi_label:
        return None
    sequences = [
        DecisionSequence(p.recording.name, p.recording.patient, p.stamps, p.labels, {}, p.missed)
        for p in predictions
    ]
    scores = [p.scores for p in predictions]
    return judge(sequences, scores, graph.classes, task_of(graph.metadata), RESAMPLES)


def findings_of(predictions: Sequence[Prediction]) -> tuple[RecordFindings, ...]:
    """Return what is found in each recording, where a model scores findings."""
    return tuple(
        RecordFindings(
            p.recording,
            tuple((1 / (1 + np.exp(-p.scores.mean(0)))).tolist()),
            tuple(p.labels[0].tolist()),
        )
        for p in predictions
        if p.is_multi_label and len(p.scores)
    )


def _fits(graph: QGraph, recordings: Sequence[Labelled]) -> bool:
    """Return whether the recordings have the model's lead, and as labels what it tells apart."""
    classes, lead = judged_output(graph).classes, chosen_lead(graph.metadata)
    if lead is not None and any(r.leads[0] != lead for r in recordings):
        return False
    if not classes or not recordings:
        return False
    return all(r.classes[: len(classes)] == classes for r in recordings)
