"""System control block: identification, vectors, fault status, coprocessor access, caches, MPU.

Register map and values: ARMv7-M Architecture Reference Manual B3.2; Cortex-M7 Technical Reference
Manual (DDI 0489) for identification; cache sizes of the STM32F746 from DS10916.
"""

from __future__ import annotations

from collections.abc import Callable

from lnn_edge.device.virtual import mpu
from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.mpu import Mpu
from lnn_edge.device.virtual.nvic import NMI, PENDSV, SYSTICK, Nvic

CPUID = {"cortex-m7": 0x410FC271, "cortex-m4": 0x410FC241}  # r0p1 both

_ICSR, _VTOR, _AIRCR, _CCR, _SHPR1, _SHPR3, _SHCSR = (
    0x04,
    0x08,
    0x0C,
    0x14,
    0x18,
    0x20,
    0x24,
)
_CFSR, _HFSR, _DFSR, _MMFAR, _BFAR = 0x28, 0x2C, 0x30, 0x34, 0x38
_CCSIDR, _CSSELR, _CPACR, _DEMCR, _STIR = 0x80, 0x84, 0x88, 0xFC, 0x200
_CACHE_D, _CACHE_I = 0xF003E019, 0xF007E009  # 4 KB 4-way, 4 KB 2-way, lines of 32 bytes
_RESET_KEY, _SYSRESETREQ, _DIV_0_TRP = 0x05FA, 4, 0x10
_MMARVALID, _BFARVALID = 1 << 7, 1 << 15


