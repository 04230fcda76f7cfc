"""What names in other people's files mean: columns, units, classes of names. No file is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lnn_edge.errors import DataError

TIME = ("time", "timestamp", "timestamps", "t", "datetime", "date_time", "elapsed_time", "epoch")
LABEL = ("label", "labels", "activity", "activity_id", "class", "target", "annotation", "event")
SUBJECT = ("subject", "subjects", "subject_id", "user", "user_id", "person", "participant",
           "participant_id", "patient", "patient_id")  # fmt: skip
RECORD = ("record", "record_id", "recording", "session", "session_id", "run", "trial", "exp",
          "experiment", "experiment_id", "sequence", "sequence_name")  # fmt: skip
INDEX = ("sample", "samples", "sample_#", "sample_number", "sample_index", "index", "row", "n", "")
RATE = ("rate", "rate_hz", "fs", "fs_hz", "sfreq", "sampling_rate", "sample_rate", "samplingrate",
        "sampling_frequency", "frequency", "freq", "srate")  # fmt: skip

SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "millis": 1e-3, "milliseconds": 1e-3,
    "us": 1e-6, "usec": 1e-6, "µs": 1e-6, "microseconds": 1e-6,
    "ns": 1e-9, "nanoseconds": 1e-9, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0,
}  # fmt: skip


def _timed(*names: str) -> tuple[str, ...]:
    """Return names, and the same with a unit: "start", "start_s", "start_ms"."""
    return names + tuple(f"{name}_{unit}" for name in names for unit in SECONDS)


FIRST = _timed("first", "start", "onset", "begin", "from", "start_sample", "start_time")
LAST = _timed("last", "end", "stop", "offset", "to", "end_sample", "end_time")

_UNIT = re.compile(r"^(?P<name>.*?)\s*[\[(](?P<unit>[^\])]*)[\])]\s*$")
_MICRO = str.maketrans({"μ": "µ"})  # Greek mu for the micro sign


def plain(name: str) -> str:
    """Return a name in lower case with _ for blanks and dashes, without its unit."""
    return re.sub(r"[\s\-.]+", "_", split_unit(name)[0].strip().strip("'\"").lower())


def split_unit(name: str) -> tuple[str, str]:
    """Take "acc_x (g)" or "I [mV]" apart into name and unit, "" where there is none."""
    found = _UNIT.match(name.strip().strip("'\""))
    if found and found["name"]:
        return found["name"], found["unit"].strip().translate(_MICRO)
    return name.strip().strip("'\""), ""


def seconds_of(name: str, unit: str = "") -> float | None:
    """Return how many seconds one unit of a time column is: "time_ms", "Time (s)"; None: unsaid."""
    told = unit or split_unit(name)[1]
    if told.lower() in SECONDS:
        return SECONDS[told.lower()]
    stem, _, tail = plain(name).rpartition("_")
    return SECONDS.get(tail) if stem else {"seconds": 1.0, "millis": 1e-3, "ms": 1e-3}.get(tail)


def is_time(name: str) -> bool:
    """Whether a column is called like times."""
    word = plain(name)
    stem, _, tail = word.rpartition("_")
    return word in TIME or (stem in TIME and tail in SECONDS) or word in ("seconds", "millis", "ms")


def find(names: Sequence[str], words: Sequence[str]) -> str | None:
    """Return the first name that is one of the words, in the order of the words."""
    by_word = {plain(name): name for name in reversed(names)}
    return next((by_word[word] for word in words if word in by_word), None)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that differ: the second "acc" becomes "acc_2", a nameless one "channel_3"."""
    taken: list[str] = []
    for number, name in enumerate(names, start=1):
        wanted = name.strip() or f"channel_{number}"
        other, again = wanted, 2
        while other in taken:
            other, again = f"{wanted}_{again}", again + 1
        taken.append(other)
    return tuple(taken)


def columns(told: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a user means: "a" one, "a,b" two unless one is called so."""
    if told is None:
        return ()
    return (told,) if told in names else tuple(word.strip() for word in told.split(","))


def together(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return one text a row of the texts of columns, "120 80"; "nan" where one of several is empty.

    None of no columns.
    """
    if len(columns) < 2:
        return columns[0] if columns else None
    if len({len(column) for column in columns}) > 1:
        raise DataError("columns of labels differ in length; give columns with one entry a row")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    joined: np.ndarray = np.array(
        [" ".join(word or "nan" for word in row) if any(row) else "" for row in rows], object
    )
    return joined
