"""Exception entry and return: stack frames, EXC_RETURN, fault escalation and lock-up.

Rules: ARMv7-M Architecture Reference Manual B1.5. The frame with floating-point registers is
written at once and not lazily, which software cannot tell apart.
"""

from __future__ import annotations

import struct

from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.engine import Engine
from lnn_edge.device.virtual.faults import (
    HFSR_FORCED,
    INVPC,
    MSTKERR,
    MUNSTKERR,
    STKERR,
    UNSTKERR,
    BoardStoppedError,
    Cause,
)
from lnn_edge.device.virtual.nvic import (
    BUS_FAULT,
    HARD_FAULT,
    MEM_MANAGE,
    NMI,
    USAGE_FAULT,
    Masks,
    Nvic,
)
from lnn_edge.device.virtual.scb import Scb

_FPCA, _SPSEL = 4, 2
_ALIGNED = 1 << 9  # xPSR bit in a frame: the stack was moved by 4 to align it
_THUMB = 1 << 24
_BASIC, _EXTENDED = 0x20, 0x68  # frame bytes without and with floating-point registers
_RETURNS = (0xF1, 0xF9, 0xFD, 0xE1, 0xE9, 0xED)


class Exceptions:
    """Takes and leaves exceptions on one core.

    Args:
        config: Memories, to know where a stack can be.
        engine: The core.
        nvic: Which exceptions are active.
        scb: Vector table and fault status.
    """

    def __init__(self, config: MachineConfig, engine: Engine, nvic: Nvic, scb: Scb) -> None:
        self._config, self._engine, self._nvic, self._scb = config, engine, nvic, scb
        names = ("r0", "r1", "r2", "r3", "r12", "lr", "sp", "xpsr", "control")
        self._entry = engine.batch(*names)
        self._exit = engine.batch("r0", "r1", "r2", "r3", "r12", "lr")
        self._float = engine.batch(*(f"s{i}" for i in range(16)), "fpscr")
        self._masks = engine.batch("primask", "basepri", "faultmask")
        self._event = False  # the register that WFE looks at
        self._derived: Cause | None = None

    def masks(self) -> Masks:
        """PRIMASK, BASEPRI and FAULTMASK now."""
        primask, basepri, faultmask = self._masks.read()
        return Masks(primask & 1, basepri & 0xFF, faultmask & 1)

    def take_event(self) -> bool:
        """Whether an exception came or went since the last WFE; clears that."""
        event, self._event = self._event, False
        return event

    def take_derived(self) -> Cause | None:
        """What the last entry met when it pushed its frame; asked once."""
        derived, self._derived = self._derived, None
        return derived

    def reset(self) -> int:
        """Core registers to their reset values; returns where to start."""
        e = self._engine
        e.set("control", 0)
        for name in ("primask", "basepri", "faultmask", "fpscr"):
            e.set(name, 0)
        stack, start = struct.unpack("<II", e.read_memory(self._scb.vector_table, 8))
        e.set("msp", stack & ~3)
        e.set("lr", 0xFFFFFFFF)
        e.set("xpsr", _THUMB if start & 1 else 0)
        return int(start) & ~1

    # --- entry ------------------------------------------------------------------------------

    def enter(self, exception: int, return_to: int) -> int:
        """Stack the frame and switch to the handler; returns its address.

        Raises:
            BoardStoppedError: Lock-up while stacking or fetching the vector.
        """
        r0, r1, r2, r3, r12, lr, sp, xpsr, control = self._entry.read()
        extended = control & _FPCA != 0
        low = sp - (_EXTENDED if extended else _BASIC) & ~7
        exc_return = 0xFFFFFFF9 if not self._nvic.active else 0xFFFFFFF1
        if not self._nvic.active and control & _SPSEL:
            exc_return = 0xFFFFFFFD
        exc_return = exc_return & ~0x10 if extended else exc_return
        status = self._stacking_status(low, sp)
        if status:
            return self._start(self._derive(exception, status, sp), low, exc_return, control)
        xpsr = xpsr & ~_ALIGNED | (_ALIGNED if sp & 4 else 0)
        frame = struct.pack("<8I", r0, r1, r2, r3, r12, lr, return_to, xpsr)
        if extended:
            frame += struct.pack("<18I", *self._float.read(), 0)
        self._engine.write_memory(low, frame)
        return self._start(exception, low, exc_return, control)

    def _stacking_status(self, low: int, end: int) -> int:
        """What goes wrong where a frame is pushed, 0 if nothing."""
        if not self._is_ram(low, end):
            return STKERR
        return 0 if self._scb.mpu.may_stack(low, end, is_write=True) else MSTKERR

    def _derive(self, exception: int, status: int, sp: int) -> int:
        """Nothing could be pushed for an exception; return the one that is entered, B1.5.11.

        Raises:
            BoardStoppedError: Lock-up: there is nothing above a HardFault.
        """
        self._scb.record_fault(status, 0)
        where = "outside RAM" if status == STKERR else "where the MPU forbids it"
        what = f"stack {where} (SP {sp:#010x})"
        if exception in (NMI, HARD_FAULT):
            raise BoardStoppedError(f"lock-up, {what}")
        self._derived = Cause(what, status)
        derived = MEM_MANAGE if status == MSTKERR else BUS_FAULT
        if not self._scb.is_fault_enabled(derived):
            self._scb.hfsr |= HFSR_FORCED
            derived = HARD_FAULT
        is_above = self._nvic.group_priority(derived) < self._nvic.group_priority(exception)
        self._nvic.pend(exception if is_above else derived)
        return derived if is_above else exception

    def _start(self, exception: int, sp: int, exc_return: int, control: int) -> int:
        e = self._engine
        e.set("sp", sp)
        e.set("control", control & ~(_FPCA | _SPSEL))
        e.set("lr", exc_return)
        self._nvic.activate(exception)
        self._event = True
        vector = self._scb.vector_table + 4 * exception
        if self._config.region_at(vector) is None:
            raise BoardStoppedError(f"lock-up, no memory at the vector of exception {exception}")
        (handler,) = struct.unpack("<I", e.read_memory(vector, 4))
        thumb = _THUMB if handler & 1 else 0
        e.set("xpsr", e.get("xpsr") & 0xF80F0000 | thumb | exception)  # clears IT state
        return int(handler) & ~1

    def _is_ram(self, low: int, end: int) -> bool:
        region = self._config.region_at(low)
        return region is not None and region.kind == "ram" and end <= region.end

    # --- return -----------------------------------------------------------------------------

    def leave(self, exc_return: int) -> int | Cause:
        """Return from a handler.

        Args:
            exc_return: The value that was branched to; its lowest bit may be lost.

        Returns:
            Where to go on, or what is wrong with the return.
        """
        if (exc_return & 0xFF | 1) not in _RETURNS or not self._nvic.active:
            return Cause("bad exception return", INVPC)
        finished = self._nvic.active[-1]
        extended, to_thread = not exc_return & 0x10, exc_return & 8 != 0
        if to_thread != (len(self._nvic.active) == 1):
            return Cause("exception return to the wrong mode", INVPC)
        stack = "psp" if exc_return & 4 else "msp"
        sp = self._engine.get(stack)
        size = _EXTENDED if extended else _BASIC
        if not self._is_ram(sp, sp + size):
            return Cause("the stack left RAM on exception return", UNSTKERR)
        if not self._scb.mpu.may_stack(sp, sp + size, is_write=False):
            return Cause("the MPU forbids the stack on exception return", MUNSTKERR)
        frame = struct.unpack("<8I", self._engine.read_memory(sp, 32))
        if extended:
            self._restore_float(sp + 32)
        self._nvic.deactivate(finished)
        self._event = True
        if finished != NMI:
            self._engine.set("faultmask", 0)
        size += 4 if frame[7] & _ALIGNED else 0
        self._resume(frame, stack, sp + size, extended)
        return int(frame[6]) & ~1

    def _restore_float(self, at: int) -> None:
        words = struct.unpack("<17I", self._engine.read_memory(at, 68))
        self._float.write(list(words))

    def _resume(self, frame: tuple[int, ...], stack: str, sp: int, extended: bool) -> None:
        e = self._engine
        control = e.get("control") & 1 | (_SPSEL if stack == "psp" else 0)
        e.set(stack, sp)
        number = self._nvic.active[-1] if self._nvic.active else 0
        e.set("xpsr", frame[7] & ~(_ALIGNED | 0x1FF) | number)
        e.set("control", control | (_FPCA if extended else 0))
        self._exit.write(list(frame[:6]))

    # --- faults -----------------------------------------------------------------------------

    def fault(self, cause: Cause, pc: int) -> int:
        """Take the fault of the instruction at `pc`; returns the handler's address.

        A cause without status bits is an exception that could not be taken: a HardFault.

        Raises:
            BoardStoppedError: Lock-up: a fault at the priority of HardFault or above.
        """
        self._scb.record_fault(cause.cfsr, cause.address)
        wanted = MEM_MANAGE if cause.cfsr & 0xFF else USAGE_FAULT
        wanted = BUS_FAULT if cause.cfsr & 0xFF00 else wanted
        level = self._nvic.execution_priority(self.masks())
        enabled = cause.cfsr != 0 and self._scb.is_fault_enabled(wanted)
        if enabled and self._nvic.group_priority(wanted) < level:
            return self.enter(wanted, pc)
        if level <= -1:
            in_handler = any(number in (NMI, HARD_FAULT) for number in self._nvic.active)
            where = "inside a fault handler" if in_handler else "while FAULTMASK is set"
            raise BoardStoppedError(f"lock-up {where}")
        self._scb.hfsr |= HFSR_FORCED
        return self.enter(HARD_FAULT, pc)

    def call(self, exception: int, return_to: int) -> int | Cause:
        """SVC: taken at once; the fault that it is where its priority does not allow it."""
        if self._nvic.group_priority(exception) < self._nvic.execution_priority(self.masks()):
            return self.enter(exception, return_to)
        return Cause("SVC at a priority that holds it back", 0)
