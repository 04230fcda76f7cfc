"""What a board can be asked for, over its serial link, and how a stream outlives its board.

The contract is docs/protocol.md.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from lnn_edge.device.board_info import Info
from lnn_edge.device.framing import MAX_PAYLOAD
from lnn_edge.device.link.exchange import Exchange, LinkCounters, Patience, SessionLostError
from lnn_edge.device.link.pace import Window
from lnn_edge.device.link.port import PortLostError, SerialPort
from lnn_edge.device.link.recovery import Checkpoint, Replay, frames_of
from lnn_edge.device.link.streaming import FrameQueue
from lnn_edge.device.protocol import (
    PROTOCOL_VERSION,
    RESULTS_HEAD_BYTES,
    STATE_HEAD_BYTES,
    Data,
    Kind,
    RecordLayout,
    ResultRecord,
    Results,
    State,
    Stats,
    Trace,
)
from lnn_edge.errors import LinkError

DEFAULT_BAUD = 115_200
OUTAGE_S = 30.0
_GREETINGS = 4
_LEAST_WINDOW = 64  # bytes
_RECOVERIES = 5  # in a row, that bring the board no further
_FALLBACK_S = 1.0  # the board returns to the old rate after this silence, docs/protocol.md


class Link:
    """A connection to one board, stop and wait.

    Args:
        url: Serial device, pseudo-terminal or ``socket://HOST:PORT``.
        baud: Rate of a serial device, bit/s.
        timeout_s: Wait for a reply before the request is repeated, seconds.
        retries: Repetitions before the board counts as silent.
        outage_s: How long a board that has answered may be silent or its port gone, seconds.
        elf: Firmware that runs there, to name functions in faults.
        diagnose: Asks the board's process why it ended; None while it lives.

    Every failure is a LinkError with one sentence.
    """

    def __init__(
        self,
        url: str,
        *,
        baud: int = DEFAULT_BAUD,
        timeout_s: float = 1.0,
        retries: int = 5,
        outage_s: float = OUTAGE_S,
        elf: Path | None = None,
        diagnose: Callable[[], str | None] | None = None,
    ) -> None:
        """Open the port."""
        self._patience = Patience(timeout_s, retries + 1, outage_s)
        self._info: Info | None = None
        self._layout: RecordLayout | None = None
        self._detail = False
        self._next_frame = self._decisions = 0
        self._replay = Replay()
        self._checkpoint: Checkpoint | None = None
        self._before: Stats | None = None  # counters that a reset took from the board
        self._ahead: list[ResultRecord] = []  # decided again after a reset, not yet handed on
        self._recoveries = self._in_a_row = 0
        self._port = SerialPort(url, baud)
        self._exchange = Exchange(self._port, elf, diagnose)

    def __enter__(self) -> Link:
        """Return the open link."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self.close()

    def close(self) -> None:
        """Close the port; more than once does no harm."""
        self._port.close()

    @property
    def counters(self) -> LinkCounters:
        """Counters since the link was opened."""
        return replace(self._exchange.counters, recoveries=self._recoveries)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last state that was fetched since `reset`, with the decisions yielded before it."""
        return self._checkpoint

    @property
    def info(self) -> Info:
        """What the board said of itself; asks it once."""
        return self._info or self.hello()

    @property
    def _room(self) -> int:
        """Bytes of payload that both sides take."""
        return min(self.info.max_payload, MAX_PAYLOAD)

    def hello(self, model_sha256: bytes | None = None) -> Info:
        """Greet the board and return what it is.

        Args:
            model_sha256: Hash of the model that must run there.

        Raises:
            LinkError: Silent board, other protocol version, or another model.
        """
        # A board that is still starting misses the first greetings: more of them, and sooner.
        usual = self._patience
        patience = Patience(usual.timeout_s / _GREETINGS, usual.tries * _GREETINGS, usual.outage_s)
        payload = bytes([PROTOCOL_VERSION])
        info = Info.decode(self._exchange.request(Kind.HELLO, payload, Kind.INFO, patience))
        if model_sha256 is not None and info.model_sha256 != model_sha256:
            raise LinkError(
                f"the board must run model {model_sha256.hex()[:12]}, not "
                f"{info.model_name} {info.model_sha256.hex()[:12]}; run `lnn-edge flash`"
            )
        self._info = info
        return info

    def reset(self, detail: bool = False) -> RecordLayout:
        """Reset the model and return the layout of its results.

        With detail every result carries probes and the leading part of the state.
        """
        info = self.info
        if detail and not info.detail_supported:
            raise LinkError(
                "this firmware sends no probes and state: build and flash the diagnostic one"
            )
        self._next_frame = self._decisions = 0
        self._replay, self._checkpoint, self._before, self._ahead = Replay(), None, None, []
        self._detail, self._layout = detail, info.record_layout(detail)
        self._request(Kind.RESET, bytes([detail]), Kind.ACK)
        return self._layout

    def take_up(self, checkpoint: Checkpoint) -> None:
        """After `reset`, go on where another link to this model had come to.

        The next frames streamed are those from `checkpoint.frames` on.
        """
        self._checkpoint, self._before = checkpoint, checkpoint.stats.of_model()
        self._next_frame, self._decisions = checkpoint.frames, checkpoint.decisions
        self._set_state(checkpoint.state, checkpoint.stats)

    def skip(self, frames: int) -> None:
        """Leave a gap: the next frames streamed lie this many further on."""
        self._next_frame += frames

    def stream(
        self,
        frames: npt.NDArray[np.int16],  # (N, C)
        events: Sequence[int] = (),
        foreseen: Iterable[int] = (),
    ) -> Iterator[ResultRecord]:
        """Send a recording and yield the decisions as they come, each once.

        A board that is reset meanwhile is brought back to where it was: the state is fetched now
        and then (`checkpoint`), put back, and what came after it is sent again.

        Args:
            frames: Samples that follow those sent since `reset`, shape (N, C) int16.
            events: Stamps as sample indices since `reset`, not descending.
            foreseen: Frames since `reset` after which a decision is expected; see FrameQueue.

        Raises:
            LinkError: Wrong shape, or the link failed for longer than `outage_s`.
        """
        layout = self._layout or self.reset()
        window = Window(self._room, _LEAST_WINDOW)
        per_reply = max(1, (self._room - RESULTS_HEAD_BYTES) // layout.size)
        first, channels = self._next_frame, self.info.channels
        queue = FrameQueue(frames, events, first, channels, self._room, foreseen, per_reply)
        queue.consume(0, more=self._replay.state is not None)  # a state may hold decisions back
        while (request := queue.next_request(window.bytes)) is not None:
            results = self._send_data(request, queue, window, layout)
            queue.consume(results.consumed, results.more)
            self._next_frame += results.consumed
            records = [*self._ahead, *results.records]
            self._replay.hand_on(len(self._ahead))
            self._ahead = []
            self._decisions += len(records)
            yield from records
            if self._replay.is_due(self.info.state_bytes):
                state, stats = self.get_state(), self.stats()
                self._checkpoint = Checkpoint(self._next_frame, self._decisions, state, stats)
                self._replay = Replay(state, stats)

    def _send_data(
        self, request: Data, queue: FrameQueue, window: Window, layout: RecordLayout
    ) -> Results:
        """Send a request or, while it is lost, the first part of it; note what the board took."""
        sent = [request]

        def shorter() -> bytes | None:
            half = queue.next_request(len(sent[-1].encode()) // 2)
            if half is None or half.frames >= sent[-1].frames:
                return None
            sent.append(half)
            return half.encode()

        before = self._exchange.counters.retries
        payload = self._request(Kind.DATA, request.encode(), Kind.RESULTS, shorter)
        lost = self._exchange.counters.retries - before
        for _ in range(lost):
            window.lost()
        if not lost:
            window.passed()
        results = Results.decode(payload, layout)
        _check_results(results, {data.frames for data in sent})
        self._replay.take(request, results.consumed, results.records)
        self._in_a_row = 0
        return results

    def get_state(self) -> bytes:
        """Return the state blob of the model (docs/graph.md)."""
        return self._get_state(self._request)

    def _get_state(self, ask: Callable[[Kind, bytes, Kind], bytes]) -> bytes:
        room = self._room - STATE_HEAD_BYTES
        total = self.info.state_bytes
        blob = b""
        while len(blob) < total:
            request = struct.pack("<HH", len(blob), min(room, total - len(blob)))
            blob += _part(State.decode(ask(Kind.GET_STATE, request, Kind.STATE)).data)
        return blob

    def set_state(self, blob: bytes) -> None:
        """Replace the state of the model by a blob that `get_state` returned."""
        self._checkpoint = self._before = None
        self._set_state(blob)

    def _set_state(self, blob: bytes, stats: Stats | None = None) -> None:
        if len(blob) != self.info.state_bytes:
            raise LinkError(
                f"state of {len(blob)} bytes: this model has {self.info.state_bytes};"
                " it belongs to another model"
            )
        self._replay, self._ahead = Replay(blob, stats), []
        try:
            self._put_state(blob)
        except SessionLostError as lost:
            self._recover(lost)  # which puts it

    def _put_state(self, blob: bytes) -> None:
        room = self._room - STATE_HEAD_BYTES
        for offset in range(0, len(blob), room):
            part = State(offset, blob[offset : offset + room])
            self._ask_once(Kind.SET_STATE, part.encode(), Kind.ACK)

    def trace(self, operator: int, state: bytes) -> bytes:
        """Return what an operator of the next ready step computes, starting from a state.

        The board's state is left undefined: set it before anything else.
        """
        output = b""
        total = 1
        while len(output) < total:
            self.set_state(state)
            request = struct.pack("<HH", operator, len(output))
            trace = Trace.decode(self._request(Kind.TRACE, request, Kind.TRACED))
            total = trace.total
            output += _part(trace.data) if total else b""
        return output

    def stats(self) -> Stats:
        """Return the board's counters, with those that a reset in mid-stream took from it."""
        return self._stats(self._request)

    def _stats(self, ask: Callable[[Kind, bytes, Kind], bytes]) -> Stats:
        stats = Stats.decode(ask(Kind.STATS, b"", Kind.STATS_REPLY))
        return stats.after(self._before) if self._before else stats

    def set_baud(self, baud: int) -> int:
        """Change the rate and return the one in use afterwards.

        The old rate comes back, on both sides, when the board is not heard at the new one.
        """
        old = self._port.baud
        self._request(Kind.BAUD, struct.pack("<I", baud), Kind.ACK)
        self._port.set_baud(baud)
        if self._is_heard():
            return baud
        self._port.set_baud(old)
        time.sleep(_FALLBACK_S)
        self.hello()
        return old

    def _is_heard(self) -> bool:
        """Greet within the time that the board waits at a new rate."""
        patience, self._patience = self._patience, Patience(_FALLBACK_S / 2, 1)
        try:
            self.hello()
        except PortLostError:
            raise
        except LinkError:
            return False
        finally:
            self._patience = patience
        return True

    def _request(
        self,
        kind: Kind,
        payload: bytes,
        reply: Kind,
        shorter: Callable[[], bytes | None] = lambda: None,
    ) -> bytes:
        """Send a request; a board that was reset is first brought back to where it was."""
        while True:
            try:
                return self._exchange.request(kind, payload, reply, self._patience, shorter)
            except SessionLostError as lost:
                self._recover(lost)

    def _ask_once(self, kind: Kind, payload: bytes, reply: Kind) -> bytes:
        """Send a request; SessionLostError is the caller's to deal with."""
        return self._exchange.request(kind, payload, reply, self._patience)

    def _recover(self, lost: SessionLostError) -> None:
        """Greet the board and bring its model to where it was.

        Raises:
            LinkError: It loses the session again and again, or runs another model now.
        """
        sha256 = self.info.model_sha256
        while self._in_a_row < _RECOVERIES:
            self._in_a_row += 1
            try:
                self.hello(sha256)
                self._repeat()
            except SessionLostError as again:
                lost = again
            else:
                self._recoveries += 1
                return
        raise LinkError(
            f"{lost}; it happened {_RECOVERIES} times in a row after {self._next_frame} frames"
        )

    def _repeat(self) -> None:
        """Reset the model, put its last state back and repeat what the board has taken since.

        Where it did not come to the end of that before, states are fetched on the way, so that
        the next attempt has less to repeat.
        """
        layout, replay = self._layout, self._replay
        if layout is None:  # nothing has begun
            return
        self._ask_once(Kind.RESET, bytes([self._detail]), Kind.ACK)
        if replay.state is not None:
            self._put_state(replay.state)
        self._before = replay.stats or self._before
        records: list[ResultRecord] = []
        is_hard = self._in_a_row > 1
        for done, data in enumerate(replay.requests, start=1):
            records += self._again(data, layout)
            if is_hard:
                state, stats = self._get_state(self._ask_once), self._stats(self._ask_once)
                self._replay = replay.shortened(done, records, state, stats)
                self._in_a_row = 1
        self._ahead = replay.waiting(records)
        self._replay.is_repeated = True

    def _again(self, data: Data, layout: RecordLayout) -> Iterator[ResultRecord]:
        channels = self.info.channels
        frames = frames_of(data, channels)
        queue = FrameQueue(frames, data.stamps, data.first, channels, self._room)
        while (request := queue.next_request()) is not None:
            payload = self._ask_once(Kind.DATA, request.encode(), Kind.RESULTS)
            results = Results.decode(payload, layout)
            _check_results(results, {request.frames})
            queue.consume(results.consumed, results.more)
            yield from results.records


def _check_results(results: Results, asked: set[int]) -> None:
    """Refuse an answer to a frame request that does not lead on."""
    is_part = results.more and results.consumed < max(asked)
    is_stuck = results.more and not results.records  # only records can fill a reply
    if is_stuck or not (results.consumed in asked or is_part):
        raise LinkError(
            f"the board took {results.consumed} of {max(asked)} frames and sent"
            f" {len(results.records)} results: its firmware is faulty; flash it again"
        )


def _part(data: bytes) -> bytes:
    """Refuse an empty part, which would be asked for without end."""
    if not data:
        raise LinkError("the board answered without data: its firmware is faulty; flash it again")
    return data
