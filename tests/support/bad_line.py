"""A line that fails in every way a line can, between a link and a board on TCP."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.device.link import Link, LinkCounters
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.device.runners.process import BoardProcess
from lnn_edge.errors import LinkError

_START_S = 60.0  # the virtual board compiles its counter once
Spoil = Callable[[np.random.Generator, bytes], bytes]


class Board:
    """A board's process, which can be started anew.

    Args:
        command: Program and arguments; its first line is the address of its port.

    Attributes:
        address: Where it serves.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: BoardProcess | None = None
        self.address = ""

    def start(self) -> None:
        self.close()
        self._process = BoardProcess("board", self._command)
        self.address = self._process.first_line(_START_S)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()


class BadLine:
    """A proxy for one client.

    Args:
        board: At its other end.
        fault: What goes wrong.
        seed: Of what is random.

    Attributes:
        url: Where the link connects.
        hits: How often something went wrong.
    """

    def __init__(self, board: Board, fault: Fault, seed: int = 0) -> None:
        self._there, self._fault = board, fault
        self._rng = np.random.default_rng(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._number = self._listener.getsockname()[1]
        self.url = f"socket://127.0.0.1:{self._number}"
        self._client: socket.socket | None = None
        self._board: socket.socket | None = None
        self._held = {True: b"", False: b""}
        self._silent_until = 0.0
        self._passed = self.hits = 0
        self._ends = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends = True
        self._thread.join()
        for end in (self._client, self._board, self._listener):
            if end is not None:
                end.close()

    # --- what may happen ----------------------------------------------------------------------

    def fall_silent(self, seconds: float) -> None:
        """Lose all that comes, both ways."""
        self._silent_until = time.monotonic() + seconds

    def babble(self, count: int) -> None:
        """Send garbage both ways."""
        for end in (self._client, self._board):
            if end is not None:
                end.sendall(self._rng.bytes(count))

    def go_away(self, seconds: float) -> None:
        """Take the port away, and bring it back."""
        assert self._client is not None
        self._listener.close()
        self._client.close()
        self._client = None
        time.sleep(seconds)
        self._listener = socket.create_server(("127.0.0.1", self._number))

    def reset_board(self) -> None:
        """Let the board start anew, whatever it is doing."""
        assert self._board is not None
        self._board.close()
        self._there.start()
        self._board = _connect(self._there.address)

    # --- the line -----------------------------------------------------------------------------

    def _serve(self) -> None:
        self._board = _connect(self._there.address)
        while not self._ends:
            ends = [end for end in (self._client or self._listener, self._board) if end]
            for end in select.select(ends, [], [], 0.05)[0]:
                if end is self._listener:
                    self._client = self._listener.accept()[0]
                    self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                else:
                    self._pass_on(end, end is self._client)

    def _pass_on(self, end: socket.socket, is_to_board: bool) -> None:
        try:
            data = end.recv(65536)
        except OSError:
            data = b""
        if not data:
            end.close()
            if is_to_board:
                self._client = None
            else:
                self._board = None
            return
        other = self._board if is_to_board else self._client
        spoiled = self._fault.spoil(self._rng, data)
        self.hits += spoiled != data
        if self._fault.reorders:
            spoiled = self._reorder(spoiled, is_to_board)
        if other is not None and time.monotonic() >= self._silent_until:
            with contextlib.suppress(OSError):
                other.sendall(spoiled)
        self._passed += len(data)
        if self._fault.every and self._passed >= self._fault.every:
            self._passed = 0
            self.hits += 1
            self._fault.happen(self)

    def _reorder(self, data: bytes, is_to_board: bool) -> bytes:
        """Hold a block back until the next has passed; now and then let it pass twice."""
        held, self._held[is_to_board] = self._held[is_to_board], b""
        if self._rng.random() >= self._fault.reorders:
            return data + held
        self.hits += 1
        self._held[is_to_board] = data
        return held + (data if self._rng.random() < 0.5 else b"")


def _connect(address: str) -> socket.socket:
    host, port = address.removeprefix("socket://").split(":")
    end = socket.create_connection((host, int(port)))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


@dataclass(frozen=True)
class Fault:
    """What goes wrong on a line.

    Attributes:
        name: For people.
        spoil: Makes of bytes what arrives.
        reorders: Share of what is sent that arrives after what comes next.
        every: Bytes, after which something happens.
        happen: What happens.
    """

    name: str
    spoil: Spoil = lambda _, data: data
    reorders: float = 0.0
    every: int = 0
    happen: Callable[[BadLine], None] = lambda _: None


def flip(share: float) -> Spoil:
    """Flip each bit with a probability."""

    def spoil(rng: np.random.Generator, data: bytes) -> bytes:
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        return np.packbits(bits ^ (rng.random(len(bits)) < share)).tobytes()

    return spoil


def drop(share: float) -> Spoil:
    """Lose each byte with a probability."""

    def spoil(rng: np.random.Generator, data: bytes) -> bytes:
        return np.frombuffer(data, np.uint8)[rng.random(len(data)) >= share].tobytes()

    return spoil


def double(share: float) -> Spoil:
    """Let each byte come twice with a probability."""

    def spoil(rng: np.random.Generator, data: bytes) -> bytes:
        count = 1 + (rng.random(len(data)) < share)
        return np.repeat(np.frombuffer(data, np.uint8), count).tobytes()

    return spoil


@contextlib.contextmanager
def bad_line(board: Board, fault: Fault, seed: int = 0) -> Iterator[BadLine]:
    line = BadLine(board, fault, seed)
    try:
        yield line
    finally:
        line.close()


def line_faults(silence_s: float, every: int) -> list[Fault]:
    """Return all of them; `every` bytes one of those that happen at once."""
    return [
        Fault("none"),
        Fault("bits flipped, 1e-5", flip(1e-5)),
        Fault("bits flipped, 1e-4", flip(1e-4)),
        Fault("bytes dropped, 1e-3", drop(1e-3)),
        Fault("bytes doubled, 1e-3", double(1e-3)),
        Fault("2 KB of garbage", every=every, happen=lambda line: line.babble(2048)),
        Fault("silence", every=every, happen=lambda line: line.fall_silent(silence_s)),
        Fault("blocks reordered and repeated, 1e-2", reorders=1e-2),
        Fault("board reset", every=every, happen=BadLine.reset_board),
        Fault("port gone and back", every=every, happen=lambda line: line.go_away(0.3)),
    ]


@dataclass(frozen=True)
class Outcome:
    """What became of a stream.

    Attributes:
        steps: Expected.
        wrong: That came and differ.
        lost: That did not come.
        hits: Faults that happened.
        message: Of the error that ended it, or what the link counted.
    """

    steps: int
    wrong: int
    lost: int
    hits: int
    message: str


def _told(counters: LinkCounters) -> str:
    """Say what a link counted, but for what it did not meet."""
    words = (
        (counters.requests, "requests"),
        (counters.retries, "sent again"),
        (counters.bad_frames, "damaged blocks"),
        (counters.recoveries, "resets outlived"),
        (counters.reopened, "times opened again"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in words if number)


def survive(
    board: Board, fault: Fault, frames: np.ndarray, expected: list[ResultRecord], seed: int = 0
) -> Outcome:
    """Stream frames over a bad line and compare what comes, cycles apart."""
    got: list[ResultRecord] = []
    board.start()  # it ends with the thread that started it, which a line may have been
    with bad_line(board, fault, seed) as line, Link(line.url, timeout_s=0.2) as link:
        try:
            link.reset(detail=True)
            got.extend(link.stream(frames))
            message = _told(link.counters)
        except LinkError as error:
            message = str(error)
        hits = line.hits
    wrong = sum(replace(a, cycles=0) != b for a, b in zip(got, expected, strict=False))
    return Outcome(len(expected), wrong, len(expected) - len(got), hits, message)
