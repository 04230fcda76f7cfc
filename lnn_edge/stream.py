"""A graph fed as the board is fed: frames and events in, decisions out, bit by bit.

Twin of firmware/runtime/lnn_runtime.c, and of the state blob of generated models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace

import numpy as np

from lnn_edge import sim
from lnn_edge.errors import VerificationError
from lnn_edge.fixed import ITEM_BYTES
from lnn_edge.ir import EventTrigger, QGraph, QTensor, State
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
    """One decided event.

    Attributes:
        stamp: Sample index of the event.
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


class Stream:
    """Streaming simulator of one model instance.

    Frames are appended with push_frames, events with push_event; decisions() runs every step that
    is ready. reset() starts a record.
    """

    def __init__(self, graph: QGraph) -> None:
        self.graph = graph
        self._stage = graph.event_stage
        self._trigger = graph.event_trigger
        self._ring_length = graph.ring(self._trigger.ring).length
        self.reset()

    def reset(self) -> None:
        """Return to the state at the start of a record."""
        self.frames = 0
        self.counters = Counters()
        self._primed = False
        self._ring = np.zeros((self._ring_length, *self.graph.frame.shape), np.int16)
        self._events: list[int] = []
        self._last: int | None = None
        self._state = sim.initial_state(self._stage)

    def push_frame(self, frame: np.ndarray) -> None:
        """Append one frame, (C,) int16."""
        if not self._primed:
            self._ring[:] = frame
            self._primed = True
        self._ring[self.frames % self._ring_length] = frame
        self.frames += 1

    def skip_frames(self, count: int) -> None:
        """Account for lost frames: the ring holds the last frame in their place."""
        if self._primed:
            last = self._ring[(self.frames - 1) % self._ring_length].copy()
            slots = (self.frames + np.arange(min(count, self._ring_length))) % self._ring_length
            self._ring[slots] = last
        self.frames += count
        self._count(frames_skipped=count)

    def push_event(self, stamp: int) -> bool:
        """Queue an event; False if it was dropped (order, full queue), which is counted."""
        newest = self._events[-1] if self._events else self._last
        if newest is not None and stamp <= newest:
            self._count(events_rejected=1)
            return False
        if len(self._events) == self._trigger.capacity:
            self._count(event_overflows=1)
            return False
        self._events.append(stamp)
        return True

    def decisions(self) -> Iterator[Decision]:
        """Run every step that is ready, oldest event first."""
        while self._is_ready():
            before = self.state_blob()
            if self.frames + self._trigger.pre > self._events[0] + self._ring_length:
                self._events.pop(0)
                self._count(events_rejected=1)
                continue
            yield self._decide(before)

    def run(self, frames: np.ndarray, events: np.ndarray) -> Iterator[Decision]:
        """Feed a whole record: event t follows frame t, as a detector without delay reports it."""
        queue = [int(t) for t in events]
        for frame in frames:
            self.push_frame(frame)
            while queue and queue[0] < self.frames:
                self.push_event(queue.pop(0))
            if self._events:
                yield from self.decisions()

    def _count(self, **more: int) -> None:
        values = {name: getattr(self.counters, name) + n for name, n in more.items()}
        self.counters = replace(self.counters, **values)

    def _is_ready(self) -> bool:
        trigger = self._trigger
        if not self._events or self.frames < self._events[0] + trigger.post:
            return False
        waited = self.frames >= self._events[0] + trigger.wait
        return trigger.wait == 0 or len(self._events) > 1 or waited

    def _limit(self, value: int, tensor: QTensor) -> np.ndarray:
        limited = min(max(value, tensor.qmin), tensor.qmax)
        self._count(dt_saturations=int(limited != value))
        return np.array([limited], np.int64)

    def _window(self, stamp: int) -> np.ndarray:
        trigger = self._trigger
        slots = np.arange(stamp - trigger.pre, stamp + trigger.post) % self._ring_length
        return self._ring[slots].astype(np.int64)

    def _decide(self, before: bytes) -> Decision:
        trigger, stage = self._trigger, self._stage
        stamp = self._events[0]
        elapsed = trigger.first_dt if self._last is None else stamp - self._last
        inputs = {
            trigger.window.name: self._window(stamp),
            trigger.dt.name: self._limit(elapsed, trigger.dt),
        }
        if trigger.dt_next is not None:
            gap = self._events[1] - stamp if len(self._events) > 1 else trigger.wait
            inputs[trigger.dt_next.name] = self._limit(min(gap, trigger.wait), trigger.dt_next)
        self._last = self._events.pop(0)
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
        stamps = self._events + [0] * (self._trigger.capacity - len(self._events))
        last = 0 if self._last is None else self._last
        words = [
            *(self.frames, int(self._primed)),
            *(len(self._events), last, int(self._last is not None)),
            *astuple(self.counters),
            *stamps,
        ]
        packed = np.array(words, np.int64).astype("<u4").tobytes()
        return self.state_prefix() + packed + self._ring.astype("<i2").tobytes()


def state_layout(graph: QGraph) -> list[State]:
    """Return the states in memory order: widest items first, so nothing needs padding."""
    states = graph.event_stage.states
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
