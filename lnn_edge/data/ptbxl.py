"""PTB-XL: 12-lead ECGs of ten seconds, findings per record, the published folds.

Source: Wagner et al. 2020, Sci Data 7:154; https://physionet.org/content/ptb-xl/, CC BY 4.0.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.published import check_split, find_folder, read_columns
from lnn_edge.data.readers.wfdb_record import Signals
from lnn_edge.data.record import Record
from lnn_edge.data.twelve_leads import FINDINGS, GAIN, LEADS, RATE_HZ, ecg
from lnn_edge.data.wfdb_folder import read_signals
from lnn_edge.errors import DataError

NAME = "ptbxl"
TABLE = "ptbxl_database.csv"
FOLD_COUNT = 9
TEST_FOLD = 10
SPLITS = ("develop", "train", "validation", "test", "all")
CODE_OF = {
    "1dAVb": "1AVB",
    "RBBB": "CRBBB",
    "LBBB": "CLBBB",
    "SB": "SBRAD",
    "AF": "AFIB",
    "ST": "STACH",
}
"""Statement of SCP-ECG by finding."""
INCOMPLETE = {"RBBB": "IRBBB", "LBBB": "ILBBB"}
"""An incomplete block is neither the finding nor its absence."""
_COLUMNS = ("ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_hr")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the table."""

    ecg_id: str
    path: str  # without suffix, from the folder on
    patient: str
    strat_fold: int
    codes: str


def names_of(folder: Path, split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split, present or not; no person is in two parts.

    Args:
        folder: Holds TABLE.
        split: "test" is the published fold 10, "develop" the nine others; "train" and
            "validation" are its two parts; "all" is everything.
        fold: 0 to FOLD_COUNT - 1: the published fold 9 - fold is held out, so that fold 0 holds
            out the published validation fold.

    Raises:
        DataError: There is no such split or fold, or the table is missing or damaged.
    """
    check_split(NAME, split, fold, SPLITS, FOLD_COUNT)
    held_out = FOLD_COUNT - fold
    develop = set(range(1, TEST_FOLD))
    members = {
        "develop": develop,
        "train": develop - {held_out},
        "validation": {held_out},
        "test": {TEST_FOLD},
        "all": develop | {TEST_FOLD},
    }[split]
    entries = _read_entries(folder)
    return tuple(name for name, entry in entries.items() if entry.strat_fold in members)


def locate(data_dir: Path | None) -> Path:
    """Find the folder of the records: DIR/ptbxl, or DIR itself; None takes LNN_EDGE_DATA.

    Raises:
        DataError: There is none.
    """
    return find_folder(
        NAME, data_dir, lambda f: (f / TABLE).is_file(), f"{TABLE} and the folder records500"
    )


def list_names(folder: Path) -> tuple[str, ...]:
    """Name the records of the table whose header is in the folder.

    Raises:
        DataError: There is none, or the table is missing or damaged.
    """
    entries = _read_entries(folder)
    names = tuple(n for n, entry in entries.items() if (folder / f"{entry.path}.hea").is_file())
    if not names:
        raise DataError(
            f"{folder} holds {TABLE} and none of its records of 500 Hz; copy the folder records500 "
            "beside it"
        )
    return names


def read(folder: Path, names: Sequence[str]) -> Sequence[Record]:
    """Return records by name, each read from disk when it is reached.

    A finding is present where its statement is given, whatever its likelihood: statements on
    rhythm carry the likelihood 0. Where only the incomplete form of a bundle branch block is
    given, that block is unknown.

    Raises:
        DataError: The table is missing or damaged, or has no such record. When a record is
            reached: it is missing or damaged, or its leads, rate or gain are not those of the
            data set.
    """
    entries = _read_entries(folder)
    for name in names:
        if name not in entries:
            raise DataError(f"{folder / TABLE} has no record {name}; names are such as 00001_hr")
    wanted = {name: entries[name] for name in names}
    return LazyRecords(tuple(names), partial(_read, folder, wanted))


def _read(folder: Path, entries: dict[str, _Entry], name: str) -> Record:
    entry = entries[name]
    findings = _findings(_codes(folder / TABLE, entry))
    stem = folder / entry.path
    frames = _frames(name, read_signals(stem.parent, stem.name))
    return ecg(name, entry.patient, frames, findings)


def _frames(name: str, signals: Signals) -> np.ndarray:
    """Return the samples (N, 12) in the order of LEADS, whose names PTB-XL writes in capitals."""
    found = [lead.casefold() for lead in signals.names]
    wanted = [lead.casefold() for lead in LEADS]
    scales, first = {(c.gain, c.zero) for c in signals.channels}, signals.channels[0]
    is_other = signals.rate_hz != RATE_HZ or scales != {(GAIN, 0.0)}
    if is_other or sorted(found) != sorted(wanted):
        raise DataError(
            f"record {name} must have leads {', '.join(LEADS)} at {RATE_HZ} Hz and "
            f"{GAIN:g} steps per mV with zero at 0, not {', '.join(signals.names)} at "
            f"{signals.rate_hz:g} Hz and {first.gain:g} steps with zero at "
            f"{first.zero:g}: take the records500 as they were published"
        )
    return signals.samples[:, [found.index(lead) for lead in wanted]]


def _findings(codes: set[str]) -> dict[str, bool | None]:
    """Return the findings of the statements of a record."""
    absent = {f: None if INCOMPLETE.get(f) in codes else False for f in FINDINGS}
    return {f: CODE_OF[f] in codes or absent[f] for f in FINDINGS}


def _codes(path: Path, entry: _Entry) -> set[str]:
    """Return the statements of a row, written as a dict of Python with their likelihoods."""
    try:
        codes = ast.literal_eval(entry.codes)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        codes = None
    if not isinstance(codes, dict):
        raise DataError(
            f"{path}: scp_codes of ecg_id {entry.ecg_id} must be such as "
            f"{{'NORM': 100.0}}, not {entry.codes[:80]!r}; copy the table again"
        )
    return set(codes)


def _read_entries(folder: Path) -> dict[str, _Entry]:
    """Read the table: entries by the name of their record."""
    path, entries = folder / TABLE, {}
    for ecg_id, patient_id, codes, strat_fold, filename in read_columns(path, _COLUMNS):
        name = Path(filename).name
        if not name or name in entries:
            raise DataError(
                f"{path}: filename_hr of ecg_id {ecg_id} must be a name of its own, not "
                f"{filename!r}; copy the table again"
            )
        patient = _whole(path, ecg_id, "patient_id", patient_id)
        number = _whole(path, ecg_id, "strat_fold", strat_fold)
        if not 1 <= number <= TEST_FOLD:
            raise DataError(
                f"{path}: strat_fold of ecg_id {ecg_id} must be 1 to {TEST_FOLD}, not "
                f"{number}; copy the table again"
            )
        entries[name] = _Entry(ecg_id, filename, f"{NAME}-{patient}", number, codes)
    return entries


def _whole(path: Path, ecg_id: str, column: str, text: str) -> int:
    """Return a whole number, which the table may write as 15709.0."""
    try:
        return int(text.removesuffix(".0"))
    except ValueError:
        raise DataError(
            f"{path}: {column} of ecg_id {ecg_id} must be a whole number, not {text!r}; "
            "copy the table again"
        ) from None
