"""Plays a source through a board, in a thread of its own, and yields what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lnn_edge.build.cmake import build
from lnn_edge.build.project import Project
from lnn_edge.data.frame import ANY, Frame
from lnn_edge.device.counters import unit_of
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.device.runners import make_runner
from lnn_edge.errors import UsageError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.flaws import signal_names
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.model_input import live_frame
from lnn_edge.tasks.predicted import Answer
from lnn_edge.verify.device import open_device, preset_of
from lnn_edge.verify.monitor.ahead import Ahead
from lnn_edge.verify.monitor.events import (
    BoardStatus,
    Decided,
    Event,
    LineLost,
    Paused,
    RecordingBegan,
    RecordingEnded,
    Samples,
    Started,
    Waiting,
)
from lnn_edge.verify.monitor.pace import Pace
from lnn_edge.verify.monitor.source import Chunk, Source, Tape, frames_at_once
from lnn_edge.verify.stand_in import stand_in

_AHEAD = 64  # events that a slow view may leave waiting; then the play waits
_STATUS_S = 1.0
_SILENT_S = 2.0  # after which the view is told
_LEAVE_S = 3.0  # for the device to be left in order
Value = TypeVar("Value")


def monitor(project: Project, spec: str, source: Source, pace: Pace) -> Iterator[Event]:
    """Yield what happens while a source is played through a board.

    Closing the iterator, or pace.stop(), ends it and leaves the device.

    Args:
        project: It is built first, unless a fresh build of it lies there.
        spec: Runner, see runners.make_runner.
        source: What is played.
        pace: How fast.

    Raises:
        BuildError: The firmware does not build.
        DataError, UsageError: The source does not fit the model.
        LinkError, MissingToolError: The device is not available, or was silent for too long.
    """
    target = stand_in(project, spec)
    make_runner(spec, target.board)  # an unknown one is refused before anything is built
    built = build(target.folder, preset_of(spec))
    player = _Player(project.graph, spec, pace)

    def play() -> Generator[Event, None, None]:
        with open_device(target.board, spec, built) as (_, link):
            yield from player.play(link, source)

    ahead, was_paused = Ahead(play(), _AHEAD, lambda: pace.is_stopped), False
    try:
        while not (ahead.is_over or pace.is_stopped):
            if pace.is_paused != was_paused:
                was_paused = not was_paused
                yield Paused(was_paused)
            event = ahead.take()
            if event is not None:
                yield event
            elif player.silent_s >= _SILENT_S:
                yield Waiting(player.silent_s)
                pace.rest(1.0)
    finally:
        pace.stop()
        ahead.join(_LEAVE_S)


@dataclass
class _Count:
    """What of a recording has been played."""

    frames: int = 0
    decisions: int = 0


class _Player:
    """Feeds a board.

    Args:
        graph: The model.
        spec: Of the link.
        pace: How fast.
    """

    def __init__(self, graph: QGraph, spec: str, pace: Pace) -> None:
        self._graph, self._spec, self._pace = graph, spec, pace
        self._answer, self._frame = Answer.of(graph), live_frame(graph)
        self._asked_at: float | None = None
        self._told_at, self._told_s = 0.0, 0.0

    @property
    def silent_s(self) -> float:
        """How long an answer of the board has been awaited."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def play(self, link: Link, source: Source) -> Generator[Event, None, None]:
        """Play all that a source has."""
        info = self._ask(lambda: link.hello(bytes.fromhex(graph_sha256(self._graph))))
        names = [_name(i, c.name) for i, c in enumerate(self._frame.channels, start=1)]
        yield Started(
            self._graph.name,
            info.board_name,
            self._spec,
            tuple(names),
            tuple(c.unit for c in self._frame.channels),
            self._graph.contract.sample_rate_hz,
            self._answer.float_columns,
            signal_names(names) if self._answer.flaws is not None else (),
            self._answer.classes,
            unit_of(info),
            info.core_clock_hz,
        )
        for tape in source(lambda: self._pace.is_stopped):
            yield from self._play(link, tape)

    def _play(self, link: Link, tape: Tape) -> Iterator[Event]:
        if self._pace.is_timed and tape.rate_hz is None and tape.length is not None:
            raise UsageError(
                f"{self._graph.name} tells no rate, so that it has no real time; give --speed max"
            )
        self._ask(link.reset)
        self._pace.begin()
        self._told_at, self._told_s, count = time.monotonic(), 0.0, _Count()
        yield RecordingBegan(tape.name, tape.length)
        waiting = 0
        for chunk in tape.chunks(frames_at_once(tape.rate_hz, self._pace.speed)):
            if not self._pace.wait(chunk.due_s):
                return
            waiting = chunk.waiting
            yield from self._send(link, tape, chunk, count)
            if time.monotonic() - self._told_at >= _STATUS_S:
                yield self._status(link, tape, count, waiting)
        yield self._status(link, tape, count, waiting)
        yield RecordingEnded(tape.name, count.frames, count.decisions)

    def _send(self, link: Link, tape: Tape, chunk: Chunk, count: _Count) -> Iterator[Event]:
        if chunk.lost is not None:
            link.skip(1)
            yield LineLost(chunk.lost.number, chunk.lost.reason)
        else:
            yield Samples(count.frames, _real(self._frame, chunk.frames))
            for record in self._ask(lambda: list(link.stream(chunk.frames, chunk.events))):
                count.decisions += 1
                yield self._decided(tape, record)
        count.frames += max(1, len(chunk.frames))

    def _decided(self, tape: Tape, record: ResultRecord) -> Decided:
        steps = np.array([record.outputs], np.int64)
        said = self._answer.decide(steps)
        return Decided(
            tape.name,
            record.stamp,
            record.stamp / (tape.rate_hz or 1.0),
            said[0] if said else "",
            record.outputs,
            tuple(self._answer.numbers(steps)[0].tolist()),
            self._answer.signal(steps)[0],
            record.cycles,
        )

    def _status(self, link: Link, tape: Tape, count: _Count, waiting: int) -> BoardStatus:
        stats, counters = self._ask(link.stats), link.counters
        now, played_s = time.monotonic(), count.frames / tape.rate_hz if tape.rate_hz else 0.0
        speed = (played_s - self._told_s) / max(now - self._told_at, 1e-6)
        self._told_at, self._told_s = now, played_s
        return BoardStatus(
            count.frames,
            count.decisions,
            speed,
            (stats.frames_cost - stats.decisions_cost) / max(1, count.frames),
            waiting,
            stats.uart_overruns + stats.rx_ring_overflows,
            stats.event_overflows,
            stats.frames_skipped,
            stats.stack_free_bytes,
            counters.retries,
            counters.recoveries,
        )

    def _ask(self, call: Callable[[], Value]) -> Value:
        """Ask the board, and note how long that takes."""
        self._asked_at = time.monotonic()
        try:
            return call()
        finally:
            self._asked_at = None


def _name(number: int, name: str) -> str:
    return f"channel {number}" if name == ANY else name


def _real(frame: Frame, frames: np.ndarray) -> np.ndarray:
    zeros = np.array([c.zero for c in frame.channels])
    values: np.ndarray = (frames - zeros) / np.array([c.steps_per_unit for c in frame.channels])
    return values
