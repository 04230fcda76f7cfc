"""Localization Data for Person Activity: four radio tags on five people, at irregular times.

ConfLongDemo_JSI.txt, without a header: sequence, tag, time in 100 ns, date, x, y, z in m, activity:

    A01,010-000-024-033,633790226051280329,27.05.2009 14:03:25:127,4.06,1.89,0.5,walking

Sequences are A01 to E05, five of each of five people. A frame is a row, as ODE-LSTM and CfC read
it: four channels say which tag it is, three where, and the channel dt how long after the row
before, in s. The eleven activities are seven, as in Rubanova et al. 2019, NeurIPS.
https://archive.ics.uci.edu/dataset/196; Kaluza et al. 2010, AmI. No split was published: folds of
subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers.csv_file import TextLayout, read_table
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.readers.spans import spans_of
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FILE = "ConfLongDemo_JSI.txt"
RATE_HZ = 30.0  # rows a second, nearly; dt says the time
MOST_BACK_S = 0.1  # that a row may be late: some are, by 5 ms
TICK_S = 1e-7
TAGS = {
    "010-000-024-033": "ankle_left",
    "010-000-030-096": "ankle_right",
    "020-000-033-111": "chest",
    "020-000-032-221": "belt",
}
CLASS_OF = {
    "walking": "walking",
    "falling": "falling",
    "lying": "lying",
    "lying down": "lying",
    "sitting": "sitting",
    "sitting down": "sitting",
    "standing up from lying": "standing up",
    "standing up from sitting": "standing up",
    "standing up from sitting on the ground": "standing up",
    "on all fours": "on all fours",
    "sitting on the ground": "sitting on the ground",
}
CHANNELS = (
    *(Channel(f"is_{tag}") for tag in TAGS.values()),
    *(Channel(axis, "m") for axis in "xyz"),
    Channel("dt", "s"),
)
_COLUMNS = ("sequence", "tag", "ticks", "date", "x", "y", "z", "activity")
_LAYOUT = TextLayout("utf-8", ",", ".", '"', 0, _COLUMNS, ("",) * len(_COLUMNS))


def _is_it(folder: Path) -> bool:
    return (folder / FILE).is_file()


def _entries(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    return (Entry(FILE, partial(_read, folder / FILE)),)


def _read(path: Path) -> Iterator[Record]:
    table = read_table(path, _LAYOUT)
    for name in ("ticks", "x", "y", "z"):
        if table[name].dtype.kind not in "fi" or table[name].isna().any():
            raise DataError(f"{path}: column {name} must hold numbers alone; copy it again")
    for name, known in (("tag", TAGS), ("activity", CLASS_OF)):
        strange = table.loc[~table[name].isin(known), name]
        if len(strange):
            found = repr(str(strange.iloc[0])[:40])
            raise DataError(
                f"{path}: column {name} holds {found} in row {strange.index[0] + 1}, which the set "
                "does not have; copy it again"
            )
    for sequence, rows in table.groupby("sequence", sort=False):
        yield _sequence(path, str(sequence), rows)


def _sequence(path: Path, name: str, rows: pd.DataFrame) -> Record:
    back = -np.diff(rows["ticks"].to_numpy(np.int64), prepend=rows["ticks"].iloc[0]) * TICK_S
    if back.max() > MOST_BACK_S:
        raise DataError(f"{path}: times of {name} go back by {back.max():g} s; copy it again")
    rows = rows.sort_values("ticks", kind="stable")
    elapsed = np.diff(rows["ticks"].to_numpy(np.int64)) * TICK_S
    first = float(np.median(elapsed)) if elapsed.size else 1 / RATE_HZ
    tags = np.stack([rows["tag"] == tag for tag in TAGS], axis=1)
    samples = np.concatenate(
        (tags, rows[["x", "y", "z"]].to_numpy(), np.r_[first, elapsed][:, None]), axis=1
    )
    _, intervals = spans_of(rows["activity"].map(CLASS_OF).to_numpy())
    changes = Changes().also("assumed", "the time before the first row", 1, "samples", name)
    late = int((back > 0).sum())
    changes = changes.also("assumed", "that rows may be sorted by time", late, "rows", name)
    return Record(name, name[:1], samples, RATE_HZ, CHANNELS, (), intervals, changes=changes)


PERSON_ACTIVITY = Layout(
    "Person Activity",
    "places of four tags on 5 people at irregular times, 7 activities",
    _is_it,
    _entries,
    has_seen_it=False,
    licence="CC BY",
)
