"""Peripherals and the bus that leads to them; where there is none, an access faults."""

from __future__ import annotations

import abc
from collections.abc import Callable

from lnn_edge.device.virtual.engine import Engine

_PAGE = 1024
_MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}


class AbstractPeripheral(abc.ABC):
    """A block of 32-bit registers.

    Args:
        name: Used in diagnoses.
        base: First address.
        size: Bytes.
    """

    def __init__(self, name: str, base: int, size: int) -> None:
        self.name, self.base, self.size = name, base, size
        self.stored: dict[int, int] = {}

    @abc.abstractmethod
    def reset(self) -> None:
        """Put every register to its value after reset."""

    @abc.abstractmethod
    def read(self, offset: int) -> int:
        """Value of the register at a word offset."""

    @abc.abstractmethod
    def write(self, offset: int, value: int) -> None:
        """Write the register at a word offset."""

    def load(self, offset: int, width: int) -> int:
        """Read 1, 2 or 4 bytes."""
        if width == 4:
            return self.read(offset)
        return self.read(offset & ~3) >> 8 * (offset & 3) & _MASKS[width]

    def store(self, offset: int, width: int, value: int) -> None:
        """Write 1, 2 or 4 bytes; the other bytes keep what is stored, or are zero."""
        if width == 4:
            self.write(offset, value)
            return
        shift, word = 8 * (offset & 3), offset & ~3
        kept = self.stored.get(word, 0) & ~(_MASKS[width] << shift)
        self.write(word, kept | (value & _MASKS[width]) << shift)


class Registers(AbstractPeripheral):
    """A block that only stores: nothing it controls is modelled.

    Args:
        name: Used in diagnoses.
        base: First address.
        size: Bytes.
        initial: Values after reset by offset, zero where absent.
    """

    def __init__(self, name: str, base: int, size: int, initial: dict[int, int]) -> None:
        super().__init__(name, base, size)
        self._initial = initial
        self.reset()

    def reset(self) -> None:
        """Put every register to its value after reset."""
        self.stored = dict(self._initial)

    def read(self, offset: int) -> int:
        """What was written last."""
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Store."""
        self.stored[offset] = value


class Bus:
    """Leads the engine's accesses to peripherals.

    Args:
        engine: Accesses come from it, always aligned: it cuts others up.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pages: dict[int, list[AbstractPeripheral]] = {}
        self._gates: dict[str, Callable[[], bool]] = {}

    def attach(
        self, peripheral: AbstractPeripheral, clocked: Callable[[], bool] | None = None
    ) -> None:
        """Add a peripheral.

        Args:
            peripheral: Its page is mapped if it is not yet.
            clocked: Whether its bus clock runs; without, it reads zero and ignores writes.
        """
        if clocked is not None:
            self._gates[peripheral.name] = clocked
        first = peripheral.base // _PAGE * _PAGE
        last = (peripheral.base + peripheral.size - 1) // _PAGE * _PAGE
        for page in range(first, last + 1, _PAGE):
            if page not in self._pages:
                self._pages[page] = []
                self._engine.map_peripheral(page, _PAGE, self._read, self._write)
            self._pages[page].append(peripheral)

    def _find(self, address: int) -> AbstractPeripheral | None:
        """The peripheral at an address, None in a reserved gap or while its clock is off."""
        for peripheral in self._pages[address // _PAGE * _PAGE]:
            if peripheral.base <= address < peripheral.base + peripheral.size:
                gate = self._gates.get(peripheral.name)
                return peripheral if gate is None or gate() else None
        return None

    def _read(self, address: int, width: int) -> int:
        peripheral = self._find(address)
        return 0 if peripheral is None else peripheral.load(address - peripheral.base, width)

    def _write(self, address: int, width: int, value: int) -> None:
        peripheral = self._find(address)
        if peripheral is not None:
            peripheral.store(address - peripheral.base, width, value)
