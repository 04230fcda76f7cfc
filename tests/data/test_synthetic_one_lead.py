"""The generated single-lead ECGs: one of each class of rhythm, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.record import Record
from lnn_edge.data.synthetic_one_lead import HEARTS, RATE_HZ, names_of, read
from lnn_edge.errors import DataError
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import find_task


def test_there_is_a_record_of_each_class_in_the_frame_of_the_task() -> None:
    task = find_task("rhythm")
    found = load_labelled(task.shown)
    assert [task.classes[int(r.labels)] for r in found] == list(task.classes)
    assert {r.frames.shape for r in found} == {(9000, 1)}
    assert {r.record.rate_hz for r in found} == {task.frame.rate_hz} == {RATE_HZ}
    again = load_labelled(task.shown, records=["early"])[0]
    np.testing.assert_array_equal(again.frames, found[2].frames)
    assert not np.array_equal(found[0].frames, found[1].frames)


def test_hearts_beat_as_their_labels_say() -> None:
    calm, fibrillating, _, noisy = (r.samples[:, 0].astype(float) for r in read_all())
    assert np.abs(np.diff(noisy)).mean() > 10 * np.abs(np.diff(calm)).mean()
    spread = [np.diff(peaks(x)).std() / np.diff(peaks(x)).mean() for x in (calm, fibrillating)]
    assert spread[0] < 0.1 < spread[1]


def read_all() -> tuple[Record, ...]:
    return read(Path(), names_of("all"))


def peaks(x: np.ndarray) -> np.ndarray:
    """Return where the signal is highest within a quarter of a second and near its maximum."""
    reach = RATE_HZ // 4
    found = np.flatnonzero(x > 0.5 * x.max())
    return np.array([i for i in found if x[i] == x[max(0, i - reach) : i + reach].max()])


def test_another_split_is_refused() -> None:
    assert names_of("all") == tuple(HEARTS)
    for split, fold in (("train", 0), ("all", 1)):
        with pytest.raises(DataError, match="synthetic-rhythm has no split"):
            names_of(split, fold)
