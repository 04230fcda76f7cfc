"""CinC 2017: single-lead ECGs with a label each, as PhysioNet distributes them.

REFERENCE.csv without a header, `record,label`, beside the records;
https://physionet.org/content/challenge-2017/1.0.0/.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.published import told_once
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.reason import reason_of

_REFERENCE = "REFERENCE.csv"
CINC2017_LABELS = {"N": "normal", "A": "AF", "O": "other", "~": "noise"}


def _is_cinc2017(folder: Path) -> bool:
    if not (folder / _REFERENCE).is_file() or not any(folder.glob("A?????.hea")):
        return False
    try:
        with (folder / _REFERENCE).open(encoding="utf-8") as file:
            first = file.readline().strip().split(",")
    except (OSError, UnicodeDecodeError):
        return False
    return len(first) == 2 and first[1] in CINC2017_LABELS


def _cinc2017(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    try:
        with (folder / _REFERENCE).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{folder / _REFERENCE} is damaged ({reason_of(error)}); copy it again"
        ) from None
    for row in rows:
        if len(row) != 2 or row[1] not in CINC2017_LABELS:
            raise DataError(f"{folder / _REFERENCE} holds {row}; a row must be record,label")
    label_of = told_once(folder / _REFERENCE, ((name, label) for name, label in rows))
    headers = sorted(folder.glob("A?????.hea"))
    absent = [p.stem for p in headers if p.stem not in label_of]
    if absent:
        raise DataError(f"{folder / _REFERENCE} has no label of {absent[0]}; copy it again")
    return tuple(
        Entry(p.stem, partial(_labelled, p, hints, CINC2017_LABELS[label_of[p.stem]]))
        for p in headers
    )


def _labelled(path: Path, hints: Hints, label: str) -> Iterator[Record]:
    for record in wfdb_record.read(path, path.stem, hints):
        yield replace(record, labels=(label,))


CINC2017 = Layout(
    "CinC 2017",
    "8,528 hand-held ECGs of one lead with four classes",
    _is_cinc2017,
    _cinc2017,
    has_seen_it=True,
    licence="ODC-By",
)
