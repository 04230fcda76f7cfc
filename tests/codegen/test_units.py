"""One kernel gives the bits of the operators that it holds: host, Cortex-M7, Cortex-M4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lnn_edge.codegen.fuse import fuse, fuse_stage
from lnn_edge.codegen.kernels import HOST, Core, select
from lnn_edge.codegen.kernels.units import fits, rows_of
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.units import Units
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.nn.cell import LoweredCell
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.simple_rnn import SimpleRnn
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.graph.ops.cases import stress_inputs
from tests.support import arm_core
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import toy_graph

M7 = Core("cortex-m7", dsp=True)
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080, "input")
CONFIGS = {
    "default": CfcConfig(),
    "deep": CfcConfig(backbone_layers=2, activation="silu"),
    "bare": CfcConfig(backbone_layers=0),
    "no_gate": CfcConfig("no_gate", activation="tanh"),
    "linear": CfcConfig(activation="relu", head="linear", gate_sign=-1),
    "lecun": CfcConfig(activation="gelu", head="lecun_tanh"),
    "pure": CfcConfig("pure", head="linear"),
}
SIZES = ((4, 4, 8), (5, 7, 9), (3, 6, 13), (16, 7, 12))  # inputs, hidden, backbone


Named = tuple[str, nn.Module, int, QTensor | float]


class Everything(dict[str, tuple[float, float]]):
    """Ranges of every tensor, so narrow that values leave them."""

    def get(self, name: str, default: object = None) -> tuple[float, float]:  # type: ignore[override]
        return (-2.0, 1.5)


def lowered(cell: nn.Module, inputs: int, dt: QTensor | float) -> tuple[LoweredCell, list[Slice]]:
    """Return a cell that reads two parts of x, one of them out of a window."""
    with torch.random.fork_rng():
        torch.manual_seed(inputs)
        for weight in cell.parameters():
            nn.init.normal_(weight, 0, 0.9)
    window = QTensor("window", (inputs + 1,), "int16", 1 / 3000, role="input")
    first = max(1, inputs // 2 // 4 * 4)
    x = QTensor("x_taken", (first,), "int8", 1 / 40, qmin=-127, qmax=127)
    rest = QTensor("x_given", (inputs - first,), "int8", 1 / 40, qmin=-127, qmax=127)
    take = Slice.quantize("take", window, x, 1)
    return cell.lower((x, rest), dt, Everything()), [take]  # type: ignore[operator]


def fused(cell: nn.Module, inputs: int, dt: QTensor | float) -> tuple[AbstractOp, ...]:
    """Return its operators as a kernel computes them."""
    low, takes = lowered(cell, inputs, dt)
    ops = (*takes, *low.ops)
    made = {t.name for op in ops for t in op.outputs}
    given = {t.name: t for op in ops for t in op.inputs if t.name not in made}
    kept = (low.output, *(s.update for s in low.states))
    return fuse(ops, tuple(given.values()), kept, M7)


def cells() -> list[Named]:
    found: list[Named] = []
    for name, config in CONFIGS.items():
        for i, h, u in SIZES:
            for dt in (DT, 0.7):
                cell = Cfc(i, h, u if config.backbone_layers else 0, config)
                found.append((f"{name}_{i}_{h}", cell, i, dt))
    found += [(f"lstm_{i}_{h}", LstmCell(i, h), i, 1.0) for i, h, _ in SIZES]
    found += [(f"gru_{i}_{h}", Gru(i, h), i, 1.0) for i, h, _ in SIZES]
    found += [(f"rnn_{i}_{h}", SimpleRnn(i, h), i, 1.0) for i, h, _ in SIZES]
    found.append(("wired", WiredCfc(ncp(6, auto_ncp(12, 3))), 6, DT))
    return found


def few() -> list[Named]:
    """Return those that see most faults."""
    names = ("default_5_7", "default_16_7", "bare_3_6", "lstm_5_7", "rnn_5_7")
    return [each for each in cells() if each[0] in names]


def batch_of(named: list[Named]) -> Batch:
    """Return the kernels of cells, with random inputs and all combinations of extremes."""
    ops = [
        replace(op, name=f"{name}_{'timed' if isinstance(dt, QTensor) else 'fixed'}_{op.name}")
        for name, cell, inputs, dt in named
        for op in fused(cell, inputs, dt)
        if isinstance(op, Units)
    ]
    inputs = [stress_inputs(op, 24, op.outputs[0].size) for op in ops]
    return Batch(tuple(Case(op, select(op, M7), x) for op, x in zip(ops, inputs, strict=True)))


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
