"""Whether a table in text broke off in its last row, which its writer or a copy did not finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LOOKED_AT = 1 << 16  # bytes before the end


@dataclass(frozen=True)
class OpenEnd:
    """A last row that no end of line follows.

    Attributes:
        cells: Of the row.
        least: The fewest of the rows before it; `cells` where there is none.
    """

    cells: int
    least: int

    @property
    def is_short(self) -> bool:
        """Whether it lacks cells that each row before it has."""
        return self.cells < self.least


def open_end(text: Path | BinaryIO, encoding: str, cells: Callable[[str], list[str]],
             skipped: int) -> OpenEnd | None:  # fmt: skip
    """Look at the end of a table; None where its last row is ended.

    Args:
        text: The table.
        encoding: Of its text.
        cells: Parts a row.
        skipped: Lines before the first row, which are no rows.
    """
    if isinstance(text, Path):
        with text.open("rb") as file:
            return open_end(file, encoding, cells, skipped)
    size = text.seek(0, 2)
    start = text.seek(max(0, size - _LOOKED_AT))
    data = text.read()
    if not data or data.endswith((b"\n", b"\r")):
        return None
    lines = data.decode(encoding, "replace").splitlines()[1 if start else skipped :]
    counts = [len(cells(line)) for line in lines if line.strip()]
    if not counts:
        return None
    return OpenEnd(counts[-1], min(counts[:-1], default=counts[-1]))
