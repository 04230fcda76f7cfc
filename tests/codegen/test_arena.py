"""A step that runs in the planned arena finds every tensor as it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.codegen.arena import ALIGNMENT, ArenaPlan, Slot, plan_arena
from lnn_edge.codegen.kernels import HOST, Core, select
from lnn_edge.codegen.operator_code import C_TYPES
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.files.shipped import GRAPH, shipped_folder, shipped_graph, shipped_names
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import InputTrigger, Stage, State
from tests.support.toy import toy_graph

QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)
WORD = 4  # bytes
DTYPES = ("int8", "int16", "int32")
Scratch = dict[str, int]


@dataclass(frozen=True, eq=False)
class AnyOp(AbstractOp):
    """Reads and writes whatever it is given."""

    kind: ClassVar[str] = "any"

    def check(self) -> None:
        pass

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        raise NotImplementedError


def random_stage(rng: np.random.Generator) -> tuple[Stage, Scratch]:
    """A list of operators that read some of what is there and write new tensors."""
    count = int(rng.integers(1, 14))

    def new(name: str) -> QTensor:
        return QTensor(name, (int(rng.integers(1, 70)),), str(rng.choice(DTYPES)))

    given_frame, state = new("x"), new("state")
    there, ops, scratch = [given_frame, state], [], {}
    for index in range(count):
        chosen = rng.choice(len(there), min(len(there), int(rng.integers(1, 4))), replace=False)
        outputs = tuple(new(f"t{index}_{k}") for k in range(int(rng.integers(1, 3))))
        ops.append(AnyOp(f"op{index}", tuple(there[int(i)] for i in chosen), outputs))
        there += outputs
        if rng.random() < 0.4:
            scratch[f"op{index}"] = int(rng.integers(1, 200))
    written = [t for op in ops for t in op.outputs]
    kept = [written[int(i)] for i in rng.choice(len(written), min(2, len(written)), replace=False)]
    update = QTensor("update", state.shape, state.dtype)
    ops.append(AnyOp("last", (given_frame,), (update,)))
    states = (State(state, update, 0),)
    return Stage("s", InputTrigger(given_frame, "r"), tuple(ops), states, tuple(kept)), scratch


stages = st.integers(0, 1 << 32).map(lambda seed: random_stage(np.random.default_rng(seed)))


class Arena:
    """Memory in which every byte knows who wrote it last."""

    def __init__(self, plan: ArenaPlan) -> None:
        self.plan = plan
        self.owners = np.full(plan.bytes, "", object)

    def write(self, name: str) -> None:
        slot = self.plan.slots[name]
        assert slot.offset % WORD == 0
        assert 0 <= slot.offset <= slot.offset + slot.bytes <= self.plan.bytes
        self.owners[slot.offset : slot.offset + slot.bytes] = name

    def check(self, name: str, size: int) -> None:
        offset = self.plan.offset(name)
        assert set(self.owners[offset : offset + size]) == {name}


def run(stage: Stage, scratch: Scratch, plan: ArenaPlan) -> None:
    """Execute the step in tagged memory; what is read must be whole until its reader is done."""
    arena = Arena(plan)
    states = {s.tensor.name for s in stage.states}
    for tensor in stage.inputs:
        arena.write(tensor.name)
    for op in stage.ops:
        if op.name in scratch:
            arena.write(f"{op.name}.scratch")
        for tensor in op.outputs:
            arena.write(tensor.name)
        for tensor in (*op.inputs, *op.outputs):  # an output may be written before all is read
            if tensor.name not in states:
                arena.check(tensor.name, tensor.bytes)
        if op.name in scratch:
            arena.check(f"{op.name}.scratch", scratch[op.name])
    for tensor in stage.kept:
        arena.check(tensor.name, tensor.bytes)


@QUICK
@given(stages)
def test_nothing_live_is_overwritten(drawn: tuple[Stage, Scratch]) -> None:
    stage, scratch = drawn
    run(stage, scratch, plan_arena(stage, scratch))


def test_the_check_sees_an_overlap() -> None:
    stage, scratch = random_stage(np.random.default_rng(1))
    plan = plan_arena(stage, scratch)
    together = {
        n: type(s)(n, 0, s.bytes, s.first, s.last)  # all at the bottom
        for n, s in plan.slots.items()
    }
    with pytest.raises(AssertionError):
        run(stage, scratch, ArenaPlan(together, plan.bytes))


def aligned(size: int) -> int:
    return -(-size // WORD) * WORD


def spans(stage: Stage, scratch: Scratch) -> list[tuple[int, int, int]]:
    """Return (first, last, bytes) of whatever needs memory, in the order it is written."""
    states, end = {s.tensor.name for s in stage.states}, len(stage.ops)
    found = {t.name: [-1, -1, t.bytes] for t in stage.inputs}
    for index, op in enumerate(stage.ops):
        for tensor in op.inputs:
            if tensor.name not in states:
                found[tensor.name][1] = index
        if scratch.get(op.name):
            found[f"{op.name}.scratch"] = [index, index, scratch[op.name]]
        found |= {t.name: [index, index, t.bytes] for t in op.outputs}
    for tensor in stage.kept:
        found[tensor.name][1] = end
    return [(first, last, aligned(size)) for first, last, size in found.values()]


def least_possible(stage: Stage, scratch: Scratch) -> int:
    """Bytes that are alive at once at the worst operator: no plan needs less."""
    rows = spans(stage, scratch)
    return max(sum(b for f, e, b in rows if f <= i <= e) for i in range(-1, len(stage.ops) + 1))


def first_fit(stage: Stage, scratch: Scratch) -> int:
    """The simple greedy plan: in the order they are written, each at the lowest free place."""
    placed: list[tuple[int, int, int, int]] = []
    for first, last, size in spans(stage, scratch):
        busy = sorted((o, s) for o, s, f, e in placed if f <= last and first <= e)
        offset = 0
        for start, length in busy:
            if offset + size <= start:
                break
            offset = max(offset, start + length)
        placed.append((offset, size, first, last))
    return max(o + s for o, s, _, _ in placed)


@QUICK
@given(stages)
def test_the_arena_lies_between_what_is_alive_and_no_sharing(drawn: tuple[Stage, Scratch]) -> None:
    plan = plan_arena(*drawn)
    size = plan.bytes
    assert size % WORD == 0
    assert plan.live_bytes <= least_possible(*drawn) <= size <= sum(b for _, _, b in spans(*drawn))


def test_largest_first_is_no_worse_than_first_fit_on_the_whole() -> None:
    drawn = [random_stage(np.random.default_rng(seed)) for seed in range(300)]
    mine = [plan_arena(*d).bytes for d in drawn]
    simple = [first_fit(*d) for d in drawn]
    assert sum(mine) <= sum(simple)
    assert max(m / least_possible(*d) for m, d in zip(mine, drawn, strict=True)) < 1.3


@pytest.mark.parametrize("core", [HOST, Core("cortex-m7", dsp=True)], ids=["host", "m7"])
@pytest.mark.parametrize("shipped", [False, True], ids=["toy", "shipped"])
def test_real_models_run_in_their_arena_which_is_near_the_least(core: Core, shipped: bool) -> None:
    graph = load_graph(shipped_graph()) if shipped else toy_graph()
    stage = graph.deciding_stage
    scratch = {op.name: select(op, core).scratch(op) for op in stage.ops}
    scratch = {name: size for name, size in scratch.items() if size}
    plan = plan_arena(stage, scratch)
    run(stage, scratch, plan)
    assert plan.bytes <= first_fit(stage, scratch)
    assert plan.bytes <= 1.15 * least_possible(stage, scratch)


@pytest.mark.parametrize("core", [HOST, Core("cortex-m7", dsp=True)], ids=["host", "m7"])
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_models_take_hardly_more_than_what_is_alive(name: str, core: Core) -> None:
    code = generate(load_graph(shipped_folder(name) / GRAPH), core)
    assert code.live_bytes <= code.arena_bytes <= 1.02 * code.live_bytes


def test_no_kernel_reads_more_than_a_word_of_the_arena() -> None:
    """LDRD and STRD need words as well; only a pointer to 8 bytes would need more."""
    assert ALIGNMENT == WORD
    assert all(np.dtype(dtype).itemsize <= WORD for dtype in C_TYPES)
    runtime, ops = resources.path("firmware") / "runtime", resources.path("templates") / "ops"
    wide = re.compile(r"\b(u?int64_t|double)( const)? \*")
    for file in (*runtime.glob("*.h"), *ops.glob("*.j2")):
        assert not wide.search(file.read_text()), file.name
    assert wide.search("int64_t *const z = (int64_t *) (void *) scratch;")


@pytest.mark.parametrize("core", [HOST, Core("cortex-m7", dsp=True)], ids=["host", "m7"])
@pytest.mark.parametrize("name", shipped_names())
def test_the_header_aligns_the_arena_as_planned(name: str, core: Core) -> None:
    code = generate(load_graph(shipped_folder(name) / GRAPH), core)
    header = render_model(code)[f"{code.graph.name}.h"]
    assert f"LNN_ALIGN({WORD}) uint8_t arena[{code.arena_bytes}];" in header


def test_what_is_alive_is_counted_at_the_worst_operator() -> None:
    slots = (Slot("x", 0, 8, -1, 1), Slot("y", 8, 12, 0, 2), Slot("z", 0, 20, 2, 3))
    assert ArenaPlan({s.name: s for s in slots}, 40).live_bytes == 32


def test_states_lie_outside_the_arena() -> None:
    stage = toy_graph().deciding_stage
    plan = plan_arena(stage, {})
    assert plan.slots.keys().isdisjoint(s.tensor.name for s in stage.states)


def test_a_stage_without_operators_needs_its_inputs_only() -> None:
    stage = toy_graph().stages[0]
    assert plan_arena(stage, {}).bytes == aligned(stage.inputs[0].bytes)
