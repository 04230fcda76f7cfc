"""What the C of a model must hold: kernels, places in memory, constants, symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from lnn_edge.codegen import windows
from lnn_edge.codegen.arena import NOWHERE, ArenaPlan, plan_arena
from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.fuse import fuse_stage
from lnn_edge.codegen.kernels import Core, Kernel, reach, select
from lnn_edge.codegen.kernels.loop import plan_body
from lnn_edge.codegen.units import holds
from lnn_edge.device.framing import LARGEST_REPLY, MAX_PAYLOAD
from lnn_edge.errors import GraphError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import NO_TOTAL, AbstractOp, QTensor, Run, Total
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.queues import Counters, make_queue
from lnn_edge.graph.sim.stream import (
    BLOB_CRC_BYTES,
    BLOB_HASH_BYTES,
    BLOB_HEAD_BYTES,
    BLOB_MAGIC,
)
from lnn_edge.graph.stage import (
    EventTrigger,
    EveryTrigger,
    InputTrigger,
    Ring,
    Stage,
    State,
    Window,
)

RING_WORDS = 2  # of lnn_ring_t

LOADING_BYTES = 8  # behind the state: how much of a blob came, and its CRC

VERBS = (
    "reset",
    "push_frame",
    "push_event",
    "skip_frames",
    "poll",
    "get_state",
    "set_state",
    "is_loading",
    "get_probes",
    "frames",
    "get_counters",
)  # of the interface, behind the name of the model

RESULTS_HEAD = 4  # bytes before the records of a reply, docs/protocol.md

C_TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


@dataclass(frozen=True)
class OperatorCode:
    """One operator as the template sees it.

    Attributes:
        op: The operator.
        kernel: The kernel that computes it.
        symbol: Name of its C function.
        constants: C symbol of each packed constant, by the kernel's name for it.
        arguments: Memory of each input, output and scratch: (declaration, expression).
        inner: Operators that it runs.
        inside: Places of their tensors in its scratch.
        is_convex: Whether its membranes need no limit.
    """

    op: AbstractOp
    kernel: Kernel
    symbol: str
    constants: dict[str, str]
    arguments: tuple[tuple[Code, Code], ...]
    inner: tuple[OperatorCode, ...] = ()
    inside: ArenaPlan = NOWHERE
    is_convex: bool = False

    @property
    def holds(self) -> tuple[str, ...]:
        """Names of the operators of the graph that it computes."""
        return tuple(op.name for op in holds(self.op))

    def constants_of(self, op: AbstractOp) -> dict[str, str]:
        """Return the symbols of the constants of an operator that this one holds."""
        prefix = f"{op.name}_"
        return {
            label.removeprefix(prefix): symbol
            for label, symbol in self.constants.items()
            if label.startswith(prefix)
        }

    @property
    def carried(self) -> tuple[tuple[State, Code, Code], ...]:
        """States that go from round to round, each with its memory and that of its update."""
        states = self.op.states if isinstance(self.op, Loop) else ()
        own = _in_scratch(self.inside)
        return tuple((s, own[s.tensor.name], own[s.update.name]) for s in states)

    @property
    def result(self) -> Code:
        """C expression of what a round gives."""
        assert isinstance(self.op, Loop)
        return _body_places(self.op, self.inside)[self.op.result.name]

    @property
    def points(self) -> int:
        """Tensors that are written in a round."""
        return sum(len(o.op.outputs) for o in self.inner)


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
    def gathers_main(self) -> bool:
        """Whether the window whose frames are counted is among the taps."""
        trigger = self.stage.trigger
        names = [window.frames.name for window, _ in self.taps]
        return isinstance(trigger, EveryTrigger) and trigger.window.name in names


@dataclass(frozen=True)
class LimitedTensor:
    """A part of the state, and the values that it can have.

    Attributes:
        name: Of the member of the state.
        tensor: Its format.
        size: Elements.
        initial: What all elements are at the start of a record.
        runs: Limits of the elements; they repeat.
        total: An element that is the sum of others.
    """

    name: str
    tensor: QTensor
    size: int
    initial: int
    runs: tuple[Run, ...]
    total: Total

    @property
    def is_limited(self) -> bool:
        """Whether its type could hold something else."""
        low, high = RANGES[self.tensor.dtype]
        is_free = all(run.low <= low and run.high >= high for run in self.runs)
        return not is_free or self.total != NO_TOTAL


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
        graph = self.graph
        makers = makers_of([op for stage in graph.stages for op in stage.ops])
        tensors = []
        for state in graph.states:
            maker, own = makers.get(state.update.name), state.tensor
            runs: tuple[Run, ...] = (Run(own.qmin, own.qmax, own.size),)
            total = NO_TOTAL
            if maker:
                runs, total = maker.limits_of(state.update), maker.total_of(state.update)
            tensors.append(LimitedTensor(own.name, own, own.size, state.initial, runs, total))
        for ring in graph.rings:
            frame, size = ring.frame, ring.length * ring.frame.size
            runs = (Run(frame.qmin, frame.qmax, size),)
            empty = frame.qmin if ring.starts_at_zero else 0  # full of zero points, each in the run
            tensors.append(LimitedTensor(f"{ring.name}_frames", frame, size, empty, runs, NO_TOTAL))
        return tuple(t for t in tensors if t.is_limited)

    @property
    def context_bytes(self) -> int:
        """Bytes of the state with what a blob on its way needs, and of the arena, aligned to 8."""
        return _padded(self.state_bytes + LOADING_BYTES, 8) + _padded(self.arena_bytes, 8)

    @property
    def probe_bytes(self) -> int:
        """Bytes of the probe tensors."""
        return sum(t.bytes for t in self.graph.deciding_stage.probes)

    @property
    def max_payload(self) -> int:
        """Bytes of the longest frame: a detailed result must fit, unless too long to send."""
        record = 8 + self.graph.output.bytes + self.probe_bytes + self.state_prefix_bytes
        needed = RESULTS_HEAD + record
        return max(MAX_PAYLOAD, needed) if needed <= LARGEST_REPLY else MAX_PAYLOAD

    @property
    def trace_points(self) -> tuple[tuple[int, QTensor], ...]:
        """(offset in the arena, tensor) in the order they are written."""
        arena, points = self.deciding.arena, list[tuple[int, QTensor]]()
        for o in self.deciding.operators:
            points += _points_inside(o, arena)
            points += [(arena.offset(t.name), t) for t in o.op.outputs]
        return tuple(points)


def generate(
    graph: QGraph,
    core: Core,
    trace: bool = False,
    unlearned: tuple[str, ...] | None = None,
) -> ModelCode:
    """Choose kernels, pack constants and plan memory for a core.

    Args:
        graph: Model.
        core: What runs it.
        trace: Whether it can stop after each operator.
        unlearned: See Header; what the graph itself records comes first.
    """
    weights = Weights()
    stages = []
    for stage in graph.stages:
        fused = fuse_stage(stage, core)
        kernels = {op.name: select(op, core) for op in fused.ops}
        scratch = {op.name: kernels[op.name].scratch(op) for op in fused.ops}
        apart = _places_outside_the_arena(graph, stage)
        if not (trace and stage is graph.deciding_stage):  # it stops between two operators
            apart |= _updated_in_place(fused, kernels)
        arena = plan_arena(fused, scratch, apart.keys())
        places = apart | {
            n: Code("(void *) &ctx->arena[%d]") % s.offset for n, s in arena.slots.items()
        }
        own = f"{graph.name}_{stage.name}", f"{graph.name}_op_{stage.name}"
        makers = makers_of(fused.ops)
        operators = [
            operator_code(op, kernels[op.name], own, weights, places, makers) for op in fused.ops
        ]
        taps = windows.taps(graph, stage)
        turns = windows.turns(graph, stage)
        stages.append(StageCode(stage, tuple(operators), arena, places, taps, *turns))
    symbols = [o.symbol for s in stages for top in s.operators for o in (*top.inner, top)]
    _check_distinct(graph, [*weights.symbols, *symbols])
    recorded = graph.contract.unlearned
    unlearned = unlearned if recorded is None else recorded
    return ModelCode(
        graph, core, tuple(stages), weights.arrays, graph_sha256(graph), trace, unlearned
    )


class Weights:
    """Constants of a model by C symbol; equal arrays share one.

    Attributes:
        arrays: By symbol.
        symbols: All that were asked for.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.symbols: list[str] = []
        self._pool: dict[tuple[str, bytes], str] = {}

    def take(self, prefix: str, constants: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Return the symbols of an operator's constants by the kernel's names."""
        names = {}
        for label, array in constants.items():
            self.symbols.append(f"{prefix}_{label}")
            key = (str(array.dtype), array.tobytes())
            names[label] = self._pool.setdefault(key, self.symbols[-1])
            self.arrays[names[label]] = array
        return names


def operator_code(
    op: AbstractOp,
    kernel: Kernel,
    prefixes: tuple[str, str],
    weights: Weights,
    places: Mapping[str, Code],
    makers: Mapping[str, AbstractOp],
) -> OperatorCode:
    """Return an operator, and those inside it, as templates see them.

    Args:
        op: The operator.
        kernel: What computes it.
        prefixes: Of the symbols of constants, and of functions.
        weights: Takes the constants.
        places: C expression of the memory of each tensor, and of scratch.
        makers: What makes each tensor beside it.
    """
    of_constants, of_functions = (f"{prefix}_{op.name}" for prefix in prefixes)
    names = weights.take(of_constants, kernel.pack(op))
    arguments, proved = tuple(_arguments(places, op)), reach.is_convex(op, makers)
    code = OperatorCode(op, kernel, of_functions, names, arguments, is_convex=proved)
    if not isinstance(op, Loop):
        return code
    inside = plan_body(op, select, kernel.inside)
    own, beside = _body_places(op, inside), makers_of(op.body)
    inner = tuple(
        operator_code(o, select(o, kernel.inside), prefixes, weights, own, beside) for o in op.body
    )
    return replace(code, inner=inner, inside=inside)


def makers_of(ops: Sequence[AbstractOp]) -> dict[str, AbstractOp]:
    """Return what makes each tensor, by the tensor's name."""
    return {tensor.name: op for op in ops for tensor in op.outputs}


def _in_scratch(inside: ArenaPlan) -> dict[str, Code]:
    return {n: Code("(void *) &scratch[%d]") % (s.offset // 2) for n, s in inside.slots.items()}


def _body_places(op: Loop, inside: ArenaPlan) -> dict[str, Code]:
    """Return the C expression of the memory of each tensor inside a loop, and of scratch."""
    places = {**_in_scratch(inside), op.step.name: Code("step")}
    for index, state in enumerate(op.states):
        places[state.tensor.name] = Code("state%d") % index
        places[state.update.name] = Code("update%d") % index
    return places


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


def _check_distinct(graph: QGraph, symbols: Sequence[str]) -> None:
    """Refuse names that are different in the graph and alike in C."""
    own = {f"{graph.name}_{verb}" for verb in (*VERBS, "trace", "sha256")}
    scope = [*symbols, *own, *(f"run_{stage.name}" for stage in graph.stages)]
    access = ("output", "dequantize_output")
    scope += [f"{graph.name}_{what}_{head.name}" for head in graph.heads for what in access]
    rings = (f"{ring.name}_{what}" for ring in graph.rings for what in ("ring", "frames"))
    states = (state.tensor.name for state in graph.states)
    members = [*states, *rings, "padding", "events", "due", "counters", "stamps"]
    for names in (scope, members):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise GraphError(
                f"{twice[0]} would be two things in the C of {graph.name}; rename the model or one "
                "of its stages, rings, operators, states or outputs"
            )


def _places_outside_the_arena(graph: QGraph, stage: Stage) -> dict[str, Code]:
    """Return the memory of states, of the frame that arrives, and of windows that no copy needs."""
    places = {s.tensor.name: Code("ctx->state.%s") % s.tensor.name for s in stage.states}
    trigger = stage.trigger
    places |= {w.frames.name: windows.place(graph, stage, w) for w in windows.in_place(stage)}
    if isinstance(trigger, InputTrigger):
        places[trigger.frame.name] = Code("frame")
    elif graph.slides(graph.ring(trigger.ring)):
        places[trigger.window.name] = Code("(const void *) ctx->state.%s_frames") % trigger.ring
    return places


def _updated_in_place(stage: Stage, kernels: Mapping[str, Kernel]) -> dict[str, Code]:
    """Return the memory of the states' updates that overwrite the states.

    Args:
        stage: With the operators that run.
        kernels: Those of its operators, by name.
    """
    return {
        state.update.name: Code("ctx->state.%s") % state.tensor.name
        for op in stage.ops
        for state in stage.states
        if kernels[op.name].in_place
        and state.update in op.outputs
        and [other for other in stage.ops if state.tensor in other.inputs] == [op]
    }


def _arguments(places: Mapping[str, Code], op: AbstractOp) -> Iterator[tuple[Code, Code]]:
    read, written = ([places[t.name] for t in tensors] for tensors in (op.inputs, op.outputs))
    for prefix, tensors in (("x", op.inputs), ("y", op.outputs)):
        for index, tensor in enumerate(tensors):
            const = Code("const " if prefix == "x" else "")
            place = places[tensor.name]
            is_shared = place in read and place in written
            restrict = Code("" if is_shared else "LNN_RESTRICT ")
            pointer = Code("%s%s *") % (const, C_TYPES[tensor.dtype])
            typed = Code("(%s) %s") % (pointer, place) if place.startswith("(") else place
            yield Code("%s%s%s%d") % (pointer, restrict, prefix, index), typed
    if f"{op.name}.scratch" in places:
        scratch = places[f"{op.name}.scratch"]
        yield Code("int16_t *LNN_RESTRICT scratch"), Code("(int16_t *) %s") % scratch


def _padded(size: int, to: int = 4) -> int:
    return -(-size // to) * to
