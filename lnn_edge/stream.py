"""A graph fed as the board is fed: frames and events in, decisions out, bit by bit.

Twin of firmware/runtime/lnn_runtime.c, and of the state blob of generated models.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from lnn_edge import sim
from lnn_edge.errors import VerificationError
from lnn_edge.fixed import ITEM_BYTES
from lnn_edge.ir import DecidingTrigger, EventTrigger, EveryTrigger, QGraph, QTensor, State
from lnn_edge.sim import Values


@dataclass(frozen=True)
class Counters:
    """What went wrong outside the arithmetic; the order is that of lnn_counters_t."""

    event_overflows: int = 0
    events_rejected: int = 0
    frames_skipped: int = 0
    dt_saturations: int = 0


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        stamp: Sample index of the event, or of the frame that the stage fired on.
        outputs: The stage's output, (O,) int64.
        probes: Bytes of the probe tensors, as the board sends them.
        state: Bytes of the state tensors after the step, as the board sends them.
        values: Every tensor of the step by name.
        before: State blob from which the step can be replayed.
    """

    stamp: int
    outputs: np.ndarray
    probes: bytes
    state: bytes
    values: Values
    before: bytes


class AbstractQueue(abc.ABC):
    """Firings of the deciding stage that are known and not decided; counts what it drops."""

    def __init__(self) -> None:
        self.counters = Counters()

    @property
    @abc.abstractmethod
    def window_start(self) -> int:
        """Index of the first frame that the oldest firing needs."""

    @abc.abstractmethod
    def note_frame(self, frames: int) -> None:
        """Take note of the newest of so many frames."""

    @abc.abstractmethod
    def push(self, stamp: int) -> bool:
        """Queue an event; False if it was dropped, which is counted."""

    @abc.abstractmethod
    def is_ready(self, frames: int) -> bool:
        """Tell whether the oldest firing can be decided after so many frames."""

    @abc.abstractmethod
    def drop(self) -> None:
        """Forget the oldest firing."""

    @abc.abstractmethod
    def take(self) -> tuple[int, Values]:
        """Remove the oldest firing; return its stamp and the stage's inputs besides the window."""

    @abc.abstractmethod
    def words(self) -> tuple[list[int], list[int]]:
        """Return its part of the state blob: the words before the counters and those after."""

    def count(self, **more: int) -> None:
        """Add to counters by name."""
        values = {name: getattr(self.counters, name) + n for name, n in more.items()}
        self.counters = replace(self.counters, **values)


class EventQueue(AbstractQueue):
    """Events in stamp order; see EventTrigger."""

    def __init__(self, trigger: EventTrigger) -> None:
        super().__init__()
        self._trigger = trigger
        self._events: list[int] = []
        self._last: int | None = None

    @property
    def window_start(self) -> int:
        """`pre` frames before the oldest event."""
        return self._events[0] - self._trigger.pre

    def note_frame(self, frames: int) -> None:
        """Do nothing: events come from outside."""

    def push(self, stamp: int) -> bool:
        """Queue an event unless its stamp is not after the last one, or the queue is full."""
        newest = self._events[-1] if self._events else self._last
        if newest is not None and stamp <= newest:
            self.count(events_rejected=1)
            return False
        if len(self._events) == self._trigger.capacity:
            self.count(event_overflows=1)
            return False
        self._events.append(stamp)
        return True

    def is_ready(self, frames: int) -> bool:
        """Tell whether the window is whole and the wait for the next event is over."""
        trigger = self._trigger
        if not self._events or frames < self._events[0] + trigger.post:
            return False
        waited = frames >= self._events[0] + trigger.wait
        return trigger.wait == 0 or len(self._events) > 1 or waited

    def drop(self) -> None:
        """Forget the oldest event; the next dt does not see it."""
        self._events.pop(0)

    def take(self) -> tuple[int, Values]:
        """Return the oldest event, dt and dt_next."""
        trigger, stamp = self._trigger, self._events[0]
        elapsed = trigger.first_dt if self._last is None else stamp - self._last
        inputs = {trigger.dt.name: self._limit(elapsed, trigger.dt)}
        if trigger.dt_next is not None:
            gap = self._events[1] - stamp if len(self._events) > 1 else trigger.wait
            inputs[trigger.dt_next.name] = self._limit(min(gap, trigger.wait), trigger.dt_next)
        self._last = self._events.pop(0)
        return stamp, inputs

    def words(self) -> tuple[list[int], list[int]]:
        """Return count and last stamp; behind the counters the stamps."""
        last = 0 if self._last is None else self._last
        stamps = self._events + [0] * (self._trigger.capacity - len(self._events))
        return [len(self._events), last, int(self._last is not None)], stamps

    def _limit(self, value: int, tensor: QTensor) -> np.ndarray:
        limited = min(max(value, tensor.qmin), tensor.qmax)
        self.count(dt_saturations=int(limited != value))
        return np.array([limited], np.int64)


