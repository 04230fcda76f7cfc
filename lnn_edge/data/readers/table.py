"""A table of rows in time to records: which column is what, where one record ends. No file here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.on_disk import parts
from lnn_edge.data.readers import words
from lnn_edge.data.readers.reader import MOST_RECORDS, Hints
from lnn_edge.data.readers.spans import SpanFile, label_text, read_spans, spans_of
from lnn_edge.data.readers.time_axis import Stretch, TimeAxis, time_axis
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_MOST_LABELS = 1000  # different texts in a column of labels


@dataclass(frozen=True)
class Roles:
    """Names of columns; None where there is no such column.

    Attributes:
        time: Of times.
        labels: Of labels; several together make one label each row, "120 80".
        subject: Who.
        record: Which recording.
        channels: Those of numbers that are left.
        dropped: Those of texts that are left, and of row numbers.
    """

    time: str | None
    labels: tuple[str, ...]
    subject: str | None
    record: str | None
    channels: tuple[str, ...]
    dropped: tuple[str, ...]


def records_of_table(
    where: str,
    name: str,
    frame: pd.DataFrame,
    units: tuple[str, ...],
    hints: Hints,
    changes: Changes,
) -> Iterator[Record]:
    """Yield the records of a table, in the order of its rows.

    A record ends where the column of records or of subjects says so, where times go back, and
    where they leave a hole of more than ten seconds. Shorter holes are filled with NaN; times that
    are not regular are interpolated. All of it is listed.

    Args:
        where: The file, for messages.
        name: Of its records; one of several gets a number or what its column says.
        frame: The table; names of its columns differ.
        units: Of each column, "" where not told.
        hints: See Hints.
        changes: What was done to the whole file.

    Raises:
        DataError: A column is absent, holds no numbers, or there is no rate.
    """
    roles = find_roles(where, frame, hints)
    spans = read_spans(hints.intervals) if hints.intervals else None
    unit_of = dict(zip(frame.columns, units, strict=True))
    changes = changes.also(
        "dropped", f"columns {', '.join(roles.dropped)}", len(roles.dropped), "columns", name
    )
    groups = _groups(name, frame, roles)
    if spans is not None:
        spans.require_names(where, len(groups))
    for part, subject, rows in groups:
        made = _records(where, part, subject or part, rows, roles, unit_of, hints, spans)
        mine = _said_of_rows(part, rows, roles)
        for number, record in enumerate(made):
            first = mine if number == 0 else Changes()
            first = changes + first if number == 0 and part == groups[0][0] else first
            yield replace(record, changes=first + record.changes)


def find_roles(where: str, frame: pd.DataFrame, hints: Hints) -> Roles:
    """Say what each column is, by hint, by name, by what it holds.

    Raises:
        DataError: A column that a hint names is absent, or none is left for the samples.
    """
    names = [str(c) for c in frame.columns]
    labels = words.columns(hints.label_column, names)
    for told in (hints.time_column, *labels, hints.subject_column, hints.record_column):
        if told is not None and told not in names:
            raise DataError(f"{where} has no column {told!r}; it has {', '.join(names)}")
    time = hints.time_column or next((n for n in names if words.is_time(n)), None)
    left = [n for n in names if n != time]
    record = hints.record_column or words.find(left, words.RECORD)
    subject = hints.subject_column or words.find(left, words.SUBJECT)
    found = None if labels else words.find(left, words.LABEL)
    labels = labels if found is None else (found,)
    others = [n for n in left if n not in (record, subject, *labels)]
    numbers = [n for n in others if frame[n].dtype.kind in "fiub"]
    texts = [n for n in others if n not in numbers]
    if not labels and len(texts) == 1 and frame[texts[0]].nunique() <= _MOST_LABELS:
        labels = (texts.pop(),)
    counts = [n for n in numbers if _is_row_number(n, frame[n].to_numpy())]
    channels = tuple(n for n in numbers if n not in counts)
    if not channels:
        raise DataError(
            f"{where} has no column of numbers beside time and labels; it has {', '.join(names)}"
        )
    return Roles(time, labels, subject, record, channels, (*counts, *texts))


def _is_row_number(name: str, values: np.ndarray) -> bool:
    """Whether a column counts rows; a channel may be called "n" and hold something else."""
    known = words.plain(name) in words.INDEX or name.startswith("Unnamed:")
    if not known or len(values) < 2:
        return False
    start = float(values[0])
    for part in parts(values):
        numbers = part.astype(np.float64)
        if numbers[0] != start or not (np.diff(numbers) == 1).all():
            return False
        start = numbers[-1] + 1
    return True


def _groups(name: str, frame: pd.DataFrame, roles: Roles) -> list[tuple[str, str, pd.DataFrame]]:
    """Return name, subject and rows of what the columns of records and subjects tell apart."""
    keys = [c for c in (roles.subject, roles.record) if c is not None]
    if not keys:
        return [(name, "", frame)]
    groups = []
    grouped = frame.groupby(keys, sort=False, dropna=False)
    if grouped.ngroups > MOST_RECORDS:
        raise DataError(
            f"{name}: {' and '.join(keys)} tell {grouped.ngroups:,} records apart, and may "
            f"{MOST_RECORDS:,}; name the columns of subjects and records"
        )
    for values, rows in grouped:
        texts = [label_text(v) or "unknown" for v in values]
        alone = len(frame) == len(rows)
        part = name if alone else "/".join((name, *texts))
        groups.append((part, texts[0] if roles.subject else "", rows))
    return groups


def _said_of_rows(name: str, rows: pd.DataFrame, roles: Roles) -> Changes:
    """List which rows are one record although the table does not say it."""
    changes = Changes()
    for key in (roles.subject, roles.record):
        empty = int(rows[key].isna().sum()) if key else 0
        changes = changes.also("assumed", f"{key} unknown where it is empty", empty, "rows", name)
    apart = _gaps(rows.index) if roles.time is None else 0
    return changes.also("joined", "rows that lie apart and have no times", apart, "places", name)


def _gaps(index: pd.Index) -> int:
    """Return how often a row does not follow the one before it in the file."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex) and index.step == 1:
        return 0
    return int((np.diff(index) != 1).sum())


