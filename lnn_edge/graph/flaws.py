"""What can be wrong with a signal, as the bits of an output of kind flaws. No torch."""

from __future__ import annotations

from collections.abc import Sequence

FLAT, SATURATED, NOISY = 1, 2, 4
FLAWS = {"flat": FLAT, "saturated": SATURATED, "noisy": NOISY}
OUTPUT = "quality"  # its name
GOOD = "good"  # of no flaw
SIGNAL = "signal"  # what is judged, in words for readers


def told_flaws(bits: int) -> str:
    """Return flaws in words, joined by "+"."""
    return "+".join(name for name, bit in FLAWS.items() if bits & bit) or GOOD


def signal_names(leads: Sequence[str]) -> tuple[str, ...]:
    """Return what the elements of an output of kind flaws are of: the decision, then each lead."""
    return (SIGNAL, *(f"{SIGNAL} {lead}" for lead in leads))
