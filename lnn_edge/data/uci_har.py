"""Smartphone activities (HAPT, the raw signals of UCI HAR): runs, labels, split by subject.

Source: Reyes-Ortiz et al. 2016, Neurocomputing 171:754-767; https://archive.ics.uci.edu/dataset/341.
The data set's readme forbids commercial use: nothing made from it is shipped.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError

NAME = "uci_har"
RATE_HZ = 50
CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
ACC_STEPS_PER_G = 720.0
GYRO_STEPS_PER_RAD_S = 1 / 0.00030543
SCALES = (1 / ACC_STEPS_PER_G,) * 3 + (1 / GYRO_STEPS_PER_RAD_S,) * 3
WINDOW = 128  # samples of an official window, 2.56 s, half of it shared with the next one
NOT_SCORED = -1  # transitions between postures, and samples outside any activity
TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
TRAINING_SUBJECTS = tuple(s for s in range(1, 31) if s not in TEST_SUBJECTS)
FOLD_COUNT = 4
SPLITS = ("develop", "train", "validation", "test", "all")
_FILES = ("hapt_raw.npz", "hapt_windows.npz")
_RAW = ("acc", "gyro", "exp_id", "exp_user", "exp_offset", "segments")
_WINDOWS = ("start", "label", "exp")


@dataclass(frozen=True, eq=False)
class ActivityRun:
    """One continuous recording of a person with the phone at the waist.

    Attributes:
        name: "run" and its number.
        subject: Number of the person, 1 to 30.
        frames: (N, 6) int16, sensor steps in the order of CHANNELS; physical units are
            frames * SCALES: g (gravity included) and rad/s.
        labels: (N,) int8 index into CLASSES of every sample, or NOT_SCORED.
        window_starts: (W,) int64 first samples of the official windows of the six activities.
        window_labels: (W,) int8 indices into CLASSES.
    """

    name: str
    subject: int
    frames: np.ndarray
    labels: np.ndarray
    window_starts: np.ndarray
    window_labels: np.ndarray


def subjects_of(split: str, fold: int = 0) -> tuple[int, ...]:
    """Name the subjects of a split.

    Args:
        split: "develop" are the 21 official training subjects; "train" and "validation" its two
            parts in a fold; "test" the 9 official test subjects, "all" everybody.
        fold: 0 to FOLD_COUNT - 1: every FOLD_COUNT-th training subject is held out.

    Raises:
        DataError: There is no such split or fold.
    """
    if split not in SPLITS or not 0 <= fold < FOLD_COUNT:
        raise DataError(
            f"{NAME} has no split {split!r} with fold {fold}; take one of {', '.join(SPLITS)} "
            f"and a fold from 0 to {FOLD_COUNT - 1}"
        )
    whole = {
        "develop": TRAINING_SUBJECTS,
        "test": TEST_SUBJECTS,
        "all": tuple(sorted(TRAINING_SUBJECTS + TEST_SUBJECTS)),
    }
    if split in whole:
        return whole[split]
    held_out = TRAINING_SUBJECTS[fold::FOLD_COUNT]
    return tuple(s for s in TRAINING_SUBJECTS if (s in held_out) == (split == "validation"))


def load_runs(
    data_dir: str | Path | None = None, split: str = "all", fold: int = 0
) -> tuple[ActivityRun, ...]:
    """Read the runs of a split's subjects.

    Args:
        data_dir: Folder that holds uci_har, or that folder; None takes LNN_EDGE_DATA.
        split: See subjects_of.
        fold: See subjects_of.

    Raises:
        DataError: The files are missing or damaged, or there is no such split.
    """
    subjects = subjects_of(split, fold)
    folder = _folder(data_dir)
    raw = _read(folder / _FILES[0], _RAW)
    windows = _read(folder / _FILES[1], _WINDOWS)
    _check(folder, raw, windows)
    runs = range(len(raw["exp_id"]))
    return tuple(_run(raw, windows, i) for i in runs if int(raw["exp_user"][i]) in subjects)


def _folder(data_dir: str | Path | None) -> Path:
    place = data_dir or os.environ.get("LNN_EDGE_DATA")
    if not place:
        raise DataError(f"no folder given for {NAME}; give --data-dir or set LNN_EDGE_DATA")
    given = Path(place)
    for folder in (given / NAME, given):
        if all((folder / file).is_file() for file in _FILES):
            return folder
    raise DataError(f"neither {given / NAME} nor {given} holds {' and '.join(_FILES)}")


def _read(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or no HAPT file ({error}); fetch it again") from None


def _check(folder: Path, raw: dict[str, np.ndarray], windows: dict[str, np.ndarray]) -> None:
    samples, ends = len(raw["acc"]), raw["exp_offset"]
    fits = raw["acc"].shape == raw["gyro"].shape == (samples, 3) and ends[-1] == samples
    fits = fits and len(ends) == len(raw["exp_id"]) + 1 == len(raw["exp_user"]) + 1
    fits = fits and len(windows["start"]) == len(windows["label"]) == len(windows["exp"])
    if not (fits and raw["acc"].dtype == raw["gyro"].dtype == np.int16):
        raise DataError(f"{folder}: the arrays do not fit each other; fetch the files again")


def _run(raw: dict[str, np.ndarray], windows: dict[str, np.ndarray], index: int) -> ActivityRun:
    number = int(raw["exp_id"][index])
    begin, end = (int(e) for e in raw["exp_offset"][index : index + 2])
    labels = np.full(end - begin, NOT_SCORED, np.int8)
    for run, _subject, activity, first, last in raw["segments"][:, :5]:
        if run == number and activity <= len(CLASSES):
            labels[first - begin : last - begin] = activity - 1
    chosen = (windows["exp"] == number) & (windows["label"] <= len(CLASSES))
    return ActivityRun(
        f"run{number:02d}",
        int(raw["exp_user"][index]),
        np.concatenate((raw["acc"][begin:end], raw["gyro"][begin:end]), axis=1),
        labels,
        windows["start"][chosen].astype(np.int64) - begin,
        (windows["label"][chosen] - 1).astype(np.int8),
    )
