"""The activity recordings: official windows, subjects, and files that are missing or damaged."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import uci_har
from lnn_edge.data.uci_har import ACC_STEPS_PER_G, CLASSES, WINDOW, subjects_of
from lnn_edge.errors import DataError
from lnn_edge.tasks.labelled import NOT_SCORED, Labelled
from lnn_edge.tasks.recordings import load_labelled

needs_data = pytest.mark.skipif(
    "LNN_EDGE_DATA" not in os.environ, reason="LNN_EDGE_DATA is not set"
)
# Windows of the six activities as the data set's authors publish them.
TRAIN = (1226, 1073, 987, 1293, 1423, 1413)
TRAIN_TRANSITIONS = (47, 23, 75, 60, 90, 57)
TEST = (496, 471, 420, 508, 556, 545)


def load_runs(folder: Path | None = None, split: str = "all") -> Sequence[Labelled]:
    return load_labelled("uci_har", folder, split)


def windows_of(run: Labelled) -> tuple[list[int], list[int]]:
    """Return first samples and classes of the official windows."""
    marks = run.record.marks
    return [m.sample - WINDOW + 1 for m in marks], [CLASSES.index(m.symbol) for m in marks]


def write_small(folder: Path, **changes: np.ndarray) -> None:
    """Two runs of subjects 1 and 2 of 400 and 300 samples; walking, a transition, sitting."""
    frames = np.arange(700 * 3, dtype=np.int16).reshape(700, 3)
    raw = {
        "acc": frames,
        "gyro": -frames,
        "exp_id": np.array([1, 3], np.int16),
        "exp_user": np.array([1, 2], np.int16),
        "exp_offset": np.array([0, 400, 700]),
        "segments": np.array([[1, 1, 1, 10, 202], [1, 1, 7, 202, 260], [3, 2, 4, 420, 690]]),
    }
    folder.mkdir(parents=True)
    np.savez(folder / "hapt_raw.npz", **{k: changes.get(k, v) for k, v in raw.items()})


def test_runs_are_cut_where_the_experiments_end(tmp_path):
    write_small(tmp_path / "uci_har")
    first, second = load_runs(tmp_path)
    assert (first.name, first.patient, len(first.frames)) == ("run01", "subject01", 400)
    assert (second.name, second.patient, len(second.frames)) == ("run03", "subject02", 300)
    assert second.frames[0].tolist() == [1200, 1201, 1202, -1200, -1201, -1202]
    assert set(first.labels[10:202]) == {0}
    assert set(first.labels[202:]) == {NOT_SCORED}  # the transition is no class
    assert windows_of(first) == ([10, 74], [0, 0])
    assert windows_of(second) == ([20, 84, 148], [3, 3, 3])
    assert set(second.labels[20:290]) == {3}


def test_a_split_holds_its_subjects_only(tmp_path):
    write_small(tmp_path / "uci_har")
    assert [r.patient for r in load_runs(tmp_path, "develop")] == ["subject01"]
    assert [r.patient for r in load_runs(tmp_path / "uci_har", "test")] == ["subject02"]


def test_folds_hold_each_training_subject_out_once():
    held_out = [s for fold in range(uci_har.FOLD_COUNT) for s in subjects_of("validation", fold)]
    assert sorted(held_out) == list(subjects_of("develop"))
    for fold in range(uci_har.FOLD_COUNT):
        both = subjects_of("train", fold) + subjects_of("validation", fold)
        assert sorted(both) == list(subjects_of("develop"))
    assert not set(subjects_of("develop")) & set(subjects_of("test"))
    assert subjects_of("all") == tuple(range(1, 31))


@pytest.mark.parametrize(("split", "fold"), [("tset", 0), ("train", 4), ("train", -1)])
def test_an_unknown_split_is_refused(split, fold):
    with pytest.raises(DataError, match="take one of develop, train"):
        subjects_of(split, fold)


def test_missing_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"hapt_raw\.npz or RawData"):
        load_runs(tmp_path)
    monkeypatch.delenv("LNN_EDGE_DATA", raising=False)
    with pytest.raises(DataError, match="--data-dir"):
        load_runs()


@pytest.mark.parametrize("kept", [0, 100, 3000])
def test_a_truncated_file_is_named(tmp_path, kept):
    write_small(tmp_path / "uci_har")
    path = tmp_path / "uci_har" / "hapt_raw.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"hapt_raw\.npz is damaged"):
        load_runs(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"gyro": np.zeros((699, 3), np.int16)},
        {"acc": np.zeros((700, 3))},
        {"exp_offset": np.array([0, 400, 699])},
        {"segments": np.zeros((3, 4), np.int16)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, change):
    write_small(tmp_path / "uci_har", **change)
    with pytest.raises(DataError, match="do not fit"):
        load_runs(tmp_path)


@needs_data
def test_the_official_windows_are_all_there():
    for split, expected in (("develop", TRAIN), ("test", TEST)):
        runs = load_runs(split=split)
        counts = Counter(label for run in runs for label in windows_of(run)[1])
        assert tuple(counts[c] for c in range(len(CLASSES))) == expected
        for run in runs:
            for start, label in zip(*windows_of(run), strict=True):
                assert (run.labels[start : start + WINDOW] == label).all()


@needs_data
def test_transitions_are_read_where_they_are_asked_for():
    folder, names = Path(os.environ["LNN_EDGE_DATA"]) / "uci_har", uci_har.names_of("develop")
    classes = (*CLASSES, *uci_har.TRANSITIONS)
    counts = Counter(m.symbol for run in uci_har.read(folder, names, classes) for m in run.marks)
    assert tuple(counts[c] for c in classes) == (*TRAIN, *TRAIN_TRANSITIONS)


@needs_data
def test_gravity_is_in_the_accelerometer():
    still = [run.frames[run.labels == CLASSES.index("standing"), :3] for run in load_runs()]
    g = np.linalg.norm(np.concatenate(still) / ACC_STEPS_PER_G, axis=1)
    assert np.median(g) == pytest.approx(1, abs=0.05)


def test_runs_belong_to_the_subjects_of_the_table(tmp_path):
    assert [uci_har.SUBJECT_OF_RUN.count(s) for s in (1, 10, 30)] == [2, 3, 2]
    assert uci_har.names_of("test")[:3] == ("run03", "run04", "run07")
    assert len(uci_har.names_of("all")) == 61


def test_an_official_window_is_judged_by_the_last_decision_in_it(tmp_path):
    write_small(tmp_path / "uci_har")
    first, second = load_runs(tmp_path)
    # windows end at 137 and 201 (walking), 147, 211 and 275 (sitting)
    stamps = np.arange(63, 300, 16)
    judged = {t: c for t, c in zip(stamps, first.labels_at(stamps), strict=True) if c >= 0}
    assert judged == {127: 0, 191: 0}
    judged = {t: c for t, c in zip(stamps, second.labels_at(stamps), strict=True) if c >= 0}
    assert judged == {143: 3, 207: 3, 271: 3}
    assert set(first.labels_at(np.array([300]))) == {NOT_SCORED}


def test_nothing_is_learned_right_after_a_change(tmp_path):
    write_small(tmp_path / "uci_har")
    first, _ = load_runs(tmp_path)
    assert first.targets_at(np.array([10, 41, 42, 201, 202])).tolist() == [-1, -1, 0, 0, -1]


@needs_data
def test_the_table_of_subjects_is_that_of_the_files():
    for run in load_runs():
        subject = uci_har.SUBJECT_OF_RUN[int(run.name[3:]) - 1]
        assert run.patient == f"subject{subject:02d}"
