"""What lies at a path, counted record by record: rates, channels, labels, subjects, gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lnn_edge.data.changes import Changes, together
from lnn_edge.data.open_records import changes_of, find_records, read_records
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError


@dataclass(frozen=True)
class ChannelFacts:
    """A channel over all records that have it.

    Attributes:
        name: Its name.
        unit: Its unit, "" where not told.
        records: In how many records it is.
        low: Smallest value in `unit`; NaN where no value is finite.
        high: Largest.
        non_finite: Values that are no number.
    """

    name: str
    unit: str
    records: int
    low: float
    high: float
    non_finite: int


@dataclass(frozen=True)
class RecordFacts:
    """One record.

    Attributes:
        name: Its name.
        subject: Who.
        part: Of a published split, "" elsewhere.
        rate_hz: Its rate.
        samples: Their number.
        channels: Names.
        gaps: Stretches without a value in any channel.
        gap_s: How long they are together.
    """

    name: str
    subject: str
    part: str
    rate_hz: float
    samples: int
    channels: tuple[str, ...]
    gaps: int
    gap_s: float


@dataclass(frozen=True)
class Inspection:
    """What was found at a path.

    Attributes:
        path: Where.
        format: See open_records.Found.
        records: In order.
        channels: Those of any record, the most frequent first.
        symbols: How many marks of each symbol.
        intervals: How many intervals of each label, and how many seconds.
        labels: How many records of each label.
        most_labels: Of one record.
        changes: What the readers did.
        refused: Why each file that cannot be used cannot.
    """

    path: str
    format: str
    records: tuple[RecordFacts, ...]
    channels: tuple[ChannelFacts, ...]
    symbols: dict[str, int]
    intervals: dict[str, tuple[int, float]]
    labels: dict[str, int]
    most_labels: int
    changes: Changes
    refused: dict[str, str]

    @property
    def rates(self) -> dict[float, int]:
        """How many records have each rate, the most frequent first."""
        return dict(Counter(r.rate_hz for r in self.records).most_common())

    @property
    def subjects(self) -> dict[str, int]:
        """How many records each subject has."""
        return dict(Counter(r.subject for r in self.records))

    @property
    def parts(self) -> dict[str, int]:
        """How many records each published part has."""
        return dict(Counter(r.part for r in self.records if r.part))

    @property
    def duration_s(self) -> float:
        """Length of all records together, in seconds."""
        return sum(r.samples / r.rate_hz for r in self.records)

    def document(self) -> dict[str, object]:
        """Return it for JSON; a range without a value is null."""
        return {
            "path": self.path,
            "format": self.format,
            "duration_s": self.duration_s,
            "rates_hz": {f"{rate:g}": count for rate, count in self.rates.items()},
            "channels": [
                {
                    "name": c.name,
                    "unit": c.unit,
                    "records": c.records,
                    "low": _or_none(c.low),
                    "high": _or_none(c.high),
                    "non_finite": c.non_finite,
                }
                for c in self.channels
            ],
            "symbols": self.symbols,
            "intervals": {
                label: {"count": count, "seconds": seconds}
                for label, (count, seconds) in self.intervals.items()
            },
            "labels": self.labels,
            "subjects": self.subjects,
            "parts": self.parts,
            "gaps": sum(r.gaps for r in self.records),
            "gap_s": sum(r.gap_s for r in self.records),
            "changes": self.changes.summary(),
            "refused": self.refused,
            "records": [
                {
                    "name": r.name,
                    "subject": r.subject,
                    "part": r.part,
                    "rate_hz": r.rate_hz,
                    "samples": r.samples,
                    "channels": list(r.channels),
                    "gaps": r.gaps,
                    "gap_s": r.gap_s,
                }
                for r in self.records
            ],
        }


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def inspect(path: Path, hints: Hints = Hints()) -> Inspection:  # noqa: B008
    """Read all records at a path, one at a time, and count what they hold.

    Args:
        path: A file or a folder.
        hints: See Hints.

    Raises:
        DataError: There is nothing that a reader knows, or nothing that can be used.
    """
    found = find_records(path, hints)
    refused: dict[str, str] = {}

    def refuse(name: str, error: DataError) -> None:
        refused[name] = str(error)

    counts = _Counts()
    for record in read_records(found, refuse):
        counts.add(record)
    if not counts.records:
        first = next(iter(refused.values()), f"{path} holds no record")
        raise DataError(f"no file of {len(refused)} can be used; the first: {first}")
    return Inspection(
        str(path),
        found.format,
        tuple(counts.records),
        counts.channel_facts(),
        dict(counts.symbols.most_common()),
        {k: (counts.intervals[k], counts.seconds[k]) for k, _ in counts.intervals.most_common()},
        dict(counts.labels.most_common()),
        counts.most_labels,
        changes_of(found, path) + together(counts.changes),
        refused,
    )


@dataclass
class _Counts:
    """Adds records up; keeps none of their samples."""

    records: list[RecordFacts] = field(default_factory=list)
    ranges: dict[tuple[str, str], list[tuple[float, float, int]]] = field(default_factory=dict)
    symbols: Counter[str] = field(default_factory=Counter)
    intervals: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    most_labels: int = 0
    changes: list[Changes] = field(default_factory=list)

    def add(self, record: Record) -> None:
        finite = np.isfinite(record.samples)
        gaps = _gaps(~finite.any(axis=1))
        self.records.append(
            RecordFacts(
                record.name,
                record.subject,
                record.part,
                record.rate_hz,
                len(record.samples),
                tuple(c.name for c in record.channels),
                len(gaps),
                sum(gaps) / record.rate_hz,
            )
        )
        for place, channel in enumerate(record.channels):
            kept = record.samples[finite[:, place], place]
            ends = [np.nan, np.nan]
            if kept.size:
                steps = np.array([kept.min(), kept.max()], np.float64)
                ends = sorted((steps - channel.zero) / channel.gain)
            facts = (float(ends[0]), float(ends[1]), int((~finite[:, place]).sum()))
            self.ranges.setdefault((channel.name, channel.unit), []).append(facts)
        self.symbols.update(m.symbol for m in record.marks)
        self.intervals.update(i.label for i in record.intervals)
        for interval in record.intervals:
            length = (interval.last - interval.first + 1) / record.rate_hz
            self.seconds[interval.label] += length  # type: ignore[assignment]
        self.labels.update(record.labels)
        self.most_labels = max(self.most_labels, len(record.labels))
        self.changes.append(record.changes)

    def channel_facts(self) -> tuple[ChannelFacts, ...]:
        facts = [_channel(name, unit, parts) for (name, unit), parts in self.ranges.items()]
        return tuple(sorted(facts, key=lambda c: -c.records))


def _channel(name: str, unit: str, parts: Iterable[tuple[float, float, int]]) -> ChannelFacts:
    table = np.array(list(parts))
    known = table[np.isfinite(table[:, 0])]
    low, high = (known[:, 0].min(), known[:, 1].max()) if len(known) else (np.nan, np.nan)
    return ChannelFacts(name, unit, len(table), float(low), float(high), int(table[:, 2].sum()))


def _gaps(absent: np.ndarray) -> list[int]:
    """Return the lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], absent, [False])).astype(np.int8)))
    lengths: list[int] = (edges[1::2] - edges[::2]).tolist()
    return lengths
