"""The facts of one board: what its TOML file says, as types. No file is read here."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

from lnn_edge.device.cores import CORES, Cpu
from lnn_edge.errors import BoardError

_ITCM_END, _DTCM, _DTCM_END = 0x00020000, 0x20000000, 0x20020000  # at their largest, RM0433


@dataclass(frozen=True)
class Region:
    """One memory of the chip.

    Attributes:
        name: Name of the region, as in the reference manual.
        start: First address.
        size: Bytes.
        kind: "flash" or "ram".
        dma: Whether the DMA that serves the serial port reaches it.
    """

    name: str
    start: int
    size: int
    kind: Literal["flash", "ram"]
    dma: bool = True

    @property
    def end(self) -> int:
        """First address after it."""
        return self.start + self.size

    @property
    def is_tightly_coupled(self) -> bool:
        """Whether it is the TCM of a Cortex-M7, which no cache stands before."""
        return self.start < _ITCM_END or _DTCM <= self.start < _DTCM_END


@dataclass(frozen=True)
class Mcu:
    """The microcontroller.

    Attributes:
        part: Order code.
        family: Which register layout the firmware uses; see families.
        cpu: As in -mcpu.
        fpu: As in -mfpu; "none" leaves floating point to the compiler's library.
        max_core_hz: Highest core clock with the voltage scale that the firmware sets.
        max_ahb_hz: Highest bus clock; equals the core clock except on the STM32H7.
        max_apb1_hz: Highest clock of the slow peripheral bus.
        max_apb2_hz: Highest clock of the fast peripheral bus.
        overdrive_above_hz: Core clock above which over-drive is needed; 0 if there is none.
        source: Documents that the figures come from.
    """

    part: str
    family: str
    cpu: Cpu
    fpu: Literal["none", "fpv4-sp-d16", "fpv5-sp-d16", "fpv5-d16", "auto"]
    max_core_hz: int
    max_ahb_hz: int
    max_apb1_hz: int
    max_apb2_hz: int
    overdrive_above_hz: int
    source: str

    @property
    def dsp(self) -> bool:
        """Whether the core has the Armv7E-M DSP instructions."""
        return CORES[self.cpu].dsp

    @property
    def caches(self) -> bool:
        """Whether the core has instruction and data caches."""
        return CORES[self.cpu].caches

    @property
    def has_fpu(self) -> bool:
        """Whether the core may push floating-point registers on an exception."""
        return self.fpu != "none"

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler flags that choose the core."""
        core = (f"-mcpu={self.cpu}", "-mthumb")
        if not self.has_fpu:
            return (*core, "-mfloat-abi=soft")
        return (*core, f"-mfpu={self.fpu}", "-mfloat-abi=hard")


@dataclass(frozen=True)
class Pll:
    """Factors of the main PLL: output = input / m * n / (p or r).

    Attributes:
        m: Input divider.
        n: Multiplier.
        p: Output divider (STM32F1, where it is 1, F4, F7, H7), else 0.
        r: Output divider (STM32G0, L4, U5), else 0.
    """

    m: int
    n: int
    p: int = 0
    r: int = 0


@dataclass(frozen=True)
class Clock:
    """How the core clock is made.

    Attributes:
        input: What feeds the PLL: the oscillator at the pins (hse) or the internal one (hsi).
        hse_hz: Frequency at the oscillator pins, 0 if there is none.
        hse_bypass: A clock is fed in; no crystal is driven.
        core_hz: The core clock that must come out.
        ahb_div: Bus divider.
        apb1_div: Divider of the slow peripheral bus.
        apb2_div: Divider of the fast peripheral bus.
        flash_wait_states: Wait states of the flash at that clock.
        overdrive: Whether the over-drive mode is on.
        source: Documents that the figures come from.
        pll: Factors; None where the clock is as it is, see Family.is_fixed.
    """

    input: Literal["hse", "hsi"]
    hse_hz: int
    hse_bypass: bool
    core_hz: int
    ahb_div: int
    apb1_div: int
    apb2_div: int
    flash_wait_states: int
    overdrive: bool
    source: str
    pll: Pll | None = None


