"""Telehealth Network of Minas Gerais: 12-lead ECGs in HDF5, findings per record, split by patient.

Two layouts are read. CODE-15 %, the public part: exams.csv and exams_part*.hdf5, each with
`exam_id` (n,) and `tracings` (n, 4096, 12). And one .hdf5 with `tracings` (N, 4096, 12) beside one
table of N rows in its order, without ids, as the test set of the same authors has it (its
annotations/gold_standard.csv, copied beside ecg_tracings.hdf5): there each record counts as a
patient of its own. Signals are at 400 Hz; those shorter than 4096 samples have zeros on both sides,
which are kept.

The unit of the values is disputed. Their authors say "at the scale 1e-4V: so if the signal is in V
it should be multiplied by 1000", which contradicts itself; that multiplier, and their answer that
signals should be scaled as millivolts (github.com/antonior92/automatic-ecg-diagnosis, issues 3 and
10), mean millivolts, and so they are read here. Users found CODE-15 % about twice as large as other
ECGs in millivolts (github.com/antonior92/ecg-age-prediction, issue 5).

Source: Ribeiro et al. 2020, Nat Commun 11:1760; CODE-15 %: https://zenodo.org/records/4916206.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.published import check_split, find_folder, read_columns, read_header
from lnn_edge.data.readers import hdf5_file
from lnn_edge.data.readers.apart import Groups, read_apart
from lnn_edge.data.record import Record
from lnn_edge.data.twelve_leads import FINDINGS, GAIN, LEADS, RATE_HZ, ecg
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.reason import reason_of

NAME = "tnmg"
TABLE = "exams.csv"
FOLD_COUNT = 5
SPLITS = ("develop", "train", "validation", "test", "all")
SOURCE_RATE_HZ = 400
SOURCE_LENGTH = 4096
LENGTH = SOURCE_LENGTH * RATE_HZ // SOURCE_RATE_HZ  # 5120
_TEST_REMAINDER = 4  # of 5: a fifth of the patients
_SHAPE = (SOURCE_LENGTH, len(LEADS))
DAMAGE = hdf5_file.DAMAGE  # for apart.py
_AT_ONCE = 64  # rows, 13 MB; a process takes longer to start than to read them
_TRUTH = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}


@dataclass(frozen=True, slots=True)
class _Exam:
    """A row of the table.

    Attributes:
        patient: Id of the patient.
        file: Name of the HDF5 file.
        row: Of `tracings`; None where the file's `exam_id` tells.
        findings: Over FINDINGS.
    """

    patient: str
    file: str
    row: int | None
    findings: tuple[int, ...]


def names_of(folder: Path, split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split, present or not; no person is in two parts.

    No split was published. A patient's place follows from the CRC-32 of the id, so it stays the
    same whatever part of the data is present.

    Args:
        folder: Holds the table.
        split: "test" are patients whose CRC leaves the remainder 4 by 5, "develop" the others;
            "train" and "validation" are its two parts in a fold; "all" is everything.
        fold: 0 to FOLD_COUNT - 1: patients whose CRC // 5 leaves this remainder are held out.

    Raises:
        DataError: There is no such split or fold, or the table is missing or damaged.
    """
    check_split(NAME, split, fold, SPLITS, FOLD_COUNT)
    exams = _read_exams(folder)
    return tuple(name for name, exam in exams.items() if _is_in(split, fold, exam.patient))


def _is_in(split: str, fold: int, patient: str) -> bool:
    group, remainder = divmod(zlib.crc32(patient.encode()), 5)
    is_test = remainder == _TEST_REMAINDER
    if split in ("test", "all"):
        return is_test or split == "all"
    if split == "develop":
        return not is_test
    return not is_test and (group % FOLD_COUNT == fold) == (split == "validation")


def locate(data_dir: Path | None) -> Path:
    """Find the folder of the records: DIR/tnmg, or DIR itself; None takes LNN_EDGE_DATA.

    Raises:
        DataError: There is none.
    """
    return find_folder(NAME, data_dir, _is_it, f"{TABLE}, or one .hdf5 file with its .csv table")


