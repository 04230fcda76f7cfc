"""The MIT-BIH Supraventricular Arrhythmia Database, at the rate of MIT-BIH. No folder is searched.

Source: Greenwald, Patil and Mark 1990, Computers in Cardiology:461-464; doi 10.13026/C2V30W.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lnn_edge.data.annotation_file import BEAT_SYMBOLS
from lnn_edge.data.peaks import at_peaks
from lnn_edge.data.published import DATA_VARIABLE
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.data.resample import resample
from lnn_edge.errors import DataError

NAME = "svdb"
RATE_HZ = 360.0  # of MIT-BIH, whose networks read it
LEADS = ("ECG1", "ECG2")  # which leads they are was not published
NAMES = tuple(str(n) for part in ((800, 813), (820, 830), (840, 895)) for n in range(*part))
SPLITS = ("train", "validation", "all")
FOLD_COUNT = 4


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split, present or not; a record stands for a patient.

    Args:
        split: "train" and "validation" are its two parts in a fold, "all" is both. There is no
            test split: what learns from it must be tested on something else.
        fold: Which of every FOLD_COUNT records are held out.

    Raises:
        DataError: There is no such split or fold.
    """
    if split not in SPLITS or not 0 <= fold < FOLD_COUNT:
        raise DataError(
            f"svdb has no split {split!r} with fold {fold}; take one of {', '.join(SPLITS)} and a "
            f"fold from 0 to {FOLD_COUNT - 1}"
        )
    if split == "all":
        return NAMES
    held_out = split == "validation"
    return tuple(n for i, n in enumerate(NAMES) if (i % FOLD_COUNT == fold) == held_out)


def locate(data_dir: Path | None) -> Path:
    """Find the folder: DIR/svdb, or DIR itself.

    Raises:
        DataError: There is none.
    """
    place = data_dir or os.environ.get(DATA_VARIABLE)
    if not place:
        raise DataError(
            f"no folder given for svdb; give --data-dir or set {DATA_VARIABLE}, or get the records "
            "with `lnn-edge data fetch svdb --data-dir DIR`"
        )
    for folder in (Path(place) / NAME, Path(place)):
        if any((folder / f"{name}.hea").is_file() for name in NAMES):
            return folder
    raise DataError(
        f"{place} holds no record of svdb, nor does {Path(place) / NAME}; get them with "
        f"`lnn-edge data fetch svdb --data-dir {place}`"
    )


def read(folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Read records by name: resampled to RATE_HZ, each beat marked at its peak.

    A header of svdb may give 0 steps per mV, which by header(5) means 200 and no calibration; a
    mark may lie after the last sample, and is left out. Both are counted in `changes`.

    Raises:
        DataError: A record is missing or damaged, or has other leads.
    """
    return tuple(_read(folder, name) for name in names)


def _read(folder: Path, name: str) -> Record:
    if not (folder / f"{name}.hea").is_file():
        raise DataError(f"{folder / name}.hea is missing; copy the record there again")
    (record,) = wfdb_record.read(folder / f"{name}.hea", name, Hints(annotator="atr"))
    leads = tuple(c.name for c in record.channels)
    if leads != LEADS:
        raise DataError(
            f"record {name} must have the leads {', '.join(LEADS)}, not {', '.join(leads)}; take "
            "the published one"
        )
    beats = tuple(m for m in record.marks if m.symbol in BEAT_SYMBOLS.values())
    return at_peaks(resample(replace(record, marks=beats), RATE_HZ))
