"""One-minute pieces of MIT-BIH test records that travel in the package; scripts/ makes them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from lnn_edge.errors import DataError

NAME = "excerpts"
LENGTH_S = 60

# Record and start in seconds. Of each record, the minute (on a grid of 10 s, from 10 s on) with the
# largest log(1 + S) + log(1 + V) + log(1 + F), counted by the annotations; no model was asked.
# 100: few S; 200: V; 202: S in atrial fibrillation; 213: F and V; 232: long pauses; 234: S run.
PIECES = (("100", 830), ("200", 1490), ("202", 730), ("213", 500), ("232", 660), ("234", 820))
SPLITS = ("test", "all")


def name_of_piece(record: str, start_s: int) -> str:
    """Name a piece: record and first second."""
    return f"{record}_{start_s:04d}"


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the pieces; all of them belong to the test split.

    Raises:
        DataError: Any other split.
    """
    if split not in SPLITS or fold:
        raise DataError(
            f"the embedded excerpts have no split {split!r} with fold {fold}: they are test "
            f"records; take {' or '.join(SPLITS)}"
        )
    return tuple(name_of_piece(record, start_s) for record, start_s in PIECES)


def folder_of_pieces() -> Path:
    """Return the folder of the pieces in the installed package."""
    return Path(str(resources.files("lnn_edge.data"))) / NAME
