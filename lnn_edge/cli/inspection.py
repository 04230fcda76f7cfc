"""What `lnn-edge data inspect` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lnn_edge.cli.output import console, table

if TYPE_CHECKING:
    from lnn_edge.data.inspection import Inspection

_MOST_ROWS = 20


def show(found: Inspection, task: str) -> None:
    """Print tables of channels and labels, what was done, what was refused, and the task file."""
    out = console()
    rates = ", ".join(f"{r:g} Hz ({n})" for r, n in found.rates.items())
    out.print(
        f"{found.path}: {found.format}, {len(found.records):,} records of "
        f"{len(found.subjects):,} subjects, {found.duration_s / 60:,.1f} minutes, {rates}"
    )
    gaps = sum(r.gaps for r in found.records)
    if gaps:
        out.print(f"gaps: {gaps:,}, {sum(r.gap_s for r in found.records):,.1f} s together")
    if found.parts:
        out.print("parts: " + ", ".join(f"{p} ({n})" for p, n in found.parts.items()))
    rows = [
        (c.name, c.unit or "?", c.records, f"{c.low:.4g}", f"{c.high:.4g}", c.non_finite)
        for c in found.channels[:_MOST_ROWS]
    ]
    columns = ("channel", "unit", "records", "lowest", "highest", "non-finite")
    out.print(table("channels", columns, rows))
    _left(len(found.channels), "channels")
    _count("marks", ("symbol", "marks"), {k: (v,) for k, v in found.symbols.items()})
    seconds = {k: (n, f"{s:,.1f}") for k, (n, s) in found.intervals.items()}
    _count("intervals", ("label", "intervals", "seconds"), seconds)
    _count("labels of records", ("label", "records"), {k: (v,) for k, v in found.labels.items()})
    for line in found.changes.lines():
        out.print(line)
    for sentence in found.refused.values():
        out.print(f"refused: {sentence}")
    out.print(f"\nA task file for these recordings:\n\n{task}", end="")


def _count(title: str, columns: tuple[str, ...], rows: Mapping[str, tuple[object, ...]]) -> None:
    from lnn_edge.data.task_file import values_in

    if values_in(rows):
        several = zip(*([float(word) for word in name.split()] for name in rows), strict=True)
        ends = [
            f"{min(known):g} to {max(known):g}" if known else "none"
            for known in ([n for n in numbers if not math.isnan(n)] for numbers in several)
        ]
        console().print(f"{title}: {len(rows):,} different numbers, {'; '.join(ends)}")
    if not rows or values_in(rows):
        return
    body = [(name, *values) for name, values in list(rows.items())[:_MOST_ROWS]]
    console().print(table(title, columns, body))
    _left(len(rows), title)


def _left(count: int, what: str) -> None:
    if count > _MOST_ROWS:
        console().print(f"... and {count - _MOST_ROWS:,} more {what}; --json has all")
