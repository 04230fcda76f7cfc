"""What can be wrong with a signal, as the bits of an output of kind flaws. No torch."""

from __future__ import annotations

FLAT, SATURATED, NOISY = 1, 2, 4
FLAWS = {"flat": FLAT, "saturated": SATURATED, "noisy": NOISY}
OUTPUT = "quality"  # its name
GOOD = "good"  # of no flaw


def told_flaws(bits: int) -> str:
    """Return flaws in words, joined by "+"."""
    return "+".join(name for name, bit in FLAWS.items() if bits & bit) or GOOD
