"""PAMAP2: three motion sensors and a heart-rate belt on nine people, 100 Hz.

Protocol/subject101.dat to subject109.dat, and Optional/ of some of them; 54 columns parted by
blanks, without a header, after readme.pdf: time in s, activity, heart rate in 1/min (about 9 Hz,
NaN between), then of hand, chest and ankle each temperature in C, acceleration of +-16 g and of
+-6 g in m/s2, rotation in rad/s, field in uT, and four of orientation, "invalid in this data
collection". Activity 0 is transient and has no label.
https://archive.ics.uci.edu/dataset/231; Reiss and Stricker 2012, ISWC. No split was published:
folds of subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from lnn_edge.data.changes import Changes
from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers.csv_file import TextLayout, read_table
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.readers.table import records_of_table
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError

RATE_HZ = 100.0
ACTIVITIES = {
    1: "lying", 2: "sitting", 3: "standing", 4: "walking", 5: "running", 6: "cycling",
    7: "Nordic walking", 9: "watching TV", 10: "computer work", 11: "car driving",
    12: "ascending stairs", 13: "descending stairs", 16: "vacuum cleaning", 17: "ironing",
    18: "folding laundry", 19: "house cleaning", 20: "playing soccer", 24: "rope jumping",
}  # fmt: skip
_SENSOR = (
    ("temperature", "C"),
    *((f"acc16_{axis}", "m/s2") for axis in "xyz"),
    *((f"acc6_{axis}", "m/s2") for axis in "xyz"),
    *((f"gyro_{axis}", "rad/s") for axis in "xyz"),
    *((f"mag_{axis}", "uT") for axis in "xyz"),
    *((f"orientation_{i}", "") for i in range(4)),
)
_COLUMNS = (
    ("time", "s"),
    ("activity", ""),
    ("heart_rate", "1/min"),
    *((f"{place}_{name}", unit) for place in ("hand", "chest", "ankle") for name, unit in _SENSOR),
)
_PARTS = ("Protocol", "Optional")


def _place(folder: Path) -> Path:
    inner = folder / "PAMAP2_Dataset"
    return inner if inner.is_dir() else folder


def _is_it(folder: Path) -> bool:
    return any((_place(folder) / "Protocol").glob("subject1??.dat"))


def _entries(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    files = [p for part in _PARTS for p in sorted((_place(folder) / part).glob("subject1??.dat"))]
    named = [(f"{p.parent.name}/{p.stem}", p) for p in files]
    return tuple(Entry(name, partial(_read, path, name)) for name, path in named)


def _read(path: Path, name: str) -> Iterator[Record]:
    names, units = zip(*_COLUMNS, strict=True)
    table = read_table(path, TextLayout("utf-8", " ", ".", '"', 0, names, units))
    texts = [c for c in names if table[c].dtype.kind not in "fiu"]
    if texts:
        raise DataError(f"{path}: column {texts[0]} must hold numbers alone; unpack it again")
    if table[names[-1]].isna().all():
        raise DataError(f"{path} has fewer than {len(names)} columns; unpack it again")
    left = [c for c in names if "orientation" in c]
    table = table.drop(columns=left)
    table["activity"] = table["activity"].map(ACTIVITIES).fillna("")
    changes = Changes().also("dropped", "orientation, which is invalid", len(left), "columns", name)
    hints = Hints(time_column="time", label_column="activity")
    kept = tuple(u for c, u in _COLUMNS if c not in left)
    for record in records_of_table(str(path), name, table, kept, hints, changes):
        yield replace(record, subject=path.stem)


PAMAP2 = Layout(
    "PAMAP2",
    "motion sensors on hand, chest and ankle of 9 people, 18 activities at 100 Hz",
    _is_it,
    _entries,
    has_seen_it=False,
    licence="CC BY",
)
