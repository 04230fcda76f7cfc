"""Sums, products and joins of values."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from lnn_edge.errors import LayerError
from lnn_edge.graph.ops.elementwise import Add, Concat, Requantize, Subtract
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.scales import rectified, symmetric
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import (
    Lowering,
    Rule,
    Value,
    constant_of,
    cut_off_negative,
    told_axis,
)
from lnn_edge.quantize.rules.activations import PRODUCTS, RELU, activation_of
from lnn_edge.quantize.rules.gains import take_in
from lnn_edge.quantize.rules.rows import lies, scale_channels

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
DIFFERENCES = (operator.sub, operator.isub, torch.sub, "sub", "sub_")
QUOTIENTS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
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
    pairs: Any = ((first, second), (second, first))
    by_channel = next((p for p in pairs if _is_by_channel(lowering, *p)), None)
    gated = next((p for p in pairs if lowering.value(p[1]).tensor.dtype == "uint16"), None)
    if by_channel:
        x, factors = by_channel
        return _product(lowering, node, lowering.plain(x), factors, lowering.value(factors))
    if not gated:
        a, b = _two(lowering, node)
        return _product(lowering, node, a, pairs[0][1], b)
    a, gate = lowering.plain(gated[0]), lowering.value(gated[1])
    _require_one_order(node, a, gate)
    y = symmetric(lowering.name(node), a.tensor.shape, "int16", lowering.bound(node))
    lowering.emit(Gate.quantize(f"{y.name}_op", a.tensor, gate.tensor, y))
    lowering.values[node.name] = Value(y, a.places)
    return None


def _is_by_channel(lowering: Lowering, first: fx.Node, second: fx.Node) -> bool:
    """Return whether a value of (channels, 1, ...) multiplies all frames or pixels of another."""
    a, b = lowering.value(first), lowering.value(second)
    channels, *sides = a.places.shape
    return (
        b.is_whole
        and b.places.shape == (channels, *[1] * len(sides)) != a.places.shape
        and _are_rows(a, 0)
    )


def _product(lowering: Lowering, node: fx.Node, a: Value, second: fx.Node, b: Value) -> None:
    """Emit y = a b, b in int8."""
    y = symmetric(lowering.name(node), a.tensor.shape, "int16", lowering.bound(node))
    narrow = symmetric(f"{y.name}_b", b.tensor.shape, "int8", lowering.bound(second))
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
    """y = [a; b; ...]: of vectors each part in its own scale; int16 where all parts are."""
    parts: Any = node.args[0]
    axis = lowering.own_axis(parts[0], told_axis(node, 0))
    values = [lowering.value(part) for part in parts]
    is_wide = all(value.tensor.dtype == "int16" for value in values)
    if all(_are_rows(value, axis) for value in values):
        return _join_rows(lowering, node, parts, axis, is_wide)
    held = [lowering.filled(part, "int16" if is_wide else "int8") for part in parts]
    name = lowering.name(node)
    y = lowering.emit(Concat.join(f"{name}_op", tuple(v.tensor for v in held), name))
    starts = np.cumsum([0, *(v.tensor.size for v in held)])
    places = [v.places + start for v, start in zip(held, starts, strict=False)]
    lowering.values[node.name] = Value(y, np.concatenate(places, axis))


def _are_rows(value: Value, axis: int) -> bool:
    """Return whether the numbers along an axis lie side by side, row after row."""
    rows = np.moveaxis(value.places, axis, -1)
    return rows.ndim > 1 and lies(replace(value, places=rows), np.arange(rows.size))


def _join_rows(
    lowering: Lowering, node: fx.Node, parts: Sequence[fx.Node], axis: int, is_wide: bool
) -> None:
    """Join rows in one scale that holds all of them, so that a convolution can read the result."""
    name, values = lowering.name(node), [lowering.value(part) for part in parts]
    ends = [v.tensor.dequantize(q) for v in values for q in (v.tensor.qmin, v.tensor.qmax)]
    low, high = min(e.min() for e in ends), max(e.max() for e in ends)
    y = symmetric(name, (1,), "int16" if is_wide else "int8", max(-low, high))
    if low >= 0 and not is_wide:
        y = rectified(name, (1,), high)
    tensors = []
    for number, value in enumerate(values):
        shape = np.moveaxis(value.places, axis, -1).shape
        made = replace(y, name=f"{name}_part_{number}", shape=shape)
        tensors.append(lowering.emit(Requantize.quantize(f"to_{made.name}", value.tensor, made)))
    joined = lowering.emit(Concat.join(f"{name}_op", tuple(tensors), name))
    places = np.arange(joined.size).reshape(joined.shape)
    lowering.values[node.name] = Value(joined, np.moveaxis(places, -1, axis))


def _two(lowering: Lowering, node: fx.Node) -> tuple[Value, Value]:
    nodes = node.args[:2]
    a, b = (lowering.plain(n) for n in nodes)  # type: ignore[arg-type]
    _require_one_order(node, a, b)
    if a.tensor.shape != b.tensor.shape:
        a, b = (lowering.filled(n, "int16") for n in nodes)  # type: ignore[arg-type]
    return a, b


def _require_one_order(node: fx.Node, a: Value, b: Value) -> None:
    """Refuse two values whose numbers do not lie side by side as torch pairs them."""
    if a.places.shape != b.places.shape:
        raise LayerError(
            f"{where(node)}: must join equal shapes, not {a.places.shape} and {b.places.shape}"
        )
    if not np.array_equal(a.places, b.places):
        raise LayerError(
            f"{where(node)}: numbers that lie apart in memory, in two orders; put a Linear behind "
            "one of the two values, which takes them in any order"
        )


RULES: dict[Any, Rule] = {
    **dict.fromkeys(SUMS, Rule(add, "int16", 2, ())),
    **dict.fromkeys(DIFFERENCES, Rule(subtract, "int16", 2, ())),
    **dict.fromkeys(PRODUCTS, Rule(multiply, "int16", 2, ())),
    **dict.fromkeys(QUOTIENTS, Rule(divide, "int16", 2, ())),
    **dict.fromkeys((operator.neg, torch.neg, "neg", "neg_"), Rule(negate, "int16", 1, ())),
    **dict.fromkeys(JOINS, Rule(join, arguments=("dim", "axis"))),
}
