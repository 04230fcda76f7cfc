"""Activations: a ReLU is a format, the others are tables."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.scales import q15_gate, symmetric
from lnn_edge.nn.cells.cfc import SIGMOID_BOUND, TABLE_STEP_BITS, TANH_BOUND
from lnn_edge.quantize.lowering import Lowering, Rule, Value

RELU = (nn.ReLU, functional.relu, torch.relu, "relu", "relu_")
TABLES: dict[Any, str] = {
    **dict.fromkeys((nn.Tanh, torch.tanh, functional.tanh, "tanh"), "tanh"),
    **dict.fromkeys((nn.Sigmoid, torch.sigmoid, functional.sigmoid, "sigmoid"), "sigmoid"),
    **dict.fromkeys((nn.SiLU, functional.silu), "silu"),
    **dict.fromkeys((nn.GELU, functional.gelu), "gelu"),
}
BOUNDS = {"tanh": TANH_BOUND, "sigmoid": SIGMOID_BOUND}
"""Where a function has settled; the others read the observed range."""
PRODUCTS = (operator.mul, torch.mul, "mul")


def activation_of(lowering: Lowering, node: fx.Node) -> fx.Node | None:
    """Return the activation that alone reads a node, which then takes it in."""
    if len(node.users) != 1 or node in lowering.plan.outputs.values():
        return None
    user = next(iter(node.users))
    key = lowering.key(user)
    return user if key in RELU or table_of(lowering, user) else None


def table_of(lowering: Lowering, node: fx.Node) -> str | None:
    """Return the function of a table that a node applies."""
    return TABLES.get(lowering.key(node))


def input_of(lowering: Lowering, node: fx.Node, name: str, shape: tuple[int, ...]) -> QTensor:
    """Return the int16 format in which the table behind a node reads it."""
    table = table_of(lowering, node)
    bound = BOUNDS.get(table or "")
    first: Any = node.args[0]
    return symmetric(name, shape, "int16", lowering.bound(first) if bound is None else bound)


def output_of(lowering: Lowering, node: fx.Node, shape: tuple[int, ...]) -> QTensor:
    """Return the format of what a table gives."""
    name, table = lowering.name(node), table_of(lowering, node)
    if table == "sigmoid" and len(shape) == 1 and _is_gate(lowering, node):
        return q15_gate(name, shape[0])
    dtype = "int16" if lowering.is_wide(node) else "int8"
    bound = 1.0 if table in BOUNDS else lowering.bound(node)
    return symmetric(name, shape, dtype, bound)


def table_op(node_name: str, x: QTensor, y: QTensor, table: str) -> Lut:
    """Return the operator of a table."""
    return Lut.quantize(f"{node_name}_act", x, y, table, TABLE_STEP_BITS)


def _is_gate(lowering: Lowering, node: fx.Node) -> bool:
    """Return whether a sigmoid only multiplies."""
    return bool(node.users) and all(lowering.key(user) in PRODUCTS for user in node.users)


def relu(lowering: Lowering, node: fx.Node) -> None:
    """A ReLU that no layer before it takes in: the same format without what is below 0."""
    x = lowering.plain(node.args[0])  # type: ignore[arg-type]
    y = replace(x.tensor, name=lowering.name(node), qmin=0, role="scratch")
    lowering.emit(Requantize.quantize(f"{y.name}_op", x.tensor, y))
    lowering.values[node.name] = Value(y, x.places)


def table(lowering: Lowering, node: fx.Node) -> None:
    """A function that no layer before it takes in."""
    first: Any = node.args[0]
    places = lowering.value(first).places
    x = lowering.vector(first, "int16")
    y = output_of(lowering, node, x.shape)
    lowering.emit(table_op(y.name, x, y, TABLES[lowering.key(node)]))
    lowering.values[node.name] = Value(y, np.arange(y.size).reshape(places.shape))


RULES: dict[Any, Rule] = {
    **dict.fromkeys(RELU, Rule(relu)),
    **dict.fromkeys(TABLES, Rule(table)),
}
