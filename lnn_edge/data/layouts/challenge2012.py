"""PhysioNet/CinC Challenge 2012: 48 hours of intensive care, at irregular times.

set-a/132539.txt, a stay each: `Time,Parameter,Value` with times of hh:mm since admission,

    00:00,RecordID,132539
    00:00,Age,54
    00:07,HR,73

and Outcomes-a.txt: RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death; the same of sets
b and c. https://physionet.org/content/challenge-2012/1.0.0/; Silva et al. 2012, Computing in
Cardiology 39:245-248. A frame is a minute at which anything was measured: the last value of
each of 41 parameters (0 before the first; -1 is unknown), of each whether it was measured then,
and the channel dt, hours since the frame before. Set a was the Challenge's to learn from, b and c
its tests; their outcomes were published later, so parts are told: train and test.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.published import read_columns, told_once
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError

STATIC = ("Age", "Gender", "Height", "ICUType", "Weight")
SERIES = (
    "Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP",
    "FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "Mg", "MAP", "MechVent", "Na",
    "NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "pH", "Platelets", "RespRate", "SaO2",
    "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC",
)  # fmt: skip
PARAMETERS = (*STATIC, *SERIES)
OUTCOMES = {"0": "survived", "1": "died"}
RATE_HZ = 1 / 60  # a frame a minute at the most; dt says the time
CHANNELS = (
    *(Channel(name) for name in PARAMETERS),
    *(Channel(f"{name}_measured") for name in PARAMETERS),
    Channel("dt", "h"),
)
MOST_ROWS = 100_000
_PARTS = {"a": "train", "b": "test", "c": "test"}
_OUTCOME = ("RecordID", "In-hospital_death")
_HEADER = ("Time", "Parameter", "Value")


def _is_it(folder: Path) -> bool:
    return (folder / "Outcomes-a.txt").is_file() and (folder / "set-a").is_dir()


def _entries(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    made: list[Entry] = []
    for letter, part in _PARTS.items():
        table, place = folder / f"Outcomes-{letter}.txt", folder / f"set-{letter}"
        if not (table.is_file() and place.is_dir()):
            continue
        died = told_once(table, ((s, d) for s, d in read_columns(table, _OUTCOME)))
        for path in sorted(place.glob("*.txt")):
            outcome = OUTCOMES.get(died.get(path.stem, ""))
            if outcome is None:
                raise DataError(f"{table} tells no outcome of {path.stem}; copy it again")
            made.append(Entry(path.stem, partial(_read, path, outcome, part)))
    return tuple(made)


def _read(path: Path, outcome: str, part: str) -> Iterator[Record]:
    index = {name: i for i, name in enumerate(PARAMETERS)}
    rows: list[tuple[int, int, float]] = []
    for time, parameter, value in read_columns(path, _HEADER):
        if parameter in ("RecordID", ""):
            continue
        minute, number = _minute(time), _number(value)
        if len(rows) == MOST_ROWS:
            raise DataError(f"{path} holds over {MOST_ROWS:,} measurements; copy it again")
        if parameter not in index or minute is None or number is None:
            row = f"{time},{parameter},{value}"[:60]
            raise DataError(f"{path} holds {row!r}, which is not a measurement; copy it again")
        if number != -1:
            rows.append((minute, index[parameter], number))
    if not rows:
        raise DataError(f"{path} holds no measurement; leave it out")
    minutes = np.unique([minute for minute, _, _ in rows])
    count = len(PARAMETERS)
    measured = np.zeros((len(minutes), count))
    values = np.full((len(minutes), count), np.nan)
    for minute, column, number in sorted(rows, key=lambda row: row[0]):
        place = np.searchsorted(minutes, minute)
        values[place, column], measured[place, column] = number, 1
    hours = np.diff(minutes, prepend=minutes[0]) / 60
    samples = np.concatenate((_held(values), measured, hours[:, None]), axis=1)
    yield Record(path.stem, path.stem, samples, RATE_HZ, CHANNELS, labels=(outcome,), part=part)


def _minute(text: str) -> int | None:
    """Return minutes of hh:mm."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes) if _digits(hours) and _digits(minutes) else None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _held(values: np.ndarray) -> np.ndarray:
    """Return each value until the next of its column; 0 before the first."""
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    held = np.take_along_axis(values, last.clip(min=0), axis=0)
    return np.where(last < 0, 0.0, held)


CHALLENGE2012 = Layout(
    "Challenge 2012",
    "12,000 stays of 48 hours in intensive care, 41 parameters at irregular times, deaths",
    _is_it,
    _entries,
    has_seen_it=False,
    licence="ODC-By",
)
