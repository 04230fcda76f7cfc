"""DMA controllers, as far as serial ports use them: bytes between a peripheral and memory.

RM0385 chapter 8. Modelled are normal and circular transfers of bytes in direct mode, their half,
complete and error flags, interrupts and the controller's clock. A program that asks for more
(memory to memory, double buffer, wider units, a FIFO, one address again and again) is stopped with
a sentence.

A stream does not move bytes by itself: the peripheral at its request line does (`put`, `take`) once
their time has come. To cost nothing per byte it does so in bursts, at the latest when a flag with
an interrupt falls due or when the program looks at the controller or the peripheral. A program that
reads the buffer without looking at either sees it late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.engine import Engine
from lnn_edge.device.virtual.faults import BoardStoppedError

STREAMS = 8
BASES = {"DMA1": 0x40026000, "DMA2": 0x40026400}
CLOCK_BITS = {"DMA1": 21, "DMA2": 22}  # of RCC_AHB1ENR
IRQS = {  # RM0385 vector table
    "DMA1": (11, 12, 13, 14, 15, 16, 17, 47),
    "DMA2": (56, 57, 58, 59, 60, 68, 69, 70),
}
REQUESTS = {  # RM0385 DMA request mapping: controller, stream, channel
    "USART1 rx": (("DMA2", 2, 4), ("DMA2", 5, 4)),
    "USART1 tx": (("DMA2", 7, 4),),
    "USART3 rx": (("DMA1", 1, 4),),
    "USART3 tx": (("DMA1", 3, 4), ("DMA1", 4, 7)),
}

_STREAM, _EACH = 0x10, 0x18
_CR, _NDTR, _PAR, _M0AR, _FCR = 0x00, 0x04, 0x08, 0x0C, 0x14
_EN, _TEIE, _HTIE, _TCIE = 1 << 0, 1 << 2, 1 << 3, 1 << 4
_TO_PERIPHERAL, _CIRC, _MINC = 1 << 6, 1 << 8, 1 << 10
_NOT_MODELLED = 1 << 5 | 1 << 7 | 1 << 9 | 0xF << 11 | 1 << 18 | 0xF << 21  # CR bits
_DIRECT_DISABLED = 1 << 2  # FCR.DMDIS
_TEIF, _HTIF, _TCIF = 1 << 3, 1 << 4, 1 << 5
_ALL_FLAGS = 0x3D


@dataclass(frozen=True)
class Wiring:
    """What a controller is connected to.

    Args:
        config: Which memories it reaches.
        engine: Holds them.
        interrupt: Told (interrupt number, level).
        polled: Told of reads that a busy-wait may hang on: (register address, value).
    """

    config: MachineConfig
    engine: Engine
    interrupt: Callable[[int, bool], None]
    polled: Callable[[int, int], None]


class Stream:
    """One of a controller's streams.

    Args:
        name: For diagnoses, such as "DMA2 stream 2".
        irq: Its interrupt.
        wiring: Memories and interrupts.
    """

    def __init__(self, name: str, irq: int, wiring: Wiring) -> None:
        self.name, self._irq, self._wiring = name, irq, wiring
        self.reset()

    def reset(self) -> None:
        """Off, no flags."""
        self.stored = {_FCR: 0x21}
        self.flags = 0
        self.left = 0  # NDTR
        self._length, self._done = 0, 0  # of a round, and of it done
        self._snapshot = b""
        self._wiring.interrupt(self._irq, False)

    # --- the request line --------------------------------------------------------------------

    def serves(self, channel: int, to_peripheral: bool) -> bool:
        """Whether a request of this channel and direction is answered now."""
        control = self.stored.get(_CR, 0)
        same_way = bool(control & _TO_PERIPHERAL) == to_peripheral
        return bool(control & _EN) and control >> 25 & 7 == channel and same_way and self.left > 0

    def until_interrupt(self) -> int:
        """Bytes to the next flag that interrupts, or to the end of a round."""
        half = self._length - self._length // 2 - self._done
        has_half = self.stored.get(_CR, 0) & _HTIE and half > 0
        return half if has_half else self.left

    def put(self, data: bytes, source: int) -> None:
        """Move bytes from the register at `source` to memory, `until_interrupt` at most."""
        if not self._is_wired(source) or not self._reaches(len(data), writes=True):
            return
        self._wiring.engine.write_memory(self._at, data)
        self._advance(len(data))

    def take(self, count: int, target: int) -> bytes:
        """Move bytes from memory to the register at `target`, `until_interrupt` at most."""
        if not self._is_wired(target) or not self._reaches(count, writes=False):
            return b""
        data = self._wiring.engine.read_memory(self._at, count)
        if data != self._snapshot[self._done : self._done + count]:
            raise BoardStoppedError(
                f"{self.name} sends from {self._at:#010x}, and the program changed it meanwhile"
            )
        self._advance(count)
        return data

    @property
    def _at(self) -> int:
        return self.stored.get(_M0AR, 0) + self._done

    def _is_wired(self, register: int) -> bool:
        """The peripheral whose request this is must be the one that is accessed."""
        if self.stored.get(_PAR, 0) == register:
            return True
        raise BoardStoppedError(
            f"{self.name} serves the register at {register:#010x} and its PAR is "
            f"{self.stored.get(_PAR, 0):#010x}; the virtual board needs them equal"
        )

    def _reaches(self, count: int, *, writes: bool) -> bool:
        """The memory must take it; else the transfer error flag is set and the stream goes off."""
        region = self._wiring.config.region_at(self._at)
        fits = region is not None and self._at + count <= region.end and region.dma
        if fits and region is not None and (region.kind == "ram" or not writes):
            return True
        self.stored[_CR] = self.stored.get(_CR, 0) & ~_EN
        self._raise(_TEIF)
        if not self.stored[_CR] & _TEIE:
            where = "no memory" if region is None else region.name
            raise BoardStoppedError(
                f"{self.name}: its buffer at {self._at:#010x} lies in {where}, which the DMA does "
                f"not {'write' if writes else 'read'} (TEIF, and TEIE is off)"
            )
        return False

    def _advance(self, count: int) -> None:
        before, self._done = self._done, self._done + count
        self.left -= count
        half = self._length - self._length // 2
        flags = _HTIF if before < half <= self._done else 0
        if self.left == 0:
            flags |= _TCIF
            if self.stored[_CR] & _CIRC:
                self._begin_round()
            else:
                self.stored[_CR] &= ~_EN
        self._raise(flags)

    def _begin_round(self) -> None:
        self._done, self.left = 0, self._length
        if self.stored[_CR] & _TO_PERIPHERAL and self._reaches(self._length, writes=False):
            self._snapshot = self._wiring.engine.read_memory(self._at, self._length)

    def _raise(self, flags: int) -> None:
        self.flags |= flags
        self.follow_interrupt()

    def follow_interrupt(self) -> None:
        """Level of the interrupt line: each flag stands one bit above its enable."""
        enabled = self.stored.get(_CR, 0) << 1 & (_TEIF | _HTIF | _TCIF)
        self._wiring.interrupt(self._irq, bool(self.flags & enabled))

    # --- registers ---------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """NDTR counts down; the rest as stored."""
        return self.left if offset == _NDTR else self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """While the stream is on, only it and its interrupts can be switched."""
        if offset == _CR:
            self._control(value)
        elif not self.stored.get(_CR, 0) & _EN:
            if offset == _NDTR:
                self.left = value & 0xFFFF
            else:
                self.stored[offset] = value

    def _control(self, value: int) -> None:
        was_on = self.stored.get(_CR, 0) & _EN
        if was_on and value & _EN:
            value = self.stored[_CR] & ~0x1E | value & 0x1E
        self.stored[_CR] = value
        if was_on and not value & _EN:
            self.flags |= _TCIF  # RM0385 8.3.15: the end of a transfer, also of one broken off
        if value & _EN and not was_on:
            self._start(value)
        self.follow_interrupt()

    def _start(self, value: int) -> None:
        is_known = value & _MINC and not value & _NOT_MODELLED
        if not is_known or self.stored.get(_FCR, 0) & _DIRECT_DISABLED:
            raise BoardStoppedError(
                f"{self.name} is started with SxCR {value:#010x}, SxFCR "
                f"{self.stored.get(_FCR, 0):#x}: the virtual board knows bytes in direct mode"
            )
        if self.flags or not self.left:
            self.stored[_CR] &= ~_EN  # RM0385 8.5.5: flags of the last transfer have to go first
            return
        self._length = self.left
        self._begin_round()


class Dma(AbstractPeripheral):
    """One controller.

    Args:
        name: "DMA1" or "DMA2".
        wiring: Memories and interrupts.
    """

    def __init__(self, name: str, wiring: Wiring) -> None:
        super().__init__(name, BASES[name], 0x400)
        self._polled = wiring.polled
        self._catch_up: list[Callable[[], None]] = []
        self.streams = [
            Stream(f"{name} stream {number}", IRQS[name][number], wiring)
            for number in range(STREAMS)
        ]

    def on_look(self, catch_up: Callable[[], None]) -> None:
        """Have a peripheral move what is due when the program looks, and when it has written."""
        self._catch_up.append(catch_up)

    def reset(self) -> None:
        """All streams off."""
        for stream in self.streams:
            stream.reset()

    def read(self, offset: int) -> int:
        """LISR, HISR, registers of the streams."""
        self._move()
        if offset in (0x00, 0x04):
            value = sum(
                self.streams[offset + number].flags << shift
                for number, shift in enumerate((0, 6, 16, 22))
            )
        else:
            stream, register = self._at(offset)
            value = 0 if stream is None else stream.read(register)
        self._polled(self.base + offset, value)
        return value

    def write(self, offset: int, value: int) -> None:
        """LIFCR and HIFCR clear flags; registers of the streams."""
        self._move()
        if offset in (0x08, 0x0C):
            for number, shift in enumerate((0, 6, 16, 22)):
                stream = self.streams[offset - 8 + number]
                stream.flags &= ~(value >> shift & _ALL_FLAGS)
                stream.follow_interrupt()
            return
        found, register = self._at(offset)
        if found is not None:
            found.write(register, value)
            self._move()

    def _at(self, offset: int) -> tuple[Stream | None, int]:
        number, register = divmod(offset - _STREAM, _EACH)
        return (self.streams[number] if 0 <= number < STREAMS else None), register

    def _move(self) -> None:
        for catch_up in self._catch_up:
            catch_up()


@dataclass(frozen=True)
class RequestLine:
    """A peripheral's request, which several streams can be set to serve.

    Args:
        choices: Each stream and the channel on which it sees the request.
        register: Address of the peripheral's data register.
        to_peripheral: The direction.
    """

    choices: tuple[tuple[Stream, int], ...]
    register: int
    to_peripheral: bool

    def stream(self) -> Stream | None:
        """The stream that serves it now."""
        for stream, channel in self.choices:
            if stream.serves(channel, self.to_peripheral):
                return stream
        return None


def request_line(
    name: str, controllers: dict[str, Dma], register: int, *, to_peripheral: bool
) -> RequestLine:
    """The request of that name in `REQUESTS`; one that no stream serves where there is none."""
    choices = tuple(
        (controllers[controller].streams[stream], channel)
        for controller, stream, channel in REQUESTS.get(name, ())
        if controller in controllers
    )
    return RequestLine(choices, register, to_peripheral)
