"""A board in Python that follows docs/protocol.md, on TCP or a pty, with a line that can fail.

Its "model" is simple enough to be computed by the test again: an event at stamp t is decided
when sample t + POST has come; see `decide`.
"""

import os
import pty
import select
import socket
import struct
import threading
import time
import tty
from collections.abc import Callable

import numpy as np

from lnn_edge.device.board_info import Info
from lnn_edge.device.framing import MAX_PAYLOAD, Frame, FrameDecoder, encode_frame
from lnn_edge.device.protocol import (
    PROTOCOL_VERSION,
    Data,
    Error,
    ErrorCode,
    Fault,
    Kind,
    ResultRecord,
    Results,
    State,
    Stats,
    Trace,
)

CHANNELS, OUTPUTS, POST = 2, 3, 10
STATE_BYTES, PREFIX_BYTES, PROBE_BYTES, TRACE_BYTES = 2500, 40, 30, 2600
SHA = bytes(range(32))
FAULT = Fault(3, 0x08000124, 0x08000201, 0x01000003, 1 << 24, 1 << 30, 0, 0, 0x20001000, 0x20000020)


def decide(samples, stamp: int, number: int, detail: bool) -> ResultRecord:
    """Decision `number` since RESET at `stamp`; samples since RESET, shape (N, CHANNELS)."""
    low, high = samples[stamp + POST].tolist()
    outputs = (low, high, number % 1000)
    probes = bytes([number % 256]) * PROBE_BYTES if detail else b""
    state = bytes([stamp % 256]) * PREFIX_BYTES if detail else b""
    return ResultRecord(stamp, number, outputs, probes, state)


