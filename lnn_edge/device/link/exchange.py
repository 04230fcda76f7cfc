"""One request and its reply: stop and wait, with retransmission. Knows no message's meaning."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.device.elf import Elf, read_elf
from lnn_edge.device.framing import Frame, FrameDecoder, encode_frame
from lnn_edge.device.link.fault import describe_fault
from lnn_edge.device.link.old import is_old_answer, old_hello
from lnn_edge.device.link.port import PortLostError, SerialPort, name_ports
from lnn_edge.device.protocol import PROTOCOL_VERSION, Error, ErrorCode, Fault, Kind
from lnn_edge.errors import BuildError, LinkError

_OLD_S = 0.5  # an old board is asked once, after all else was in vain


@dataclass(frozen=True)
class LinkCounters:
    """What the link went through: the price of a noisy line."""

    requests: int
    retries: int
    bad_frames: int
    stale_replies: int


@dataclass(frozen=True)
class Patience:
    """How long to wait for a board.

    Args:
        timeout_s: Wait for a reply before the request is repeated, seconds.
        tries: How often a request is sent before the board counts as silent.
    """

    timeout_s: float
    tries: int


class Exchange:
    """Numbered requests over one port.

    Args:
        port: Where the board is.
        elf: Firmware that runs there, to name functions in faults.
        diagnose: Asks the board's process why it ended; None while it lives.
    """

    def __init__(
        self, port: SerialPort, elf: Path | None, diagnose: Callable[[], str | None] | None
    ) -> None:
        """Start with sequence number 0."""
        self._port = port
        self._elf = elf
        self._diagnose = diagnose
        self._decoder = FrameDecoder()
        self._seq = 0
        self._requests = self._repeated = self._stale = 0

    @property
    def counters(self) -> LinkCounters:
        """Counters since the start."""
        bad = self._decoder.bad_frames
        return LinkCounters(self._requests, self._repeated, bad, self._stale)

    def request(self, kind: Kind, payload: bytes, reply: Kind, patience: Patience) -> bytes:
        """Send a request until its reply comes and return the reply's payload."""
        try:
            return self._exchange(Frame(kind, self._seq, payload), reply, patience)
        except PortLostError:
            self._raise_diagnosis()
            raise

    def _exchange(self, frame: Frame, reply: Kind, patience: Patience) -> bytes:
        # A zero first: the board may be in the middle of a damaged block.
        block = b"\0" + encode_frame(frame)
        received = self._port.received_bytes
        self._requests += 1
        for attempt in range(patience.tries):
            self._repeated += attempt > 0
            self._port.write(block)
            answer = self._await_reply(frame, reply, patience.timeout_s)
            if answer is not None:
                self._seq = (frame.seq + 1) % 256
                return answer
            self._raise_diagnosis()
        if frame.kind == Kind.HELLO and self._is_old(patience.timeout_s * patience.tries):
            raise LinkError(
                f"the board runs firmware of an older protocol than version {PROTOCOL_VERSION} of "
                "this tool: run `lnn-edge flash` with firmware built by this tool"
            )
        raise LinkError(
            self._silence(Kind(frame.kind), self._port.received_bytes - received, patience)
        )

    def _await_reply(self, request: Frame, reply: Kind, timeout_s: float) -> bytes | None:
        """Payload of the reply to a request, or None when the time is over."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            answer = None
            for frame in self._decoder.feed(self._port.read(left)):
                if frame.kind == Kind.FAULT:
                    raise self._fault(frame.payload)
                if frame.seq == request.seq and frame.kind == Kind.ERROR:
                    raise self._refusal(request, Error.decode(frame.payload))
                if frame.seq == request.seq and frame.kind == reply and answer is None:
                    answer = frame.payload
                else:
                    self._stale += 1
            if answer is not None:
                return answer
        return None

    def _refusal(self, request: Frame, error: Error) -> LinkError:
        name = Kind(request.kind).name
        if error.code in (ErrorCode.BAD_SEQUENCE, ErrorCode.NO_SESSION):
            return LinkError(
                f"the board expects request {error.expected_seq} and got {name} {request.seq}:"
                " it was reset or another program talks to it; start again"
            )
        self._seq = (request.seq + 1) % 256  # a refused request has used its number up
        hint = "; run `lnn-edge flash` with firmware built by this tool"
        unsuited = error.code in (ErrorCode.UNKNOWN_TYPE, ErrorCode.UNSUPPORTED)
        return LinkError(f"the board refused {name}: {error.describe()}{hint if unsuited else ''}")

    def _fault(self, payload: bytes) -> LinkError:
        return LinkError(
            f"the firmware stopped: {describe_fault(Fault.decode(payload), self._symbols())}"
        )

    def _symbols(self) -> Elf | None:
        """Names for addresses; a firmware file that cannot be read must not hide the fault."""
        try:
            return read_elf(self._elf) if self._elf else None
        except BuildError:
            return None

    def _raise_diagnosis(self) -> None:
        """Raise what the process of the board says, if it has ended."""
        diagnosis = self._diagnose() if self._diagnose else None
        if diagnosis:
            raise LinkError(f"the board's process ended: {diagnosis}")

    def _is_old(self, timeout_s: float) -> bool:
        """Whether a board that does not answer would answer a tool of its own age."""
        self._port.write(old_hello())
        received, deadline = b"", time.monotonic() + min(timeout_s, _OLD_S)
        while not is_old_answer(received) and (left := deadline - time.monotonic()) > 0:
            received += self._port.read(left)
        return is_old_answer(received)

    def _silence(self, kind: Kind, received: int, patience: Patience) -> str:
        """What was tried in vain, and what to do."""
        heard = f"{received} bytes came but no valid reply" if received else "nothing came back"
        hint = (
            "another rate or other firmware may run there"
            if received
            else "check that it is the board's port, press reset"
        )
        tried = f"{kind.name} sent {patience.tries} times, {patience.timeout_s:g} s each"
        return (
            f"{self._port.url}: the board is silent at {self._port.baud} baud ({tried}, {heard});"
            f" {hint}, or run `lnn-edge flash` ({name_ports()})"
        )
