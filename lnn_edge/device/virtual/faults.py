"""Faults: status bits, their names, and the one line that says what went wrong and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lnn_edge.device.elf import Elf

# CFSR, ARMv7-M Architecture Reference Manual B3.2.15
CFSR_BITS = {
    0: "IACCVIOL",
    1: "DACCVIOL",
    3: "MUNSTKERR",
    4: "MSTKERR",
    7: "MMARVALID",
    8: "IBUSERR",
    9: "PRECISERR",
    10: "IMPRECISERR",
    11: "UNSTKERR",
    12: "STKERR",
    15: "BFARVALID",
    16: "UNDEFINSTR",
    17: "INVSTATE",
    18: "INVPC",
    19: "NOCP",
    24: "UNALIGNED",
    25: "DIVBYZERO",
}
IACCVIOL, DACCVIOL, MUNSTKERR, MSTKERR, MMARVALID = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 7
IBUSERR, PRECISERR, UNSTKERR, STKERR = 1 << 8, 1 << 9, 1 << 11, 1 << 12
BFARVALID, UNDEFINSTR, INVSTATE, INVPC = 1 << 15, 1 << 16, 1 << 17, 1 << 18
NOCP, UNALIGNED, DIVBYZERO = 1 << 19, 1 << 24, 1 << 25
HFSR_FORCED = 1 << 30


@dataclass(frozen=True)
class Cause:
    """What an instruction did.

    Args:
        what: In words, without address.
        cfsr: Status bits it sets.
        address: Data address, for BFAR or MMFAR.
    """

    what: str
    cfsr: int
    address: int = 0


@dataclass(frozen=True)
class Fault:
    """A fault as it happened.

    Args:
        what: In words.
        pc: Faulting instruction.
        function: Name of the function that holds it, "" when unknown.
        lr: Link register.
        caller: Name of the function that holds LR, "" when unknown.
        cfsr: Status bits of this fault.
        address: BFAR, when BFARVALID; MMFAR, when MMARVALID.
        handled: Whether the firmware's handler was entered (else the board stopped here).
        instructions: Retired when it happened.
    """

    what: str
    pc: int
    function: str
    lr: int
    caller: str
    cfsr: int
    address: int
    handled: bool
    instructions: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the status bits named."""
        return {**asdict(self), "cfsr_bits": decode_cfsr(self.cfsr)}


class BoardStoppedError(Exception):
    """The board cannot go on; the text is the diagnosis, one line."""


def decode_cfsr(value: int) -> list[str]:
    """Names of the bits that are set."""
    return [name for bit, name in CFSR_BITS.items() if value >> bit & 1]


def diagnose(what: str, image: Elf, pc: int, lr: int, cfsr: int, addresses: tuple[int, int]) -> str:
    """The line on stderr: what, PC and LR with symbols, status bits by name, address.

    Args:
        what: In words.
        image: For symbols.
        pc: Faulting instruction.
        lr: Link register there.
        cfsr: Fault status register.
        addresses: MMFAR and BFAR, each shown when CFSR says it is valid.
    """
    names = " ".join(decode_cfsr(cfsr)) or "none"
    line = f"board stopped: {what}; PC {image.describe(pc)}, LR {image.describe(lr)}, "
    line += f"CFSR {cfsr:#010x} ({names})"
    mmfar, bfar = addresses
    line += f", MMFAR {mmfar:#010x}" if cfsr & MMARVALID else ""
    return line + (f", BFAR {bfar:#010x}" if cfsr & BFARVALID else "")
