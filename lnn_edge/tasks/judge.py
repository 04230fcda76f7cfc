"""Which figures fit a task: one class per decision, or several findings per record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.metrics.multi_label import FindingsEvaluation, evaluate_findings
from lnn_edge.tasks.metrics.single_label import Evaluation, evaluate_scores

Figures = Evaluation | FindingsEvaluation


def judge(
    sequences: Sequence[DecisionSequence],
    scores: Sequence[np.ndarray],
    classes: Sequence[str],
    resamples: int = 0,
) -> Figures:
    """Compare scores with labels, see evaluate_scores and evaluate_findings.

    Raises:
        DataError: Nothing can be judged.
    """
    several = any(s.labels.ndim == 2 for s in sequences)
    return (evaluate_findings if several else evaluate_scores)(
        sequences, scores, classes, resamples
    )
