"""What a model says of one recording: decisions, as rows for tables and as values for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.graph.flaws import told_flaws
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.model_input import Fed
from lnn_edge.tasks.registry import task_of

NOTHING = "-"  # of several findings, none
_SPAN = 4096  # decisions
_DIGITS = 6  # significant ones of outputs; times to a microsecond


@dataclass(frozen=True)
class Answer:
    """How the outputs of a model read.

    Attributes:
        outputs: The parts of its output vector.
        classes: Names of the scores, () where no part is scores.
        is_multi_label: Whether each class is decided by itself.
        values: Names of the values; () where the task has classes.
    """

    outputs: tuple[Output, ...]
    classes: tuple[str, ...]
    is_multi_label: bool
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, graph: QGraph) -> Answer:
        """Return that of a model."""
        task = task_of(graph.metadata)
        is_multi_label = task is not None and task.is_multi_label
        values = task.classes if task is not None and task.is_value else ()
        return cls(graph.outputs, graph.classes, is_multi_label, values)

    @property
    def columns(self) -> tuple[str, ...]:
        """Name of each element: of a score its class, else its output, numbered if it has more."""
        return tuple(name for output in self.outputs for name in self._names(output))

    @property
    def float_columns(self) -> tuple[str, ...]:
        """Names of those that a float model has too: all but flaws."""
        mine = (output for output in self.outputs if output.kind != "flaws")
        return tuple(name for output in mine for name in self._names(output))

    @property
    def flaws(self) -> Output | None:
        """What is wrong with the signal, of the decision and of each channel; None: not told."""
        return next((output for output in self.outputs if output.kind == "flaws"), None)

    def _names(self, output: Output) -> tuple[str, ...]:
        if output.kind == "scores" and self.classes:
            return self.classes
        if output.size == len(self.values):
            return self.values
        if output.kind == "flaws":  # of the decision, then of each channel
            return (output.name, *(f"{output.name}_{i}" for i in range(1, output.size)))
        if output.size == 1:
            return (output.name,)
        return tuple(f"{output.name}_{i}" for i in range(output.size))

    def real(self, steps: np.ndarray) -> np.ndarray:
        """Return outputs (D, K) in real units, scores in log odds."""
        parts = [o.dequantize(o.part(steps)) for o in self.outputs]
        return np.concatenate(parts, axis=-1)

    def numbers(self, steps: np.ndarray) -> np.ndarray:
        """Return the same without flaws, which are no numbers; those of float_columns."""
        values, flaws = self.real(steps), self.flaws
        return values if flaws is None else values[..., : flaws.first]

    def signal(self, steps: np.ndarray) -> list[tuple[str, ...]]:
        """Return what is wrong with the signal in words, of each decision and then of each channel.

        Args:
            steps: (D, K) integers.

        Returns:
            Of each row 1 + C words, see flaws.signal_names; () where the signal is not judged.
        """
        flaws = self.flaws
        if flaws is None:
            return [() for _ in steps]
        return [tuple(map(told_flaws, b)) for b in flaws.part(steps).astype(np.int64).tolist()]

    def decide(self, values: np.ndarray) -> list[str]:
        """Return the class of highest score of each row of outputs, or the findings above 0.

        Args:
            values: (D, K), integers or real ones.

        Returns:
            Of each row a class, or findings joined by "+"; empty where there are no classes.
        """
        if not self.classes:
            return []
        scores = next(o for o in self.outputs if o.kind == "scores").part(values)
        if not self.is_multi_label:
            return [self.classes[i] for i in scores.argmax(-1).tolist()]
        return ["+".join(c for c, s in zip(self.classes, row, strict=True) if s > 0) or NOTHING
                for row in scores.tolist()]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Predicted:
    """The decisions on one recording.

    Attributes:
        fed: The recording as the model read it.
        answer: How outputs read.
        stamps: (D,) int64 frames of the model at which decisions stand: events, or last frames.
        steps: (D, K) int64 outputs, bit by bit those of a device; float64 of a mean.
        floats: (D, K) outputs of the model in floating point, None unless asked for.
    """

    fed: Fed
    answer: Answer
    stamps: np.ndarray
    steps: np.ndarray
    floats: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.fed.record.name

    @property
    def changes(self) -> Changes:
        """What was done to the recording before the model read it."""
        return self.fed.record.changes

    @property
    def samples(self) -> np.ndarray:
        """Where decisions stand in the recording as it was given, (D,) int64."""
        return self.fed.own_samples(self.stamps)

    @property
    def times_s(self) -> np.ndarray:
        """The same in seconds, (D,) float64."""
        times: np.ndarray = self.stamps / self.fed.record.rate_hz
        return times

    @property
    def values(self) -> np.ndarray:
        """Outputs in real units, (D, K) float64; scores are log odds."""
        return self.answer.real(self.steps)

    @property
    def classes(self) -> list[str]:
        """What is decided, D of them; empty where the model tells values only."""
        return self.answer.decide(self.steps)

    @property
    def is_unclassifiable(self) -> np.ndarray:
        """Which decisions stand on a signal with flaws, (D,) bool; none if it is not judged."""
        flaws = self.answer.flaws
        if flaws is None:
            return np.zeros(len(self.stamps), bool)
        flawed: np.ndarray = self.steps[:, flaws.first] != 0
        return flawed

    def mean(self) -> Predicted:
        """Return the mean of all decisions as one, at the last, with the flaws of any of them.

        None where there are none.
        """
        if not len(self.stamps):
            return self
        floats = None if self.floats is None else self.floats.mean(0, keepdims=True)
        steps, flaws = self.steps.mean(0, keepdims=True), self.answer.flaws
        if flaws is not None:
            steps[0, flaws.first : flaws.end] = np.bitwise_or.reduce(flaws.part(self.steps))
        return replace(self, stamps=self.stamps[-1:], steps=steps, floats=floats)

    def counts(self) -> dict[str, int]:
        """Return how often each class is decided, in the order of the classes."""
        found = Counter(name for said in self.classes for name in said.split("+"))
        return {name: found[name] for name in (*self.answer.classes, NOTHING) if name in found}


def header(answer: Answer, *, with_floats: bool) -> list[str]:
    """Return the names of the columns of rows()."""
    said = ["class"] if answer.classes else []
    beside = [f"{c}_float" for c in (*said, *answer.float_columns)] if with_floats else []
    return ["record", "sample", "time_s", *said, *answer.columns, *beside]


def rows(predicted: Predicted) -> Iterator[list[object]]:
    """Yield a row for each decision; a day has a hundred thousand, so they are made in spans."""
    for start in range(0, len(predicted.stamps), _SPAN):
        yield from _rows(predicted, slice(start, start + _SPAN))


def _rows(predicted: Predicted, span: slice) -> Iterator[list[object]]:
    floats = None if predicted.floats is None else predicted.floats[span]
    part = replace(
        predicted, stamps=predicted.stamps[span], steps=predicted.steps[span], floats=floats
    )
    parts = [_cells(part.answer, part.steps, part.values)]
    if floats is not None:
        parts.append(_cells(part.answer, floats, floats))
    places = zip(part.samples.tolist(), part.times_s.tolist(), strict=True)
    for (sample, time), *cells in zip(places, *parts, strict=True):
        yield sum(cells, [part.name, sample, round(time, _DIGITS)])


def documents(predicted: Predicted) -> Iterator[dict[str, Any]]:
    """Yield a JSON object for each decision."""
    columns = header(predicted.answer, with_floats=predicted.floats is not None)
    return (dict(zip(columns, row, strict=True)) for row in rows(predicted))


def _cells(answer: Answer, decided_by: np.ndarray, values: np.ndarray) -> list[list[object]]:
    flaws = answer.flaws
    is_told = flaws is not None and values.shape[-1] == flaws.end  # a float model tells none
    count = len(answer.float_columns)
    numbers: list[list[object]] = [
        [float(f"{v:.{_DIGITS}g}") for v in row] for row in values[:, :count].tolist()
    ]
    if is_told:
        signal = answer.signal(decided_by)
        numbers = [[*n, *words] for n, words in zip(numbers, signal, strict=True)]
    said = answer.decide(decided_by)
    return [[s, *n] for s, n in zip(said, numbers, strict=True)] if said else numbers
