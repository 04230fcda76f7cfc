"""Recurrent layers: their cells' own lowering, one behind the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.geometry import image_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import LoweredCell, from_rest
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.recurrent import Recurrent, cell_prefix
from lnn_edge.quantize.lowering import NOWHERE, Lowering, Rule, Value, parameters_of
from lnn_edge.quantize.rules.rows import laid_out

OUTPUT_IS_STATE = (Cfc, Gru, LstmCell)


def recur(lowering: Lowering, node: fx.Node) -> None:
    """Emit the cells of a layer and its linear map."""
    layer: Recurrent = lowering.layer(node)
    name, x = lowering.name(node), node.args[0]
    dt = _elapsed(lowering, node, layer)
    cells: list[Any] = list(layer.cells)
    if isinstance(cells[0], ConvLstm2d):
        part = _image(lowering, node, cells[0])
        gain = lowering.gains.get(node.name)
        cells[0] = cells[0] if gain is None else cells[0].scaled(torch.from_numpy(gain))
    else:
        part = lowering.vector(x, layer.dtype)  # type: ignore[arg-type]
    lowered: LoweredCell | None = None
    for index, cell in enumerate(cells):
        if lowered is not None:
            part = _narrowed(lowering, f"{name}_{index}_x", lowered.output)
        prefix = f"{node.name}_{cell_prefix(index)}"
        own = {
            k.removeprefix(prefix): v for k, v in lowering.ranges.items() if k.startswith(prefix)
        }
        lowered = _renamed(cell.lower((part,), dt, own), f"{name}_{index}_", (part, dt))
        if node.name in lowering.plan.at_rest:
            lowered = from_rest(lowered)
        lowering.ops += lowered.ops
        lowering.states += lowered.states
    assert lowered is not None
    h = y = lowered.output
    if layer.readout is not None:
        weight, bias = parameters_of(layer.readout)
        y = symmetric(f"{name}_y", (len(bias),), "int16", lowering.bound(node))
        lowering.emit(Linear.quantize(f"{name}_fc", h, y, weight, bias))
    elif isinstance(cells[-1], ConvLstm2d) and not lowering.is_wide(node):
        y = cells[-1].read_as(f"{name}_y", own)
        lowering.emit(Requantize.quantize(f"to_{y.name}", h, y))
    places = np.arange(y.size).reshape(lowering.plan.axes[node.name].static)
    lowering.values[node.name] = _returned(layer, Value(y, places), h)


def _returned(layer: Recurrent, y: Value, h: QTensor) -> Any:
    """Return what the layer returns; a state that is no output has no place."""
    if layer.result == "outputs":
        return y
    state = Value.of(h)
    if not isinstance(layer.cells[-1], OUTPUT_IS_STATE):
        state = Value(h, np.full(h.size, NOWHERE))
    if layer.result == "with_state":
        return y, state
    inner = np.full((len(layer.cells) - 1, h.size), NOWHERE)
    states = Value(h, np.concatenate((inner, state.places[None])))
    if layer.result == "with_states":
        return y, states
    return y, (states, Value(h, np.full(states.places.shape, NOWHERE)))


def _image(lowering: Lowering, node: fx.Node, cell: ConvLstm2d) -> QTensor:
    """Return what a ConvLSTM2D reads, rows, columns and channels."""
    held = lowering.value(node.args[0])
    if held.is_whole and image_of(held.tensor) == cell.shape:
        return held.tensor
    return laid_out(lowering, node, cell.shape, np.arange(held.places.size).reshape(cell.shape))


def _elapsed(lowering: Lowering, node: fx.Node, layer: Recurrent) -> QTensor | float:
    spans = node.kwargs.get("timespans", node.args[2] if len(node.args) > 2 else None)
    if isinstance(spans, fx.Node):
        return lowering.clock or lowering.value(spans).tensor
    return layer.dt if spans is None else float(spans)  # type: ignore[arg-type]


def _narrowed(lowering: Lowering, name: str, h: QTensor) -> QTensor:
    """Return the output of a cell as the next one reads it."""
    x = symmetric(name, h.shape, "int8", h.qmax * h.scales[0])
    return lowering.emit(Requantize.quantize(f"to_{name}", h, x))


def _renamed(cell: LoweredCell, prefix: str, given: tuple[Any, ...]) -> LoweredCell:
    """Return a cell whose operators and tensors carry a prefix, all but what it is given."""
    kept = {t.name for t in given if isinstance(t, QTensor)}

    def tensor(t: QTensor) -> QTensor:
        return t if t.name in kept else replace(t, name=prefix + t.name)

    ops = tuple(
        replace(
            op,
            name=prefix + op.name,
            inputs=tuple(map(tensor, op.inputs)),
            outputs=tuple(map(tensor, op.outputs)),
        )
        for op in cell.ops
    )
    states = tuple(State(tensor(s.tensor), tensor(s.update), s.initial) for s in cell.states)
    return LoweredCell(ops, states, tensor(cell.output))


RULES: dict[Any, Rule] = {Recurrent: Rule(recur)}
