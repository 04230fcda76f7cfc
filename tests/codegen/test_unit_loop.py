"""Layers in assembly: which they are, what they cost, and the ends of a memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.fuse import fuse
from lnn_edge.codegen.kernels import select
from lnn_edge.codegen.kernels.unit_loop import UnitLoop, unit_loop
from lnn_edge.codegen.units import Units
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Remember
from lnn_edge.nn.cell import LoweredCell
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.lstm import LstmCell
from tests.codegen.unit_cells import CALM, DT, M7, calm_cells, fused, lowered
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.graph.ops.cases import stress_inputs
from tests.support import arm_core


def loops_of(op: AbstractOp) -> list[UnitLoop | None]:
    assert isinstance(op, Units)
    tables = {m.name: Code("table") for layer in op.layers for m in layer.maps}
    return [unit_loop(op, layer, tables) for layer in op.layers]


def test_cells_of_whole_blocks_are_loops() -> None:
    found = []
    for _, cell, inputs, dt, spread in calm_cells():
        (op,) = fused(cell, inputs, dt, spread)
        found += loops_of(op)
    assert {loop.rows for loop in found if loop} == {4, 6}
    assert {loop.left_out > 0 for loop in found if loop} == {True, False}
    assert {loop.rounds > 1 for loop in found if loop} == {True, False}
    assert found.count(None) == 1  # of the network with 6 units, which gives its state itself


def test_what_does_not_fit_is_left_to_c() -> None:
    assert loops_of(fused(Cfc(8, 7, 16), 8, 0.7)[0])[1] is None  # two units a block
    assert loops_of(fused(Cfc(8, 8, 16), 8, 0.7)[0])[1] is None  # six rows with shifts
    assert None not in loops_of(fused(Cfc(8, 7, 16), 8, DT)[0])


def in_older_formats(low: LoweredCell) -> tuple[AbstractOp, ...]:
    """Return the operators with pre-activations that lack the lowest value."""
    made = {op.outputs[0].name: op for op in low.ops}
    ops = []
    for op in low.ops:
        new = op
        if isinstance(op, Linear):
            new = replace(op, outputs=(replace(op.outputs[0], qmin=-32767),))
        if isinstance(op, Lut) and isinstance(made[op.inputs[0].name], Linear):
            new = replace(op, inputs=(replace(op.inputs[0], qmin=-32767),))
        ops.append(new)
    return tuple(ops)


def test_older_formats_are_left_to_c() -> None:
    low, takes = lowered(LstmCell(8, 8), 8, 1.0, CALM)
    ops = (*takes, *in_older_formats(low))
    made = {t.name for op in ops for t in op.outputs}
    given = {t.name: t for op in ops for t in op.inputs if t.name not in made}
    kept = (low.output, *(s.update for s in low.states))
    (op,) = fuse(ops, tuple(given.values()), kept, M7)
    assert loops_of(op) == [None]


def edges_of_memory() -> Batch:
    """An LSTM whose gates come from biases alone, next to both ends of what its memory holds."""
    (op,) = fused(LstmCell(8, 8), 8, 1.0, CALM)
    assert isinstance(op, Units)
    (layer,) = op.layers
    rng, heads = np.random.default_rng(4), []
    for index, head in enumerate(layer.heads):
        wanted = rng.integers(-9000, 9000, 8)  # in steps of the value before the table
        wanted = np.full(8, 40000) if index in (1, 2) else wanted  # both gates open
        bias = np.floor(wanted * 2.0**32 / head.multiplier.astype(float) + 0.5)
        assert not head.shift.any()
        nothing = np.zeros_like(head.weight)
        heads.append(replace(head, weight=nothing, bias=bias.astype(np.int32)))
    op = replace(op, layers=(replace(layer, heads=tuple(heads)),))
    inputs = stress_inputs(op, 40, 3)
    at = next(i for i, t in enumerate(op.inputs) if t.dtype == "int32")
    kind = next(m for m in layer.maps if isinstance(m, Remember))
    made = op.reference(*(np.zeros_like(x) for x in inputs))[op.outputs.index(kind.outputs[0])]
    end = np.where(np.arange(len(inputs[at])) % 2, (1 << 31) - 1, 1 - (1 << 31))[:, None]
    near = end - made[:1] + rng.integers(-3, 4, inputs[at].shape)
    inputs[at][:] = near.clip(1 - (1 << 31), (1 << 31) - 1)
    return Batch((Case(op, select(op, M7), tuple(inputs)),))


def test_edges_of_a_memory_meet_every_rule() -> None:
    (case,) = edges_of_memory().cases
    memory = next(
        e for e, t in zip(case.expected, case.op.outputs, strict=True) if t.dtype == "int32"
    )
    ends = {1 - (1 << 31), (1 << 31) - 1}
    assert ends < set(memory.ravel().tolist())


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_a_memory_is_limited_exactly(core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    batch = edges_of_memory()
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()))
    assert batch.first_difference(done.output) == ""


@pytest.mark.target
def test_a_unit_takes_few_instructions(tmp_path: Path) -> None:
    arm_core.require_emulator()
    (op,) = fused(LstmCell(12, 20), 12, 1.0, CALM)
    inputs = stress_inputs(op, 1, 0)
    batch = Batch((Case(op, select(op, M7), inputs),))
    done = arm_core.run(
        link_for_arm(batch, "cortex-m7", tmp_path), batch.tape(), len(batch.expected()), count=True
    )
    groups = 8
    trials = len(inputs[0])
    each = 14 * groups + 80  # products, and the rest of a unit
    assert done.instructions["case_0"] <= trials * (20 * each + 330)
