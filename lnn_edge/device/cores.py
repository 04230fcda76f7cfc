"""What is known of each processor core, whatever chip it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Cpu = Literal[
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m55",
]


@dataclass(frozen=True)
class CoreFacts:
    """One core.

    Attributes:
        name: As in -mcpu.
        architecture: "v6-m", "v7-m", "v8-m" or "v8.1-m": which registers it has.
        dsp: Whether it has the DSP instructions (SMLAD, SXTB16, SMMULR).
        caches: Whether it has instruction and data caches that the firmware turns on.
        fpus: Values of -mfpu that chips with it have; "none" always goes.
        emulated: Name of the same instruction set in the engine that counts; "" if it has none.
    """

    name: Cpu
    architecture: Literal["v6-m", "v7-m", "v8-m", "v8.1-m"]
    dsp: bool
    caches: bool
    fpus: tuple[str, ...]
    emulated: str


CORES: dict[str, CoreFacts] = {
    core.name: core
    for core in (
        CoreFacts("cortex-m0", "v6-m", False, False, (), "cortex-m0"),
        CoreFacts("cortex-m0plus", "v6-m", False, False, (), "cortex-m0"),
        CoreFacts("cortex-m3", "v7-m", False, False, (), "cortex-m3"),
        CoreFacts("cortex-m4", "v7-m", True, False, ("fpv4-sp-d16",), "cortex-m4"),
        CoreFacts("cortex-m7", "v7-m", True, True, ("fpv5-sp-d16", "fpv5-d16"), "cortex-m7"),
        CoreFacts("cortex-m33", "v8-m", True, False, ("fpv5-sp-d16",), "cortex-m33"),
        CoreFacts("cortex-m55", "v8.1-m", True, False, ("auto",), ""),
    )
}
"""By name. Sources: the Technical Reference Manuals; Armv6-M, Armv7-M, Armv8-M ARM."""