def _is_it(folder: Path) -> bool:
    return (folder / TABLE).is_file() or any(folder.glob("*.hdf5"))


def list_names(folder: Path) -> tuple[str, ...]:
    """Name the records of the table whose HDF5 file is in the folder.

    Raises:
        DataError: There is none, or the table is missing or damaged.
    """
    exams = _read_exams(folder)
    at_hand = {path.name for path in folder.glob("*.hdf5")}
    names = tuple(name for name, exam in exams.items() if exam.file in at_hand)
    if not names:
        wanted = sorted({exam.file for exam in exams.values()})
        raise DataError(
            f"{folder} holds a table and none of its files {', '.join(wanted[:3])}"
            f"{' ...' if len(wanted) > 3 else ''}; unpack them beside it"
        )
    return names


def read(folder: Path, names: Sequence[str]) -> Sequence[Record]:
    """Return records by name, each read from disk when it is reached, and only its row.

    Raises:
        DataError: The table is missing or damaged, or has no such record. When a record is
            reached: its file is missing or damaged, or does not hold it as published.
        MissingToolError: h5py is not installed.
    """
    _import_h5py()
    exams = _read_exams(folder)
    for name in names:
        if name not in exams:
            raise DataError(f"the table in {folder} has no record {name}; see `lnn-edge data info`")
    count = None if (folder / TABLE).is_file() else len(exams)
    wanted = {name: exams[name] for name in names}
    return LazyRecords(tuple(names), _Tracings(folder, wanted, count).record)


def to_frames(millivolts: np.ndarray) -> np.ndarray:
    """Bring a tracing into the contract of the models.

    Resampled by FFT from 400 to 500 Hz, as by Huang et al. 2024; what does not fit 16 bit is
    clipped to its ends, at 32.8 mV.

    Args:
        millivolts: (4096, 12).

    Returns:
        (5120, 12) int16, 1000 steps per mV.
    """
    from scipy import signal  # takes half a second, which other data sets need not pay

    steps = np.rint(GAIN * signal.resample(millivolts.astype(np.float64), LENGTH, axis=0))
    limits = np.iinfo(np.int16)
    frames: np.ndarray = steps.clip(limits.min, limits.max).astype(np.int16)
    return frames


class _Tracings:
    """Rows of the HDF5 files, read apart: many at once where one follows another.

    Args:
        folder: Holds the files.
        exams: By the name of their record.
        count: How many exams the only file must hold, if that is known.
    """

    def __init__(self, folder: Path, exams: dict[str, _Exam], count: int | None) -> None:
        self._folder, self._exams, self._count = folder, exams, count
        self._names = tuple(exams)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._next = 0  # place of the record after the one that was read last
        self._ahead: dict[str, np.ndarray] = {}

    def record(self, name: str) -> Record:
        """Return the record of an exam."""
        exam = self._exams[name]
        path = self._folder / exam.file
        millivolts = self._tracing(path, name)
        if not np.isfinite(millivolts).all():
            raise DataError(f"{path}: record {name} has values that are no number; leave it out")
        findings = {f: bool(there) for f, there in zip(FINDINGS, exam.findings, strict=True)}
        return ecg(name, f"{NAME}-{exam.patient}", to_frames(millivolts), findings)

    def _tracing(self, path: Path, name: str) -> np.ndarray:
        place = self._places[name]
        if name not in self._ahead:
            last = place + (_AT_ONCE if place in (0, self._next) else 1)
            names = [n for n in self._names[place:last] if self._exams[n].file == path.name]
            try:
                self._ahead = self._rows(path, names)
            except DataError:  # perhaps of another one of them
                self._ahead = self._rows(path, [name])
        self._next = place + 1
        return self._ahead.pop(name)

    def _rows(self, path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
        rows = {name: self._exams[name].row for name in names}
        try:
            return read_apart(__name__, path, json.dumps([self._count, rows]))["tracings"]
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is missing or damaged ({reason_of(error)}); copy it again"
            ) from None