class FrameQueue(AbstractQueue):
    """At most one firing, on a frame that arrived; see EveryTrigger."""

    def __init__(self, trigger: EveryTrigger) -> None:
        super().__init__()
        self._trigger = trigger
        self._due = 0  # frames up to the one to decide on, 0 for none

    @property
    def window_start(self) -> int:
        """`length` frames, the firing's own the last."""
        return self._due - self._trigger.length

    def note_frame(self, frames: int) -> None:
        """Fire if it is time; a firing that still waits is kept instead."""
        if not self._trigger.fires_after(frames):
            return
        if self._due:
            self.count(event_overflows=1)
        else:
            self._due = frames

    def push(self, stamp: int) -> bool:
        """Refuse: this model takes no events."""
        self.count(events_rejected=1)
        return False

    def is_ready(self, frames: int) -> bool:
        """Tell whether a firing waits."""
        return self._due != 0

    def drop(self) -> None:
        """Forget the firing."""
        self._due = 0

    def take(self) -> tuple[int, Values]:
        """Return the frame; the window is the only input."""
        stamp, self._due = self._due - 1, 0
        return stamp, {}

    def words(self) -> tuple[list[int], list[int]]:
        """Return the one word."""
        return [self._due], []


def make_queue(trigger: DecidingTrigger) -> AbstractQueue:
    """Return the queue of a trigger at the start of a record."""
    return EventQueue(trigger) if isinstance(trigger, EventTrigger) else FrameQueue(trigger)


class Stream:
    """Streaming simulator of one model instance.

    Frames are appended with push_frames, events with push_event; decisions() runs every step that
    is ready. reset() starts a record.
    """

    def __init__(self, graph: QGraph) -> None:
        self.graph = graph
        self._stage = graph.deciding_stage
        self._trigger = graph.deciding_trigger
        self._ring_length = graph.ring(self._trigger.ring).length
        self.reset()

    def reset(self) -> None:
        """Return to the state at the start of a record."""
        self.frames = 0
        self._primed = False
        self._ring = np.zeros((self._ring_length, *self.graph.frame.shape), np.int16)
        self._queue = make_queue(self._trigger)
        self._state = sim.initial_state(self._stage)

    @property
    def counters(self) -> Counters:
        """What was dropped, skipped or saturated since the reset."""
        return self._queue.counters

    def push_frame(self, frame: np.ndarray) -> None:
        """Append one frame, (C,) int16."""
        if not self._primed:
            self._ring[:] = frame
            self._primed = True
        self._ring[self.frames % self._ring_length] = frame
        self.frames += 1
        self._queue.note_frame(self.frames)

    def skip_frames(self, count: int) -> None:
        """Account for lost frames: the ring holds the last frame in their place."""
        if self._primed:
            last = self._ring[(self.frames - 1) % self._ring_length].copy()
            slots = (self.frames + np.arange(min(count, self._ring_length))) % self._ring_length
            self._ring[slots] = last
        self.frames += count
        self._queue.count(frames_skipped=count)

    def push_event(self, stamp: int) -> bool:
        """Queue an event; False if it was dropped, which is counted.

        It is where its order is wrong, the queue is full, or the model takes no events.
        """
        return self._queue.push(stamp)

    def decisions(self) -> Iterator[Decision]:
        """Run every step that is ready, oldest firing first."""
        while self._queue.is_ready(self.frames):
            before = self.state_blob()
            if self.frames > self._queue.window_start + self._ring_length:
                self._queue.drop()
                self._queue.count(events_rejected=1)
                continue
            yield self._decide(before)

    def run(
        self, frames: np.ndarray, events: Sequence[int] | np.ndarray = ()
    ) -> Iterator[Decision]:
        """Feed a whole record: event t follows frame t, as a detector without delay reports it."""
        queue = [int(t) for t in events]
        for frame in frames:
            self.push_frame(frame)
            while queue and queue[0] < self.frames:
                self.push_event(queue.pop(0))
            yield from self.decisions()

    def _window(self) -> np.ndarray:
        first = self._queue.window_start
        slots = np.arange(first, first + self._trigger.window.shape[0]) % self._ring_length
        return self._ring[slots].astype(np.int64)

    def _decide(self, before: bytes) -> Decision:
        stage, window = self._stage, self._window()
        stamp, inputs = self._queue.take()
        inputs[self._trigger.window.name] = window
        values = sim.run_stage(stage, inputs, self._state)
        self._state = sim.next_state(stage, values)
        probes = b"".join(pack(t, values[t.name]) for t in stage.probes)
        outputs = values[self.graph.output.name]
        return Decision(stamp, outputs, probes, self.state_prefix(), values, before)

    def state_prefix(self) -> bytes:
        """Return the state tensors in the board's layout, padded to 4 bytes."""
        packed = b"".join(
            pack(s.tensor, self._state[s.tensor.name]) for s in state_layout(self.graph)
        )
        return packed + bytes(-len(packed) % 4)

    def state_blob(self) -> bytes:
        """Return the whole state in the board's layout (docs/graph.md)."""
        before, after = self._queue.words()
        words = [self.frames, int(self._primed), *before, *astuple(self.counters), *after]
        packed = np.array(words, np.int64).astype("<u4").tobytes()
        ring = self._ring.astype("<i2").tobytes()
        return self.state_prefix() + packed + ring + bytes(-len(ring) % 4)