def _values(rows: pd.DataFrame, channels: tuple[str, ...]) -> np.ndarray:
    """Return the samples of all rows, (N, C) float64; no copy of what lies on disk."""
    first = rows.columns.get_loc(channels[0])
    side_by_side = rows.iloc[:, first : first + len(channels)]
    chosen = side_by_side if tuple(side_by_side.columns) == channels else rows[list(channels)]
    values: np.ndarray = chosen.to_numpy(np.float64)
    return values


def _records(
    where: str,
    name: str,
    subject: str,
    rows: pd.DataFrame,
    roles: Roles,
    unit_of: dict[str, str],
    hints: Hints,
    spans: SpanFile | None,
) -> Iterator[Record]:
    values = _values(rows, roles.channels)
    names = words.unique([words.split_unit(c)[0] for c in roles.channels])
    units = [unit_of[c] or words.split_unit(c)[1] for c in roles.channels]
    channels = tuple(Channel(n, u) for n, u in zip(names, units, strict=True))
    labels = words.together([_texts(rows[name]) for name in roles.labels])
    axis = _axis(where, rows, roles, unit_of, hints)
    if spans is not None:
        spans.require_names(where, len(axis.stretches))
    for number, stretch in enumerate(axis.stretches, start=1):
        several = len(axis.stretches) > 1
        part = f"{name}/{number}" if several else name
        changes = _said(axis, stretch, part, roles, first=number == 1)
        samples = _samples(values, stretch)
        marks, intervals = spans_of(_labels(labels, stretch)) if labels is not None else ((), ())
        if spans is not None:
            told, cut = spans.of(part, axis.rate_hz, len(samples))
            intervals = tuple(sorted(intervals + told))
            changes = changes.also(
                "dropped", "intervals' samples after the end", cut, "intervals", part
            )
        yield Record(
            part,
            subject,
            samples,
            axis.rate_hz,
            channels,
            marks,
            intervals,
            changes=changes,
        )