def groups_of(path: Path, wanted: str) -> Groups:
    """Return rows of `tracings`, (4096, 12) each, by the name of their record; see apart.py.

    Args:
        path: The HDF5 file.
        wanted: JSON of how many rows there must be, and of the row of each record, each if known.

    Raises:
        DataError: It does not hold them as published.
        Exception: One of DAMAGE. The library may also never return, or crash.
    """
    count, rows = json.loads(wanted)
    with _import_h5py().File(path, "r") as file:
        tracings = file["tracings"]
        fits = len(tracings.shape) == 3 and tracings.shape[1:] == _SHAPE
        if not fits or count not in (None, len(tracings)):
            raise DataError(
                f"{path}: tracings must be ({count or 'n'}, {SOURCE_LENGTH}, "
                f"{len(LEADS)}), a row per exam of the table, not {tracings.shape}; "
                "take file and table of the same data set"
            )
        ids = file["exam_id"][:] if None in rows.values() else np.zeros(0)
        return {
            "tracings": {
                name: np.asarray(tracings[_row_of(path, name, ids) if row is None else row])
                for name, row in rows.items()
            }
        }


def _row_of(path: Path, name: str, exam_ids: np.ndarray) -> int:
    """Find an exam among the ids of a file, of which some, of empty rows, are in no table."""
    rows = np.flatnonzero(exam_ids == int(name))
    if len(rows) != 1:
        raise DataError(
            f"{path} must hold exam {name} once, not {len(rows)} times; take file and "
            f"{TABLE} of the same data set"
        )
    return int(rows[0])


def _read_exams(folder: Path) -> dict[str, _Exam]:
    """Read the table of either layout: exams by the name of their record."""
    if (folder / TABLE).is_file():
        return _read_listed(folder / TABLE)
    return _read_ordered(folder)


def _read_listed(path: Path) -> dict[str, _Exam]:
    """Read exams.csv, which tells id, patient and file of each exam."""
    exams: dict[str, _Exam] = {}
    columns = ("exam_id", "patient_id", "trace_file", *FINDINGS)
    for exam_id, patient, file, *truths in read_columns(path, columns):
        if not (exam_id.isdecimal() and patient and file) or exam_id in exams:
            raise DataError(
                f"{path}: exam_id {exam_id!r} of patient_id {patient!r} in trace_file "
                f"must be a number listed once, a patient and a file, not {file!r}; copy "
                "the table again"
            )
        exams[exam_id] = _Exam(patient, file, None, _findings(path, exam_id, truths))
    return exams


def _read_ordered(folder: Path) -> dict[str, _Exam]:
    """Read a table whose rows are in the order of the tracings of the only HDF5 file."""
    files = sorted(folder.glob("*.hdf5"))
    tables = [t for t in sorted(folder.glob("*.csv")) if set(FINDINGS) <= set(read_header(t))]
    if len(files) != 1 or len(tables) != 1:
        raise DataError(
            f"{folder} holds {len(files)} .hdf5 files and {len(tables)} .csv tables with the "
            f"columns {', '.join(FINDINGS)}; it must hold one of each, or {TABLE} of CODE-15 %: "
            "copy the missing one there and take others away"
        )
    exams = {}
    for row, truths in enumerate(read_columns(tables[0], FINDINGS)):
        name = f"row{row:06d}"
        exams[name] = _Exam(name, files[0].name, row, _findings(tables[0], name, truths))
    return exams


def _findings(path: Path, name: str, truths: Sequence[str]) -> tuple[int, ...]:
    for finding, truth in zip(FINDINGS, truths, strict=True):
        if truth.lower() not in _TRUTH:
            raise DataError(
                f"{path}: {finding} of {name} must be True or False, 1 or 0, not "
                f"{truth!r}; copy the table again"
            )
    return tuple(_TRUTH[truth.lower()] for truth in truths)


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            f"the data set {NAME} needs h5py; install it with `pip install lnn-edge[{NAME}]`"
        ) from None
    return h5py