class Scb(AbstractPeripheral):
    """Registers from 0xE000ED00 to the end of the system control space.

    Args:
        cpu: "cortex-m7" or "cortex-m4".
        double_precision: Shown in MVFR0 and MVFR1.
        boot_address: Vector table at reset.
        nvic: Pending bits live there.
        changed: Called after CPACR, CCR, DEMCR, a priority or a pending bit was written.
    """

    def __init__(
        self,
        cpu: str,
        double_precision: bool,
        boot_address: int,
        nvic: Nvic,
        changed: Callable[[], None],
    ) -> None:
        super().__init__("SCB", 0xE000ED00, 0x300)
        self._nvic, self._changed = nvic, changed
        self.mpu = Mpu()
        self._initial = {
            0x00: CPUID[cpu],
            _VTOR: boot_address,
            _CCR: 0x00040200 if cpu == "cortex-m7" else 0x200,
            0x78: 0x09000003,  # CLIDR: split level 1
            0x7C: 0x8303C003,  # CTR
            0x234: 0xC0000000,  # FPCCR: automatic and lazy state preservation
            0x240: 0x10110221 if double_precision else 0x10110021,  # MVFR0
            0x244: 0x12000011 if double_precision else 0x11000011,  # MVFR1
            0x248: 0x40,  # MVFR2
        }
        self.reset()

    def reset(self) -> None:
        """Values after reset."""
        self.stored = dict(self._initial)
        self.mpu.reset()
        self.cfsr = self.hfsr = self.dfsr = 0
        self.reset_requested = False

    # --- what the core asks -----------------------------------------------------------------

    @property
    def vector_table(self) -> int:
        """Address of the vector table."""
        return self.stored[_VTOR]

    @property
    def is_fpu_on(self) -> bool:
        """CPACR grants coprocessor 10 to the (always privileged) code."""
        return self.stored.get(_CPACR, 0) >> 20 & 1 == 1

    @property
    def is_division_trapped(self) -> bool:
        """CCR.DIV_0_TRP."""
        return self.stored[_CCR] & _DIV_0_TRP != 0

    @property
    def is_trace_enabled(self) -> bool:
        """DEMCR.TRCENA: the DWT unit runs."""
        return self.stored.get(_DEMCR, 0) >> 24 & 1 == 1

    @property
    def fault_address(self) -> tuple[int, int]:
        """(MMFAR, BFAR)."""
        return self.stored.get(_MMFAR, 0), self.stored.get(_BFAR, 0)

    def is_fault_enabled(self, exception: int) -> bool:
        """SHCSR: MemManage (4), BusFault (5), UsageFault (6) have their own handler."""
        return self.stored.get(_SHCSR, 0) >> (12 + exception) & 1 == 1

    def record_fault(self, cfsr: int, address: int) -> None:
        """Set status bits and, where they say so, the address register."""
        self.cfsr |= cfsr
        if cfsr & _MMARVALID:
            self.stored[_MMFAR] = address
        if cfsr & _BFARVALID:
            self.stored[_BFAR] = address

    # --- registers --------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """Any register; those not modelled read as stored."""
        if mpu.FIRST <= offset <= mpu.LAST:
            return self.mpu.read(offset)
        if offset == _ICSR:
            return self._icsr()
        if offset == _AIRCR:
            return 0xFA050000 | self.stored.get(_AIRCR, 0)
        if offset == _SHCSR:
            return self._shcsr()
        if offset == _CCSIDR:
            return _CACHE_I if self.stored.get(_CSSELR, 0) & 1 else _CACHE_D
        if offset in (_CFSR, _HFSR, _DFSR):
            return {_CFSR: self.cfsr, _HFSR: self.hfsr, _DFSR: self.dfsr}[offset]
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Any register; identification is read-only, status is write-one-to-clear."""
        if mpu.FIRST <= offset <= mpu.LAST:
            self.mpu.write(offset, value)
            self._changed()
        elif offset == _CFSR:
            self.cfsr &= ~value
        elif offset == _HFSR:
            self.hfsr &= ~value
        elif offset == _DFSR:
            self.dfsr &= ~value
        elif offset == _ICSR:
            self._write_icsr(value)
        elif offset == _AIRCR:
            self._write_aircr(value)
        elif offset == _STIR:
            self._nvic.write(0x100 + (value >> 5 & 0xF) * 4, 1 << (value & 31))
        elif offset not in (0x00, 0x78, 0x7C, _CCSIDR, 0x240, 0x244, 0x248):
            self.stored[offset] = value & ~0x7F if offset == _VTOR else value
        if _SHPR1 <= offset <= _SHPR3:
            self.stored[offset] = value & 0xF0F0F0F0
            for lane in range(4):
                exception = 4 + offset - _SHPR1 + lane
                self._nvic.priority[exception] = value >> 8 * lane & 0xF0
        if offset in (_ICSR, _CCR, _CPACR, _AIRCR, _DEMCR) or _SHPR1 <= offset <= _SHPR3:
            self._changed()

    def _icsr(self) -> int:
        active, pending = self._nvic.active, self._nvic.pending
        value = active[-1] if active else 0
        value |= (self._nvic.candidate() or 0) << 12
        value |= (len(active) <= 1) << 11 | (pending >> 16 != 0) << 22
        value |= (pending >> SYSTICK & 1) << 26 | (pending >> PENDSV & 1) << 28
        return value | (pending >> NMI & 1) << 31

    def _write_icsr(self, value: int) -> None:
        for bit, exception in ((31, NMI), (28, PENDSV), (26, SYSTICK)):
            if value >> bit & 1:
                self._nvic.pend(exception)
        for bit, exception in ((27, PENDSV), (25, SYSTICK)):
            if value >> bit & 1:
                self._nvic.unpend(exception)

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _RESET_KEY:
            return
        self.stored[_AIRCR] = value & 0x700
        self._nvic.set_priority_group(value >> 8 & 7)
        self.reset_requested |= value & _SYSRESETREQ != 0

    def _shcsr(self) -> int:
        bits = {4: 0, 5: 1, 6: 3, 11: 7, 14: 10, 15: 11}
        active = sum(1 << bits[e] for e in self._nvic.active if e in bits)
        return self.stored.get(_SHCSR, 0) & 0x70000 | active
