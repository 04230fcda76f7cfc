"""Opportunity: body-worn sensors of four people through a morning, 30 Hz.

dataset/S1-ADL1.dat to S4-ADL5.dat and S1-Drill.dat ...: 250 columns parted by blanks, without a
header. dataset/column_names.txt says what they are, a line each, such as

    Column: 2 Accelerometer RKN^ accX; value = round(original_value), unit = milli g

and dataset/label_legend.txt what the labels of columns 244 to 250 mean, such as
`1   -   Locomotion   -   Stand`; 0 stands for none.
https://archive.ics.uci.edu/dataset/226; Roggen et al. 2010, INSS. The 113 columns
on the body are those of the Opportunity challenge (Chavarriaga et al. 2013, Pattern Recogn Lett
34:2033-2042). Its split has the same people on both sides (runs
ADL4 and ADL5 of S2 and S3 are its test), so no part is told: folds of subjects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge.data.changes import Changes
from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers import words
from lnn_edge.data.readers.csv_file import TextLayout, read_table
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.readers.table import records_of_table
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import read_whole

if TYPE_CHECKING:
    import pandas as pd

RATE_HZ = 30.0
COLUMNS = 250
TRACKS = range(244, 251)  # columns of labels, counted from 1
ON_BODY = (*range(2, 47), *range(51, 60), *range(64, 73), *range(77, 86), *range(90, 99),
           *range(103, 135))  # fmt: skip
_DEFAULT = "Locomotion"
_COLUMN = re.compile(r"Column:\s*(\d+)\s+([^;]+)(?:;.*?unit\s*=\s*([^;,]+))?")
_LABEL = re.compile(r"(\d+)\s+-\s+(\S+)\s+-\s+(.+)")
MOST_BACK_MS = 1000  # from one row to the next
_UNITS = {"milli g": "mg", "unknown": ""}


def _place(folder: Path) -> Path:
    places = (folder / "dataset", folder / "OpportunityUCIDataset" / "dataset")
    return next((p for p in places if p.is_dir()), folder)


def _is_it(folder: Path) -> bool:
    place = _place(folder)
    return (place / "column_names.txt").is_file() and any(place.glob("S?-*.dat"))


def _entries(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    place = _place(folder)
    columns, legend = _columns(place / "column_names.txt"), _legend(place / "label_legend.txt")
    tracks = {columns[number][0]: number for number in TRACKS}
    track = hints.label_column or _DEFAULT
    if track not in tracks:
        raise DataError(f"{folder} has no labels {track!r}; it has {', '.join(tracks)}")
    return tuple(
        Entry(path.stem, partial(_read, path, columns, track, legend.get(track, {})))
        for path in sorted(place.glob("S?-*.dat"))
    )


def _lines(path: Path) -> list[str]:
    try:
        return read_whole(path).decode("latin-1").splitlines()
    except OSError as error:
        raise DataError(f"{path} is missing ({error.strerror}); unpack it again") from None


def _columns(path: Path) -> dict[int, tuple[str, str]]:
    """Return name and unit of each column, counted from 1."""
    rows = [found for line in _lines(path) if (found := _COLUMN.match(line.strip()))]
    told = {int(r[1]): (r[2].strip(), (r[3] or "").strip()) for r in rows}
    if set(told) != set(range(1, COLUMNS + 1)):
        raise DataError(f"{path} names {len(told)} columns, not {COLUMNS}; unpack it again")
    names = words.unique([told[i][0] for i in sorted(told)])
    return {i: (n, _UNITS.get(told[i][1], told[i][1])) for i, n in enumerate(names, start=1)}


def _legend(path: Path) -> dict[str, dict[int, str]]:
    """Return the name of each label, by track."""
    legend: dict[str, dict[int, str]] = {}
    for line in _lines(path):
        if found := _LABEL.match(line.strip()):
            legend.setdefault(found[2], {})[int(found[1])] = found[3].strip()
    return legend


def _read(
    path: Path, columns: dict[int, tuple[str, str]], track: str, legend: dict[int, str]
) -> Iterator[Record]:
    names, units = zip(*columns.values(), strict=True)
    table = read_table(path, TextLayout("utf-8", " ", ".", '"', 0, names, units))
    kept = [columns[i] for i in ON_BODY]
    _refuse_joined(path, table[names[0]])
    table = table[[*(name for name, _ in kept), track]]
    texts = [c for c in table.columns if table[c].dtype.kind not in "fiu"]
    if texts or table[track].isna().any():
        column = texts[0] if texts else track
        raise DataError(f"{path}: column {column} does not hold numbers alone; unpack it again")
    strange = set(table[track]) - {0, *legend}
    if strange:
        raise DataError(
            f"{path}: column {track} holds {min(strange):g}, which label_legend.txt does not name; "
            "unpack both again"
        )
    table = table.assign(**{track: table[track].map(legend).fillna("")})
    left = COLUMNS - len(kept) - 1
    changes = Changes().also("dropped", "columns off the body", left, "columns", path.stem)
    hints = Hints(rate_hz=RATE_HZ, label_column=track)
    units = (*(unit for _, unit in kept), "")
    for record in records_of_table(str(path), path.stem, table, units, hints, changes):
        yield replace(record, subject=path.stem.split("-")[0])


def _refuse_joined(path: Path, times: pd.Series) -> None:
    """Refuse rows of two recordings, or out of order: their times go back."""
    back = -times.diff().min() if times.dtype.kind in "fi" else 0.0
    if back > MOST_BACK_MS or times.iloc[-1] < times.iloc[0]:
        raise DataError(f"{path}: its times go back by {back:g} ms; unpack it again")


OPPORTUNITY = Layout(
    "Opportunity",
    "113 channels of body-worn sensors of 4 people, locomotion and gestures at 30 Hz",
    _is_it,
    _entries,
    has_seen_it=False,
    licence="CC BY",
)
