"""Streams signals to a device and to the simulator side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import numpy as np

from lnn_edge.device.counters import Line, WrongCounter, compare_counters
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord, Stats
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Decision, Stream
from lnn_edge.verify.journal import Journal, Past

CountFunctions = Callable[[], Mapping[str, int] | None]
"""Returns the instructions retired in each function so far; None if they are not counted."""


@dataclass(frozen=True, eq=False)
class Signal:
    """What a device is fed from a reset on.

    Attributes:
        name: For messages and the result.
        frames: (N, C) int16.
        events: (M,) ascending stamps; none for a model that takes no events.
    """

    name: str
    frames: np.ndarray
    events: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Streamed:
    """What came of streaming all signals; see the attributes of Verification.

    Attributes:
        runs: Steps of each signal.
        stats: Counters of the board after each signal.
    """

    runs: list[list[Step]]
    stats: list[Stats]
    wrong_counters: tuple[WrongCounter, ...]
    line: Line
    functions: dict[str, int] | None

    @property
    def steps(self) -> list[Step]:
        """All steps."""
        return [step for run in self.runs for step in run]


@dataclass(frozen=True)
class Step:
    """One decision of both sides; None where a side has no more."""

    record: str
    index: int
    expected: Decision | None
    got: ResultRecord | None

    @property
    def agrees(self) -> bool:
        """Whether both sides decided, and alike in every bit."""
        a, b = self.expected, self.got
        if a is None or b is None:
            return False
        same = a.stamp == b.stamp and tuple(a.outputs.tolist()) == b.outputs
        return same and a.probes == b.probes and a.state == b.state

    def agrees_in(self, output: Output) -> bool:
        """Whether both sides decided, and alike in one output."""
        if self.expected is None or self.got is None:
            return False
        expected, got = self.expected.outputs, np.array(self.got.outputs, np.int64)
        return np.array_equal(output.part(expected), output.part(got))


def stream_signals(
    graph: QGraph,
    signals: Sequence[Signal],
    link: Link,
    on_frames: Callable[[int], None],
    count_functions: CountFunctions,
    journal: Journal | None,
) -> Streamed:
    """Stream the signals, and look at the counters of both ends before, between and after."""
    runs: list[list[Step]] = []
    stats: list[Stats] = []
    board, host, functions = link.stats(), link.counters, count_functions()
    wrong: list[WrongCounter] = []
    for index, signal in enumerate(signals):
        past = journal.past(index, link.info.record_layout(True)) if journal else Past()
        stream, run, taken = Stream(graph), list[Step](), 0
        for step in _run(stream, signal, link, past, journal):
            run.append(step)
            on_frames(stream.frames - taken)
            taken = stream.frames
        on_frames(len(signal.frames) - taken)
        runs.append(run)
        stats.append(past.stats or link.stats())
        if journal and not past.stats:
            journal.end(stats[-1])
        wrong += compare_counters(signal.name, stream.counters, stats[-1])
    line = Line.between((board, link.stats()), (host, link.counters))
    return Streamed(runs, stats, tuple(wrong), line, _added(functions, count_functions()))


def _added(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None
) -> dict[str, int] | None:
    """Return the increase of each count; None if they are not counted."""
    if before is None or after is None:
        return None
    more = {name: n - before.get(name, 0) for name, n in after.items()}
    return {name: n for name, n in more.items() if n}


def _run(
    stream: Stream, signal: Signal, link: Link, past: Past, journal: Journal | None
) -> Iterator[Step]:
    """Stream a signal; the simulator goes ahead and tells where decisions fill a reply."""
    simulated: deque[Decision] = deque()

    def foresee() -> Iterator[int]:
        for decision in stream.run(signal.frames, signal.events):
            simulated.append(decision)
            yield stream.frames

    foreseen = foresee()

    def expect() -> Iterator[Decision]:
        while simulated or next(foreseen, None) is not None:
            yield simulated.popleft()

    got = chain(past.records, _rest(signal, link, past, foreseen, journal))
    # The device first, so that what is foreseen is asked for by the one who cuts the requests.
    for index, (b, a) in enumerate(zip_longest(got, expect())):
        yield Step(signal.name, index, a, b)


def _rest(
    signal: Signal, link: Link, past: Past, foreseen: Iterator[int], journal: Journal | None
) -> Iterator[ResultRecord]:
    """Stream what of a signal is not known yet."""
    if past.stats:
        return
    link.reset(detail=True)
    if past.checkpoint:
        link.take_up(past.checkpoint)
    begin = past.checkpoint.frames if past.checkpoint else 0
    events = signal.events[signal.events >= begin].tolist()
    for record in link.stream(signal.frames[begin:], events, foreseen):
        if journal:
            journal.note(record, link.checkpoint)
        yield record
