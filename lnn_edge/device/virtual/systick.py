"""SysTick: the core's 24-bit down counter, in virtual time. ARMv7-M B3.3."""

from __future__ import annotations

from collections.abc import Callable

from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.timeline import Timeline

_CSR, _RVR, _CVR, _CALIB = 0x0, 0x4, 0x8, 0xC
_ENABLE, _TICKINT, _CLKSOURCE, _COUNTFLAG = 1, 2, 4, 1 << 16


class SysTick(AbstractPeripheral):
    """Registers from 0xE000E010.

    Args:
        timeline: Virtual time.
        expired: Called when the counter reaches zero with its interrupt enabled.
        polled: Told of reads that a busy-wait may hang on: (register address, value).
    """

    def __init__(
        self,
        timeline: Timeline,
        expired: Callable[[], None],
        polled: Callable[[int, int], None],
    ) -> None:
        super().__init__("SysTick", 0xE000E010, 0x10)
        self._timeline, self._expired, self._polled = timeline, expired, polled
        self.reset()

    def reset(self) -> None:
        """Stopped."""
        self._timeline.clear(self.name)
        self._control = self._reload = self._flag = 0
        self._held = 0  # value while stopped

    def _clocks_per_count(self) -> int:
        return 1 if self._control & _CLKSOURCE else 8

    def _value(self) -> int:
        zero_at = self._timeline.due(self.name)
        if zero_at is None:
            return self._held
        left = max(0, zero_at - self._timeline.now)
        return min(left // self._clocks_per_count(), self._reload)

    def read(self, offset: int) -> int:
        """CSR (COUNTFLAG clears), RVR, CVR, CALIB."""
        if offset == _CSR:
            value = self._control | self._flag
            self._flag = 0
            self._polled(self.base, value)
            return value
        if offset == _CVR:
            return self._value()
        return self._reload if offset == _RVR else 0

    def write(self, offset: int, value: int) -> None:
        """CSR, RVR, CVR (any value clears)."""
        if offset == _CSR:
            held = self._value()
            self._control = value & 7
            self._held = held
            self._start(held)
        elif offset == _RVR:
            self._reload = value & 0xFFFFFF
        elif offset == _CVR:
            self._flag = 0
            self._held = 0
            self._start(0)

    def _start(self, count: int) -> None:
        """Count down from `count`; zero loads the reload value at the next clock."""
        self._timeline.clear(self.name)
        counts = count if count else (self._reload + 1 if self._reload else 0)
        if self._control & _ENABLE and counts:
            self._plan(self._timeline.now + counts * self._clocks_per_count())

    def _plan(self, at: int) -> None:
        self._timeline.set(self.name, at, self._reach_zero, patient=True, counts_clocks=True)

    def _reach_zero(self, at: int) -> None:
        self._flag = _COUNTFLAG
        if self._control & _TICKINT:
            self._expired()
        if not self._reload:
            self._held = 0
            return
        period = (self._reload + 1) * self._clocks_per_count()
        missed = max(0, self._timeline.now - at) // period
        self._plan(at + (missed + 1) * period)
