"""Interrupt controller: pending, enabled, active, priorities, preemption.

Rules: ARMv7-M Architecture Reference Manual, B1.5 and B3.4. Knows no stack and no engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.config import IRQS

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 2, 3, 4, 5, 6
SVCALL, PENDSV, SYSTICK, FIRST_IRQ = 11, 14, 15, 16
_LOWEST = 256  # priority of thread code
_PRIORITY_BITS = 0xF0  # four implemented bits


@dataclass(frozen=True)
class Masks:
    """Special registers that hold interrupts back."""

    primask: int
    basepri: int
    faultmask: int


class Nvic(AbstractPeripheral):
    """NVIC registers from 0xE000E100 and the state behind them.

    Args:
        changed: Called after a write, which may have made another exception the most urgent.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__("NVIC", 0xE000E100, 0x400)
        self._changed = changed
        self.reset()

    def reset(self) -> None:
        """Nothing enabled, pending or active."""
        self.stored = {}
        self.enabled = 0  # bit n: interrupt n
        self.pending = 0  # bit n: exception n
        self.lines = 0  # bit n: level of interrupt n
        self.active: list[int] = []  # exception numbers, the running one last
        self.priority = bytearray(FIRST_IRQ + IRQS)
        self.group_mask = 0xFF  # bits of a priority that decide preemption

    # --- what peripherals and software do ---------------------------------------------------

    def set_line(self, irq: int, level: bool) -> None:
        """Level of an interrupt line; a rising one becomes pending and stays so."""
        bit = 1 << irq
        if level and not self.lines & bit:
            self.pend(FIRST_IRQ + irq)
        self.lines = self.lines | bit if level else self.lines & ~bit

    def pend(self, exception: int) -> None:
        """Make an exception pending."""
        self.pending |= 1 << exception

    def unpend(self, exception: int) -> None:
        """Clear pending; a line that is still high pends again at once."""
        irq = exception - FIRST_IRQ
        if irq < 0 or not self.lines >> irq & 1:
            self.pending &= ~(1 << exception)

    def set_priority_group(self, prigroup: int) -> None:
        """AIRCR.PRIGROUP: how many priority bits preempt."""
        self.group_mask = ~((2 << prigroup) - 1) & 0xFF

    def activate(self, exception: int) -> None:
        """The handler starts."""
        self.pending &= ~(1 << exception)
        self.active.append(exception)

    def deactivate(self, exception: int) -> None:
        """The handler returned; a line that is still high pends again."""
        if exception in self.active:
            self.active.remove(exception)
        irq = exception - FIRST_IRQ
        if irq >= 0 and self.lines >> irq & 1:
            self.pend(exception)

    # --- who runs ---------------------------------------------------------------------------

    def group_priority(self, exception: int) -> int:
        """Priority as far as preemption goes; lower preempts higher."""
        if exception in (NMI, HARD_FAULT):
            return exception - 4
        return self.priority[exception] & self.group_mask

    def execution_priority(self, masks: Masks) -> int:
        """Priority of what runs now, special registers included."""
        level = min((self.group_priority(e) for e in self.active), default=_LOWEST)
        if masks.basepri:
            level = min(level, masks.basepri & self.group_mask)
        if masks.primask:
            level = min(level, 0)
        if masks.faultmask:
            level = min(level, -1)
        return level

    def candidate(self) -> int | None:
        """Pending and enabled exception of the highest priority, whether it may run or not."""
        ready = self.pending & ((self.enabled << FIRST_IRQ) | 0xFFFF)
        best, best_key = None, (_LOWEST, 0)
        while ready:
            number = (ready & -ready).bit_length() - 1
            ready &= ready - 1
            fixed = number in (NMI, HARD_FAULT)
            key = (number - 4 if fixed else self.priority[number], number)
            if key < best_key:
                best, best_key = number, key
        return best

    def ready(self, masks: Masks) -> int | None:
        """Exception to take now, or None."""
        best = self.candidate()
        if best is not None and self.group_priority(best) < self.execution_priority(masks):
            return best
        return None

    # --- registers --------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """ISER, ICER, ISPR, ICPR, IABR, IPR."""
        bank, word = offset >> 7, (offset & 0x7F) >> 2
        if bank in (0, 1):
            return self.enabled >> 32 * word & 0xFFFFFFFF if offset & 0x7F < 0x40 else 0
        if bank in (2, 3):
            return self.pending >> FIRST_IRQ >> 32 * word & 0xFFFFFFFF
        if bank == 4:
            active = sum(1 << e - FIRST_IRQ for e in self.active if e >= FIRST_IRQ)
            return active >> 32 * word & 0xFFFFFFFF
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """ISER, ICER, ISPR, ICPR, IPR; bits of interrupts that do not exist are dropped."""
        bank, word = offset >> 7, (offset & 0x7F) >> 2
        bits = (value << 32 * word) & ((1 << IRQS) - 1)
        if bank == 0:
            self.enabled |= bits
        elif bank == 1:
            self.enabled &= ~bits
        elif bank == 2:
            self.pending |= bits << FIRST_IRQ
        elif bank == 3:
            self.pending &= ~((bits & ~self.lines) << FIRST_IRQ)
        elif 0x300 <= offset < 0x300 + IRQS:
            self._write_priorities(offset, value)
        self._changed()

    def _write_priorities(self, offset: int, value: int) -> None:
        self.stored[offset] = value & 0x01010101 * _PRIORITY_BITS
        for lane in range(4):
            irq = offset - 0x300 + lane
            if irq < IRQS:
                self.priority[FIRST_IRQ + irq] = value >> 8 * lane & _PRIORITY_BITS
