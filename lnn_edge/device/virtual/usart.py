"""USART: registers, shift registers, interrupts, paced at BRR in virtual time. RM0385 chapter 31.

The host's bytes wait in `line.incoming` and arrive one frame time after another, as from a sender
that never pauses. They wait there while the receiver is off; once it is on nothing waits for the
firmware: a byte that arrives while RXNE is set is lost and sets ORE.

Where a DMA stream serves a direction, its frames are processed in bursts: one event for as many as
end before something can notice, see `lnn_edge.device.virtual.dma`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lnn_edge.device.virtual.bus import AbstractPeripheral
from lnn_edge.device.virtual.dma import Dma, RequestLine, Stream, request_line
from lnn_edge.device.virtual.timeline import Timeline

_CR1, _CR2, _CR3, _BRR, _RQR, _ISR, _ICR = 0x00, 0x04, 0x08, 0x0C, 0x18, 0x1C, 0x20
_RDR, _TDR = 0x24, 0x28
_UE, _RE, _TE, _OVER8 = 1 << 0, 1 << 2, 1 << 3, 1 << 15
_ORE, _IDLE, _RXNE, _TC, _TXE = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
_TEACK, _REACK = 1 << 21, 1 << 22
_BUSY = 1 << 16
_EIE, _DMAR, _DMAT, _OVRDIS = 1 << 0, 1 << 6, 1 << 7, 1 << 12  # CR3
_CLEARABLE = 0x1F | _TC  # PE, FE, NF, ORE, IDLE, TC
_STOP_HALVES = (2, 1, 4, 3)  # CR2.STOP in half bits
_RXFRQ, _TXFRQ = 1 << 3, 1 << 4


@dataclass
class Line:
    """The wire to the host and what happened on it.

    Args:
        incoming: Bytes the host has sent and the wire has not yet delivered.
        outgoing: Bytes whose stop bit has left the board.
        received: Bytes that arrived, the lost ones included.
        sent: Bytes sent.
        overruns: Bytes lost because the firmware did not read in time.
    """

    incoming: deque[int] = field(default_factory=deque)
    outgoing: bytearray = field(default_factory=bytearray)
    received: int = 0
    sent: int = 0
    overruns: int = 0


class Usart(AbstractPeripheral):
    """One instance.

    Args:
        name: Instance name.
        base: First address.
        timeline: Virtual time.
        clocks: Returns (core clock, kernel clock) in Hz.
        interrupt: Told the level of the interrupt line.
        polled: Told of reads that a busy-wait may hang on: (register address, value).
        line: The wire.
        controllers: DMA controllers by name; without, none serves it.
    """

    def __init__(
        self,
        name: str,
        base: int,
        timeline: Timeline,
        clocks: Callable[[], tuple[int, int]],
        interrupt: Callable[[bool], None],
        polled: Callable[[int, int], None],
        line: Line,
        controllers: dict[str, Dma] | None = None,
    ) -> None:
        super().__init__(name, base, 0x400)
        self._timeline, self._clocks = timeline, clocks
        self._interrupt, self._polled, self.line = interrupt, polled, line
        self._rx_event, self._tx_event, self._idle_event = (
            f"{name} rx",
            f"{name} tx",
            f"{name} idle",
        )
        served = controllers or {}
        self._rx_line = self._request(f"{name} rx", served, _RDR)
        self._tx_line = self._request(f"{name} tx", served, _TDR)
        for controller in served.values():
            controller.on_look(self._catch_up)
        self.reset()

    def _request(self, name: str, controllers: dict[str, Dma], register: int) -> RequestLine:
        address = self.base + register
        return request_line(name, controllers, address, to_peripheral=register == _TDR)

    def reset(self) -> None:
        """Off; bytes in the shift registers are lost, the host's bytes wait on."""
        for event in (self._rx_event, self._tx_event, self._idle_event):
            self._timeline.clear(event)
        self.stored = {}
        self._flags = _TC  # ORE, IDLE and TC; RXNE and TXE follow from the two registers below
        self._received: int | None = None  # RDR while RXNE
        self._last_received = 0
        self._sending = bytearray()  # the shift register, and TDR while TXE is clear
        self._rx_frames = self._tx_frames = 0  # that end with the planned event
        self._interrupt(False)

    # --- timing -----------------------------------------------------------------------------

    def frame_clocks(self) -> int | None:
        """Core clocks of one frame; None while BRR or the kernel clock cannot give a rate."""
        control, brr = self.stored.get(_CR1, 0), self.stored.get(_BRR, 0) & 0xFFFF
        divider = brr
        if control & _OVER8:  # USARTDIV = BRR[15:4] : BRR[2:0] << 1, and the rate doubles
            divider = brr & 0xFFF0 | (brr & 7) << 1
        core_hz, kernel_hz = self._clocks()
        if divider < 16 or not kernel_hz:
            return None
        data_bits = {0: 8, 1: 9, 2: 7, 3: 8}[control >> 12 & 1 | control >> 27 & 2]
        halves = 2 + 2 * data_bits + _STOP_HALVES[self.stored.get(_CR2, 0) >> 12 & 3]
        per_bit = 2 if control & _OVER8 else 1
        return max(1, halves * divider * core_hz // (2 * per_bit * kernel_hz))

    def baud(self) -> int:
        """Bits per second as programmed, 0 while off."""
        frame = self.frame_clocks()
        return 0 if frame is None else round(self._clocks()[0] * 10 / frame)

    # --- receiver ---------------------------------------------------------------------------

    def _receiver_on(self) -> bool:
        return self.stored.get(_CR1, 0) & (_UE | _RE) == _UE | _RE

    def host_sent(self) -> None:
        """Bytes were added to `line.incoming`: start the first frame unless one is under way."""
        if not self._arriving and self.line.incoming and self._receiver_on():
            self._expect(self._timeline.now)

    def _follow_enable(self) -> None:
        """CR1.UE off discards what is under way and resets the flags, RE and TE stop their half.

        A frame that was arriving waits with the host again.
        """
        control = self.stored.get(_CR1, 0)
        if control & (_UE | _TE) != _UE | _TE:
            self._timeline.clear(self._tx_event)
            self._sending.clear()
            self._flags |= _TC
        if self._receiver_on():
            self.host_sent()
        else:
            self._timeline.clear(self._rx_event)
            self._timeline.clear(self._idle_event)
            self._received = None
        if not control & _UE:
            self._flags = _TC

    @property
    def _arriving(self) -> bool:
        return self._timeline.due(self._rx_event) is not None

    def _rx_stream(self) -> Stream | None:
        return self._rx_line.stream() if self.stored.get(_CR3, 0) & _DMAR else None

    def _expect(self, at: int) -> None:
        """Plan the end of the next frame, or of as many as the DMA takes without telling."""
        frame = self.frame_clocks()
        if frame is None:
            return
        stream = self._rx_stream()
        self._rx_frames = 1
        if stream is not None:
            self._rx_frames = min(len(self.line.incoming), stream.until_interrupt())
        self._timeline.clear(self._idle_event)
        due = at + self._rx_frames * frame
        self._timeline.set(self._rx_event, due, self._arrive, patient=False)

    def _arrive(self, at: int) -> None:
        """The planned frames have ended."""
        self._receive(self._rx_frames)
        if self.line.incoming:
            self._expect(at)
        else:
            quiet = at + (self.frame_clocks() or 0)
            self._timeline.set(self._idle_event, quiet, self._fall_idle, patient=False)
        self._update()

    def _receive(self, frames: int) -> None:
        take = self.line.incoming.popleft
        data = bytes(take() for _ in range(frames))
        self.line.received += frames
        stream = self._rx_stream()
        if stream is not None and data:
            self._last_received = data[-1]
            stream.put(data, self._rx_line.register)
            return
        for byte in data:
            self._receive_byte(byte)

    def _receive_byte(self, byte: int) -> None:
        if self._received is None:
            self._received = self._last_received = byte
        elif self.stored.get(_CR3, 0) & _OVRDIS:
            self._received = self._last_received = byte
            self.line.overruns += 1
        else:
            self._flags |= _ORE
            self.line.overruns += 1

    def _fall_idle(self, _at: int) -> None:
        self._flags |= _IDLE
        self._update()

    # --- transmitter ------------------------------------------------------------------------

    def _tx_stream(self) -> Stream | None:
        on = self.stored.get(_CR1, 0) & (_UE | _TE) == _UE | _TE
        return self._tx_line.stream() if on and self.stored.get(_CR3, 0) & _DMAT else None

    def _transmit(self, byte: int) -> None:
        """TDR was written; a byte that still waits there is overwritten."""
        if self.stored.get(_CR1, 0) & (_UE | _TE) != _UE | _TE:
            return
        self._flags &= ~_TC
        del self._sending[1:]
        self._sending.append(byte)
        if len(self._sending) == 1:
            self._plan_sending(self._timeline.now)

    def _plan_sending(self, at: int) -> None:
        """Plan the end of the next frame, or of as many as the DMA feeds without telling."""
        frame = self.frame_clocks()
        if frame is None:
            self._sending.clear()
            return
        stream = self._tx_stream()
        self._tx_frames = 1 if stream is None else stream.until_interrupt()
        due = at + self._tx_frames * frame
        self._timeline.set(self._tx_event, due, self._sent, patient=False)

    def _sent(self, at: int) -> None:
        """The planned frames have ended: each leaves room for a byte of the DMA."""
        self._send(self._tx_frames)
        if self._sending:
            self._plan_sending(at)
        else:
            self._flags |= _TC
        self._update()

    def _send(self, frames: int) -> None:
        stream = self._tx_stream()
        if stream is not None:
            self._sending += stream.take(min(frames, stream.left), self._tx_line.register)
        self.line.outgoing += self._sending[:frames]
        self.line.sent += min(frames, len(self._sending))
        del self._sending[:frames]

    def _fill(self) -> None:
        """The DMA fills shift register and TDR as soon as it may."""
        while len(self._sending) < 2 and (stream := self._tx_stream()) is not None:
            data = stream.take(1, self._tx_line.register)
            for byte in data:
                self._transmit(byte)
            if not data:
                return

    # --- bursts -----------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Have everything as it is now, in the middle of a burst too."""
        frame = self.frame_clocks()
        if frame is not None:
            self._rx_frames -= self._ended(self._rx_event, self._rx_frames, frame, self._receive)
            self._tx_frames -= self._ended(self._tx_event, self._tx_frames, frame, self._send)
        if self._received is not None and (stream := self._rx_stream()) is not None:
            stream.put(bytes([self._received]), self._rx_line.register)
            self._received = None
        self._fill()
        if frame is not None:
            self._rx_frames = self._cut(self._rx_event, self._rx_frames, self._rx_stream(), frame)
            self._tx_frames = self._cut(self._tx_event, self._tx_frames, self._tx_stream(), frame)
        self._update()

    def _cut(self, event: str, planned: int, stream: Stream | None, frame: int) -> int:
        """End a burst sooner where the stream was switched meanwhile; return its frames."""
        most = 1 if stream is None else stream.until_interrupt()
        due = self._timeline.due(event)
        if due is None or planned <= most:
            return planned
        self._timeline.move(event, due - (planned - most) * frame)
        return most

    def _ended(self, event: str, planned: int, frame: int, work: Callable[[int], None]) -> int:
        """Work off the frames of a burst that ended before its event; return their number."""
        due = self._timeline.due(event)
        if due is None or planned < 2:
            return 0
        left = -(-(due - self._timeline.now) // frame)
        ended = planned - max(1, left)  # the last one is the event's
        if ended > 0:
            work(ended)
        return max(0, ended)

    # --- registers --------------------------------------------------------------------------

    def _status(self) -> int:
        control = self.stored.get(_CR1, 0)
        value = self._flags | (_RXNE if self._received is not None else 0)
        value |= 0 if len(self._sending) == 2 else _TXE
        value |= _BUSY if self._arriving else 0
        enabled = control & _UE
        value |= _TEACK if enabled and control & _TE else 0
        return value | (_REACK if enabled and control & _RE else 0)

    def _update(self) -> None:
        """Level of the interrupt line; enables of RXNE, TC, TXE, IDLE stand at their flag's bit."""
        control, status = self.stored.get(_CR1, 0), self._status()
        level = control & status & (_RXNE | _TC | _TXE | _IDLE)
        if status & _ORE:
            level |= control & _RXNE | self.stored.get(_CR3, 0) & _EIE
        self._interrupt(bool(level) and control & _UE == _UE)

    def read(self, offset: int) -> int:
        """ISR; RDR takes the byte; the rest as stored."""
        self._catch_up()
        if offset == _ISR:
            value = self._status()
            self._polled(self.base + _ISR, value)
            return value
        if offset == _RDR:
            if self._received is not None:
                self._received = None
                self._update()
            return self._last_received
        return self.stored.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """TDR, ICR, RQR act; control registers are stored and take effect at once."""
        self._catch_up()
        if offset == _TDR:
            self._transmit(value & 0xFF)
        elif offset == _ICR:
            self._flags &= ~(value & _CLEARABLE)
        elif offset == _RQR:
            if value & _RXFRQ:
                self._received = None
            if value & _TXFRQ:
                del self._sending[1:]
        elif offset not in (_ISR, _RDR):
            self.stored[offset] = value
            self._follow_enable()
            self._catch_up()
        self._update()
