"""Recurrent layers: their cells' own lowering, one behind the other."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.geometry import image_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import LoweredCell, from_rest
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.simple_rnn import SimpleRnn
from lnn_edge.nn.recurrent import Recurrent, cell_prefix
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import NOWHERE, Lowering, Rule, Value, parameters_of
from lnn_edge.quantize.rules.rows import laid_out

OUTPUT_IS_STATE = (Cfc, Gru, LstmCell, SimpleRnn)


def recur(lowering: Lowering, node: fx.Node) -> None:
    """Emit the cells of a layer and its linear map; in windows of several steps, a loop of them."""
    layer: Recurrent = lowering.layer(node)
    dt, value = _elapsed(lowering, node, layer), lowering.value(node.args[0])
    is_at_rest = node.name in lowering.plan.at_rest
    if is_at_rest and len(value.places) > 1:
        lowering.values[node.name] = _loop(lowering, node, value, dt)
        return
    cells = _weighted(lowering, node)
    if isinstance(cells[0], ConvLstm2d):
        x = _image(lowering, node, cells[0])
    else:
        x = lowering.vector(node.args[0], layer.dtype)  # type: ignore[arg-type]
    cell = _cells(lowering, node, cells, x, dt)
    cell = from_rest(cell) if is_at_rest else cell
    lowering.ops += cell.ops
    lowering.states += cell.states
    y = cell.output
    if layer.readout is not None:
        y = lowering.emit(_readout(lowering, node, y))
    elif isinstance(cells[-1], ConvLstm2d) and not lowering.is_wide(node):
        name = lowering.name(node)
        y = cells[-1].read_as(f"{name}_y", _own_ranges(lowering, node, len(cells) - 1))
        lowering.emit(Requantize.quantize(f"to_{y.name}", cell.output, y))
    places = np.arange(y.size).reshape(lowering.plan.axes[node.name].static)
    lowering.values[node.name] = _returned(layer, Value(y, places), Value.of(cell.output))


def _weighted(lowering: Lowering, node: fx.Node) -> list[Any]:
    """Return the cells of a layer, the first with the factors that its weights take in."""
    cells: list[Any] = list(lowering.layer(node).cells)
    gain = lowering.gains.get(node.name)
    if gain is not None:
        cells[0] = cells[0].scaled(torch.from_numpy(gain))
    return cells


def _own_ranges(lowering: Lowering, node: fx.Node, index: int) -> Ranges:
    """Return the ranges of the tensors inside a cell, by the names that it knows."""
    prefix = f"{node.name}_{cell_prefix(index)}"
    return {k.removeprefix(prefix): v for k, v in lowering.ranges.items() if k.startswith(prefix)}


def _cells(
    lowering: Lowering, node: fx.Node, cells: list[Any], x: QTensor, dt: QTensor | float
) -> LoweredCell:
    """Return all cells of a layer, one behind the other, as one."""
    name, ops, states, given = lowering.name(node), list[AbstractOp](), list[State](), x
    for index, cell in enumerate(cells):
        if index:
            given = symmetric(f"{name}_{index}_x", x.shape, "int8", x.qmax * x.scales[0])
            ops.append(Requantize.quantize(f"to_{given.name}", x, given))
        own = _own_ranges(lowering, node, index)
        lowered = _renamed(cell.lower((given,), dt, own), f"{name}_{index}_", (given, dt))
        ops += lowered.ops
        states += lowered.states
        x = lowered.output
    return LoweredCell(tuple(ops), tuple(states), x)


def _readout(lowering: Lowering, node: fx.Node, h: QTensor) -> AbstractOp:
    """Return the linear map of the last cell's output."""
    weight, bias = parameters_of(lowering.layer(node).readout)
    name = lowering.name(node)
    y = symmetric(f"{name}_y", (len(bias),), "int16", lowering.bound(node))
    return Linear.quantize(f"{name}_fc", h, y, weight, bias)


