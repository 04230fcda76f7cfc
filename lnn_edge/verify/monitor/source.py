"""What is played: recordings in their own time, or frames as they come."""

from __future__ import annotations

import math
import os
import select
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lnn_edge.data.live import LONGEST_LINE, NAME, Lost
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.device.link import DEFAULT_BAUD
from lnn_edge.device.link.port import SerialPort
from lnn_edge.errors import UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.feed import Wish, load_feed
from lnn_edge.tasks.live import live_frames
from lnn_edge.tasks.model_input import feed, takes_recordings
from lnn_edge.tasks.predict import open_data
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.monitor.ahead import Ahead, Polled

STDIN, SERIAL = "-", "serial:"
_MOST_WAITING = 4096  # frames of a live source; then it waits, if it can
IsStopped = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Chunk:
    """What goes to the board at once.

    Attributes:
        frames: (N, C) int16.
        events: Stamps in them.
        due_s: When the last of them is due, from the start of the recording; None at once.
        lost: A line in their place.
        waiting: Frames that the source has ready besides.
    """

    frames: np.ndarray
    events: list[int] = field(default_factory=list)
    due_s: float | None = None
    lost: Lost | None = None
    waiting: int = 0


class Tape(Protocol):
    """One thing to play, from a reset on."""

    @property
    def name(self) -> str:
        """Name of the recording."""

    @property
    def length(self) -> int | None:
        """Frames, None where they are not known before."""

    @property
    def rate_hz(self) -> float | None:
        """Frames per second, None if nothing tells."""

    def chunks(self, most: int) -> Iterator[Chunk]:
        """Yield it in parts of at most `most` frames."""


Source = Callable[[IsStopped], Iterable[Tape]]
"""Opens what is played, and stops waiting for it when asked to."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recording in the frame of the model."""

    signal: Signal
    rate_hz: float | None

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.signal.name

    @property
    def length(self) -> int:
        """Frames."""
        return len(self.signal.frames)

    def chunks(self, most: int) -> Iterator[Chunk]:
        """Yield it in parts, each due when its last frame has been sampled."""
        frames, events = self.signal.frames, self.signal.events
        for first in range(0, len(frames), most):
            end = min(first + most, len(frames))
            inside = events[(events >= first) & (events < end)].tolist()
            yield Chunk(frames[first:end], inside, end / self.rate_hz if self.rate_hz else None)


@dataclass(frozen=True, eq=False)
class Live:
    """Frames as they come."""

    frames: Generator[np.ndarray | Lost, None, None]
    rate_hz: float | None
    is_stopped: IsStopped
    name: str = NAME
    length: None = None

    def chunks(self, most: int) -> Iterator[Chunk]:
        """Yield what is there, up to a line that was lost."""
        ahead = Ahead(self.frames, _MOST_WAITING, self.is_stopped)
        while not (ahead.is_over or self.is_stopped()):
            together: list[np.ndarray] = []
            item = ahead.take()
            while isinstance(item, np.ndarray):
                together.append(item)
                item = ahead.take(0) if len(together) < most else None
            if together:
                yield Chunk(np.stack(together), waiting=ahead.waiting)
            if isinstance(item, Lost):
                yield Chunk(np.zeros((0, 0), np.int16), lost=item, waiting=ahead.waiting)


def embedded(graph: QGraph, names: Sequence[str] | None = None) -> Source:
    """Return the recordings that lnn-edge has for a model, or the frames it was made from.

    Args:
        graph: The model.
        names: Of the recordings; None takes all.

    Raises:
        UsageError: There are none.
    """
    rate = graph.contract.sample_rate_hz
    if takes_recordings(graph):
        found = load_feed(graph.metadata, Wish(names=names)).recordings
        signals = [Signal(r.name, r.frames, r.events) for r in found]
    elif graph.reference is not None and graph.reference.frames and names is None:
        signals = [
            Signal(f"sequence {i}", graph.frame.quantize(x).astype(np.int16))
            for i, x in enumerate(graph.reference.frames)
        ]
    else:
        raise UsageError(f"lnn-edge has no recordings of {graph.name}; give some with --source")
    return lambda _: [Recorded(signal, rate) for signal in signals]


