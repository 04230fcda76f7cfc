"""Which figures fit a task: a class or values per decision or record, or several findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.metrics.multi_label import FindingsEvaluation, evaluate_findings
from lnn_edge.tasks.metrics.single_label import Evaluation, evaluate_scores
from lnn_edge.tasks.metrics.value import ValuesEvaluation, evaluate_values
from lnn_edge.tasks.task import Task

Figures = Evaluation | FindingsEvaluation | ValuesEvaluation


def judge(
    sequences: Sequence[DecisionSequence],
    scores: Sequence[np.ndarray],
    classes: Sequence[str],
    task: Task | None,
    resamples: int = 0,
) -> Figures:
    """Compare scores with labels, see evaluate_scores, evaluate_findings and evaluate_values.

    Args:
        sequences: Decisions with labels.
        scores: (D, classes) of each; values in their units.
        classes: Names.
        task: Of the model; None takes each decision as one of a class.
        resamples: Bootstrap samples of patients for the intervals.

    Raises:
        DataError: Nothing can be judged.
    """
    if task is not None and task.is_multi_label:
        return evaluate_findings(sequences, scores, classes, resamples)
    rare = () if task is None else task.rare
    if task is not None and task.decide == "record":
        sequences, scores = _of_records(sequences, scores)
    if task is not None and task.is_value:
        return evaluate_values(sequences, scores, task.classes, task.units, resamples)
    return evaluate_scores(sequences, scores, classes, resamples, rare)


def _of_records(
    sequences: Sequence[DecisionSequence], scores: Sequence[np.ndarray]
) -> tuple[list[DecisionSequence], list[np.ndarray]]:
    """Return one decision for each record that has any: the mean of their scores."""
    pairs = [(s, v) for s, v in zip(sequences, scores, strict=True) if len(v)]
    last = [replace(s, stamps=s.stamps[-1:], labels=s.labels[-1:], values={}) for s, _ in pairs]
    return last, [v.mean(0, keepdims=True) for _, v in pairs]