@dataclass(frozen=True)
class Uart:
    """The serial port that reaches the host.

    Attributes:
        instance: Name, for people.
        base: Address of its registers.
        irq: Interrupt number.
        bus: Peripheral bus that clocks it.
        enable_bit: Bit of that bus's clock enable register.
        tx: Transmit pin, such as "PA9"; "" where there are no pins, see Family.is_fixed.
        tx_af: Its alternate function.
        rx: Receive pin.
        rx_af: Its alternate function.
        baud: Rate after reset, bits per second.
        source: Documents that the figures come from.
    """

    instance: str
    base: int
    irq: int
    bus: Literal["apb1", "apb2"]
    enable_bit: int
    tx: str
    tx_af: int
    rx: str
    rx_af: int
    baud: int
    source: str


@dataclass(frozen=True)
class Dma:
    """What moves the serial port's bytes. Without it each byte interrupts, and sending polls.

    Attributes:
        instance: Name of the controller, for people.
        base: Address of its registers.
        enable_bit: Bit of the AHB1 clock enable register.
        rx_stream: Stream that receives; on the STM32L4 a channel.
        rx_request: Channel of the stream (F4, F7), selection (L4) or multiplexer input (H7).
        rx_irq: Interrupt number of the receiving stream.
        tx_stream: Stream that sends.
        tx_request: As rx_request.
        region: Memory of the buffers.
        source: Documents that the figures come from.
    """

    instance: str
    base: int
    enable_bit: int
    rx_stream: int
    rx_request: int
    rx_irq: int
    tx_stream: int
    tx_request: int
    region: str
    source: str


@dataclass(frozen=True)
class Layout:
    """Where the firmware lies.

    Attributes:
        flash: Region of code and constants; the core boots from it.
        data: Region of variables, model context included.
        stack: Region of the stack, which starts at its lowest address.
        stack_bytes: Size of the stack, a multiple of 8.
    """

    flash: str
    data: str
    stack: str
    stack_bytes: int


@dataclass(frozen=True)
class Tools:
    """What flashes or stands in for the board.

    Attributes:
        openocd: Configuration files for OpenOCD, in order.
        volume: Label of the debug probe's mass storage, "" if it has none.
        emulator: "virtual", "qemu:MACHINE", or "" if none runs its firmware.
        source: Documents that the names come from.
    """

    openocd: tuple[str, ...]
    volume: str
    emulator: str
    source: str


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes:
        name: Name on the command line.
        title: Name for people.
        aliases: Further names on the command line.
        url: Its home page.
        mcu: The microcontroller.
        memory: Its memories.
        clock: How the core clock is made.
        uart: The serial port that reaches the host.
        layout: Where the firmware lies.
        tools: What flashes or stands in for it.
        dma: What moves the serial port's bytes; None: interrupts do.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    url: str
    mcu: Mcu
    memory: tuple[Region, ...]
    clock: Clock
    uart: Uart
    layout: Layout
    tools: Tools
    dma: Dma | None = None

    def region(self, name: str) -> Region:
        """Return the memory of that name."""
        return next(region for region in self.memory if region.name == name)

    @property
    def dma_is_cached(self) -> bool:
        """Whether the core would see the DMA's buffers through its data cache."""
        if self.dma is None or not self.mcu.caches:
            return False
        return not self.region(self.dma.region).is_tightly_coupled

    def to_json(self) -> str:
        """Text that `board_of` reads back; equal boards give equal text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def pin_of(text: str) -> tuple[int, int]:
    """Return (port, pin) of a name such as "PA9"; port 0 is A.

    Raises:
        BoardError: Not a pin.
    """
    match = re.fullmatch(r"P([A-K])(\d|1[0-5])", text)
    if match is None:
        raise BoardError(f"{text!r} is not a pin; write a port A to K and 0 to 15, such as PA9")
    return ord(match[1]) - ord("A"), int(match[2])
