"""GPIO ports: registers only, nothing hangs on the pins. RM0385 chapter 6."""

from __future__ import annotations

from lnn_edge.device.virtual.bus import AbstractPeripheral

_MODER, _PUPDR, _IDR, _ODR, _BSRR = 0x00, 0x0C, 0x10, 0x14, 0x18
_INITIAL = {  # the debug pins of ports A and B
    "A": {_MODER: 0xA8000000, 0x08: 0x0C000000, _PUPDR: 0x64000000},
    "B": {_MODER: 0x00000280, 0x08: 0x000000C0, _PUPDR: 0x00000100},
}
PORTS = "ABCDEFGHIJK"


class Gpio(AbstractPeripheral):
    """One port.

    Args:
        letter: "A" to "K".
    """

    def __init__(self, letter: str) -> None:
        super().__init__(f"GPIO{letter}", 0x40020000 + 0x400 * PORTS.index(letter), 0x400)
        self._initial = _INITIAL.get(letter, {})
        self.reset()

    def reset(self) -> None:
        """All inputs, but the debug pins."""
        self.stored = dict(self._initial)

    def read(self, offset: int) -> int:
        """Input data: outputs read back, inputs follow their pull-up."""
        if offset != _IDR:
            return self.stored.get(offset, 0)
        mode, pull = self.stored.get(_MODER, 0), self.stored.get(_PUPDR, 0)
        output = self.stored.get(_ODR, 0)
        level = 0
        for pin in range(16):
            driven = mode >> 2 * pin & 3 == 1
            high = output >> pin & 1 if driven else pull >> 2 * pin & 3 == 1
            level |= int(high) << pin
        return level

    def write(self, offset: int, value: int) -> None:
        """BSRR sets and resets output bits; the rest is stored."""
        if offset == _BSRR:
            output = self.stored.get(_ODR, 0) & ~(value >> 16)
            self.stored[_ODR] = (output | value) & 0xFFFF
        elif offset != _IDR:
            self.stored[offset] = value
