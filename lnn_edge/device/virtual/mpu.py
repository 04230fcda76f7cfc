"""Memory protection unit: what privileged code may read, write and execute.

Armv7-M Architecture Reference Manual B3.5 (PMSAv7). No engine here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

REGIONS = 8  # Cortex-M4 and Cortex-M7 of STM32 (PM0214, PM0253)
FIRST, LAST = 0x90, 0xB8  # offsets of its registers in the system control block
_TYPE, _CONTROL, _NUMBER, _BASE, _ATTRIBUTES = 0x90, 0x94, 0x98, 0x9C, 0xA0
_ENABLE, _IN_FAULTS, _DEFAULT_MAP = 1, 2, 4
_VALID, _ADDRESS = 1 << 4, 0xFFFFFFE0
_EXECUTE_NEVER = 1 << 28
_SUBREGIONS, _LEAST_DIVIDED = 8, 256
_PRIVATE = (0xE0000000, 0xE0100000)  # the core's own registers are never ruled
_READ_WRITE, _READ_ONLY = (1, 2, 3), (5, 6, 7)  # access permission field, B3-16


@dataclass(frozen=True)
class Rights:
    """What privileged code may do."""

    read: bool
    write: bool
    execute: bool


ALL, NONE = Rights(True, True, True), Rights(False, False, False)


@dataclass
class _Region:
    base: int = 0
    attributes: int = 0

    @property
    def size(self) -> int:
        """Bytes, 0 while it is off."""
        bits = (self.attributes >> 1 & 0x1F) + 1
        return 1 << bits if self.attributes & _ENABLE and bits >= 5 else 0

    @property
    def start(self) -> int:
        return self.base & ~(self.size - 1) if self.size else 0

    @property
    def part(self) -> int:
        """Bytes that one bit of the subregion field switches off."""
        return self.size // _SUBREGIONS if self.size >= _LEAST_DIVIDED else self.size

    @property
    def rights(self) -> Rights:
        permission = self.attributes >> 24 & 7
        may_read = permission in _READ_WRITE + _READ_ONLY
        may_run = may_read and not self.attributes & _EXECUTE_NEVER
        return Rights(may_read, permission in _READ_WRITE, may_run)

    def holds(self, address: int) -> bool:
        if not self.size or not self.start <= address < self.start + self.size:
            return False
        part = (address - self.start) // self.part
        return not self.attributes >> 8 + part & 1 or self.size < _LEAST_DIVIDED

    def edges(self) -> range:
        return range(self.start, self.start + self.size + 1, self.part) if self.size else range(0)


class Mpu:
    """Eight regions; where several hold an address, the one of the highest number rules it.

    Attributes:
        version: Grows with each write.
        is_bypassed: Set while a HardFault or NMI runs.
    """

    def __init__(self) -> None:
        self.version = 0
        self.reset()

    def reset(self) -> None:
        """All off."""
        self.version += 1
        self.is_bypassed = False
        self._control = self._number = 0
        self._regions = [_Region() for _ in range(REGIONS)]

    def read(self, offset: int) -> int:
        """Value of a register."""
        if offset == _TYPE:
            return REGIONS << 8
        if offset == _CONTROL:
            return self._control
        if offset == _NUMBER:
            return self._number
        region = self._regions[self._number]
        is_base = (offset - _BASE) % 8 == 0
        return region.base | self._number if is_base else region.attributes

    def write(self, offset: int, value: int) -> None:
        """Write a register; base and attributes have three more places for four at once."""
        self.version += 1
        if offset == _CONTROL:
            self._control = value & 7
        elif offset == _NUMBER:
            self._number = value % REGIONS
        elif offset >= _BASE and (offset - _BASE) % 8 == 0:
            if value & _VALID:
                self._number = value & 0xF & REGIONS - 1
            self._regions[self._number].base = value & _ADDRESS
        elif offset >= _ATTRIBUTES:
            self._regions[self._number].attributes = value

    @property
    def _is_on(self) -> bool:
        return self._control & _ENABLE != 0 and (
            not self.is_bypassed or self._control & _IN_FAULTS != 0
        )

    def rights(self, address: int) -> Rights:
        """What may be done at an address, the memory map aside."""
        if not self._is_on or _PRIVATE[0] <= address < _PRIVATE[1]:
            return ALL
        for region in reversed(self._regions):
            if region.holds(address):
                return region.rights
        return ALL if self._control & _DEFAULT_MAP else NONE

    def segments(self, start: int, end: int) -> list[tuple[int, int, Rights]]:
        """Cut [start, end) into parts of equal rights, each as long as can be."""
        edges = {start, end}
        if self._is_on:
            for region in self._regions:
                edges |= {edge for edge in region.edges() if start < edge < end}
        ordered = sorted(edges)
        found: list[tuple[int, int, Rights]] = []
        for low, high in itertools.pairwise(ordered):
            rights = self.rights(low)
            if found and found[-1][2] == rights:
                low = found.pop()[0]
            found.append((low, high, rights))
        return found

    def may_stack(self, low: int, end: int, *, is_write: bool) -> bool:
        """Whether a frame of an exception may be written or read."""
        parts = self.segments(low, end)
        return all(rights.write if is_write else rights.read for _, _, rights in parts)