def _texts(column: pd.Series) -> np.ndarray:
    """Return the text of each label; there are fewer different ones than rows."""
    import pandas as pd

    places, kinds = pd.factorize(column)
    texts = [*(label_text(v) for v in kinds.tolist()), ""]  # the last of what is absent, place -1
    told: np.ndarray = np.array(texts, object)[places]
    return told


def _axis(
    where: str, rows: pd.DataFrame, roles: Roles, unit_of: dict[str, str], hints: Hints
) -> TimeAxis:
    if roles.time is None or (hints.rate_hz and not hints.time_column):
        if hints.rate_hz is None:
            raise DataError(f"{where} has no column of times; give its rate in Hz")
        return TimeAxis(hints.rate_hz, (Stretch(range(len(rows)), 0),), 0, "")
    place = f"{where}, column {roles.time!r}"
    times, second = _seconds(place, rows[roles.time], roles.time, unit_of[roles.time])
    return time_axis(place, times, second, hints.rate_hz, len(roles.channels))


def _seconds(
    where: str, column: pd.Series, name: str, unit: str
) -> tuple[np.ndarray, float | None]:
    """Return times as numbers, and their seconds per unit where that is told."""
    import pandas as pd

    if column.dtype.kind in "fiu":
        return column.to_numpy(np.float64), words.seconds_of(name, unit)
    if column.dtype.kind == "M":
        since = column - column.iloc[0]
        return since.dt.total_seconds().to_numpy(np.float64), 1.0
    text = column.astype(str).str.strip().str.strip("'[]")
    try:
        if text.str.fullmatch(r"[0-9:.]+").all():  # hours and minutes: 0:00.008, 1:02:03.5
            return np.array([_clock(t) for t in text]), 1.0
        stamps = pd.to_datetime(text, utc=True, format="ISO8601")
    except (ValueError, OverflowError):
        raise DataError(
            f"{where} holds {text.iloc[0]!r}; times must be numbers, ISO 8601 or h:mm:ss"
        ) from None
    return (stamps - stamps.iloc[0]).dt.total_seconds().to_numpy(np.float64), 1.0


def _clock(text: str) -> float:
    total = 0.0
    for piece in text.split(":"):
        total = total * 60 + float(piece)
    return total


def _said(axis: TimeAxis, stretch: Stretch, name: str, roles: Roles, *, first: bool) -> Changes:
    """List what the times made of one record; what holds for all of them, with the first."""
    changes = Changes()
    if first:
        changes = changes.also(
            "assumed",
            f"times of {roles.time} in {axis.assumed}",
            bool(axis.assumed),
            "columns",
            name,
        )
        changes = changes.also(
            "dropped", "of the time of the row before", axis.dropped, "rows", name
        )
        changes = changes.also(
            "split", "where times go back or leave a hole", len(axis.stretches) - 1, "places", name
        )
    if stretch.places is not None:
        changes = changes.also(
            "resampled", "onto a regular grid, by lines", len(stretch.rows), "samples", name
        )
    return changes.also("filled", "holes in the times with NaN", stretch.filled, "samples", name)


def _samples(values: np.ndarray, stretch: Stretch) -> np.ndarray:
    """Return the samples of a stretch, (N, C) float64."""
    rows = stretch.rows
    if isinstance(rows, range):  # as in a file without a hole
        return values[rows.start : rows.stop]
    samples: np.ndarray = values[rows.clip(min=0)]
    if stretch.places is not None:
        mine = values[stretch.own]
        at = np.arange(len(mine))
        samples = np.stack([np.interp(stretch.places, at, column) for column in mine.T], axis=1)
    samples[rows < 0] = np.nan
    return samples


def _labels(labels: np.ndarray, stretch: Stretch) -> np.ndarray:
    rows = stretch.rows
    if isinstance(rows, range):
        return labels[rows.start : rows.stop]
    return np.where(rows >= 0, labels[rows], "")
