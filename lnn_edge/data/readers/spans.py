"""Labels of rows to intervals or marks, and a second file of intervals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.readers.words import FIRST, LABEL, LAST, RECORD, find, plain, seconds_of
from lnn_edge.data.record import Interval, Mark
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, check_file
from lnn_edge.files.reason import reason_of

_NOTHING = {"", "nan", "none", "null", "na", "n/a", "<na>"}
MOST_PLACES = 400_000  # of a record: beats of three days
_SPARSE = 0.2  # of the rows: labels on fewer, one row each, are marks


def label_text(value: object) -> str:
    """Return a label as text: "walking", 3 for 3.0, "" where there is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return "" if text.lower() in _NOTHING else text


def spans_of(labels: Sequence[str] | np.ndarray) -> tuple[tuple[Mark, ...], tuple[Interval, ...]]:
    """Return labels of samples as marks, where they are few and lie alone, else as intervals.

    Args:
        labels: One for each sample, "" where there is none.
    """
    runs = _runs(labels)
    few = sum(last - first + 1 for first, last, _ in runs) <= _SPARSE * len(labels)
    if few and all(first == last for first, last, _ in runs):
        return tuple(Mark(first, label) for first, _, label in runs), ()
    return (), tuple(Interval(*run) for run in runs)


def _runs(labels: Sequence[str] | np.ndarray) -> list[tuple[int, int, str]]:
    if not len(labels):
        return []
    text = np.asarray(labels, object)
    starts = np.concatenate(([0], np.flatnonzero(text[1:] != text[:-1]) + 1))
    ends = np.concatenate((starts[1:], [len(text)])) - 1
    if len(starts) > MOST_PLACES:
        raise DataError(
            f"labels change {len(starts):,} times in a record, and may {MOST_PLACES:,} times; name "
            "the column of labels, or cut the record"
        )
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return [(first, last, text[first]) for first, last in pairs if text[first]]


@dataclass(frozen=True)
class SpanFile:
    """A second file of intervals.

    Attributes:
        rows: Record ("" for any), first, last and label of each.
        second: Seconds per unit of first and last; None where they are indices of samples.
    """

    rows: tuple[tuple[str, float, float, str], ...]
    second: float | None

    def require_names(self, where: str, count: int) -> None:
        """Refuse intervals of no record's name where there are several records.

        Raises:
            DataError: They would be taken for those of each record, from its own start.
        """
        if count > 1 and any(not name for name, *_ in self.rows):
            raise DataError(
                f"{where} holds {count:,} records, and intervals for it name none; add a column of "
                "records to their file"
            )

    def of(self, record: str, rate_hz: float, count: int) -> tuple[tuple[Interval, ...], int]:
        """Return the intervals of a record, and how many were cut or left out at its end.

        Args:
            record: Its name.
            rate_hz: Its rate.
            count: Its samples.
        """
        found, cut = [], 0
        names = {record, record.rsplit("/", 1)[-1]}
        for name, start, stop, label in self.rows:
            if name and name not in names:
                continue
            first, last = round(start), round(stop)
            if self.second is not None:
                scale = rate_hz * self.second
                first = round(start * scale)
                last = max(first, round(stop * scale) - 1)
            cut += last >= count
            if first < count:
                found.append(Interval(first, min(last, count - 1), label))
        return tuple(sorted(found)), cut


def read_spans(path: Path) -> SpanFile:
    """Read first, last and label of intervals, with a header line; also a column of records.

    Times where a name says so (start_s) or a number has a fraction, else indices of samples, the
    last one in the interval.

    Raises:
        DataError: The file is missing or damaged, or lacks a column.
    """
    try:
        check_file(path, LARGEST_ARRAYS)
        with path.open(encoding="utf-8-sig", newline="") as file:
            dialect = "excel-tab" if path.suffix.lower() == ".tsv" else "excel"
            table = [row for row in csv.reader(file, dialect) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} is missing or damaged ({reason_of(error)}); copy it again"
        ) from None
    header = table[0] if table else []
    chosen = [find(header, words) for words in (FIRST, LAST, LABEL)]
    if None in chosen:
        raise DataError(
            f"{path} has the columns {', '.join(header)} and must have start, end and label"
        )
    first, last, label = (header.index(str(name)) for name in chosen)
    record = find(header, RECORD)
    place = header.index(record) if record else None
    rows = []
    for number, row in enumerate(table[1:], start=2):
        try:
            start, stop = float(row[first]), float(row[last])
            name = row[place].strip() if place is not None else ""
            text = label_text(row[label])
        except (ValueError, IndexError):
            raise DataError(f"{path}: line {number} must be start, end and label") from None
        if not 0 <= start <= stop < np.inf or not text:
            raise DataError(
                f"{path}: line {number} is from {start:g} to {stop:g}, {text!r}; an interval must "
                "not end before its start, and must have a label"
            )
        rows.append((name, start, stop, text))
    second = seconds_of(header[first])
    broken = any(not value.is_integer() for _, a, b, _ in rows for value in (a, b))
    if second is None and (broken or plain(header[first]).endswith("time")):
        second = 1.0
    return SpanFile(tuple(rows), second)