def recordings(graph: QGraph, records: Iterable[Record], channels: Mapping[str, str]) -> Source:
    """Return recordings that need no labels; of a model that decides on events, their marks."""

    def open_all(_: IsStopped) -> Iterator[Tape]:
        for record in records:
            fed = feed(record, graph, channels)
            signal = Signal(fed.record.name, fed.record.samples, fed.events)
            yield Recorded(signal, fed.record.rate_hz)

    return open_all


def open_source(
    graph: QGraph,
    text: str,
    hints: Hints,
    channels: Mapping[str, str],
    names: Sequence[str] | None = None,
    *,
    raw: bool = False,
) -> Source:
    """Return what a user names: recordings at a path, - for stdin, or serial:PORT[@BAUD].

    Args:
        graph: The model.
        text: What is named.
        hints: About the recordings.
        channels: Name of the model's channel -> name of the source's, where they differ.
        names: Of the recordings at a path that are played; None plays all.
        raw: Whether a live source sends int16 steps, and not lines of numbers.

    Raises:
        DataError: There are no recordings.
        UsageError: The source does not fit the model.
    """
    if text != STDIN and not text.startswith(SERIAL):
        if raw:
            raise UsageError("--raw is of a live source; give --source - or serial:PORT")
        found = read_records(find_records(Path(text), hints))
        return recordings(graph, (r for r in found if names is None or r.name in names), channels)
    if graph.takes_events:
        raise UsageError(
            f"{graph.name} decides on events that no stream brings; export it with --find-beats"
        )
    if names is not None:
        raise UsageError("--records is of recordings; leave it out of a live source")
    address = None if text == STDIN else _address(text)
    told = (hints.rate_hz, channels)

    def open_stream(is_stopped: IsStopped) -> list[Tape]:
        frames = _frames(graph, address, *told, is_stopped, raw=raw)
        return [Live(frames, graph.contract.sample_rate_hz, is_stopped)]

    return open_stream


def given(graph: QGraph, data: Any, rate_hz: float | None) -> Source:
    """Return what lnn_edge.monitor takes as data."""
    if data is None:
        return embedded(graph)
    return recordings(graph, open_data(graph, data, {"rate_hz": rate_hz}), {})


def _address(text: str) -> tuple[str, int]:
    """Return port and rate of serial:PORT[@BAUD]."""
    url, _, baud = text.removeprefix(SERIAL).partition("@")
    if not url or (baud and not baud.isdecimal()):
        raise UsageError(f"a serial source must be such as serial:/dev/ttyUSB0@9600, not {text}")
    return url, int(baud or DEFAULT_BAUD)


def _frames(
    graph: QGraph,
    address: tuple[str, int] | None,
    rate_hz: float | None,
    channels: Mapping[str, str],
    is_stopped: IsStopped,
    *,
    raw: bool,
) -> Generator[np.ndarray | Lost, None, None]:
    """Yield frames from a serial port, or from stdin, until it ends."""
    with ExitStack() as stack:
        read: Callable[[float], bytes | None] = _read_stdin
        if address is not None:
            port = SerialPort(*address)
            stack.callback(port.close)
            read = port.read
        stream = BufferedReader(Polled(read, is_stopped))
        if address is not None and not raw:
            stream.readline(LONGEST_LINE)  # the middle of a line that had begun before
        yield from live_frames(graph, stream, rate_hz, channels, raw=raw)


def _read_stdin(timeout_s: float) -> bytes | None:
    with suppress(InterruptedError):
        if select.select([0], [], [], timeout_s)[0]:
            return os.read(0, 1 << 16) or None
    return b""


def frames_at_once(rate_hz: float | None, speed: float) -> int:
    """Return how many frames go to the board together: a tenth of a second, up to one."""
    if rate_hz is None:
        return 32
    together_s = min(1.0, 0.1 * speed) if math.isfinite(speed) else 1.0
    return max(1, round(rate_hz * together_s))
