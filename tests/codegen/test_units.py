"""One kernel gives the bits of the operators that it holds: host, Cortex-M7, Cortex-M4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.fuse import fuse, fuse_stage
from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.kernels.units import fits, rows_of
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.units import Units
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.lstm import LstmCell
from tests.codegen.unit_cells import DT, M7, batch_of, cells, fused, lowered
from tests.graph.ops.batch import Batch, link_for_arm, run_on_host
from tests.support import arm_core
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import toy_graph


@pytest.fixture(scope="module")
def batch() -> Batch:
    return batch_of(cells())


def heads_of(batch: Batch) -> set[int]:
    ops = [case.op for case in batch.cases]
    return {len(layer.heads) for op in ops if isinstance(op, Units) for layer in op.layers}


def test_every_count_of_heads_and_every_kind_of_map_is_there(batch: Batch) -> None:
    ops = [case.op for case in batch.cases if isinstance(case.op, Units)]
    assert heads_of(batch) == {1, 2, 3, 4}
    assert {each.kind for op in ops for layer in op.layers for each in layer.maps} == {
        *("add", "decay", "gate", "gated_sum", "lut", "mix", "relax", "remember"),
        *("requantize", "time_gate"),
    }
    assert any(layer.has_shift for op in ops for layer in op.layers)
    assert {op.is_crossed for op in ops} == {False, True}
    assert {len(op.layers) for op in ops} >= {1, 2, 3}


def test_the_host_gives_the_bits_of_the_operators(batch: Batch, tmp_path: Path) -> None:
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_arm_gives_the_bits_of_the_operators(batch: Batch, core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()))
    assert batch.first_difference(done.output) == ""


@pytest.mark.parametrize("dt", [DT, 0.7])
def test_a_cell_is_one_kernel(dt: QTensor | float) -> None:
    cell = Cfc(8, 8, 16)
    low, takes = lowered(cell, 8, dt)
    (op,) = fused(cell, 8, dt)
    assert isinstance(op, Units)
    assert {each.name for each in op.holds} == {each.name for each in (*takes, *low.ops)}
    assert op.macs == sum(each.macs for each in low.ops)
    assert [t.name for t in op.outputs] == ["h_next"]
    assert op.name == "mix"


def test_an_lstm_is_one_kernel_that_keeps_two_states() -> None:
    (op,) = fused(LstmCell(8, 8), 8, 1.0)
    assert isinstance(op, Units)
    assert [t.name for t in op.outputs] == ["lstm_c_next", "h_next"]


def test_what_others_read_is_stored() -> None:
    low, takes = lowered(Cfc(8, 8, 16), 8, DT)
    ops = (*takes, *low.ops)
    made = {t.name: t for op in ops for t in op.outputs}
    given = {t.name: t for op in ops for t in op.inputs if t.name not in made}
    kept = (low.output, made["gate"], made["h8"], made["b"])
    result = fuse(ops, tuple(given.values()), kept, M7)
    assert [t.name for op in result for t in op.outputs] == ["h8", "b", "gate", "h_next"]
    values = {name: np.zeros((1, *t.shape), np.int64) + t.qmax for name, t in given.items()}
    assert same_bits(result, ops, values, kept)


def same_bits(
    one: Sequence[AbstractOp],
    other: Sequence[AbstractOp],
    values: dict[str, np.ndarray],
    kept: Sequence[QTensor],
) -> bool:
    results = []
    for ops in (one, other):
        found = dict(values)
        for op in ops:
            made = op.reference(*(found[t.name] for t in op.inputs))
            found.update(zip((t.name for t in op.outputs), made, strict=True))
        results.append([found[t.name].tolist() for t in kept])
    return results[0] == results[1]


def test_cores_without_dsp_instructions_keep_the_operators() -> None:
    stage = toy_graph().deciding_stage
    assert fuse_stage(stage, HOST).ops == stage.ops
    assert len(fuse_stage(stage, M7).ops) < len(stage.ops)


def layer_of(weight: np.ndarray, bias: int = 0) -> tuple[AbstractOp, ...]:
    x = QTensor("x", (weight.shape[1],), "int8", 0.05, qmin=-127)
    pre = QTensor("pre", (len(weight),), "int16", 6 / 32768)
    y = QTensor("y", pre.shape, "int16", 2.0**-15)
    op = Linear.quantize("fc", x, pre, weight, np.zeros(len(weight)))
    op = replace(op, bias=np.full(len(weight), bias, np.int32), multiplier=op.multiplier // 8)
    return op, Lut.quantize("act", pre, y, "tanh", 8)


@pytest.mark.parametrize(
    ("columns", "rows", "bias", "fits_in"),
    [(16, 8, 0, True), (16, 8, (1 << 23) - 1 - 16 * 127 * 127, True), (1, 2, 0, False)],
)
def test_sums_that_do_not_fit_and_tiny_matrices_stay_apart(
    columns: int, rows: int, bias: int, fits_in: bool
) -> None:
    ops = layer_of(np.ones((rows, columns)), bias)
    assert (len(fuse(ops, ops[0].inputs, ops[1].outputs, M7)) == 1) == fits_in
    more = layer_of(np.ones((rows, columns)), bias + 1)
    is_at_limit = bias > 0
    assert (len(fuse(more, ops[0].inputs, ops[1].outputs, M7)) == 2) == (is_at_limit or not fits_in)


def test_rows_lie_unit_by_unit() -> None:
    (op,) = fused(Cfc(4, 5, 8), 4, DT)
    assert isinstance(op, Units)
    heads = op.layers[1].heads
    weight, factors = rows_of(op.layers[1])
    assert len(heads) == 4
    assert weight.shape == (20, 8)
    for unit, head in np.ndindex(5, 4):
        assert (weight[4 * unit + head] == heads[head].weight[unit]).all()
        assert factors["multiplier"][4 * unit + head] == heads[head].multiplier[unit]
    assert fits(op)


def test_a_model_with_such_kernels_is_bit_exact(tmp_path: Path) -> None:
    graph = toy_graph()
    assert any(isinstance(o.op, Units) for o in generate(graph, M7).operators)
    program = compile_model(graph, tmp_path, M7)
    frames = np.random.default_rng(2).integers(-900, 900, (1500, 2)).astype(np.int16)
    items = record_items(frames, np.arange(20, 1500, 37))
    assert run_c(program, items) == run_reference(graph, items)