class FakeBoard:
    """One board and its line.

    Args:
        to_board: Makes of each frame's bytes those that arrive at the board.
        to_host: The same for replies.
        info: Facts to report in place of the usual ones.
        is_pty: Serve on a pseudo-terminal.
    """

    def __init__(
        self,
        *,
        to_board: Callable[[bytes], bytes] = bytes,
        to_host: Callable[[bytes], bytes] = bytes,
        info: dict[str, object] | None = None,
        is_pty: bool = False,
    ) -> None:
        self.to_board, self.to_host = to_board, to_host
        self.info = Info(**{**FACTS, **(info or {})})
        self.deaf_baud = 0  # a rate at which the line carries nothing
        self.faults_at: int | None = None  # a DATA that covers this sample ends in a FAULT
        self.hangs_up_at: int | None = None  # once, instead of taking this sample
        self.answers: dict[Kind, bytes] = {}  # replies in place of the right ones
        self.seen: list[Frame] = []  # processed requests
        self._decoder = FrameDecoder()
        self._line = bytearray()
        self._state = bytearray(STATE_BYTES)
        self._kept: list[tuple[list[np.ndarray], list[int], int]] = []
        self._baud, self._heard_at = 115_200, time.monotonic()
        self.reboot()
        self._open(is_pty)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # --- life ---------------------------------------------------------------------------------

    def _open(self, is_pty: bool) -> None:
        self._listener = None
        if is_pty:
            self._port, self._slave = pty.openpty()
            tty.setraw(self._slave)
            self.url = os.ttyname(self._slave)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._port = -1
            self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
        if self._port >= 0:
            os.close(self._port)
        if self._listener is not None:
            self._listener.close()
        else:
            os.close(self._slave)

    def reboot(self) -> None:
        """Forget everything, as after a power cycle."""
        self._is_open, self._expected, self._last = False, 0, (None, b"")
        self._reset(detail=False)

    def _serve(self) -> None:
        while True:
            ready = select.select([self._wake_read, *self._sources()], [], [])[0]
            if self._wake_read in ready:
                return
            if self._port < 0:
                self._port = self._listener.accept()[0].detach()
                continue
            try:
                data = os.read(self._port, 65536)
            except OSError:
                data = b""
            if data:
                self._receive(data)
            else:
                self._hang_up()

    def _sources(self) -> list[int]:
        if self._port >= 0:
            return [self._port]
        return [] if self._listener is None else [self._listener.fileno()]

    def _hang_up(self) -> None:
        os.close(self._port)
        self._port = -1

    def _hangs_up(self, data: Data) -> bool:
        return self.hangs_up_at is not None and data.first + data.frames > self.hangs_up_at

    # --- line ---------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        self._line += data
        *blocks, rest = bytes(self._line).split(b"\0")
        self._line = bytearray(rest)
        for block in filter(None, blocks):
            for frame in self._decoder.feed(self.to_board(block + b"\0")):
                self._handle(frame)

    def _send(self, data: bytes) -> None:
        if self._port >= 0 and self._is_heard():
            os.write(self._port, self.to_host(data))

    def _is_heard(self) -> bool:
        if self._baud == self.deaf_baud and time.monotonic() - self._heard_at > 1.0:
            self._baud = 115_200
        return self._baud != self.deaf_baud

    # --- protocol -----------------------------------------------------------------------------

    def _handle(self, frame: Frame) -> None:
        if not self._is_heard():
            return
        self._heard_at = time.monotonic()
        if self._last[0] == frame:
            self._send(self._last[1])
            return
        if frame.kind != Kind.HELLO and (not self._is_open or frame.seq != self._expected):
            code = ErrorCode.BAD_SEQUENCE if self._is_open else ErrorCode.NO_SESSION
            self._send(encode_frame(Frame(Kind.ERROR, frame.seq, bytes([code, self._expected]))))
            return
        if frame.kind == Kind.DATA and self._hangs_up(Data.decode(frame.payload)):
            self.hangs_up_at = None
            self._hang_up()
            return
        self.seen.append(frame)
        self._expected = (frame.seq + 1) % 256
        kind, payload = self._answer(frame)
        reply = encode_frame(Frame(kind, frame.seq, self.answers.get(Kind(frame.kind), payload)))
        self._last = (frame, reply)
        if kind == Kind.FAULT:
            self._send(reply[: len(reply) // 2] + b"\0" + encode_frame(Frame(kind, 0, payload)))
            self.reboot()
        elif self._port >= 0:
            self._send(reply)
        if frame.kind == Kind.BAUD and kind == Kind.ACK:
            self._baud = struct.unpack("<I", frame.payload)[0]

    def _answer(self, frame: Frame) -> tuple[Kind, bytes]:
        payload = frame.payload
        match Kind(frame.kind):
            case Kind.HELLO:
                if payload != bytes([PROTOCOL_VERSION]):
                    return self._error(5, "protocol version 3 only")
                self._is_open = True
                return Kind.INFO, self.info.encode()
            case Kind.RESET:
                self._reset(detail=payload == b"\x01")
                return Kind.ACK, b""
            case Kind.DATA:
                return self._data(Data.decode(payload))
            case Kind.GET_STATE:
                offset, length = struct.unpack("<HH", payload)
                self._keep(offset)
                return Kind.STATE, State(
                    offset, bytes(self._state[offset : offset + length])
                ).encode()
            case Kind.SET_STATE:
                part = State.decode(payload)
                self._state[part.offset : part.offset + len(part.data)] = part.data
                self._put_back(part.offset + len(part.data))
                return Kind.ACK, b""
            case Kind.TRACE:
                operator, offset = struct.unpack("<HH", payload)
                if operator > 20:
                    return self._error(4, "no such operator")
                return Kind.TRACED, Trace(
                    TRACE_BYTES, self._traced(operator)[offset:][:1000]
                ).encode()
            case Kind.STATS:
                return Kind.STATS_REPLY, Stats(*range(18)).encode()
            case Kind.BAUD:
                return Kind.ACK, b""
            case other:
                return self._error(1, f"unknown {other}")

    def _error(self, code: int, text: str) -> tuple[Kind, bytes]:
        return Kind.ERROR, Error(code, self._expected, text).encode()

    def _traced(self, operator: int) -> bytes:
        """Output of an operator; computing it spoils the state."""
        output = bytes((b + operator) % 256 for b in self._state) + bytes(TRACE_BYTES - STATE_BYTES)
        self._state[:] = bytes(STATE_BYTES)
        return output

    # --- model --------------------------------------------------------------------------------

    def _keep(self, offset: int) -> None:
        """Let the state stand for where the model is."""
        if self._samples and offset == 0:
            self._kept.append((list(self._samples), list(self._waiting), self._decided))
            self._state[:8] = struct.pack("<II", 0xFACADE, len(self._kept) - 1)

    def _put_back(self, end: int) -> None:
        mark, index = struct.unpack("<II", self._state[:8])
        if end == STATE_BYTES and mark == 0xFACADE:
            samples, waiting, self._decided = self._kept[index]
            self._samples, self._waiting = list(samples), list(waiting)

    def _reset(self, detail: bool) -> None:
        self._detail = detail
        self._samples: list[np.ndarray] = []
        self._waiting: list[int] = []
        self._decided = 0

    def _data(self, data: Data) -> tuple[Kind, bytes]:
        if data.first < len(self._samples):
            return self._error(4, "first is a frame that was already processed")
        end = data.first + data.frames
        if self.faults_at is not None and end > self.faults_at:
            return Kind.FAULT, FAULT.encode()
        if list(data.stamps) != sorted(data.stamps) or any(s >= end for s in data.stamps):
            return self._error(4, "stamps descend or lie beyond the last frame")
        return Kind.RESULTS, self._process(data).encode()

    def _process(self, data: Data) -> Results:
        records: list[ResultRecord] = []
        frames = np.frombuffer(data.samples, "<i2").reshape(data.frames, CHANNELS)
        stamps, consumed = list(data.stamps), 0
        is_idle = self._poll(records)
        if is_idle:
            gap = data.first - len(self._samples)
            self._samples += [np.zeros(CHANNELS, np.int16)] * gap
        while is_idle and consumed < data.frames:
            self._samples.append(frames[consumed])
            while stamps and stamps[0] < len(self._samples):
                self._waiting.append(stamps.pop(0))
            consumed += 1
            is_idle = self._poll(records)
        return Results(consumed, tuple(records), not is_idle)

    def _poll(self, records: list[ResultRecord]) -> bool:
        record_bytes = 8 + 2 * OUTPUTS + (PROBE_BYTES + PREFIX_BYTES) * self._detail
        while 4 + (len(records) + 1) * record_bytes <= self.info.max_payload:
            if not self._waiting or self._waiting[0] + POST >= len(self._samples):
                return True
            stamp = self._waiting.pop(0)
            records.append(decide(self._samples, stamp, self._decided, self._detail))
            self._decided += 1
        return False


FACTS: dict[str, object] = {
    "protocol": 3,
    "firmware": (0, 1, 0),
    "flags": 0x10,
    "core_clock_hz": 216_000_000,
    "baud": 115_200,
    "reset_cause": 0,
    "channels": CHANNELS,
    "outputs": OUTPUTS,
    "detail_supported": True,
    "trace": True,
    "state_bytes": STATE_BYTES,
    "state_prefix_bytes": PREFIX_BYTES,
    "probe_bytes": PROBE_BYTES,
    "max_payload": MAX_PAYLOAD,
    "dwt_pidr": bytes(8),
    "model_sha256": SHA,
    "model_name": "toy",
    "board_name": "fake",
}