def state_layout(graph: QGraph) -> list[State]:
    """Return the states in memory order: widest items first, so nothing needs padding."""
    states = graph.deciding_stage.states
    return sorted(states, key=lambda s: -ITEM_BYTES[s.tensor.dtype])


def pack(tensor: QTensor, values: np.ndarray) -> bytes:
    """Return values in the tensor's dtype, little-endian."""
    return values.astype(np.dtype(tensor.dtype).newbyteorder("<")).tobytes()


def unpack(tensor: QTensor, raw: bytes) -> np.ndarray:
    """Return a tensor's values from bytes, int64.

    Raises:
        VerificationError: The number of bytes is not the tensor's.
    """
    if len(raw) != tensor.bytes:
        raise VerificationError(f"{tensor.name}: {len(raw)} bytes, needed {tensor.bytes}")
    flat = np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<"))
    return flat.reshape(tensor.shape).astype(np.int64)


def event_inputs(
    trigger: EventTrigger, frames: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, Values]:
    """Return the inputs of every step that Stream.run would take on a record, all at once.

    Args:
        trigger: Trigger of the deciding stage.
        frames: (N, C) int16.
        events: (M,) ascending stamps.

    Returns:
        Indices into events of those decided (the last ones may lack samples), and the stage's
        inputs by name, (M', *shape) int64.
    """
    gaps = np.diff(events, append=np.iinfo(np.int64).max // 2)
    decided = np.maximum(
        events + trigger.post, np.minimum(events + gaps + 1, events + trigger.wait)
    )
    index = np.flatnonzero((decided <= len(frames)) & (events < len(frames)))
    stamps, gaps = events[index], gaps[index]
    elapsed = np.diff(events, prepend=events[:1] - trigger.first_dt)[index]
    span = stamps[:, None] + np.arange(-trigger.pre, trigger.post)
    inputs = {
        trigger.window.name: frames[np.maximum(span, 0)].astype(np.int64),
        trigger.dt.name: elapsed.clip(trigger.dt.qmin, trigger.dt.qmax)[:, None],
    }
    if trigger.dt_next is not None:
        limited = np.minimum(gaps, trigger.wait).clip(trigger.dt_next.qmin, trigger.dt_next.qmax)
        inputs[trigger.dt_next.name] = limited[:, None]
    return index, inputs


def every_inputs(trigger: EveryTrigger, frames: np.ndarray) -> tuple[np.ndarray, Values]:
    """Return the inputs of every step that Stream.run would take on a record, all at once.

    Args:
        trigger: Trigger of the deciding stage.
        frames: (N, C) int16.

    Returns:
        Stamps (M,), and the stage's inputs by name, (M, *shape) int64.
    """
    stamps = np.arange(trigger.first - 1, len(frames), trigger.hop)
    span = stamps[:, None] + np.arange(1 - trigger.length, 1)
    return stamps, {trigger.window.name: frames[np.maximum(span, 0)].astype(np.int64)}
