"""A graph fed as the board is fed: frames and events in, decisions out, bit by bit.

Twin of generated models, and of their state blob.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from lnn_edge.errors import VerificationError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.fixed import ITEM_BYTES
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.queues import Counters, make_queue
from lnn_edge.graph.sim.rings import SlidingRing, make_ring_memory
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, Stage, State, every_trigger

BLOB_MAGIC = b"LNN\1"  # the last byte is the version of the layout
BLOB_HASH_BYTES, BLOB_CRC_BYTES = 8, 4
BLOB_HEAD_BYTES = len(BLOB_MAGIC) + BLOB_HASH_BYTES + 4


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


class Stream:
    """Streaming simulator of one model instance.

    Frames are appended with push_frames, events with push_event; decisions() runs every step that
    is ready. reset() starts a record.
    """

    def __init__(self, graph: QGraph) -> None:
        self.graph = graph
        self._stage = graph.deciding_stage
        self._trigger = graph.deciding_trigger
        self._leads = {
            window.frames.name: graph.lead(stage.trigger, window)
            for stage in graph.stages[1:]
            if isinstance(stage.trigger, EveryTrigger)
            for window in stage.trigger.windows
        }
        self._pace = graph.pace(graph.ring(self._trigger.ring))
        self._hash = bytes.fromhex(graph_sha256(graph))[:BLOB_HASH_BYTES]
        self.reset()

    def reset(self) -> None:
        """Return to the state at the start of a record."""
        graph = self.graph
        self._rings = {r.name: make_ring_memory(graph, r) for r in graph.rings}
        self._queue = make_queue(self._trigger)
        self._state = {k: v for s in graph.stages for k, v in interpreter.initial_state(s).items()}

    @property
    def frames(self) -> int:
        """Index of the next frame."""
        return self._rings[self.graph.stages[0].trigger.ring].frames

    @property
    def counters(self) -> Counters:
        """What was dropped, skipped or saturated since the reset."""
        return self._queue.counters

    def push_frame(self, frame: np.ndarray) -> None:
        """Append one frame, (C,) int16, and run every stage before the decision."""
        first, *between = self.graph.preparing_stages
        self._prepare(first, {self.graph.frame.name: frame.astype(np.int64)})
        for stage in between:
            trigger = every_trigger(stage)
            ring = self._rings[trigger.ring]
            if not (ring.is_fresh and trigger.fires_after(ring.frames)):
                continue
            self._prepare(stage, self._read(trigger, ring.frames))
            if isinstance(ring, SlidingRing):
                ring.advance()
        for ring in self._rings.values():
            ring.is_fresh = False

    def _read(self, trigger: EveryTrigger, frames: int) -> Values:
        """Return the windows of a stage that fires on the last of `frames` frames."""
        windows = {}
        for window in trigger.windows:
            tensor, ring = window.frames, self._rings[window.ring]
            start = frames + self._leads[tensor.name] - window.reach
            taps = ring.window(start, window.length, window.dilation)
            windows[tensor.name] = taps.reshape(tensor.shape)
        return windows

    def _prepare(self, stage: Stage, inputs: Values) -> None:
        """Run a stage before the decision; append to its ring and tell the queue."""
        values = self._run(stage, inputs)
        ring = self._rings[self.graph.filled_by(stage).name]
        ring.push(values[ring.ring.frame.name])
        trigger = self._trigger
        if isinstance(trigger, EventTrigger):
            if trigger.source is not None and stage is self.graph.stages[0]:
                self._note_source(int(values[trigger.source.name][0]), ring.frames)
        elif ring.ring.name == trigger.ring:
            self._queue.note_frame(ring.frames)

    def _note_source(self, distance: int, frames: int) -> None:
        """Queue the event of which the input stage tells."""
        if distance > frames:
            self._queue.count(events_rejected=1)
        elif distance:
            self._queue.push(frames - distance, frames)

    def skip_frames(self, count: int) -> None:
        """Account for lost frames: each ring holds its last frame in their place."""
        self._queue.count(frames_skipped=count)
        lost = {self.graph.stages[0].trigger.ring: count}
        for stage in self.graph.preparing_stages[1:]:
            trigger = every_trigger(stage)
            frames, missing = self._rings[trigger.ring].frames, lost[trigger.ring]
            firings = trigger.firings(frames + missing) - trigger.firings(frames)
            lost[self.graph.filled_by(stage).name] = firings
        for name, missing in lost.items():
            self._rings[name].skip(missing)

    def push_event(self, stamp: int) -> bool:
        """Queue an event; False if it was dropped, which is counted.

        An event is dropped if it is out of order or more than 2^24 frames ahead, if the queue is
        full, or if the model takes no events from outside.
        """
        if isinstance(self._trigger, EventTrigger) and self._trigger.source is not None:
            self._queue.count(events_rejected=1)
            return False
        return self._queue.push(stamp, self.frames)

    def decisions(self) -> Iterator[Decision]:
        """Run every step that is ready, oldest firing first."""
        ring = self._rings[self._trigger.ring]
        while self._queue.is_ready(ring.frames):
            before = self.state_blob()
            if ring.frames > self._queue.window_start + ring.ring.length:
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

    def _decide(self, before: bytes) -> Decision:
        ring, trigger = self._rings[self._trigger.ring], self._trigger
        start = self._queue.window_start
        index, inputs = self._queue.take()
        if isinstance(trigger, EveryTrigger):
            inputs |= self._read(trigger, index + 1)
        else:
            inputs[trigger.window.name] = ring.window(start, trigger.pre + trigger.post)
        values = self._run(self._stage, inputs)
        probes = b"".join(pack(t, values[t.name]) for t in self._stage.probes)
        outputs = values[self.graph.output.name]
        first, hop = self._pace
        stamp = first - 1 + hop * index
        return Decision(stamp, outputs, probes, self.state_prefix(), values, before)

    def _run(self, stage: Stage, inputs: Values) -> Values:
        """Run one step and keep its state."""
        state = {s.tensor.name: self._state[s.tensor.name] for s in stage.states}
        values = interpreter.run_stage(stage, inputs, state)
        self._state |= interpreter.next_state(stage, values)
        return values

    def state_prefix(self) -> bytes:
        """Return the state tensors in the board's layout, padded to 4 bytes."""
        packed = b"".join(
            pack(s.tensor, self._state[s.tensor.name]) for s in state_layout(self.graph)
        )
        return packed + bytes(-len(packed) % 4)

    def state_blob(self) -> bytes:
        """Return the whole state as the board gives and takes it (docs/graph.md)."""
        body = self._state_body()
        blob = BLOB_MAGIC + self._hash + len(body).to_bytes(4, "little") + body
        return blob + zlib.crc32(blob).to_bytes(BLOB_CRC_BYTES, "little")

    def _state_body(self) -> bytes:
        before, after = self._queue.words()
        rings = [word for ring in self._rings.values() for word in ring.words()]
        words = [*rings, *before, *astuple(self.counters), *after]
        packed = np.array(words, np.int64).astype("<u4").tobytes()
        return self.state_prefix() + packed + b"".join(r.packed() for r in self._rings.values())


def state_layout(graph: QGraph) -> list[State]:
    """Return the states in memory order: widest items first, so nothing needs padding."""
    return sorted(graph.states, key=lambda s: -ITEM_BYTES[s.tensor.dtype])


def pack(tensor: QTensor, values: np.ndarray) -> bytes:
    """Return values in the tensor's dtype, little-endian."""
    return values.astype(np.dtype(tensor.dtype).newbyteorder("<")).tobytes()


def unpack(tensor: QTensor, raw: bytes) -> np.ndarray:
    """Return a tensor's values from bytes, int64.

    Raises:
        VerificationError: The number of bytes is not the tensor's.
    """
    if len(raw) != tensor.bytes:
        raise VerificationError(f"{tensor.name} must have {tensor.bytes} bytes, not {len(raw)}")
    flat = np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<"))
    return flat.reshape(tensor.shape).astype(np.int64)
