"""What was done to recordings on the way in: counted, printable, JSON. No recording here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "assumed",
    "converted",
    "dropped",
    "filled",
    "joined",
    "moved",
    "renamed",
    "resampled",
    "skipped",
    "split",
]
MOST_NAMED = 20  # recordings that were skipped


@dataclass(frozen=True, order=True)
class Change:
    """One thing done to one record.

    Attributes:
        kind: What was done.
        detail: To what, and how: "from 128 Hz to 360 Hz".
        unit: What `count` counts: "samples", "marks", "channels", "rows".
        count: How many.
        record: Name of the record.
    """

    kind: Kind
    detail: str
    unit: str
    count: int
    record: str


@dataclass(frozen=True)
class Changes:
    """Everything done, in order.

    Attributes:
        items: One for each record and thing.
    """

    items: tuple[Change, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        return Changes(self.items + other.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def also(self, kind: Kind, detail: str, count: int, unit: str, record: str) -> Changes:
        """Return these and one more; nothing joins where `count` is 0."""
        if not count:
            return self
        return Changes((*self.items, Change(kind, detail, unit, count, record)))

    def summary(self) -> list[dict[str, object]]:
        """Add up what was done alike: a JSON list of kind, detail, unit, count, records."""
        counts: dict[tuple[Kind, str, str], list[Change]] = {}
        for item in self.items:
            counts.setdefault((item.kind, item.detail, item.unit), []).append(item)
        return [
            {
                "kind": kind,
                "detail": detail,
                "count": sum(i.count for i in alike),
                "unit": unit,
                "records": len({i.record for i in alike}),
            }
            for (kind, detail, unit), alike in counts.items()
        ]

    def lines(self) -> list[str]:
        """Return a line of text for each thing: "resampled from 1 Hz to 2 Hz: 9 samples ..."."""
        return [
            f"{s['kind']} {s['detail']}: {s['count']:,} {s['unit']} in {s['records']} "
            f"record{'s' if s['records'] != 1 else ''}"
            for s in self.summary()
            if s["kind"] != "skipped"
        ]

    def skipped(self) -> list[str]:
        """Return a line of text for each recording that was left out, and why; the count last."""
        found = [i for i in self.items if i.kind == "skipped"]
        lines = [f"skipped {i.record}: {i.detail}" for i in found[:MOST_NAMED]]
        count = f"{len(found):,} recording{'s' if len(found) != 1 else ''}"
        return [*lines, f"skipped {count} in all"] if found else []


def together(several: Iterable[Changes]) -> Changes:
    """Join the changes of several records."""
    return Changes(tuple(item for changes in several for item in changes.items))
