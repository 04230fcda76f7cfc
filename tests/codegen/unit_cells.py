"""Cells whose units are computed by one kernel, and batches of these kernels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from lnn_edge.codegen.fuse import fuse
from lnn_edge.codegen.kernels import Core, select
from lnn_edge.codegen.units import Units
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.nn.cell import LoweredCell
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.simple_rnn import SimpleRnn
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from tests.graph.ops.batch import Batch, Case
from tests.graph.ops.cases import stress_inputs

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


Named = tuple[str, nn.Module, int, QTensor | float, float]
"""Name, cell, inputs, time and the spread of its weights."""
STEEP, CALM = 0.9, 0.1  # of rows with a shift, and without
EVEN = ((8, 4, 8), (12, 8, 12), (13, 6, 10), (24, 8, 28))  # whole blocks, rounds and parts of them


class Everything(dict[str, tuple[float, float]]):
    """Ranges of every tensor, so narrow that values leave them."""

    def get(self, name: str, default: object = None) -> tuple[float, float]:  # type: ignore[override]
        return (-2.0, 1.5)


def lowered(
    cell: nn.Module, inputs: int, dt: QTensor | float, spread: float = STEEP
) -> tuple[LoweredCell, list[Slice]]:
    """Return a cell that reads two parts of x, one of them out of a window."""
    with torch.random.fork_rng():
        torch.manual_seed(inputs)
        for weight in cell.parameters():
            nn.init.normal_(weight, 0, spread)
    window = QTensor("window", (inputs + 1,), "int16", 1 / 3000, role="input")
    first = max(1, inputs // 2 // 4 * 4)
    x = QTensor("x_taken", (first,), "int8", 1 / 40, qmin=-127, qmax=127)
    rest = QTensor("x_given", (inputs - first,), "int8", 1 / 40, qmin=-127, qmax=127)
    take = Slice.quantize("take", window, x, 1)
    return cell.lower((x, rest), dt, Everything()), [take]  # type: ignore[operator]


def fused(
    cell: nn.Module, inputs: int, dt: QTensor | float, spread: float = STEEP
) -> tuple[AbstractOp, ...]:
    """Return its operators as a kernel computes them."""
    low, takes = lowered(cell, inputs, dt, spread)
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
                found.append((f"{name}_{i}_{h}", cell, i, dt, STEEP))
    for kind, make in (("lstm", LstmCell), ("gru", Gru), ("rnn", SimpleRnn)):
        found += [(f"{kind}_{i}_{h}", make(i, h), i, 1.0, STEEP) for i, h, _ in SIZES]
    found.append(("wired", WiredCfc(ncp(6, auto_ncp(12, 3))), 6, DT, STEEP))
    return found + calm_cells()


def calm_cells() -> list[Named]:
    """Return cells whose layers are loops in assembly."""
    found: list[Named] = []
    for i, h, u in EVEN:
        made = {f"calm_{dt is DT}_{i}_{h}": (Cfc(i, h, u), dt) for dt in (DT, 0.7)}
        made |= {
            f"calm_{kind.__name__}_{i}_{h}": (kind(i, h), 1.0) for kind in (LstmCell, SimpleRnn)
        }
        found += [(name, cell, i, dt, CALM) for name, (cell, dt) in made.items()]
    return found


def few() -> list[Named]:
    """Return those that see most faults."""
    names = ("default_5_7", "default_16_7", "bare_3_6", "pure_4_4", "lstm_5_7", "rnn_5_7")
    calm = ("calm_True_12_8", "calm_False_13_6", "calm_LstmCell_12_8")
    return [each for each in cells() if each[0] in names + calm]


def batch_of(named: list[Named]) -> Batch:
    """Return the kernels of cells, with random inputs and all combinations of extremes."""
    ops = [
        replace(op, name=f"{name}_{'timed' if isinstance(dt, QTensor) else 'fixed'}_{op.name}")
        for name, cell, inputs, dt, spread in named
        for op in fused(cell, inputs, dt, spread)
        if isinstance(op, Units)
    ]
    inputs = [stress_inputs(op, 24, op.outputs[0].size) for op in ops]
    return Batch(tuple(Case(op, select(op, M7), x) for op, x in zip(ops, inputs, strict=True)))
