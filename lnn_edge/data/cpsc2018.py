"""The China Physiological Signal Challenge 2018: 12-lead ECGs, findings per record, folds.

Source: Liu et al. 2018, J Med Imaging Health Inform 8(7):1368-1373; as WFDB files in the
PhysioNet/CinC Challenge 2020 (Perez Alday et al. 2020, Physiol Meas 41:124003), CC BY 4.0.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from lnn_edge.data.published import check_split, find_folder, told_once
from lnn_edge.data.record import Record
from lnn_edge.data.twelve_leads import FINDINGS, GAIN, LEADS, RATE_HZ, ecg
from lnn_edge.data.wfdb_folder import list_records, read_signals
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, check_file

NAME = "cpsc2018"
FOLD_COUNT = 5
SPLITS = ("develop", "train", "validation", "all")
RECORD_COUNT = 6877
REFERENCE = "REFERENCE.csv"
NUMBER_OF = {"AF": 2, "1dAVb": 3, "LBBB": 4, "RBBB": 5}  # of the challenge's nine labels
_COLUMNS = ("First_label", "Second_label", "Third_label")


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split, present or not.

    The challenge's test set was never published, so there is no split "test": figures are those
    of cross-validation. One record per patient is assumed, as everybody does; no patient ids were
    published.

    Args:
        split: "develop" and "all" are every record; "train" and "validation" two parts in a fold.
        fold: 0 to FOLD_COUNT - 1: records whose number leaves this remainder are held out.

    Raises:
        DataError: There is no such split or fold.
    """
    check_split(NAME, split, fold, SPLITS, FOLD_COUNT)
    numbers = list(range(1, RECORD_COUNT + 1))
    if split in ("train", "validation"):
        numbers = [n for n in numbers if (n % FOLD_COUNT == fold) == (split == "validation")]
    return tuple(f"A{n:04d}" for n in numbers)


def locate(data_dir: Path | None) -> Path:
    """Find the folder of the records: DIR/cpsc2018, or DIR itself; None takes LNN_EDGE_DATA.

    Raises:
        DataError: There is none.
    """
    return find_folder(
        NAME, data_dir, lambda f: (f / REFERENCE).is_file(), f"{REFERENCE} and WFDB records"
    )


def list_names(folder: Path) -> tuple[str, ...]:
    """Name the records in a folder.

    Raises:
        DataError: There is none.
    """
    return list_records(folder)


def read(folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Read records by name.

    Raises:
        DataError: A record or its label is missing or damaged, or its leads, rate or gain are not
            those of the data set.
    """
    labels = _read_labels(folder / REFERENCE)
    return tuple(_read(folder, name, labels) for name in names)


def _read(folder: Path, name: str, labels: dict[str, set[int]]) -> Record:
    if name not in labels:
        raise DataError(f"{folder / REFERENCE} has no label of record {name}; copy it again")
    signals = read_signals(folder, name)
    scales = {(c.gain, c.zero) for c in signals.channels}
    if (signals.names, signals.rate_hz, scales) != (LEADS, float(RATE_HZ), {(GAIN, 0.0)}):
        raise DataError(
            f"record {name} must have leads {', '.join(LEADS)} at {RATE_HZ} Hz and "
            f"{GAIN:g} steps per mV with zero at 0, not {', '.join(signals.names)} at "
            f"{signals.rate_hz:g} Hz and {signals.channels[0].gain:g} steps"
        )
    return ecg(name, name, signals.samples, _findings(labels[name]))


def _findings(numbers: set[int]) -> dict[str, bool | None]:
    """Return the findings; bradycardia and tachycardia were not looked for."""
    return {f: NUMBER_OF[f] in numbers if f in NUMBER_OF else None for f in FINDINGS}


def _read_labels(path: Path) -> dict[str, set[int]]:
    try:
        check_file(path, LARGEST_ARRAYS)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = ((r["Recording"], {int(r[c]) for c in _COLUMNS if r[c]}) for r in rows)
        return told_once(path, numbers)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} is missing or damaged ({error}); copy it again: its columns are Recording, "
            f"{', '.join(_COLUMNS)}"
        ) from None
