"""Figures against hand arithmetic and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from lnn_edge.errors import DataError
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.labelled import FALSE
from lnn_edge.tasks.metrics.single_label import ClassFigures, evaluate_scores

CLASSES = ("N", "S", "V", "F")


def beats(patient: str, labels: list[int]) -> DecisionSequence:
    array = np.array(labels)
    return DecisionSequence(patient, patient, np.arange(len(labels)), array, {})


def scores(classes: list[int]) -> np.ndarray:
    return np.eye(4)[classes]


def test_figures_equal_hand_arithmetic() -> None:
    judged = evaluate_scores(
        [beats("p", [0, 0, 0, 1, 1, 2, -1])], [scores([0, 0, 1, 1, 0, 2, 3])], CLASSES
    )
    assert judged.n == 6
    assert judged.accuracy == pytest.approx(4 / 6)
    assert judged.classes["N"].se == pytest.approx(2 / 3)
    assert judged.classes["S"].ppv == pytest.approx(1 / 2)
    assert judged.classes["V"].f1 == 1.0
    assert judged.classes["F"] == ClassFigures(0, None, None, None)
    assert judged.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert judged.main_f1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_figures_equal_scikit_learn_on_random_beats() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    judged = evaluate_scores([beats("p", labels.tolist())], [scores(said.tolist())], CLASSES)
    assert judged.accuracy == pytest.approx(accuracy_score(labels, said))
    assert judged.macro_f1 == pytest.approx(f1_score(labels, said, average="macro"))


def test_missed_and_false_events_count_as_scikit_learn_counts_another_class() -> None:
    rng = np.random.default_rng(2)
    labels, said, missed = rng.choice([FALSE, -1, 0, 1, 2], 500), rng.integers(0, 4, 500), [0, 2, 2]
    found = replace(beats("p", labels.tolist()), missed=np.array(missed))
    judged = evaluate_scores([found], [scores(said.tolist())], CLASSES, resamples=20)
    kept = labels != -1
    none = 4
    truth = np.concatenate((np.where(labels == FALSE, none, labels)[kept], missed))
    told = np.concatenate((said[kept], [none] * len(missed)))
    table = confusion_matrix(truth, told, labels=np.arange(5))
    assert judged.confusion == tuple(map(tuple, table[:4, :4].tolist()))
    assert judged.missed == tuple(table[:4, none].tolist()) == (1, 0, 2, 0)
    assert judged.false == tuple(table[none, :4].tolist())
    assert judged.n == (labels >= 0).sum() + len(missed)
    ppv, se, f1, _ = precision_recall_fscore_support(
        truth, told, labels=np.arange(3), zero_division=0
    )
    for i, name in enumerate("NSV"):
        figures = judged.classes[name]
        assert (figures.se, figures.ppv, figures.f1) == pytest.approx((se[i], ppv[i], f1[i]))
        assert judged.intervals[f"{name} f1"] == pytest.approx((f1[i], f1[i]))  # of one patient
        assert judged.intervals[f"{name} ppv"] == pytest.approx((ppv[i], ppv[i]))
    (record,) = judged.records
    assert (record.n, record.missed, record.false) == (judged.n, judged.missed, judged.false)


def test_figures_equal_scikit_learn_where_classes_lack_or_are_not_the_models() -> None:
    """No decision is of the second class or told as the third; the model knows no fifth."""
    rng = np.random.default_rng(1)
    labels, said = rng.choice([-1, 0, 2, 3, 4], 500), rng.choice([0, 1, 3], 500)
    judged = evaluate_scores([beats("p", labels.tolist())], [scores(said.tolist())], CLASSES)
    known = (labels >= 0) & (labels < 4)
    table = confusion_matrix(labels[known], said[known], labels=np.arange(4))
    assert judged.confusion == tuple(map(tuple, table.tolist()))
    ppv, se, f1, n = precision_recall_fscore_support(
        labels[known], said[known], labels=np.arange(4), zero_division=0.0
    )
    for index, name in enumerate(CLASSES):
        found = judged.classes[name]
        wanted = (n[index], se[index], ppv[index], f1[index])
        assert found == (ClassFigures(*wanted) if n[index] else ClassFigures(0, None, None, None))


def test_a_decision_of_an_unknown_class_alone_is_a_named_error() -> None:
    with pytest.raises(DataError, match="no decision has a label"):
        evaluate_scores([beats("p", [4, 4])], [scores([0, 0])], CLASSES)


def test_interval_resamples_patients_not_beats() -> None:
    good, bad = beats("good", [0] * 500 + [2]), beats("bad", [0] * 500 + [2])
    judged = evaluate_scores(
        [good, bad], [scores([0] * 500 + [2]), scores([2] * 501)], CLASSES, resamples=400
    )
    low, high = judged.intervals["accuracy"]
    assert low < 0.01
    assert high == 1.0


def test_no_scored_beat_is_a_named_error() -> None:
    with pytest.raises(DataError, match="no decision has a label"):
        evaluate_scores([beats("p", [-1, -1])], [scores([0, 0])], CLASSES)


def test_means_are_taken_over_the_classes_that_occur() -> None:
    """Predictions of a class that does not occur are errors of those that do."""
    judged = evaluate_scores([beats("p", [0, 0, 0, 2])], [scores([0, 0, 1, 2])], CLASSES, 50)
    n, v = 4 / 5, 1.0
    assert (judged.main_classes, judged.absent_classes) == (("N", "V"), ("S", "F"))
    assert judged.main_f1 == judged.macro_f1 == pytest.approx((n + v) / 2)
    assert judged.classes["S"] == ClassFigures(0, None, None, None)
    assert judged.confusion[0] == (2, 1, 0, 0)
    assert "S f1" not in judged.intervals
    assert judged.intervals["main_f1"] == pytest.approx((judged.main_f1,) * 2)


def test_a_rare_class_counts_where_there_is_no_other() -> None:
    judged = evaluate_scores([beats("p", [3, 3])], [scores([3, 0])], CLASSES)
    assert judged.main_classes == ("F",)
    assert judged.main_f1 == pytest.approx(2 / 3)


def test_patients_without_a_class_say_nothing_of_it() -> None:
    """Half of the samples hold the patient with V beats, all of which are found."""
    judged = evaluate_scores(
        [beats("a", [0] * 9), beats("b", [0, 2])], [scores([0] * 9), scores([0, 2])], CLASSES, 99
    )
    assert judged.intervals["V f1"] == judged.intervals["V se"] == (1.0, 1.0)
    assert judged.intervals["main_f1"] == (1.0, 1.0)
