"""Sums, products and joins of values."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import fx

from lnn_edge.errors import LayerError
from lnn_edge.graph.ops.elementwise import Add, Concat
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.scales import symmetric
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value, constant_of, cut_off_negative
from lnn_edge.quantize.rules.activations import PRODUCTS, RELU, activation_of

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
JOINS = (torch.cat, torch.concat, torch.concatenate)


def add(lowering: Lowering, node: fx.Node) -> None:
    """y = a + b, with the ReLU behind it."""
    a, b = _two(lowering, node, "adding a constant; put it into the bias of a layer")
    act = activation_of(lowering, node)
    last = node if act is None or lowering.key(act) not in RELU else act
    y = symmetric(lowering.name(last), a.tensor.shape, "int16", lowering.bound(last))
    if last is not node:
        y = cut_off_negative(y)
    lowering.emit(Add.quantize(f"{y.name}_op", a.tensor, b.tensor, y))
    for n in {node, last}:
        lowering.values[n.name] = Value(y, a.places)


def multiply(lowering: Lowering, node: fx.Node) -> None:
    """y = a g, where g is a sigmoid."""
    first, second = node.args[:2]
    is_gate = [
        isinstance(n, fx.Node)
        and constant_of(lowering, n) is None
        and lowering.value(n).tensor.dtype == "uint16"
        for n in (first, second)
    ]
    if not any(is_gate):
        raise LayerError(
            f"{where(node)}: a product of two values; only x * sigmoid(y) has an operator"
        )
    x, gate = (first, second) if is_gate[1] else (second, first)
    a, g = lowering.plain(x), lowering.value(gate)  # type: ignore[arg-type]
    y = symmetric(lowering.name(node), a.tensor.shape, "int16", lowering.bound(node))
    lowering.emit(Gate.quantize(f"{y.name}_op", a.tensor, g.tensor, y))
    lowering.values[node.name] = Value(y, a.places)


def join(lowering: Lowering, node: fx.Node) -> None:
    """y = [a; b; ...], each part in its own scale."""
    parts: Any = node.args[0]
    for part in parts:
        shape = lowering.value(part).places.shape
        if len(shape) != 1:
            raise LayerError(f"{where(node)}: joins values of shape {shape}; needed are vectors")
    tensors = tuple(lowering.vector(part, "int8") for part in parts)
    name = lowering.name(node)
    y = lowering.emit(Concat.join(f"{name}_op", tensors, name))
    lowering.values[node.name] = Value(y, np.arange(y.size))


def _two(lowering: Lowering, node: fx.Node, refusal: str) -> tuple[Value, Value]:
    nodes = node.args[:2]
    if any(constant_of(lowering, n) is not None for n in nodes):
        raise LayerError(f"{where(node)}: {refusal}")
    a, b = (lowering.plain(n) for n in nodes)  # type: ignore[arg-type]
    if a.places.shape != b.places.shape:
        raise LayerError(
            f"{where(node)}: joins shapes {a.places.shape} and {b.places.shape}; needed are equal "
            "ones"
        )
    if a.tensor.shape != b.tensor.shape:
        vectors = (lowering.vector(n, "int16") for n in nodes)  # type: ignore[arg-type]
        a, b = (Value(v, np.arange(v.size).reshape(a.places.shape)) for v in vectors)
    return a, b


RULES: dict[Any, Rule] = {
    **dict.fromkeys(SUMS, Rule(add, reads="int16")),
    **dict.fromkeys(PRODUCTS, Rule(multiply, reads="int16")),
    **dict.fromkeys(JOINS, Rule(join)),
}
