"""Smartphone activities (HAPT, the raw signals of UCI HAR): runs, labels, split by subject.

Source: Reyes-Ortiz et al. 2016, Neurocomputing 171:754-767; https://archive.ics.uci.edu/dataset/341.
The data set's readme forbids commercial use: nothing made from it is shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnn_edge.data.published import check_split
from lnn_edge.data.record import Channel, Interval, Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.files.archives import members_of
from lnn_edge.files.arrays import array_of
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole
from lnn_edge.files.reason import reason_of

NAME = "uci_har"
RATE_HZ = 50
CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
TRANSITIONS = (
    "stand to sit",
    "sit to stand",
    "sit to lie",
    "lie to sit",
    "stand to lie",
    "lie to stand",
)
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = ("g",) * 3 + ("rad/s",) * 3
ACC_STEPS_PER_G = 720.0
GYRO_STEPS_PER_RAD_S = 1 / 0.00030543
STEPS = (ACC_STEPS_PER_G,) * 3 + (GYRO_STEPS_PER_RAD_S,) * 3  # per unit; gravity is in acc
WINDOW = 128  # samples of an official window, 2.56 s
HOP = 64  # from one to the next, in a segment of one activity
TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
TRAINING_SUBJECTS = tuple(s for s in range(1, 31) if s not in TEST_SUBJECTS)
FOLD_COUNT = 4
SPLITS = ("develop", "train", "validation", "test", "all")
# Subject of each run, runs counted from 1: subject 10 made three, everybody else two.
SUBJECT_OF_RUN = tuple(s for s in range(1, 31) for _ in range(3 if s == 10 else 2))
FILE = "hapt_raw.npz"
_RAW = ("acc", "gyro", "exp_id", "exp_user", "exp_offset", "segments")


def subjects_of(split: str, fold: int = 0) -> tuple[int, ...]:
    """Name the subjects of a split.

    Args:
        split: "develop" are the 21 official training subjects; "train" and "validation" its two
            parts in a fold; "test" the 9 official test subjects, "all" everybody.
        fold: 0 to FOLD_COUNT - 1: every FOLD_COUNT-th training subject is held out.

    Raises:
        DataError: There is no such split or fold.
    """
    check_split(NAME, split, fold, SPLITS, FOLD_COUNT)
    whole = {
        "develop": TRAINING_SUBJECTS,
        "test": TEST_SUBJECTS,
        "all": tuple(sorted(TRAINING_SUBJECTS + TEST_SUBJECTS)),
    }
    if split in whole:
        return whole[split]
    held_out = TRAINING_SUBJECTS[fold::FOLD_COUNT]
    return tuple(s for s in TRAINING_SUBJECTS if (s in held_out) == (split == "validation"))


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the runs of a split, see subjects_of.

    Raises:
        DataError: There is no such split or fold.
    """
    subjects = subjects_of(split, fold)
    return tuple(name_of(i) for i, s in enumerate(SUBJECT_OF_RUN, start=1) if s in subjects)


def name_of(number: int) -> str:
    """Name a run."""
    return f"run{number:02d}"


def list_names(folder: Path) -> tuple[str, ...]:
    """Name the runs in a folder.

    Raises:
        DataError: The files are damaged.
    """
    return tuple(name_of(int(n)) for n in _read(folder / FILE, ("exp_id",))["exp_id"])


def read(
    folder: Path, names: Sequence[str], classes: Sequence[str] = CLASSES
) -> tuple[Record, ...]:
    """Read runs by name.

    Intervals are the activities; a mark at the last sample of an official window has its label.

    Args:
        folder: That holds them.
        names: Of the runs.
        classes: CLASSES, or (*CLASSES, *TRANSITIONS): of which labels are read.

    Raises:
        DataError: The files are damaged.
    """
    raw = _read(folder / FILE, _RAW)
    _check(folder, raw)
    index = {name_of(int(n)): i for i, n in enumerate(raw["exp_id"])}
    return tuple(_run(raw, index[name], classes) for name in names)


def _read(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        members = members_of(read_whole(path, LARGEST_ARRAYS), LARGEST_ARRAYS)
        return {name: array_of(members[f"{name}.npy"]) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is damaged or no HAPT file ({reason_of(error)}); fetch it again"
        ) from None


def _check(folder: Path, raw: dict[str, np.ndarray]) -> None:
    samples, ends = len(raw["acc"]), raw["exp_offset"]
    fits = raw["acc"].shape == raw["gyro"].shape == (samples, 3) and ends[-1] == samples
    fits = fits and len(ends) == len(raw["exp_id"]) + 1 == len(raw["exp_user"]) + 1
    fits = fits and raw["segments"].ndim == 2 and raw["segments"].shape[1] >= 5
    if not (fits and raw["acc"].dtype == raw["gyro"].dtype == np.int16):
        raise DataError(f"{folder}: the arrays do not fit each other; fetch the files again")


def _run(raw: dict[str, np.ndarray], index: int, classes: Sequence[str]) -> Record:
    """Return a run; its official windows lie HOP apart in each segment, from its start on."""
    number = int(raw["exp_id"][index])
    begin, end = (int(e) for e in raw["exp_offset"][index : index + 2])
    segments = [
        (int(first) - begin, int(end) - begin, int(activity) - 1)
        for run, _subject, activity, first, end in raw["segments"][:, :5]
        if run == number and activity <= len(classes)
    ]
    intervals = [Interval(first, end - 1, classes[activity]) for first, end, activity in segments]
    windows = [
        (start, activity)
        for first, end, activity in segments
        for start in range(first, end - WINDOW + 1, HOP)
    ]
    starts, labels = np.array(windows, np.int64).reshape(-1, 2).T
    frames = np.concatenate((raw["acc"][begin:end], raw["gyro"][begin:end]), axis=1)
    subject = int(raw["exp_user"][index])
    return run_of(name_of(number), subject, frames, intervals, starts, labels, classes)


def run_of(
    name: str,
    subject: int,
    frames: np.ndarray,
    intervals: Sequence[Interval],
    starts: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str] = CLASSES,
) -> Record:
    """Return a run.

    Args:
        name: Of the run.
        subject: Number of the person.
        frames: (N, 6) int16, sensor steps in the order of CHANNELS.
        intervals: Activities.
        starts: (W,) first samples of windows of WINDOW samples.
        labels: (W,) indices into `classes`.
        classes: Names of the labels.
    """
    ends = zip((starts + WINDOW - 1).tolist(), labels.tolist(), strict=True)
    return Record(
        name,
        f"subject{subject:02d}",
        frames,
        float(RATE_HZ),
        tuple(Channel(*c) for c in zip(CHANNELS, UNITS, STEPS, strict=True)),
        tuple(sorted((Mark(end, classes[at]) for end, at in ends), key=lambda m: m.sample)),
        tuple(sorted(intervals, key=lambda i: i.first)),
    )
