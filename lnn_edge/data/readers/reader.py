"""The one interface of all readers of files, and what a user may tell them. No format here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from lnn_edge.data.record import Record
from lnn_edge.errors import DataError

MOST_BYTES = 4 << 30  # of one file
MOST_RECORDS = 10_000  # in one file


@dataclass(frozen=True)
class Hints:
    """What a user says about files that do not tell it themselves; None looks in the file.

    Attributes:
        rate_hz: Samples per second, of files without a time column or a rate.
        time_column: Name of the column of times.
        label_column: Name of the column of labels.
        subject_column: Name of the column that tells who.
        record_column: Name of the column that tells which recording.
        annotator: Suffix of the annotation file of WFDB records.
        intervals: A second file: first, last and label of each interval.
    """

    rate_hz: float | None = None
    time_column: str | None = None
    label_column: str | None = None
    subject_column: str | None = None
    record_column: str | None = None
    annotator: str | None = None
    intervals: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a rate that is none."""
        if self.rate_hz is not None and not 0 < self.rate_hz < math.inf:
            raise DataError(f"the rate is {self.rate_hz:g} Hz; give a number above 0")


class HintOptions(TypedDict, total=False):
    """Hints as arguments of functions; see Hints."""

    rate_hz: float | None
    time_column: str | None
    label_column: str | None
    subject_column: str | None
    record_column: str | None
    annotator: str | None
    intervals: str | Path | None


@dataclass(frozen=True)
class Reader:
    """A reader of one file format.

    Attributes:
        name: Of the format.
        suffixes: Of its files, in lower case, with the dot.
        read: Yields the records of a file, lazily, given its path, the name that its records get,
            and hints. Raises DataError, in one sentence, on anything that is not as it must be.
        extra: What `pip install lnn-edge[...]` brings its library; "" where it is always there.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, str, Hints], Iterator[Record]]
    extra: str = ""


@dataclass(frozen=True)
class Entry:
    """A file, or a part of a data set, that yields records when they are asked for.

    Attributes:
        name: Of its record; several have names that begin with it.
        read: Yields them.
    """

    name: str
    read: Callable[[], Iterator[Record]]
