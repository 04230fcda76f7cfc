"""Just enough Thumb-2 decoding to count instructions and to find those the engine is too kind to.

Encodings: ARMv7-M Architecture Reference Manual (DDI 0403), chapter A5 and A6. No engine here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

_WORD = 3  # mask of an address


class Check(enum.IntEnum):
    """What must be checked before an instruction runs; the values are shared with counter.c."""

    ALIGNED = 1  # the base register must be aligned whatever CCR.UNALIGN_TRP says
    DIVISOR = 2  # the register must not be zero while CCR.DIV_0_TRP is set
    FPU_ON = 3  # CPACR must grant the FPU
    NEVER = 4  # undefined on this core
    NOTED = 5  # nothing to check: its address is noted, see `Block.is_noted`


@dataclass(frozen=True)
class Guard:
    """A check of one instruction.

    Args:
        address: Of the instruction.
        check: What to check.
        register: Number of the core register looked at, 0 to 15 (ALIGNED, DIVISOR).
        mask: Address bits that must be zero (ALIGNED).
        it_state: ITSTATE of the instruction, 0 outside IT blocks.
    """

    address: int
    check: Check
    register: int = 0
    mask: int = 0
    it_state: int = 0


@dataclass(frozen=True)
class Block:
    """A straight piece of code, decoded.

    Args:
        addresses: Address of each instruction.
        guards: Checks, FPU_ON among them for each floating-point instruction.
        at_entry: Checks of alignment that can be made before the block: nothing in it changes the
            register before. Those of a register that was checked and kept since are left out.
        accesses: Its loads and stores, to be noted before they run.
        is_noted: Whether each load and store is noted before it runs, because one of them is in an
            IT block: there the engine does not stop at a peripheral access.
    """

    addresses: tuple[int, ...]
    guards: tuple[Guard, ...]
    at_entry: tuple[Guard, ...]
    accesses: tuple[Guard, ...]
    is_noted: bool

    def count_from(self, address: int) -> int:
        """Number of instructions at or after `address`."""
        return sum(1 for a in self.addresses if a >= address)


def is_wide(first: int) -> bool:
    """Whether the halfword opens a 32-bit instruction."""
    return first >> 11 in (0x1D, 0x1E, 0x1F)


def get_it_state(xpsr: int) -> int:
    """ITSTATE as it lies in the program status register."""
    return xpsr >> 25 & 3 | xpsr >> 8 & 0xFC


def put_it_state(xpsr: int, it_state: int) -> int:
    """Program status register with this ITSTATE."""
    return xpsr & ~0x0600FC00 | (it_state & 3) << 25 | (it_state & 0xFC) << 8


def _next_it_state(it_state: int) -> int:
    return it_state & 0xE0 | it_state << 1 & 0x1F if it_state & 7 else 0


def decode(address: int, code: bytes, *, double_precision: bool, it_state: int = 0) -> Block:
    """Decode the instructions of a block.

    Args:
        address: Of the first byte.
        code: Whole instructions, little-endian.
        double_precision: Whether the FPU executes double-precision arithmetic.
        it_state: ITSTATE of the first instruction.
    """
    addresses: list[int] = []
    guards: list[Guard] = []
    at_entry: list[Guard] = []
    accesses: list[Guard] = []
    changed = aligned = 0  # registers, one bit each: since the block began; known to be
    offset = 0
    while offset + 2 <= len(code):
        at = address + offset
        first = int.from_bytes(code[offset : offset + 2], "little")
        second = int.from_bytes(code[offset + 2 : offset + 4], "little")
        addresses.append(at)
        if is_wide(first):
            found = _wide_guards(at, first, second, double_precision)
        else:
            found = _narrow_guards(at, first)
        for guard in (replace(guard, it_state=it_state) for guard in found):
            bit = 1 << guard.register
            if guard.check != Check.ALIGNED or guard.mask != _WORD:
                guards.append(guard)
            elif not aligned & bit:
                (guards if changed & bit else at_entry).append(guard)
                aligned |= 0 if it_state else bit
        written = _registers_changed(first, second)
        changed, aligned = changed | written, aligned & ~written
        if _accesses_memory(first):
            accesses.append(Guard(at, Check.NOTED, it_state=it_state))
        opens_it = first >> 8 == 0xBF and first & 0xF != 0
        it_state = first & 0xFF if opens_it else _next_it_state(it_state)
        offset += 4 if is_wide(first) else 2
    is_noted = any(access.it_state for access in accesses)
    return Block(tuple(addresses), tuple(guards), tuple(at_entry), tuple(accesses), is_noted)


def _registers_changed(first: int, second: int) -> int:
    """Registers that an instruction may give another value, or another alignment; rather too many.

    Every field that can name a register counts, but not the base of those that transfer several
    words: it moves by words.
    """
    if not is_wide(first):
        if first >> 12 == 0xC or first >> 9 == 0x5E:  # LDM, STM, POP
            return first & 0xFF
        if first >> 10 == 0x11:  # of all sixteen registers
            return 1 << (first & 7 | first >> 4 & 8) | 1 << (first >> 3 & 0xF)
        return _bits(first & 7, first >> 3 & 7, first >> 6 & 7, first >> 8 & 7)
    if first & 0xFE40 == 0xE800:  # LDM, STM
        return second
    if first & 0xFE40 == 0xE840 and first & 0x0120:  # LDRD, STRD
        return _bits(second >> 12, second >> 8 & 0xF)
    if first & 0xEE00 == 0xEC00 and first & 0xFFE0 != 0xEC40:  # loads and stores of the FPU
        return 0
    return _bits(first & 0xF, *(second >> at & 0xF for at in (0, 4, 8, 12)))


def _bits(*registers: int) -> int:
    return sum(1 << register for register in set(registers))


def _accesses_memory(first: int) -> bool:
    """Loads and stores of one or more registers, but those relative to PC and SP (16 bits)."""
    return first >> 12 in (5, 6, 7, 8, 0xC) or first >> 9 in (0x74, 0x76, 0x7C)


def _narrow_guards(at: int, first: int) -> list[Guard]:
    if first >> 12 == 0xC:  # LDMIA, STMIA
        return [Guard(at, Check.ALIGNED, first >> 8 & 7, 3)]
    return []


def _wide_guards(at: int, first: int, second: int, double_precision: bool) -> list[Guard]:
    base = first & 0xF
    if first & 0xFFD0 == 0xFB90 and second & 0xF0F0 == 0xF0F0:  # SDIV, UDIV
        return [Guard(at, Check.DIVISOR, second & 0xF)]
    guards: list[Guard] = []
    if first & 0xEC00 == 0xEC00 and second & 0x0E00 == 0x0A00:  # coprocessors 10 and 11
        guards.append(Guard(at, Check.FPU_ON))
        if _is_double_arithmetic(first, second) and not double_precision:
            guards.append(Guard(at, Check.NEVER))
        if first & 0xFE00 != 0xEC00 or first & 0xFFE0 == 0xEC40:  # not a load or store
            return guards
        mask = 3
    else:
        mask = _core_alignment(first, second)
    if mask and base not in (13, 15):  # SP is always aligned, PC is rounded down
        guards.append(Guard(at, Check.ALIGNED, base, mask))
    return guards


def _core_alignment(first: int, second: int) -> int:
    """Address bits that a load or store of several words, or an exclusive one, wants zero."""
    if first & 0xFE40 == 0xE800:  # LDM, STM
        return 3
    if first & 0xFE40 != 0xE840:
        return 0
    if first & 0x0120:  # LDRD, STRD: P or W set
        return 3
    if first & 0x0080 == 0:  # LDREX, STREX
        return 3
    return 1 if second & 0x00F0 == 0x0050 else 0  # LDREXH, STREXH; else byte forms and TBB


def _is_double_arithmetic(first: int, second: int) -> bool:
    """Data processing with a double operand; loads, stores and register transfers are allowed."""
    if first & 0xEF00 != 0xEE00 or second & 0x0010:
        return False
    widens = first & 0xFFBF == 0xEEB7 and second & 0x0FD0 == 0x0AC0  # VCVT.F64.F32
    return second & 0x0100 != 0 or widens
