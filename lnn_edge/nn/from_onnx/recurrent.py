"""LSTM, GRU and RNN: forwards, from zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import GruSizes, LstmSizes, SimpleRnnSizes
from lnn_edge.nn.from_onnx.build import Axis, Build, Value
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.table_layers import NewestSizes

CELL = "cells.0."
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = ("a state h", "a state c")


def recur(build: Build, node: Node, x: Sequence[Any]) -> tuple[Value | None, ...]:
    """Return the outputs of all frames, (T, 1, B, H) or by layout, and the newest one."""
    value, *given = x
    arrays = [*given, *[None] * (7 - len(given))]
    weight, recurrent = arrays[0], arrays[1]
    _check(build, node, arrays)
    kernel, own, bias = _weights(build, node, weight, recurrent, arrays[2])
    size = own.shape[1]
    is_first = int(node.attributes.get("layout", 0)) == 1
    steps, batch = (1, 0) if is_first else (0, 1)
    if len(value.order) != 3 or value.sizes[2] != kernel.shape[1] or value.kind(2):
        raise build.refuse(node, f"reads {kernel.shape[1]} channels, and gets axes {value.sizes}")
    if value.kind(batch) != "B" or value.kind(steps) not in ("", "T"):
        raise build.refuse(
            node,
            f"runs along axis {steps} of {value.sizes}, which is not that of frames; export the "
            "layer with batch_first=True, or tell the axis of frames by --time-axis",
        )
    along = value.order[steps]
    name = build.laid(node, value, [value.places("B"), along, value.order[2]])
    sizes, weights = _cell(node, kernel, own, bias)
    own_names = {CELL + key: array for key, array in weights.items()}
    name = build.row(node, sizes, [name], own_names)
    lead = value.row[value.places("B")[0]]
    frames = Axis(value.sizes[steps], "T" if value.kind(steps) else "")
    order: tuple[tuple[int, ...], ...] = (
        ((0,), (1,), (), (2,)) if is_first else ((1,), (), (0,), (2,))
    )
    outputs: list[Value | None] = [Value(name, (lead, frames, Axis(size)), order)]
    if len(node.outputs) > 1 and node.outputs[1] in build.readers:
        last = build.row(node, NewestSizes(), [name])
        order = ((0,), (), (1,)) if is_first else ((), (0,), (1,))
        outputs.append(Value(last, (lead, Axis(size)), order))
    if len(node.outputs) > 2 and node.outputs[2] in build.readers:
        raise build.refuse(node, "gives its memory c; a device keeps it, so read the output h")
    return (*outputs, None, None)[:3]


def _check(build: Build, node: Node, arrays: Sequence[Any]) -> None:
    """Refuse forms that no cell has."""
    given = node.attributes
    way = given.get("direction", "forward")
    if way != "forward":
        raise build.refuse(
            node,
            f"has direction {way}, so it reads from the end, which no stream can; train it "
            "forwards",
        )
    names = given.get("activations", USUAL[node.op])
    if [str(n).lower() for n in names] != [n.lower() for n in USUAL[node.op]]:
        raise build.refuse(node, f"has activations {names}; a device has {USUAL[node.op]}")
    if given.get("clip") is not None or given.get("input_forget"):
        raise build.refuse(node, "has clip or input_forget, for which there is no operator")
    if arrays[6] is not None:
        raise build.refuse(node, "has peepholes, for which there is no operator")
    if arrays[3] is not None and not isinstance(arrays[3], np.ndarray):
        raise build.refuse(node, "is given lengths of sequences; feed whole sequences")
    for state in arrays[4:6]:
        if state is not None and not (isinstance(state, np.ndarray) and not state.any()):
            raise build.refuse(node, "is given a state; a device starts from zeros, so give none")


def _weights(
    build: Build, node: Node, weight: Any, recurrent: Any, bias: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return W (gates H, I), R (gates H, H) and the biases of both (2, gates H)."""
    gates = GATES[node.op]
    arrays = [v for v in (weight, recurrent, bias) if v is not None]
    if len(arrays) < 2 or not all(isinstance(v, np.ndarray) for v in arrays):
        raise build.refuse(node, "takes its weights from a value; they must be constants")
    size = recurrent.shape[-1]
    rows = gates * size
    both = np.zeros((1, 2 * rows)) if bias is None else bias
    if (weight.shape[:2], recurrent.shape, both.shape) != (
        (1, rows),
        (1, rows, size),
        (1, 2 * rows),
    ):
        shapes = f"{weight.shape}, {recurrent.shape} and {both.shape}"
        raise build.refuse(node, f"has weights of shapes {shapes}, which fit no layer forwards")
    return weight[0], recurrent[0], both.reshape(2, rows)


def _cell(node: Node, kernel: np.ndarray, own: np.ndarray, bias: np.ndarray) -> tuple[Any, Arrays]:
    """Return sizes and weights of the cell, by our names and in our order of gates."""
    inputs, size = kernel.shape[1], own.shape[1]
    if node.op == "LSTM":  # ONNX has i, o, f, c; ours are c, i, f, o
        order = _rows(size, (3, 0, 2, 1))
        return LstmSizes(inputs, size), {
            "lstm.input_map.weight": kernel[order],
            "lstm.input_map.bias": bias.sum(0)[order],
            "lstm.recurrent_map.weight": own[order],
        }
    order = _rows(size, (1, 0, 2) if node.op == "GRU" else (0,))  # ONNX has z, r, h
    weights = {
        "cell.weight_ih": kernel[order],
        "cell.weight_hh": own[order],
        "cell.bias_ih": bias[0][order],
        "cell.bias_hh": bias[1][order],
    }
    if node.op == "RNN":
        return SimpleRnnSizes(inputs, size), weights
    return GruSizes(inputs, size, bool(node.attributes.get("linear_before_reset", 0))), weights


def _rows(size: int, chunks: Sequence[int]) -> np.ndarray:
    return np.concatenate([np.arange(size) + size * chunk for chunk in chunks])
