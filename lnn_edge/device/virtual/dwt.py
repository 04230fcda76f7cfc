"""Data watchpoint and trace unit, of which the cycle counter is here.

CYCCNT counts retired instructions, exactly, because cycles are not modelled. So that no figure from
it is taken for silicon, the identification registers name no Arm part: the JEP106 designer code is
zero (Arm's is 0x23B) and the part number is 0xEDE. Registers: ARMv7-M C1.8, CoreSight (IHI 0029).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lnn_edge.device.virtual.bus import AbstractPeripheral

VIRTUAL_PART = 0xEDE  # part number in PIDR0 and PIDR1, designer code 0
_CTRL, _CYCCNT, _LAR, _LSR = 0x000, 0x004, 0xFB0, 0xFB4
_UNLOCK = 0xC5ACCE55
_PIDR = {
    0xFE0: VIRTUAL_PART & 0xFF,
    0xFE4: VIRTUAL_PART >> 8,
}  # PIDR0, PIDR1; the rest zero
_CIDR = {0xFF0: 0x0D, 0xFF4: 0xE0, 0xFF8: 0x05, 0xFFC: 0xB1}
_FOUR_COMPARATORS = 4 << 28


class Dwt(AbstractPeripheral):
    """Registers from 0xE0001000.

    Args:
        has_lock: Whether writes need LAR first (Cortex-M7).
        is_enabled: DEMCR.TRCENA.
        retired: Instructions retired before the one that accesses now, or None when that access
            will come again and its result does not matter.
        counter: Its `is_counting` and `zero_at`, the retired instructions at which CYCCNT was zero,
            modulo 2^64, are kept here. Most reads never come here: counter.c answers them.
    """

    def __init__(
        self,
        has_lock: bool,
        is_enabled: Callable[[], bool],
        retired: Callable[[], int | None],
        counter: Any,
    ) -> None:
        super().__init__("DWT", 0xE0001000, 0x1000)
        self._has_lock, self._is_enabled, self._retired = has_lock, is_enabled, retired
        self._counter = counter
        self.reset()

    def reset(self) -> None:
        """Locked and stopped."""
        self.stored = {_CTRL: _FOUR_COMPARATORS}
        self._locked = self._has_lock
        self._held = 0  # CYCCNT while stopped
        self._counter.is_counting = 0

    def trace_changed(self) -> None:
        """DEMCR was written: the counter may have to start or stop."""
        if self._should_run() == bool(self._counter.is_counting):
            return
        retired = self._retired()
        if retired is not None:
            self._follow(retired)

    def read(self, offset: int) -> int:
        """CYCCNT, identification, lock status; zero while DEMCR.TRCENA is clear."""
        if offset in _PIDR or offset in _CIDR:
            return _PIDR.get(offset, _CIDR.get(offset, 0))
        if offset == _LSR:
            return (1 | self._locked << 1) if self._has_lock else 0
        if not self._is_enabled():
            return 0
        if offset == _CYCCNT and self._counter.is_counting:
            retired = self._retired()
            return 0 if retired is None else (retired - self._counter.zero_at) & 0xFFFFFFFF
        return self._held if offset == _CYCCNT else self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """LAR; CTRL, CYCCNT and comparators when unlocked and enabled."""
        if offset == _LAR:
            self._locked = self._has_lock and value != _UNLOCK
            return
        if self._locked or not self._is_enabled() or offset >= _LAR:
            return
        retired = self._retired() if offset in (_CTRL, _CYCCNT) else 0
        if retired is None:
            return
        if offset == _CYCCNT:
            self._held = value
            self._counter.zero_at = retired - value
            return
        self.stored[offset] = value | _FOUR_COMPARATORS if offset == _CTRL else value
        if offset == _CTRL:
            self._follow(retired)

    def _should_run(self) -> bool:
        """CTRL.CYCCNTENA and DEMCR.TRCENA are both set."""
        return self._is_enabled() and self.stored[_CTRL] & 1 == 1

    def _follow(self, retired: int) -> None:
        counter, runs = self._counter, self._should_run()
        if runs and not counter.is_counting:
            counter.zero_at = retired - self._held
        elif not runs and counter.is_counting:
            self._held = (retired - counter.zero_at) & 0xFFFFFFFF
        counter.is_counting = int(runs)