def _loop(lowering: Lowering, node: fx.Node, x: Value, dt: QTensor | float) -> Any:
    """Emit the cells as the body of a loop over the steps of a window, from rest."""
    layer, name, count = lowering.layer(node), lowering.name(node), len(x.places)
    if isinstance(layer.cells[0], ConvLstm2d):
        raise LayerError(
            f"{where(node)}: a ConvLSTM2D that starts anew in windows of {count} steps has no "
            "operator; run it on the stream, behind the windows or on windows of one step"
        )
    first, stride = _rows(node, x)
    step = _step(f"{name}_step", x)
    part = lowering.converted(node.args[0], Value.of(step), layer.dtype)  # type: ignore[arg-type]
    ops: tuple[AbstractOp, ...] = () if part is None else (part,)
    given = step if part is None else part.outputs[0]
    cell = _cells(lowering, node, list(layer.cells), given, dt)
    ops, result = (*ops, *cell.ops), cell.output
    has_all = not (layer.last or _is_last_alone(lowering, node, count))
    if has_all and layer.readout is not None:
        ops += (_readout(lowering, node, result),)
        result = ops[-1].outputs[0]
    shape = (count, *result.shape) if has_all else result.shape
    rows = replace(result, name=f"{name}_rows", shape=shape)
    own = ops, cell.states, step, result, count, first, stride
    lowering.emit(Loop(f"{name}_loop", (x.tensor,), (rows,), *own))
    places = np.arange(rows.size).reshape(shape)
    if has_all:
        is_state = layer.readout is None
        last = Value(rows, places[-1] if is_state else np.full(cell.output.size, NOWHERE))
        return _returned(layer, Value(rows, places), last)
    y = rows if layer.readout is None else lowering.emit(_readout(lowering, node, rows))
    seen = np.arange(y.size)
    if not layer.last:  # forward has all steps, and reads the last one
        seen = np.stack([*[np.full(y.size, NOWHERE)] * (count - 1), seen])
    return _returned(layer, Value(y, seen), Value(rows, places))


def _rows(node: fx.Node, x: Value) -> tuple[int, int]:
    """Return the place of the first step, and numbers from one step to the next.

    Raises:
        LayerError: The numbers of a step lie apart, or the steps in no even distance.
    """
    starts, size = x.places[:, 0], x.places.shape[1]
    stride = int(starts[1] - starts[0])
    even = starts[0] + stride * np.arange(len(starts))[:, None] + np.arange(size)
    if stride < 1 or not np.array_equal(x.places, even):
        raise LayerError(
            f"{where(node)}: the numbers of a step lie apart in memory; put a convolution over "
            "the steps between, which gives its channels side by side"
        )
    return int(starts[0]), stride


def _step(name: str, x: Value) -> QTensor:
    """Return the format of one step of a window."""
    tensor, places = x.tensor, x.places[0]
    scales, points = (
        np.broadcast_to(values, tensor.shape).ravel()[places].tolist()
        for values in (tensor.scales, tensor.zero_points)
    )
    return QTensor(
        name,
        (len(places),),
        tensor.dtype,
        tuple(scales) if len(tensor.scales) > 1 else scales[0],
        tuple(points) if len(tensor.zero_points) > 1 else points[0],
        tensor.qmin,
        tensor.qmax,
    )


def _is_last_alone(lowering: Lowering, node: fx.Node, count: int) -> bool:
    """Return whether the rest of forward reads the last step of the outputs and no other."""
    outputs = [node]
    if lowering.layer(node).result != "outputs":
        outputs = [u for u in node.users if u.target is operator.getitem and u.args[1] == 0]
    readers = [reader for output in outputs for reader in output.users]
    steps = torch.arange(count)[None, :, None]
    return all(
        reader.target is operator.getitem
        and not any(isinstance(n, fx.Node) for n in reader.all_input_nodes[1:])
        and bool((steps[reader.args[1]] == count - 1).all())  # type: ignore[index]
        for reader in readers
    )


def _returned(layer: Recurrent, y: Value, h: Value) -> Any:
    """Return what the layer returns; a state that is not an output has no place."""
    if layer.result == "outputs":
        return y
    state, size = h, h.places.size
    if not isinstance(layer.cells[-1], OUTPUT_IS_STATE):
        state = Value(h.tensor, np.full(size, NOWHERE))
    if layer.result == "with_state":
        return y, state
    inner = np.full((len(layer.cells) - 1, size), NOWHERE)
    states = Value(h.tensor, np.concatenate((inner, state.places[None])))
    if layer.result == "with_states":
        return y, states
    return y, (states, Value(h.tensor, np.full(states.places.shape, NOWHERE)))


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
