"""What a board can be asked for, over its serial link.

The contract is docs/protocol.md.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from lnn_edge.device.framing import MAX_PAYLOAD
from lnn_edge.device.link.exchange import Exchange, LinkCounters, Patience
from lnn_edge.device.link.port import PortLostError, SerialPort
from lnn_edge.device.link.streaming import FrameQueue
from lnn_edge.device.protocol import (
    PROTOCOL_VERSION,
    RESULTS_HEAD_BYTES,
    STATE_HEAD_BYTES,
    Data,
    Info,
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
_GREETINGS = 4
_FALLBACK_S = 1.0  # the board returns to the old rate after this silence, docs/protocol.md


class Link:
    """A connection to one board, stop and wait.

    Args:
        url: Serial device, pseudo-terminal or ``socket://HOST:PORT``.
        baud: Rate of a serial device, bit/s.
        timeout_s: Wait for a reply before the request is repeated, seconds.
        retries: Repetitions before the board counts as silent.
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
        elf: Path | None = None,
        diagnose: Callable[[], str | None] | None = None,
    ) -> None:
        """Open the port."""
        self._patience = Patience(timeout_s, retries + 1)
        self._info: Info | None = None
        self._layout: RecordLayout | None = None
        self._next_frame = 0
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
        return self._exchange.counters

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
        patience = Patience(usual.timeout_s / _GREETINGS, usual.tries * _GREETINGS)
        payload = bytes([PROTOCOL_VERSION])
        info = Info.decode(self._exchange.request(Kind.HELLO, payload, Kind.INFO, patience))
        if model_sha256 is not None and info.model_sha256 != model_sha256:
            raise LinkError(
                f"the board runs model {info.model_name} {info.model_sha256.hex()[:12]},"
                f" needed is {model_sha256.hex()[:12]}: run `lnn-edge flash`"
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
        self._request(Kind.RESET, bytes([detail]), Kind.ACK)
        self._next_frame = 0
        self._layout = info.record_layout(detail)
        return self._layout

    def skip(self, frames: int) -> None:
        """Leave a gap: the next frames streamed lie this many further on."""
        self._next_frame += frames

    def stream(
        self,
        frames: npt.NDArray[np.int16],  # (N, C)
        events: Sequence[int] = (),
        foreseen: Iterable[int] = (),
    ) -> Iterator[ResultRecord]:
        """Send a recording and yield the decisions as they come.

        Args:
            frames: Samples that follow those sent since `reset`, shape (N, C) int16.
            events: Stamps as sample indices since `reset`, not descending.
            foreseen: Frames since `reset` after which a decision is expected; see FrameQueue.

        Raises:
            LinkError: Wrong shape, or the link failed.
        """
        layout = self._layout or self.reset()
        per_reply = max(1, (self._room - RESULTS_HEAD_BYTES) // layout.size)
        first, channels = self._next_frame, self.info.channels
        queue = FrameQueue(frames, events, first, channels, self._room, foreseen, per_reply)
        while (request := queue.next_request()) is not None:
            results = self._send_data(request, layout)
            queue.consume(results.consumed, results.more)
            self._next_frame += results.consumed
            yield from results.records

    def _send_data(self, request: Data, layout: RecordLayout) -> Results:
        payload = self._request(Kind.DATA, request.encode(), Kind.RESULTS)
        results = Results.decode(payload, layout)
        is_short = results.consumed < request.frames
        is_stuck = results.more and not results.records  # only records can fill a reply
        if results.consumed > request.frames or (is_short and not results.more) or is_stuck:
            raise LinkError(
                f"the board took {results.consumed} of {request.frames} frames and sent"
                f" {len(results.records)} results: its firmware is faulty; flash it again"
            )
        return results

    def get_state(self) -> bytes:
        """Return the state blob of the model (docs/graph.md)."""
        room = self._room - STATE_HEAD_BYTES
        total = self.info.state_bytes
        blob = b""
        while len(blob) < total:
            request = struct.pack("<HH", len(blob), min(room, total - len(blob)))
            blob += _part(State.decode(self._request(Kind.GET_STATE, request, Kind.STATE)).data)
        return blob

    def set_state(self, blob: bytes) -> None:
        """Replace the state of the model by a blob that `get_state` returned."""
        if len(blob) != self.info.state_bytes:
            raise LinkError(
                f"state of {len(blob)} bytes: this model has {self.info.state_bytes};"
                " it belongs to another model"
            )
        room = self._room - STATE_HEAD_BYTES
        for offset in range(0, len(blob), room):
            part = State(offset, blob[offset : offset + room])
            self._request(Kind.SET_STATE, part.encode(), Kind.ACK)

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
        """Return the board's counters."""
        return Stats.decode(self._request(Kind.STATS, b"", Kind.STATS_REPLY))

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

    def _request(self, kind: Kind, payload: bytes, reply: Kind) -> bytes:
        return self._exchange.request(kind, payload, reply, self._patience)


def _part(data: bytes) -> bytes:
    """Refuse an empty part, which would be asked for without end."""
    if not data:
        raise LinkError("the board answered without data: its firmware is faulty; flash it again")
    return data
