"""Why something failed, for a sentence that names the file itself."""

from __future__ import annotations

_LONGEST = 160  # characters


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says; of one of the system without number and path."""
    told = error.strerror if isinstance(error, OSError) else None
    lines = (told or str(error)).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:_LONGEST]
