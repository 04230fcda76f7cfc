"""What a reader of a published layout is. No data set is known here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.data.readers.reader import Entry, Hints


@dataclass(frozen=True)
class Layout:
    """A published data set, as it lies in a folder after unpacking.

    Attributes:
        name: Of the set.
        summary: One line.
        is_it: Whether a folder holds it; reads names of files only.
        entries: Its records.
        has_seen_it: Whether the reader was run on the set as published, not on a small folder
            made after its listing alone.
        licence: Short name.
    """

    name: str
    summary: str
    is_it: Callable[[Path], bool]
    entries: Callable[[Path, Hints], tuple[Entry, ...]]
    has_seen_it: bool
    licence: str
