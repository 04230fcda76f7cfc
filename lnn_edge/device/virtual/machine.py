"""The board: core, memories and peripherals put together, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lnn_edge.device.elf import Elf
from lnn_edge.device.virtual import memories
from lnn_edge.device.virtual.bus import AbstractPeripheral, Bus, Registers
from lnn_edge.device.virtual.busy_wait import BusyWait
from lnn_edge.device.virtual.causes import cause_of
from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.counter_state import NO_BLOCK
from lnn_edge.device.virtual.dma import BASES, CLOCK_BITS, Dma, Wiring
from lnn_edge.device.virtual.dwt import Dwt
from lnn_edge.device.virtual.engine import Engine, Stop, Why
from lnn_edge.device.virtual.exceptions import Exceptions
from lnn_edge.device.virtual.fault_watch import FaultWatch
from lnn_edge.device.virtual.faults import BoardStoppedError, Cause, Fault, diagnose
from lnn_edge.device.virtual.gpio import PORTS, Gpio
from lnn_edge.device.virtual.iwdg import Iwdg
from lnn_edge.device.virtual.nvic import HARD_FAULT, NMI, SVCALL, SYSTICK, USAGE_FAULT, Nvic
from lnn_edge.device.virtual.rcc import (
    RESET_PIN,
    RESET_SOFTWARE,
    RESET_WATCHDOG,
    FlashInterface,
    Pwr,
    Rcc,
)
from lnn_edge.device.virtual.scb import Scb
from lnn_edge.device.virtual.systick import SysTick
from lnn_edge.device.virtual.timeline import Timeline
from lnn_edge.device.virtual.usart import Line, Usart

_IDCODE = 0x10016449  # DBGMCU_IDCODE: device 0x449, revision Z
_SHORTEST_NAP = 1000  # core clocks


@dataclass(frozen=True)
class Idle:
    """The core waits for the host or for time.

    Args:
        seconds: Until the next timer event; None when there is none.
    """

    seconds: float | None


class Machine:
    """One virtual board with a firmware in flash.

    Args:
        config: What to build.
        image: Firmware.
        use_compiler: Whether the counting helper may be compiled.
        on_fault: Told of each fault.

    Raises:
        BoardError: A segment of the firmware does not lie in flash.
        MissingToolError: The engine is not installed.
    """

    def __init__(
        self,
        config: MachineConfig,
        image: Elf,
        *,
        use_compiler: bool = True,
        on_fault: Callable[[Fault], None] | None = None,
    ) -> None:
        self.config, self.image = config, image
        self.engine = Engine(config.cpu, config.double_precision, use_compiler)
        self.counter = self.engine.counter
        self.counter.function_at = image.function_at
        self.timeline = Timeline(self.counter)
        self.line = Line()
        memories.fill(self.engine, config, image)
        self._build()
        self._faults = FaultWatch(image, self.timeline, on_fault)
        self._precise_at: int | None = None
        self._busy_wait = BusyWait()
        self._is_polling = self._is_asleep = False
        self._mpu_state = (self.scb.mpu.version, False)
        self._pc = self.exceptions.reset()
        self._changed()

    # --- construction -----------------------------------------------------------------------

    def _build(self) -> None:
        config, timeline = self.config, self.timeline
        self.nvic = Nvic(timeline.interrupt)
        self.scb = Scb(
            config.cpu,
            config.double_precision,
            config.boot_address,
            self.nvic,
            self._changed,
        )
        self.exceptions = Exceptions(config, self.engine, self.nvic, self.scb)
        self.systick = SysTick(timeline, lambda: self._pend(SYSTICK), self._polled)
        self.dwt = Dwt(
            config.cpu == "cortex-m7",
            lambda: self.scb.is_trace_enabled,
            self._exact_retired,
            self.counter.state,
        )
        self.rcc = Rcc(config.hse_hz, timeline.rescale)
        wiring = Wiring(config, self.engine, self._interrupt_line, self._polled)
        self.dma = {name: Dma(name, wiring) for name in BASES}
        usart = config.usart
        self.usart = Usart(
            usart.name,
            usart.base,
            timeline,
            lambda: (self.rcc.hclk_hz, self.rcc.usart_hz(usart.bus, usart.select_bit)),
            lambda level: self._interrupt_line(usart.irq, level),
            self._polled,
            self.line,
            self.dma,
        )
        self.iwdg = Iwdg(timeline, lambda: self.rcc.hclk_hz, self._bite)
        self._attach(Bus(self.engine))

    def _attach(self, bus: Bus) -> None:
        usart = self.config.usart
        self._peripherals: list[AbstractPeripheral] = []

        def add(peripheral: AbstractPeripheral, gate: tuple[str, int] | None = None) -> None:
            clocked = None if gate is None else lambda: self.rcc.is_on(*gate)
            bus.attach(peripheral, clocked)
            self._peripherals.append(peripheral)

        for core in (self.nvic, self.scb, self.systick, self.dwt):
            add(core)
        add(Registers("ITM", 0xE0000000, 0x1000, {}))
        add(Registers("DBGMCU", 0xE0042000, 0x400, {0: _IDCODE}))
        add(self.rcc)
        add(FlashInterface())
        add(Pwr(), ("apb1", 28))
        add(Registers("SYSCFG", 0x40013800, 0x400, {}), ("apb2", 14))
        add(self.iwdg)
        for name, controller in self.dma.items():
            add(controller, ("ahb1", CLOCK_BITS[name]))
        add(self.usart, (usart.bus, usart.clock_bit))
        for bit, letter in enumerate(PORTS):
            add(Gpio(letter), ("ahb1", bit))

    # --- what peripherals call --------------------------------------------------------------

    def _pend(self, exception: int) -> None:
        self.nvic.pend(exception)
        self.timeline.interrupt()

    def _interrupt_line(self, irq: int, level: bool) -> None:
        self.nvic.set_line(irq, level)
        if level:
            self.timeline.interrupt()

    def _changed(self) -> None:
        """CPACR, CCR, DEMCR, a priority, a pending bit or a reset request was written."""
        state = self.counter.state
        state.trap_division = int(self.scb.is_division_trapped)
        state.fpu_off = int(not self.scb.is_fpu_on)
        self.dwt.trace_changed()
        self.timeline.interrupt()

    def _bite(self) -> None:
        self._reset(RESET_WATCHDOG)

    def _exact_retired(self) -> int | None:
        """Retired instructions before the one that accesses now.

        The engine tells the block of an access and not the instruction. So the first attempt is
        stopped, which leaves the program counter on it; then it runs again, first in its block.
        Where that fails, in IT blocks, accesses are noted.
        """
        if self.counter.state.last == NO_BLOCK:
            return int(self.counter.state.retired)
        noted = self.counter.retired_before_noted()
        if noted is not None:
            return noted
        start, _ = self.counter.last_block()
        if self._precise_at == start:
            self._precise_at = None
            return int(self.counter.state.retired) - self.counter.not_yet_run(start)
        self.engine.stop_access()
        return None

    def _polled(self, register: int, value: int) -> None:
        if self._busy_wait.saw(register, value, int(self.counter.state.retired)):
            self._is_polling = True
            self.timeline.interrupt()

    # --- running ----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Bytes from the host."""
        self.line.incoming.extend(data)
        self.usart.host_sent()

    def take_output(self) -> bytes:
        """Bytes the board has sent since the last call."""
        data = bytes(self.line.outgoing)
        self.line.outgoing.clear()
        return data

    def let_time_pass(self, seconds: float) -> None:
        """The core sleeps while the host waits; never beyond the next event."""
        at = self.timeline.now + int(seconds * self.rcc.hclk_hz)
        due = self.timeline.next(patient=True)
        self.timeline.skip_to(at if due is None else min(at, due))

    def run_slice(self) -> Idle | None:
        """Run until something needs the host, or for some 400,000 instructions.

        Returns:
            Idle when the core waits, None when it has more to do.

        Raises:
            BoardStoppedError: The board cannot go on; the text is the diagnosis.
        """
        try:
            self.timeline.fire_due()
            self._faults.check_duration(self.rcc.hclk_hz, self.iwdg.is_running)
            if self.scb.reset_requested:
                self._reset(RESET_SOFTWARE)
            idle = self._sleep() if self._is_asleep else None
            if idle is None:
                self._take_exception()
                self._follow_mpu()
                self.timeline.arm()
                idle = self._after(self._run())
            if idle is not None and idle.seconds is None:
                self._faults.check_waiting(self.iwdg.is_running)
            return idle
        except BoardStoppedError as error:
            raise self._diagnosed(str(error)) from None

    def _run(self) -> Stop:
        try:
            return self.engine.run(self._pc)
        except BoardStoppedError:  # of a peripheral that was accessed
            self._pc = self.engine.get("pc") & ~1
            raise

    def _take_exception(self) -> None:
        """Enter the most urgent pending exception; repeated, this is also tail-chaining."""
        state = self.counter.state
        state.watch = 0
        if self.nvic.candidate() is None:
            return
        masks = self.exceptions.masks()
        exception = self.nvic.ready(masks)
        while exception is not None:
            pc, self._pc = self._pc, self.exceptions.enter(exception, self._pc)
            self._record_derived(pc)
            state.last = NO_BLOCK
            exception = self.nvic.ready(masks)
        if self.nvic.candidate() is not None:
            state.masks[:] = (masks.primask, masks.basepri, masks.faultmask)
            state.watch = 1

    def _after(self, stop: Stop) -> Idle | None:
        self._pc = stop.pc
        if stop.why is Why.SCAN:
            self.engine.forget_code(stop.pc, _block_limit(stop.pc))
            return None
        if stop.why is Why.BOUNDARY:
            self._follow_fpu()
            return self._polling() if self._is_polling else None
        if stop.why is Why.SLEEP:
            return self._sleep()
        if stop.why is Why.WAIT:
            return None if self.exceptions.take_event() else self._sleep()
        if stop.why is Why.ACCESS:
            self.engine.forget_code(*self.counter.note_last_block())
            self.counter.uncharge(stop.pc)
            self._precise_at = stop.pc
            return None
        if stop.why is Why.RETURN:
            self._return(stop.pc)
        elif stop.why is Why.CALL:
            self._call(stop.pc)
        else:
            self.counter.uncharge(stop.pc)
            self._fault(cause_of(stop, self.config, self.scb.mpu), stop.pc)
        return None

    def _call(self, return_to: int) -> None:
        target = self.exceptions.call(SVCALL, return_to)
        if isinstance(target, Cause):
            self._fault(target, return_to - 2)
        else:
            self._pc = target

    def _fault(self, cause: Cause, pc: int) -> None:
        lr, retired = self.engine.get("lr"), int(self.counter.state.retired)
        try:
            self._pc = self.exceptions.fault(cause, pc)
        except BoardStoppedError as error:
            what = self._faults.after_the_first(cause, pc)
            self._faults.record(cause, pc, lr, retired, handled=False)
            raise BoardStoppedError(f"{what}: {error}") from None
        self._faults.record(cause, pc, lr, retired, handled=True)
        self._record_derived(pc)
        self._faults.check_progress(cause, pc)

    def _record_derived(self, pc: int) -> None:
        derived = self.exceptions.take_derived()
        if derived is not None:
            retired = int(self.counter.state.retired)
            self._faults.record(derived, pc, self.engine.get("lr"), retired, handled=True)

    def _return(self, exc_return: int) -> None:
        target = self.exceptions.leave(exc_return)
        if isinstance(target, Cause):
            self._fault(target, exc_return)
        else:
            self._pc = target
        if not any(HARD_FAULT <= e <= USAGE_FAULT for e in self.nvic.active):
            self._faults.end()

    def _follow_fpu(self) -> None:
        if self.scb.is_fpu_on and self.counter.has_fpu_guards:
            self.counter.drop_fpu_guards()
            self.engine.forget_all_code()

    def _follow_mpu(self) -> None:
        """Let the engine enforce what the MPU says by now."""
        mpu = self.scb.mpu
        mpu.is_bypassed = any(number in (NMI, HARD_FAULT) for number in self.nvic.active)
        state = (mpu.version, mpu.is_bypassed)
        if state != self._mpu_state:
            self._mpu_state = state
            for memory in self.config.memories:
                self.engine.protect(memory, mpu.segments(memory.start, memory.end))

    # --- waiting ----------------------------------------------------------------------------

    def _polling(self) -> Idle | None:
        """A busy-wait: go to the next event; wait for timers in naps, the loop may feed them."""
        self._is_polling = False
        if self._skip_to_wire():
            return None
        due = self.timeline.next(patient=True)
        if due is None:
            return Idle(None)
        now = self.timeline.now
        nap = max((due - now) // 2, _SHORTEST_NAP)
        return Idle(min(nap, due - now) / self.rcc.hclk_hz)

    def _sleep(self) -> Idle | None:
        """WFI and WFE: until an exception is pending that could be taken but for PRIMASK.

        A watchdog that bites meanwhile ends the sleep too: _reset wakes the core.
        """
        self._is_asleep = True
        masks = replace(self.exceptions.masks(), primask=0)
        while self._is_asleep and self.nvic.ready(masks) is None:
            if not self._skip_to_wire():
                due = self.timeline.next(patient=True)
                left = None if due is None else max(0, due - self.timeline.now)
                return Idle(None if left is None else left / self.rcc.hclk_hz)
            self.timeline.fire_due()
        self._is_asleep = False
        return None

    def _skip_to_wire(self) -> bool:
        """Nothing but time can change the state: skip to the next event on the wire, if any."""
        wire, timer = (
            self.timeline.next(patient=False),
            self.timeline.next(patient=True),
        )
        if wire is None:
            return False
        self.timeline.skip_to(wire if timer is None else min(wire, timer))
        return True

    # --- reset and diagnosis ----------------------------------------------------------------

    def _reset(self, cause: int) -> None:
        """Reset everything but memories, virtual time and the counted instructions."""
        self._faults.note_reset(self.line.received)
        self.rcc.cause = self.rcc.stored.get(0x74, 0) & 0xFE000000 | cause | RESET_PIN
        for peripheral in self._peripherals:
            peripheral.reset()
        self._is_polling = self._is_asleep = False
        self.counter.state.last = NO_BLOCK
        self._pc = self.exceptions.reset()
        self._changed()

    def _diagnosed(self, what: str) -> BoardStoppedError:
        pc, lr = self._faults.place or (self._pc, self.engine.get("lr"))
        return BoardStoppedError(
            diagnose(what, self.image, pc, lr, self.scb.cfsr, self.scb.fault_address)
        )


def _block_limit(address: int) -> int:
    """Bytes from `address` that a block starting there can span at most: to the end of its page."""
    return 1024 - address % 1024 + 2
