"""Independent watchdog, in virtual time on the 32 kHz oscillator. RM0385 chapter 27."""

from __future__ import annotations

from collections.abc import Callable

from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.rcc import LSI_HZ
from lnn_edge.device.virtual.timeline import Timeline

_KR, _PR, _RLR, _SR, _WINR = 0x00, 0x04, 0x08, 0x0C, 0x10
_START, _UNLOCK, _RELOAD = 0xCCCC, 0x5555, 0xAAAA
EVENT = "IWDG"


class Iwdg(AbstractPeripheral):
    """Registers from 0x40003000; once started only a reset stops it.

    Args:
        timeline: Virtual time.
        core_hz: Core clock, Hz.
        bite: Called when it was not reloaded in time.
    """

    def __init__(
        self, timeline: Timeline, core_hz: Callable[[], int], bite: Callable[[], None]
    ) -> None:
        super().__init__("IWDG", 0x40003000, 0x400)
        self._timeline, self._core_hz, self._bite = timeline, core_hz, bite
        self.reset()

    def reset(self) -> None:
        """Stopped, longest reload value."""
        self._timeline.clear(EVENT)
        self.stored = {_RLR: 0xFFF, _WINR: 0xFFF}
        self.is_running = False
        self._unlocked = False

    def timeout_clocks(self) -> int:
        """Core clocks until it bites: (RLR + 1) * 4 * 2^PR cycles of 32 kHz."""
        divider = 4 << min(self.stored.get(_PR, 0), 6)
        return (self.stored[_RLR] + 1) * divider * self._core_hz() // LSI_HZ

    def read(self, offset: int) -> int:
        """PR, RLR, WINR; SR is always ready."""
        return 0 if offset in (_KR, _SR) else self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """KR commands; PR, RLR and WINR only after the unlock key."""
        value &= 0xFFFF
        if offset == _KR:
            self._unlocked = value == _UNLOCK
            self.is_running |= value == _START
            if value in (_START, _RELOAD):
                self._reload()
        elif self._unlocked and offset in (_PR, _RLR, _WINR):
            self.stored[offset] = value & (7 if offset == _PR else 0xFFF)
            if offset == _WINR:
                self._reload()

    def _reload(self) -> None:
        if self.is_running:
            at = self._timeline.now + self.timeout_clocks()
            self._timeline.set(EVENT, at, lambda _at: self._bite(), patient=True)
