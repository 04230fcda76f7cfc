"""Figures of findings against hand-made cases and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.judge import judge
from lnn_edge.tasks.metrics.multi_label import evaluate_findings
from lnn_edge.tasks.registry import find_task
from lnn_edge.train.losses import make_loss, unlearned
from lnn_edge.train.recipe import load_recipe

CLASSES = ("A", "B", "C")


def record(name: str, known: list[int], decisions: int = 2) -> DecisionSequence:
    stamps = np.arange(decisions)
    return DecisionSequence(name, name, stamps, np.tile(known, (decisions, 1)), {})


RECORDS = [
    record("p", [1, 0, -1]),
    record("q", [0, 0, -1]),
    record("r", [1, 0, -1], 1),
    record("s", [0, 0, -1]),
]
SCORES = [
    np.array([[3, -1, 9], [-1, -1, 9]]),  # on average A
    np.array([[-5, -1, 9], [1, -1, 9]]),
    np.array([[-2, -1, 9]]),  # missed
    np.array([[4, -1, 9], [4, -1, 9]]),  # false
]


def test_a_record_is_judged_by_the_mean_of_its_decisions() -> None:
    judged = evaluate_findings(RECORDS, SCORES, CLASSES)
    a = judged.classes["A"]
    assert (judged.n, a.n, a.present) == (4, 4, 2)
    assert (a.se, a.ppv, a.f1) == (0.5, 0.5, 0.5)
    assert a.auroc == roc_auc_score([1, 0, 1, 0], [1, -2, -2, 4]) == 0.375
    assert judged.macro_f1 == judged.main_f1 == 0.5
    assert judged.accuracy == 6 / 8  # A twice wrong, B always right, C unknown


def test_what_cannot_be_judged_is_not_averaged_in() -> None:
    judged = evaluate_findings(RECORDS, SCORES, CLASSES)
    assert [judged.classes[c].is_judged for c in CLASSES] == [True, False, False]
    assert judged.classes["B"].auroc is None
    assert judged.classes["C"].n == 0
    assert judged.macro_auroc == judged.classes["A"].auroc
    assert (judged.main_classes, judged.absent_classes) == (("A",), ("B", "C"))


def test_a_record_without_a_decision_is_left_out() -> None:
    short = record("t", [1, 0, -1], 0)
    judged = evaluate_findings([*RECORDS, short], [*SCORES, np.zeros((0, 3))], CLASSES)
    assert judged.n == 4
    with pytest.raises(DataError, match="long enough for a decision"):
        evaluate_findings([short], [np.zeros((0, 3))], CLASSES)
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate_findings(RECORDS[:1], SCORES[:1], CLASSES)


def test_intervals_hold_the_figure_and_are_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    records = [record(str(i), [i % 3 == 0, i % 2, -1], 1) for i in range(60)]
    scores = [rng.normal(s.labels[0], 1, (1, 3)) for s in records]
    judged, again = (evaluate_findings(records, scores, CLASSES, 200) for _ in range(2))
    assert judged.intervals == again.intervals
    for name in ("A", "B"):
        low, high = judged.intervals[f"{name} auroc"]
        assert low < judged.classes[name].auroc < high  # type: ignore[operator]
    assert "C auroc" not in judged.intervals


def test_the_kind_of_labels_chooses_the_figures() -> None:
    judged = judge(RECORDS, SCORES, CLASSES, find_task("findings"))
    assert judged.to_json()["macro_auroc"] == 0.375
    single = DecisionSequence("x", "x", np.arange(2), np.array([0, 1]), {})
    assert judge([single], [np.array([[1, 0, 0], [1, 0, 0]])], CLASSES, None).accuracy == 0.5


def test_the_loss_sees_known_findings_only() -> None:
    plan = load_recipe("ccfc").training
    labels = torch.tensor([[1, 0, -1], [0, -1, -1], [0, 1, -1]])
    loss = make_loss(labels, plan, CLASSES)
    scores = torch.zeros(3, 1, 3, requires_grad=True)
    loss(scores, labels[:, None]).backward()
    assert scores.grad is not None
    gradient = scores.grad[:, 0]
    assert gradient[1, 1] == 0  # unknown in this record
    assert gradient[0, 0] < 0 < gradient[1, 0]  # towards present, towards absent
    assert (gradient[:, 2] > 0).all()  # nobody looked for it: absent


def test_a_class_that_no_label_tells_of_is_not_learned() -> None:
    """A finding that is nowhere present; a class without a label; fusion that counts as normal."""
    plan = load_recipe("ccfc").training
    known = torch.tensor([[1, 0, -1], [0, 0, -1], [1, 0, -1]])
    assert unlearned(known, plan, "ABC") == ("B", "C")
    beats = torch.tensor([0, 0, -1, 3, 2, 4])
    assert unlearned(beats, plan, "NSVFQ") == ("S",)
    assert unlearned(beats, replace(plan, merge={"F": "N"}), "NSVFQ") == ("S", "F")


def test_classes_that_count_as_others_are_classes_of_the_network() -> None:
    """F is one of beats; another task's fourth class keeps its weight."""
    plan = replace(load_recipe("ccfc").training, class_weight_power=0.0)
    labels, names = torch.tensor([0, 1, 2, 3]), ("up", "down", "left", "F")
    scores = torch.zeros(1, 4, 4)
    scores[0, 3, 0] = 5.0
    even = make_loss(labels, plan, names)(scores, labels[None])
    merged = make_loss(labels, replace(plan, merge={"F": "up"}), names)(scores, labels[None])
    assert merged < even
    with pytest.raises(UsageError, match=r"\[training\] merge names V; the classes .* are up, "):
        make_loss(labels, replace(plan, merge={"F": "V"}), names)
