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
from lnn_edge.device.link.pace import RoundTrip
from lnn_edge.device.link.port import PortLostError, SerialPort, name_ports
from lnn_edge.device.protocol import PROTOCOL_VERSION, Error, ErrorCode, Fault, Kind
from lnn_edge.errors import BuildError, LinkError

_OLD_S = 0.5  # an old board is asked once, after all else was in vain
_LOOK_S = 0.1  # between two looks for a port that has gone
_ROUNDS = 8  # through what was sent, before the board counts as greeted by another program
_AT_ONE_RATE = 4  # tries, where the board may have fallen back to the rate it starts with


class SessionLostError(LinkError):
    """The board knows nothing of this session: it was reset, or another program greeted it."""


@dataclass(frozen=True)
class LinkCounters:
    """What the link went through: the price of a noisy line.

    Attributes:
        requests: Asked for.
        retries: Requests sent again.
        bad_frames: Damaged blocks that were dropped.
        stale_replies: Replies that match no request.
        recoveries: Resets of the board after which it was brought back to where it was.
        reopened: Times that the port was gone and came back.
    """

    requests: int
    retries: int
    bad_frames: int
    stale_replies: int
    recoveries: int = 0
    reopened: int = 0


@dataclass(frozen=True)
class Patience:
    """How long to wait for a board.

    Args:
        timeout_s: Longest wait for a reply before the request is repeated, seconds.
        tries: How often a request is sent at least before the board counts as silent.
        outage_s: How long a board that has answered may be silent or its port gone, seconds.
    """

    timeout_s: float
    tries: int
    outage_s: float = 0.0


@dataclass(frozen=True)
class _Taken:
    """The board has processed a request of this number, and not the one that was sent last."""


