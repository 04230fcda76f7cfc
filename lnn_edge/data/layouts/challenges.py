"""WFDB folders with labels of whole records: CinC 2017 and CPSC-2018 as PhysioNet has it.

CinC 2017: REFERENCE.csv without a header, `record,label`, beside the records;
https://physionet.org/content/challenge-2017/1.0.0/. CPSC-2018: cpsc_2018/g1/A0001.hea and so on,
each with a comment `#Dx:` of SNOMED CT codes; https://physionet.org/content/challenge-2021/1.0.3/;
codes and names after dx_mapping_scored.csv of the Challenge (Perez Alday et al. 2020).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError

_REFERENCE = "REFERENCE.csv"
CINC2017_LABELS = {"N": "normal", "A": "AF", "O": "other", "~": "noise"}
CPSC2018_LABELS = {
    "426783006": "normal",
    "164889003": "AF",
    "270492004": "1dAVb",
    "164909002": "LBBB",
    "59118001": "RBBB",
    "284470004": "PAC",
    "164884008": "PVC",
    "429622005": "STD",
    "164931005": "STE",
}


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
        raise DataError(f"{folder / _REFERENCE} is damaged ({error}); copy it again") from None
    for row in rows:
        if len(row) != 2 or row[1] not in CINC2017_LABELS:
            raise DataError(f"{folder / _REFERENCE} holds {row}; a row must be record,label")
    label_of = dict(rows)
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


def _is_cpsc2018(folder: Path) -> bool:
    place = _cpsc_place(folder)
    return any(place.glob("g?/A????.hea"))


def _cpsc_place(folder: Path) -> Path:
    """Return the folder of g1, g2 ...; it may be named, or be inside training/."""
    places = (folder / "cpsc_2018", folder / "training" / "cpsc_2018")
    return next((p for p in places if p.is_dir()), folder)


def _cpsc2018(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    headers = sorted(_cpsc_place(folder).glob("g?/A????.hea"))
    return tuple(Entry(p.stem, partial(_diagnosed, p, hints)) for p in headers)


def _diagnosed(path: Path, hints: Hints) -> Iterator[Record]:
    """Name the codes of a record; one that is not of the nine classes keeps its number."""
    for record in wfdb_record.read(path, path.stem, hints):
        yield replace(record, labels=tuple(CPSC2018_LABELS.get(c, c) for c in record.labels))


CINC2017 = Layout(
    "CinC 2017",
    "8,528 hand-held ECGs of one lead with four classes",
    _is_cinc2017,
    _cinc2017,
    has_seen_it=True,
    licence="ODC-By",
)
CPSC2018 = Layout(
    "CPSC-2018 of PhysioNet",
    "6,877 12-lead ECGs with nine findings, labels in the headers",
    _is_cpsc2018,
    _cpsc2018,
    has_seen_it=False,
    licence="CC BY",
)
