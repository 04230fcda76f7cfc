"""The part of decisions that two forms of a network make alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.sweep.alike import alike
from lnn_edge.sweep.outcome import Judged, Outcome
from lnn_edge.tasks.activity.task import TASK as ACTIVITY
from lnn_edge.tasks.findings.task import TASK as FINDINGS

VALUES = replace(ACTIVITY, labels="value", classes=("speed", "slope"), map={}, rare=())
FLOAT = ([[0.2, 0.1], [0.4, 0.5]], [[-0.1, 0.3]])
INTEGER = ([[700, 900], [20, 30]], [[-5, 6]])  # of another scale; the first decision differs


def judged(parts: tuple[list[list[float]], ...]) -> Judged:
    scores = [np.array(rows) for rows in parts]
    sequences = [
        DecisionSequence(str(i), "p", np.arange(len(v)), np.full(len(v), -1), {})
        for i, v in enumerate(scores)
    ]
    return Judged.of(sequences, scores)


OUTCOME = Outcome({"float": judged(FLOAT), "integer": judged(INTEGER)})


def test_the_largest_score_decides_in_all_folds() -> None:
    same = Outcome({"float": judged(FLOAT), "integer": judged(FLOAT)})
    assert alike([OUTCOME], ACTIVITY) == 2 / 3
    assert alike([OUTCOME, same], ACTIVITY) == 5 / 6


def test_each_finding_is_decided_by_its_sign() -> None:
    assert alike([OUTCOME], FINDINGS) == 1.0
    other = ([[700.0, 900.0], [20.0, -30.0]], [[-5.0, 6.0]])
    assert alike([Outcome({"float": judged(FLOAT), "integer": judged(other)})], FINDINGS) == 5 / 6


def test_where_nothing_is_decided_or_no_integers_are_judged_it_is_not_known() -> None:
    assert alike([OUTCOME, Outcome({"float": judged(FLOAT)})], ACTIVITY) is None
    assert alike([OUTCOME], VALUES) is None
