"""Errors of values, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from lnn_edge.errors import DataError
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.metrics.value import evaluate_values

RNG = np.random.default_rng(7)


def sequence(name: str, patient: str, labels: np.ndarray) -> DecisionSequence:
    return DecisionSequence(name, patient, np.arange(len(labels)), labels[:, None], {})


def test_errors_are_those_of_scikit_learn() -> None:
    true = [1000 + RNG.normal(0, 9, n) for n in (30, 12, 7)]
    said = [t + RNG.normal(0.5, 3, len(t)) for t in true]
    true[1][3] = np.nan  # is not judged
    sequences = [sequence(n, p, t) for n, p, t in zip("abc", ("x", "y", "x"), true, strict=True)]
    found = evaluate_values(sequences, [s[:, None] for s in said], ("rate",), ("1/min",), 200)
    (judged,) = found.values
    known = np.isfinite(np.concatenate(true))
    y, z = np.concatenate(true)[known], np.concatenate(said)[known]
    assert judged.n == 48
    assert judged.mae == pytest.approx(mean_absolute_error(y, z), rel=1e-12)
    assert judged.rmse == pytest.approx(root_mean_squared_error(y, z), rel=1e-12)
    assert judged.r2 == pytest.approx(r2_score(y, z), rel=1e-9)
    assert judged.bias == pytest.approx((z - y).mean(), rel=1e-9)
    assert judged.spread == pytest.approx(y.std(), rel=1e-12)
    x = np.concatenate([true[0], true[2]]), np.concatenate([said[0], said[2]])
    (first, second) = judged.subjects
    assert (first.name, first.n, second.name, second.n) == ("x", 37, "y", 11)
    assert first.r2 == pytest.approx(r2_score(*x), rel=1e-9)
    assert [r.name for r in judged.records] == ["a", "b", "c"]
    low, high = judged.intervals["mae"]
    assert min(first.mae, second.mae) <= low <= high <= max(first.mae, second.mae)
    assert found.main == ("mae", judged.mae)
    assert found.to_json()["unit"] == "1/min"


def test_a_value_that_does_not_vary_has_no_r2() -> None:
    sequences = [sequence("a", "x", np.full(4, 72.0))]
    found = evaluate_values(sequences, [np.full((4, 1), 70.0)], ("v",))
    (judged,) = found.values
    assert found.nrmse is None
    assert (judged.mae, judged.rmse, judged.r2, judged.bias) == (2, 2, None, -2)


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(DataError, match="no decision has a value of rate"):
        evaluate_values([sequence("a", "x", np.full(2, np.nan))], [np.zeros((2, 1))], ("rate",))


def test_several_values_are_judged_each_by_itself() -> None:
    true = RNG.normal(0, (1, 10, 1), (50, 3))
    true[:, 2] = np.nan
    said = true + RNG.normal(0, (1, 5, 1), (50, 3))
    judged = evaluate_values(
        [DecisionSequence("a", "x", np.arange(50), true, {})],
        [said],
        ("p", "q", "z"),
        ("mV", "", ""),
    )
    assert [(v.name, v.unit) for v in judged.values] == [("p", "mV"), ("q", "")]
    assert judged.absent == ("z",)
    parts = [root_mean_squared_error(true[:, i], said[:, i]) / true[:, i].std() for i in (0, 1)]
    assert judged.nrmse == pytest.approx(np.mean(parts), rel=1e-12)
    assert judged.main == ("nrmse", judged.nrmse)
    assert judged.history["rmse q"] == judged.values[1].rmse
