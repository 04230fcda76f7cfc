"""Sums, products and joins of values."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from lnn_edge.errors import LayerError
from lnn_edge.graph.ops.elementwise import Add, Concat, Requantize, Subtract
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.scales import symmetric
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value, constant_of, cut_off_negative
from lnn_edge.quantize.rules.activations import PRODUCTS, RELU, activation_of
from lnn_edge.quantize.rules.gains import take_in
from lnn_edge.quantize.rules.rows import scale_channels

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
DIFFERENCES = (operator.sub, operator.isub, torch.sub, "sub", "sub_")
JOINS = (torch.cat, torch.concat, torch.concatenate)


def add(lowering: Lowering, node: fx.Node) -> None:
    """y = a + b, with the ReLU behind it."""
    _sum(lowering, node, Add, 1)


def subtract(lowering: Lowering, node: fx.Node) -> None:
    """y = a - b, with the ReLU behind it."""
    _sum(lowering, node, Subtract, -1)


def _sum(lowering: Lowering, node: fx.Node, form: type[Add | Subtract], sign: int) -> None:
    first, second = node.args[:2]
    constants = [constant_of(lowering, n) for n in (first, second)]
    if node.kwargs:
        raise LayerError(f"{where(node)}: {', '.join(node.kwargs)} has no operator; leave it out")
    if constants[1] is not None:
        return scale_channels(lowering, node, np.array(1.0), sign * constants[1])
    if constants[0] is not None:
        return scale_channels(lowering, node, np.array(float(sign)), constants[0])
    a, b = _two(lowering, node)
    act = activation_of(lowering, node)
    last = node if act is None or lowering.key(act) not in RELU else act
    y = symmetric(lowering.name(last), a.tensor.shape, "int16", lowering.bound(last))
    if last is not node:
        y = cut_off_negative(y)
    lowering.emit(form.quantize(f"{y.name}_op", a.tensor, b.tensor, y))
    for n in {node, last}:
        lowering.values[n.name] = Value(y, a.places)


def multiply(lowering: Lowering, node: fx.Node) -> None:
    """y = a b; where b is a sigmoid, by a gate."""
    first, second = node.args[:2]
    for held, other in ((first, second), (second, first)):
        constant = constant_of(lowering, held)
        if constant is not None and isinstance(other, fx.Node):
            if take_in(lowering, node, constant):
                return None
            return scale_channels(lowering, node, constant, np.array(0.0))
    is_gate = [lowering.value(n).tensor.dtype == "uint16" for n in (first, second)]
    y = symmetric(lowering.name(node), (1,), "int16", lowering.bound(node))
    if any(is_gate):
        x, gate = (first, second) if is_gate[1] else (second, first)
        a, g = lowering.plain(x), lowering.value(gate)  # type: ignore[arg-type]
        y = replace(y, shape=a.tensor.shape)
        lowering.emit(Gate.quantize(f"{y.name}_op", a.tensor, g.tensor, y))
    else:
        a, b = _two(lowering, node)
        y = replace(y, shape=a.tensor.shape)
        narrow = symmetric(f"{y.name}_b", b.tensor.shape, "int8", lowering.bound(second))  # type: ignore[arg-type]
        lowering.emit(Requantize.quantize(f"to_{narrow.name}", b.tensor, narrow))
        lowering.emit(Multiply.quantize(f"{y.name}_op", a.tensor, narrow, y))
    lowering.values[node.name] = Value(y, a.places)


def divide(lowering: Lowering, node: fx.Node) -> None:
    """y = a / c for a constant c."""
    first, second = node.args[:2]
    constant = constant_of(lowering, second)
    if constant is None or not isinstance(first, fx.Node) or not constant.all():
        raise LayerError(f"{where(node)}: must divide by a constant other than 0, not by a value")
    scale_channels(lowering, node, 1 / constant, np.array(0.0))


def negate(lowering: Lowering, node: fx.Node) -> None:
    """y = -a."""
    scale_channels(lowering, node, np.array(-1.0), np.array(0.0))


def join(lowering: Lowering, node: fx.Node) -> None:
    """y = [a; b; ...], each part in its own scale; int16 where all parts are."""
    parts: Any = node.args[0]
    for part in parts:
        shape = lowering.value(part).places.shape
        if len(shape) != 1:
            raise LayerError(f"{where(node)}: must join vectors, not values of shape {shape}")
    is_wide = all(lowering.value(part).tensor.dtype == "int16" for part in parts)
    tensors = tuple(lowering.vector(part, "int16" if is_wide else "int8") for part in parts)
    name = lowering.name(node)
    y = lowering.emit(Concat.join(f"{name}_op", tensors, name))
    lowering.values[node.name] = Value(y, np.arange(y.size))


def _two(lowering: Lowering, node: fx.Node) -> tuple[Value, Value]:
    nodes = node.args[:2]
    a, b = (lowering.plain(n) for n in nodes)  # type: ignore[arg-type]
    if a.places.shape != b.places.shape:
        raise LayerError(
            f"{where(node)}: must join equal shapes, not {a.places.shape} and {b.places.shape}"
        )
    if a.tensor.shape != b.tensor.shape:
        vectors = (lowering.vector(n, "int16") for n in nodes)  # type: ignore[arg-type]
        a, b = (Value(v, np.arange(v.size).reshape(a.places.shape)) for v in vectors)
    return a, b


RULES: dict[Any, Rule] = {
    **dict.fromkeys(SUMS, Rule(add, reads="int16")),
    **dict.fromkeys(DIFFERENCES, Rule(subtract, reads="int16")),
    **dict.fromkeys(PRODUCTS, Rule(multiply, reads="int16")),
    **dict.fromkeys((operator.truediv, torch.div, "div"), Rule(divide, reads="int16")),
    **dict.fromkeys((operator.neg, torch.neg, "neg"), Rule(negate, reads="int16")),
    **dict.fromkeys(JOINS, Rule(join)),
}
