"""Turns of phrase that the project is giving up; each may only become rarer."""

from __future__ import annotations

import re

import pytest

from tests.support.places import ROOT

NEEDED = r"[,;:] needed (?:an?|one)|\bneeded (?:is|are)\b(?! missing)|\b(?:is|are) needed, got\b"
ALLOWED = {
    # what: (how to find it, what to write instead, how many are left)
    "needed is": (NEEDED, "x must be y, not z", 0),
    "tell whether": (r"\b[Tt]ells? whether\b", "return whether", 0),
    "nobody": (r"\bnobody\b", "None if unknown; no one", 0),
    "at hand": (r"\bat hand\b", "available, there", 0),
    "so many": (r"\bso many\b", "a number; the name of the argument", 0),
    "worked off": (r"\bworked off\b", "processed", 0),
    "shall": (r"\bshall\b", "must, will", 0),
    "be it": (r"\bbe it\b", "even if, whether", 0),
    "cannot be had": (r"\bbe had\b", "is not available", 0),
    "in real numbers": (r"\bin real numbers\b", "as floats; the float model", 0),
    "tells of": (r"\btells? of\b|\btold of\b", "reports, names, says", 0),
    "what is no": (r"\b(?:what|that|which) is no\b", "is not a", 0),
    "whoever": (r"\bwhoever\b", "a noun", 1),
}
TEXTS = ("lnn_edge/**/*.py", "scripts/*.py", "*.md", "docs/**/*.md", "models/*/*.md")


@pytest.mark.parametrize("tic", ALLOWED)
def test_a_tic_only_becomes_rarer(tic: str) -> None:
    """Where a count has fallen, write the new one above."""
    pattern, better, allowed = ALLOWED[tic]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for glob in TEXTS
        for path in sorted(ROOT.glob(glob))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for _ in re.findall(pattern, line)
    ]
    assert len(found) <= allowed, f"write instead: {better}; found in {', '.join(found)}"
