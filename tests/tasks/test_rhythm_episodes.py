"""Seconds of fibrillation, counted by hand beside what the script says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.data.record import Channel, Interval, Record
from lnn_edge.graph.output import Output
from lnn_edge.tasks.model_input import Fed
from lnn_edge.tasks.predicted import Answer, Predicted
from scripts.rhythm_episodes import Times, mean_of_last, times_of

CLASSES = ("normal", "AF")


def said(stamps: list[int], is_af: list[int], *true: tuple[int, int]) -> Predicted:
    """Return decisions on ten seconds at 10 Hz, with fibrillation from one sample to another."""
    intervals = tuple(Interval(a, b, "AFIB") for a, b in true)
    record = Record(
        "r", "r", np.zeros((100, 1), np.int16), 10.0, (Channel("E"),), intervals=intervals
    )
    answer = Answer((Output("scores", 0, 2, 1.0, "scores"),), CLASSES, False)
    steps = np.eye(2, dtype=np.int64)[is_af]
    return Predicted(Fed(record, np.zeros(0, np.int64), 10.0, 100), answer, np.array(stamps), steps)


def test_a_decision_holds_until_the_next_and_counts_by_time() -> None:
    found = said([9, 39, 79], [0, 1, 0], (30, 59))
    # before sample 9 nothing is said; 9 to 38 normal, 39 to 78 AF, 79 to 99 normal
    assert times_of(found, 0.1) == Times("r", 2.1, 0.9, 1.9, 4.2)
    flutter = replace(found.fed.record, intervals=(Interval(30, 59, "AFL"),))
    other = replace(found, fed=replace(found.fed, record=flutter))
    assert times_of(other, 0.1) == Times("r", 0.0, 0.0, 4.0, 5.1)


def test_the_mean_is_of_the_last_seconds_and_of_the_row_itself() -> None:
    values, times = np.array([[4.0], [2.0], [0.0], [6.0]]), np.array([0.0, 1.0, 2.0, 9.0])
    assert mean_of_last(values, times, 2.0).ravel() == pytest.approx([4, 3, 1, 6])
    assert mean_of_last(values, times, 0.5).ravel() == pytest.approx([4, 2, 0, 6])
    assert mean_of_last(values, times, 100.0).ravel() == pytest.approx([4, 3, 2, 3])
    found = said([9, 39, 79], [0, 0, 1], (0, 99))
    assert times_of(found, 100.0).hits == 0  # one of three
    assert times_of(found, 0.1).hits == pytest.approx(2.1)
