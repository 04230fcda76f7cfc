"""The two published forms of UCI HAR: windows as text (Inertial Signals) and HAPT's RawData.

Layout and units after the README.txt of each: "Human Activity Recognition Using Smartphones
Dataset, Version 1.0" (train/Inertial Signals/total_acc_x_train.txt, in g, 128 values a row;
body_gyro_x_train.txt, in rad/s; train/y_train.txt, train/subject_train.txt) and "Smartphone-Based
Recognition of Human Activities and Postural Transitions, Version 2.1"
(RawData/acc_expXX_userYY.txt, gyro_expXX_userYY.txt, 50 Hz; RawData/labels.txt: experiment, user,
activity, start, end point, rows counted from 1). https://archive.ics.uci.edu/dataset/240 and 341.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Channel, Interval, Record
from lnn_edge.data.uci_har import TEST_SUBJECTS
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, check_file, read_whole
from lnn_edge.files.reason import reason_of

RATE_HZ = 50.0
_WINDOW = 128
_HALF = 64
_PARTS = ("train", "test")
_SIGNALS = (
    "total_acc_x",
    "total_acc_y",
    "total_acc_z",
    "body_gyro_x",
    "body_gyro_y",
    "body_gyro_z",
)
_NAMES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
_CHANNELS = tuple(
    Channel(name, "g" if name.startswith("acc") else "rad/s") for name in _NAMES
)  # gravity included
_ACC_FILE = re.compile(r"acc_exp(\d+)_user(\d+)\.txt$")


def _numbers(path: Path, columns: int | None = None) -> np.ndarray:
    """Read a text of numbers, (rows, columns) float64."""
    try:
        check_file(path, LARGEST_ARRAYS)
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise DataError(f"{path} is missing or damaged ({reason}); unpack it again") from None
    if columns is not None and table.shape[1] != columns:
        raise DataError(
            f"{path} has {table.shape[1]} columns and must have {columns}; unpack it again"
        )
    return table


def _counts(path: Path, columns: int) -> np.ndarray:
    """Read a text of whole numbers, (rows, columns) int64."""
    table = _numbers(path, columns)
    if not ((table == np.rint(table)) & (np.abs(table) < 1 << 31)).all():
        raise DataError(f"{path} must hold whole numbers only; unpack it again")
    return table.astype(np.int64)


def read_names(folder: Path) -> dict[int, str]:
    """Read activity_labels.txt: a number and a name a line."""
    path = folder / "activity_labels.txt"
    try:
        lines = read_whole(path).decode("utf-8").splitlines()
        rows = [line.split() for line in lines if line.strip()]
        return {int(number): name for number, name in rows}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is missing or damaged ({reason_of(error)}); unpack it again"
        ) from None


def _has_windows(folder: Path) -> bool:
    return all((folder / p / "Inertial Signals").is_dir() for p in _PARTS)


def _windows(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    return tuple(Entry(part, partial(_read_windows, folder, part)) for part in _PARTS)


def _read_windows(folder: Path, part: str) -> Iterator[Record]:
    """Yield runs: windows of a subject that share their halves, joined."""
    names = read_names(folder)
    place = folder / part
    signals = [_numbers(place / "Inertial Signals" / f"{s}_{part}.txt", _WINDOW) for s in _SIGNALS]
    labels = _counts(place / f"y_{part}.txt", 1)[:, 0]
    subjects = _counts(place / f"subject_{part}.txt", 1)[:, 0]
    counts = {len(s) for s in (*signals, labels, subjects)}
    if len(counts) != 1:
        raise DataError(f"{place}: its files have {sorted(counts)} rows; unpack them again")
    unknown = sorted(set(labels.tolist()) - set(names))
    if unknown:
        raise DataError(f"{place}/y_{part}.txt has the label {unknown[0]}, which has no name")
    whole = np.stack(signals, axis=2)
    joins = (whole[1:, :_HALF] == whole[:-1, _HALF:]).all(axis=(1, 2))
    joins &= subjects[1:] == subjects[:-1]
    starts = [0, *(np.flatnonzero(~joins) + 1).tolist(), len(whole)]
    for number, (first, after) in enumerate(pairwise(starts), start=1):
        run = whole[first:after]
        samples = np.concatenate([run[0], *(window[_HALF:] for window in run[1:])])
        subject = f"subject{subjects[first]:02d}"
        intervals = tuple(
            Interval(_HALF * i, _HALF * i + _WINDOW - 1, names[label])
            for i, label in enumerate(labels[first:after].tolist())
        )
        name = f"{part}/{subject}/run{number:04d}"
        yield Record(name, subject, samples, RATE_HZ, _CHANNELS, (), intervals, part=part)


def _has_raw(folder: Path) -> bool:
    return (folder / "RawData" / "labels.txt").is_file()


def _raw(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    files = sorted((folder / "RawData").glob("acc_exp*_user*.txt"))
    return tuple(
        Entry(f"exp{found[1]}", partial(_read_raw, folder, path, found[1], found[2]))
        for path in files
        if (found := _ACC_FILE.match(path.name))
    )


def _read_raw(folder: Path, path: Path, experiment: str, user: str) -> Iterator[Record]:
    names = read_names(folder)
    acc = _numbers(path, 3)
    gyro = _numbers(path.with_name(path.name.replace("acc_", "gyro_")), 3)
    if len(acc) != len(gyro):
        raise DataError(
            f"{path} has {len(acc)} rows and its gyro file {len(gyro)}; unpack them again"
        )
    table = _counts(folder / "RawData" / "labels.txt", 5)
    mine = table[table[:, 0] == int(experiment)]
    if mine.size and not set(mine[:, 2].tolist()) <= set(names):
        raise DataError(
            f"{folder}/RawData/labels.txt has activities without a name; unpack it again"
        )
    intervals = [Interval(int(a) - 1, int(b) - 1, names[int(n)]) for _, _, n, a, b in mine]
    yield Record(
        f"exp{experiment}",
        f"subject{user}",
        np.concatenate([acc, gyro], axis=1),
        RATE_HZ,
        _CHANNELS,
        (),
        tuple(sorted(intervals)),
        part="test" if int(user) in TEST_SUBJECTS else "train",
    )


WINDOWS = Layout(
    "UCI HAR, Inertial Signals",
    "a phone at the waist of 30 persons, windows of 128 samples as text; joined where they overlap",
    _has_windows,
    _windows,
    has_seen_it=False,
    licence="no commercial use",
)
RAW = Layout(
    "HAPT, RawData",
    "the same phone and persons, whole runs as text, 12 activities",
    _has_raw,
    _raw,
    has_seen_it=False,
    licence="no commercial use",
)
