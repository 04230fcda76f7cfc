"""Scores and labels -> accuracy figures, per class and per record, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lnn_edge.build.decide import Decisions, decide
from lnn_edge.errors import DataError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.labelled import FALSE

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; None where it does not occur, 0 where it occurs and is never found.

    Attributes:
        n: Decisions that should be of it.
        se: Sensitivity.
        ppv: Positive predictive value.
        f1: Their harmonic mean.
    """

    n: int
    se: float | None
    ppv: float | None
    f1: float | None


@dataclass(frozen=True)
class RecordFigures:
    """Figures of one recording; see Evaluation."""

    name: str
    patient: str
    n: int
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures over all scored decisions.

    Of a model that finds its events itself those that it missed count as decided wrongly, and its
    decisions where no event is count against the class that was decided; as in EC57.

    Attributes:
        n: Scored decisions, and events that were missed.
        accuracy: Part of them that is right.
        macro_f1: Mean F1 of the classes that occur.
        main_f1: Mean F1 of the main classes.
        main_classes: Those that occur and are not rare; all that occur if none is left.
        absent_classes: The classes that do not occur.
        classes: Figures by class name.
        confusion: Rows are true classes, columns predicted ones.
        missed: Events of each class that were not found.
        false: Decisions of each class where no event is.
        intervals: 95 % bootstrap intervals over patients by figure name, empty unless asked for.
        records: Figures of each recording.
    """

    n: int
    accuracy: float
    macro_f1: float
    main_f1: float
    main_classes: tuple[str, ...]
    absent_classes: tuple[str, ...]
    classes: dict[str, ClassFigures]
    confusion: tuple[tuple[int, ...], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    intervals: dict[str, tuple[float, float]]
    records: tuple[RecordFigures, ...]

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return asdict(self)

    @property
    def is_found(self) -> bool:
        """Whether events were missed, or decided on where none is."""
        return any(self.missed) or any(self.false)

    @property
    def main(self) -> tuple[str, float]:
        """Name and value of the figure that is watched."""
        return "main_f1", self.main_f1

    @property
    def history(self) -> dict[str, float | None]:
        """What the history of a training keeps."""
        return {"accuracy": self.accuracy, "main_f1": self.main_f1, "macro_f1": self.macro_f1}


def integer_scores(
    graph: QGraph, recordings: Sequence[LabelledSignal]
) -> tuple[list[DecisionSequence], list[np.ndarray]]:
    """Run an integer model over recordings; return the decisions and their scores (D, classes).

    A value is returned in its unit.
    """
    decided, scores = decided_scores(graph, recordings)
    return decided.sequences, scores


def decided_scores(
    graph: QGraph, recordings: Sequence[LabelledSignal]
) -> tuple[Decisions, list[np.ndarray]]:
    """Do the same, and tell what ran the model."""
    judged = judged_output(graph)
    check_classes(judged.classes, recordings)
    decided, name = decide(graph, recordings), graph.output.name
    return decided, [judged.part(s.values[name]) for s in decided.sequences]


def check_classes(classes: Sequence[str], recordings: Sequence[LabelledSignal]) -> None:
    """Refuse to judge by labels of another task.

    Raises:
        DataError: The recordings' classes do not begin with the model's.
    """
    for recording in recordings:
        if recording.classes[: len(classes)] != tuple(classes) or not classes:
            raise DataError(
                f"{recording.name} is labelled {', '.join(recording.classes)} and the model tells "
                f"{', '.join(classes) or 'no classes'} apart; choose recordings of the model's task"
            )


def evaluate_scores(
    sequences: Sequence[DecisionSequence],
    scores: Sequence[np.ndarray],
    classes: Sequence[str],
    resamples: int = 0,
    rare: Sequence[str] = (),
) -> Evaluation:
    """Compare the classes of highest score with the labels.

    Args:
        sequences: Decisions with labels, below 0 not scored, or FALSE; and what was missed.
        scores: (D, classes) of each sequence.
        classes: Names.
        resamples: Bootstrap samples of patients for the intervals.
        rare: Classes without a stable figure, which the main figure leaves out.

    Raises:
        DataError: No decision is scored.
    """
    records = []
    for sequence, score in zip(sequences, scores, strict=True):
        records.append((sequence, _tally(sequence, score, len(classes))))
    total = sum((tally for _, tally in records), np.zeros((len(classes) + 1,) * 2, int))
    if total[:-1].sum() == 0:
        raise DataError(f"no decision has a label of {', '.join(classes)}; nothing to evaluate")
    figures = dict(zip(classes, _figures(total), strict=True))
    f1 = {name: f.f1 for name, f in figures.items() if f.f1 is not None}
    main = tuple(c for c in f1 if c not in rare) or tuple(f1)
    return Evaluation(
        int(total[:-1].sum()),
        _accuracy(total),
        float(np.mean(list(f1.values()))),
        float(np.mean([f1[c] for c in main])),
        main,
        tuple(c for c in classes if c not in f1),
        figures,
        *_parts(total),
        _intervals(_by_patient(records), classes, main, resamples),
        tuple(
            RecordFigures(s.name, s.patient, int(t[:-1].sum()), _accuracy(t), *_parts(t))
            for s, t in records
        ),
    )


def _tally(sequence: DecisionSequence, score: np.ndarray, count: int) -> np.ndarray:
    """Return decisions by true class (rows) and by class of highest score; others don't count.

    The last row are decisions where no event is, the last column events that were missed.
    """
    is_false = sequence.labels == FALSE
    scored = is_false | ((sequence.labels >= 0) & (sequence.labels < count))
    labels = np.where(is_false, count, sequence.labels)
    missed, columns = sequence.missed[sequence.missed < count], count + 1
    said = score[scored].argmax(1) if scored.any() else np.zeros(0, np.int64)
    places = np.concatenate((labels[scored] * columns + said, missed * columns + count))
    return np.bincount(places, minlength=columns * columns).reshape(columns, columns)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _accuracy(tally: np.ndarray) -> float:
    return _ratio(np.trace(tally), tally[:-1].sum())


def _parts(
    tally: np.ndarray,
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]:
    """Return confusion, missed and false."""
    rows = tuple(tuple(row) for row in tally[:-1, :-1].tolist())
    return rows, tuple(tally[:-1, -1].tolist()), tuple(tally[-1, :-1].tolist())


def _figures(tally: np.ndarray) -> list[ClassFigures]:
    """Return the figures of each class."""
    hits, true, predicted = tally.diagonal()[:-1], tally[:-1].sum(1), tally[:, :-1].sum(0)
    return [
        ClassFigures(n, _ratio(hit, n), _ratio(hit, told), _ratio(2 * hit, n + told))
        if n
        else ClassFigures(0, None, None, None)
        for hit, n, told in zip(hits.tolist(), true.tolist(), predicted.tolist(), strict=True)
    ]


def _by_patient(records: list[tuple[DecisionSequence, np.ndarray]]) -> np.ndarray:
    patients = sorted({s.patient for s, _ in records})
    tables = [sum(t for s, t in records if s.patient == p) for p in patients]
    return np.array(tables)


def _intervals(
    tables: np.ndarray, classes: Sequence[str], main: Sequence[str], resamples: int
) -> dict[str, tuple[float, float]]:
    """Return intervals of figures over patients drawn with replacement.

    A sample in which a class does not occur says nothing of it and is not counted.
    """
    if resamples == 0:
        return {}
    rng = np.random.default_rng(0)
    picks = rng.integers(len(tables), size=(resamples, len(tables)))
    totals = tables[picks].sum(1)
    hits = np.diagonal(totals, axis1=1, axis2=2)[:, :-1]
    true, predicted = totals[:, :-1].sum(2), totals[:, :, :-1].sum(1)
    with np.errstate(invalid="ignore"):
        se, ppv, f1 = hits / true, hits / predicted, 2 * hits / (true + predicted)
        accuracy = hits.sum(1) / true.sum(1)
    ppv = np.where(true > 0, np.nan_to_num(ppv), np.nan)  # never decided: 0
    f1 = np.where(true > 0, f1, np.nan)
    samples = {
        f"{c} {n}": v[:, i]
        for i, c in enumerate(classes)
        for n, v in (("se", se), ("ppv", ppv), ("f1", f1))
    }
    samples["accuracy"] = accuracy
    mains = f1[:, [classes.index(c) for c in main]]
    said = np.isfinite(mains)
    samples["main_f1"] = np.nansum(mains, 1)[said.any(1)] / said.sum(1)[said.any(1)]
    finite = {name: v[np.isfinite(v)] for name, v in samples.items()}
    return {name: _interval(v) for name, v in finite.items() if len(v)}


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)
