"""A model as the templates see it: stages, constants, and the bytes of what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from lnn_edge.codegen import windows
from lnn_edge.codegen.arena import ArenaPlan
from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.limits import LimitedTensor, limited_tensors
from lnn_edge.codegen.operator_code import OperatorCode
from lnn_edge.device.framing import LARGEST_REPLY, MAX_PAYLOAD
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.queues import Counters, make_queue
from lnn_edge.graph.sim.stream import (
    BLOB_CRC_BYTES,
    BLOB_HASH_BYTES,
    BLOB_HEAD_BYTES,
    BLOB_MAGIC,
)
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, Ring, Stage, Window

RING_WORDS = 2  # of lnn_ring_t

LOADING_BYTES = 8  # behind the state: how much of a blob came, and its CRC

RESULTS_HEAD = 4  # bytes before the records of a reply, docs/protocol.md


@dataclass(frozen=True)
class StageCode:
    """One stage as the template sees it.

    Attributes:
        stage: The stage.
        operators: In execution order.
        arena: Places of its tensors.
        places: C expression of the memory of each tensor that it reads or writes, by name.
        taps: Windows that are copied tap by tap, each with the C expression of how far back it
            begins.
        is_steady: Whether it runs on every frame that arrives.
        is_read_in_turn: Whether another stage before the decision asks if it has run.
    """

    stage: Stage
    operators: tuple[OperatorCode, ...]
    arena: ArenaPlan
    places: dict[str, Code]
    taps: tuple[tuple[Window, Code], ...]
    is_steady: bool
    is_read_in_turn: bool

    @property
    def copies_main(self) -> bool:
        """Whether the window whose frames are counted is copied from its ring in one piece."""
        trigger = self.stage.trigger
        others = (*(window for window, _ in self.taps), *windows.in_place(self.stage))
        names = [window.frames.name for window in others]
        return isinstance(trigger, EveryTrigger) and trigger.window.name not in names

    @property
    def copies_window(self) -> bool:
        """Whether the window of an event is copied from its ring."""
        return not any(o.ring for o in self.operators)


@dataclass(frozen=True)
class ModelCode:
    """Everything the model templates need.

    Attributes:
        graph: The graph.
        core: The core it is generated for.
        stages: In data-flow order.
        constants: Arrays by C symbol; equal arrays share one symbol.
        sha256: Hash of the graph.
        trace: Whether this is a diagnostic build.
        unlearned: See Header.
    """

    graph: QGraph
    core: Core
    stages: tuple[StageCode, ...]
    constants: dict[str, np.ndarray]
    sha256: str
    trace: bool
    unlearned: tuple[str, ...] | None

    @property
    def operators(self) -> tuple[OperatorCode, ...]:
        """Operators of all stages, those inside others before them."""
        top = (o for s in self.stages for o in s.operators)
        return tuple(each for o in top for each in (*o.inner, o))

    @property
    def deciding(self) -> StageCode:
        """The stage that decides."""
        return self.stages[-1]

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena: stages run one after the other and share it."""
        return max(s.arena.bytes for s in self.stages)

    @property
    def arena_is_first(self) -> bool:
        """Whether the arena lies before the state: the smaller one does, for short addresses."""
        return self.arena_bytes < self.state_bytes

    @property
    def live_bytes(self) -> int:
        """The most of the arena that is alive at once."""
        return max(s.arena.live_bytes for s in self.stages)

    @property
    def fires_on_events(self) -> bool:
        """Whether events trigger the deciding stage, or else frames."""
        return isinstance(self.graph.deciding_trigger, EventTrigger)

    @property
    def takes_events(self) -> bool:
        """Whether the user of the model pushes events."""
        return self.graph.takes_events

    def stamp(self, index: Code) -> Code:
        """Return the C expression of the input frame that frame `index` of the deciding ring is."""
        graph = self.graph
        first, hop = graph.pace(graph.ring(graph.deciding_trigger.ring))
        return index if (first, hop) == (1, 1) else Code("%dU + %dU * %s") % (first - 1, hop, index)

    def zero(self, ring: Ring) -> np.ndarray:
        """Return the frame that means zero as the ring's units of 16 bits."""
        frame = ring.zero
        return np.frombuffer(frame.astype(frame.dtype.newbyteorder("<")).tobytes(), "<i2")

    @property
    def state_prefix_bytes(self) -> int:
        """Bytes of the state tensors, padded to a word."""
        return _padded(self._tensor_bytes)

    @property
    def padding(self) -> int:
        """Bytes that fill the state tensors up to a word."""
        return self.state_prefix_bytes - self._tensor_bytes

    @property
    def _tensor_bytes(self) -> int:
        return sum(s.tensor.bytes for s in self.graph.states)

    @property
    def state_bytes(self) -> int:
        """Bytes of the whole state, as it lies in memory."""
        rings = self.graph.rings
        queue = make_queue(self.graph.deciding_trigger).words()
        words = RING_WORDS * len(rings) + len(fields(Counters)) + sum(map(len, queue))
        return self.state_prefix_bytes + 4 * words + sum(_padded(r.bytes) for r in rings)

    @property
    def blob_head(self) -> bytes:
        """What a state blob of this model begins with."""
        own = bytes.fromhex(self.sha256)[:BLOB_HASH_BYTES]
        return BLOB_MAGIC + own + self.state_bytes.to_bytes(4, "little")

    @property
    def blob_bytes(self) -> int:
        """Bytes of the whole state blob, head and CRC included."""
        return BLOB_HEAD_BYTES + self.state_bytes + BLOB_CRC_BYTES

    @property
    def limited_tensors(self) -> tuple[LimitedTensor, ...]:
        """States and rings that cannot have every value of their type."""
        return limited_tensors(self.graph)

    @property
    def context_bytes(self) -> int:
        """Bytes of the state with what a blob on its way needs, and of the arena."""
        return self.state_bytes + LOADING_BYTES + self.arena_bytes

    @property
    def probe_bytes(self) -> int:
        """Bytes of the probe tensors."""
        return sum(t.bytes for t in self.graph.deciding_stage.probes)

    @property
    def max_payload(self) -> int:
        """Bytes of the longest frame: that of the detailed results which fit the usual length.

        One at least, unless it is too long to send. What fits no whole result would lie idle, in
        the firmware's memory of a request and in that of a reply.
        """
        record = 8 + self.graph.output.bytes + self.probe_bytes + self.state_prefix_bytes
        if RESULTS_HEAD + record > LARGEST_REPLY:
            return MAX_PAYLOAD
        return RESULTS_HEAD + record * max(1, (MAX_PAYLOAD - RESULTS_HEAD) // record)

    @property
    def trace_points(self) -> tuple[tuple[int, QTensor], ...]:
        """(offset in the arena, tensor) in the order they are written."""
        arena, points = self.deciding.arena, list[tuple[int, QTensor]]()
        for o in self.deciding.operators:
            points += _points_inside(o, arena)
            points += [(arena.offset(t.name), t) for t in o.op.outputs]
        return tuple(points)


def _points_inside(o: OperatorCode, arena: ArenaPlan) -> Iterator[tuple[int, QTensor]]:
    """Yield what the operators inside write, round after round; updates change places."""
    if not isinstance(o.op, Loop):
        return
    start = arena.offset(f"{o.op.name}.scratch")
    states = {s.update.name: s.tensor.name for s in o.op.states}
    written = [t for inner in o.op.body for t in inner.outputs]
    for turn in range(o.op.count):
        for tensor in written:
            name = states.get(tensor.name, tensor.name) if turn % 2 else tensor.name
            yield start + o.inside.offset(name), tensor


def _padded(size: int, to: int = 4) -> int:
    return -(-size // to) * to