class _Attempts:
    """What is sent under one number until it is answered.

    A request may be cut shorter until it is answered: the board takes whichever comes first, and
    what it has taken it answers again only when that very request is repeated.
    """

    def __init__(self, payload: bytes, shorter: Callable[[], bytes | None]) -> None:
        self.current = payload
        self._shorter = shorter
        self._sent = [payload]
        self._refused = 0

    def shrink(self) -> None:
        """Nothing came back."""
        shorter = None if self._refused else self._shorter()
        if shorter is not None:
            self._sent.append(shorter)
            self.current = shorter

    def is_left(self) -> bool:
        """Go on to the next of those that were sent; False if the board has taken none of them.

        All come several times: a refusal may be of an earlier one, or come twice.
        """
        self._refused += 1
        self.current = self._sent[-1 - self._refused % len(self._sent)]
        return self._refused <= _ROUNDS * len(self._sent)


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
        self._first_baud = port.baud
        self._elf = elf
        self._diagnose = diagnose
        self._decoder = FrameDecoder()
        self._trips: dict[Kind, RoundTrip] = {}
        self._heard_at: float | None = None
        self._seq = 0
        self._requests = self._repeated = self._stale = self._reopened = 0

    @property
    def counters(self) -> LinkCounters:
        """Counters since the start."""
        bad = self._decoder.bad_frames
        return LinkCounters(
            self._requests, self._repeated, bad, self._stale, reopened=self._reopened
        )

    def request(
        self,
        kind: Kind,
        payload: bytes,
        reply: Kind,
        patience: Patience,
        shorter: Callable[[], bytes | None] = lambda: None,
    ) -> bytes:
        """Send a request until its reply comes and return the reply's payload.

        Args:
            kind: Of the request.
            payload: Of the request.
            reply: Kind of its reply.
            patience: How long to go on.
            shorter: Makes a shorter request that stands for the same, when one was lost; None
                where there is none. The reply may be to any of those that were sent.

        Raises:
            SessionLostError: The board does not know this session.
            PortLostError: The port has gone and did not come back.
            LinkError: Silence, a refusal, or a fault.
        """
        self._requests += 1
        attempts, began, received = _Attempts(payload, shorter), time.monotonic(), self._received
        tried, wait_s = 0, self._wait_s(kind, patience)
        may_hurry = True  # a damaged block is answered at once, the next one after the wait
        while True:
            self._repeated += tried > 0
            tried += 1
            sent_at, bad = time.monotonic(), self._decoder.bad_frames
            try:
                request = Frame(kind, self._seq, attempts.current)
                # A zero first: the board may be in the middle of a damaged block.
                self._port.write(b"\0" + encode_frame(request))
                answer = self._await_reply(request, reply, wait_s, may_hurry)
            except PortLostError as lost:
                self._reopen(lost, began + patience.outage_s)
                continue
            if isinstance(answer, bytes):
                if tried == 1:
                    took = time.monotonic() - sent_at
                    self._trips[kind] = RoundTrip.measured(took, self._trips.get(kind))
                self._seq = (request.seq + 1) % 256
                return answer
            if answer is not None:
                if not attempts.is_left():
                    raise self._lost_session("another program talks to it")
                continue
            may_hurry = not (may_hurry and self._decoder.bad_frames > bad)
            if may_hurry:  # the wait was in vain
                attempts.shrink()
                wait_s = min(2 * wait_s, patience.timeout_s)
                self._check_patience(kind, tried, began, patience, self._received - received)
                self._try_other_rate(tried)

    @property
    def _received(self) -> int:
        return self._port.received_bytes

    def _wait_s(self, kind: Kind, patience: Patience) -> float:
        trip = self._trips.get(kind)
        return trip.wait_s(patience.timeout_s) if trip else patience.timeout_s

    def _await_reply(
        self, request: Frame, reply: Kind, timeout_s: float, may_hurry: bool
    ) -> bytes | _Taken | None:
        """Payload of the reply to a request, or None when the time is over or a reply damaged."""
        deadline, bad = time.monotonic() + timeout_s, self._decoder.bad_frames
        while (left := deadline - time.monotonic()) > 0:
            answer: bytes | _Taken | None = None
            for frame in self._decoder.feed(self._port.read(left)):
                self._heard_at = time.monotonic()
                if frame.kind == Kind.FAULT:
                    raise self._fault(frame.payload)
                is_mine = frame.seq == request.seq and answer is None
                if is_mine and frame.kind == Kind.ERROR:
                    answer = self._refused(request, Error.decode(frame.payload))
                elif is_mine and frame.kind == reply:
                    answer = frame.payload
                else:
                    self._stale += 1
            if answer is not None or (may_hurry and self._decoder.bad_frames > bad):
                return answer
        return None

    def _refused(self, request: Frame, error: Error) -> _Taken | None:
        """What a refusal of the number says; None if nothing.

        Raises:
            LinkError: The request itself was refused.
        """
        if error.code == ErrorCode.NO_SESSION:
            raise self._lost_session("it was reset")
        if error.code == ErrorCode.BAD_SEQUENCE:
            if error.expected_seq == (request.seq + 1) % 256:
                return _Taken()
            if error.expected_seq == request.seq or request.kind == Kind.HELLO:
                return None  # of an earlier session
            raise self._lost_session("another program talks to it")
        self._seq = (request.seq + 1) % 256  # a refused request has used its number up
        hint = "; run `lnn-edge flash` with firmware built by this tool"
        unsuited = error.code in (ErrorCode.UNKNOWN_TYPE, ErrorCode.UNSUPPORTED)
        name = Kind(request.kind).name
        raise LinkError(f"the board refused {name}: {error.describe()}{hint if unsuited else ''}")

    def _lost_session(self, why: str) -> SessionLostError:
        self._seq = (self._seq + 2) % 256  # no late reply is of the session to come
        return SessionLostError(
            f"{self._port.url}: the board knows nothing of this session ({why}); start again"
        )

    # --- silence ------------------------------------------------------------------------------

    def _reopen(self, lost: PortLostError, deadline: float) -> None:
        """Wait for a port that has gone."""
        self._raise_diagnosis()
        while True:
            if time.monotonic() >= deadline:
                raise lost
            time.sleep(_LOOK_S)
            try:
                self._port.reopen()
            except LinkError:
                continue
            self._reopened += 1
            return

    def _try_other_rate(self, tried: int) -> None:
        """A board that was reset is back at the rate it starts with."""
        if tried % _AT_ONE_RATE == 0 and self._first_baud != self._port.baud:
            self._first_baud, there = self._port.baud, self._first_baud
            self._port.set_baud(there)

    def _check_patience(
        self, kind: Kind, tried: int, began: float, patience: Patience, received: int
    ) -> None:
        """Give up when all patience has been shown.

        Raises:
            LinkError: The process of the board has ended, or the board is silent.
        """
        waited = time.monotonic() - began
        if waited >= min(patience.timeout_s, _OLD_S):
            self._raise_diagnosis()
        if tried < patience.tries or (self._heard_at is not None and waited < patience.outage_s):
            return
        if self._heard_at is not None:
            raise LinkError(self._fell_silent(kind, tried, self._heard_at))
        if kind == Kind.HELLO and self._is_old(patience.timeout_s * patience.tries):
            raise LinkError(
                f"the board runs firmware of an older protocol than version {PROTOCOL_VERSION} of "
                "this tool: run `lnn-edge flash` with firmware built by this tool"
            )
        raise LinkError(self._silence(kind, received, patience))

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

    def _fell_silent(self, kind: Kind, tried: int, heard_at: float) -> str:
        """A board that answered is there: what can have become of it."""
        ago = time.monotonic() - heard_at
        return (
            f"{self._port.url}: the board answered {ago:.1f} s ago and is silent since"
            f" ({kind.name} sent {tried} times): its line is cut or too noisy, its supply gone, or"
            " its program hangs; look at the cable, press reset and run the same command again"
        )

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

    # --- faults -------------------------------------------------------------------------------

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
