"""Activations: a ReLU is a format, the others are tables."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.lut import HARD_BOUNDS, Lut
from lnn_edge.graph.scales import q15_gate, symmetric, whole
from lnn_edge.nn import cell
from lnn_edge.nn.cell import SIGMOID_BOUND, TABLE_STEP_BITS, TANH_BOUND
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value

RELU = (nn.ReLU, functional.relu, torch.relu, torch.relu_, "relu", "relu_")
_TANHS = (torch.tanh, torch.tanh_, functional.tanh, "tanh", "tanh_")
_SIGMOIDS = (torch.sigmoid, torch.sigmoid_, functional.sigmoid, "sigmoid", "sigmoid_")
TABLES: dict[Any, str] = {
    **dict.fromkeys((nn.Tanh, *_TANHS), "tanh"),
    **dict.fromkeys((nn.Sigmoid, *_SIGMOIDS), "sigmoid"),
    **dict.fromkeys((nn.SiLU, functional.silu), "silu"),
    **dict.fromkeys((nn.GELU, functional.gelu), "gelu"),
    **dict.fromkeys((nn.ReLU6, functional.relu6), "relu6"),
    **dict.fromkeys((nn.LeakyReLU, functional.leaky_relu), "leaky_relu"),
    **dict.fromkeys((nn.ELU, functional.elu), "elu"),
    **dict.fromkeys((nn.Hardswish, functional.hardswish), "hardswish"),
    **dict.fromkeys((nn.Hardsigmoid, functional.hardsigmoid), "hard_sigmoid"),
    **dict.fromkeys((nn.Softplus, functional.softplus), "softplus"),
}
FORMS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.01},
    "elu": {"alpha": 1.0},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "gelu": {"approximate": "none"},
}
"""What a function's table is made for, torch's defaults, in the order of its arguments."""
KNOTS = {"relu6": 3.0, "hardswish": 3.0, "leaky_relu": 0.0}
"""Where pieces that are straight meet, and at its multiples: entries of the table lie there."""
BOUNDS = {"tanh": TANH_BOUND, "sigmoid": SIGMOID_BOUND, "hard_sigmoid": HARD_BOUNDS["hard_sigmoid"]}
"""Where a function has settled; the others read the observed range."""
PRODUCTS = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply")


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
    table = table_of(lowering, node) or ""
    _check_form(lowering, node, table)
    first: Any = node.args[0]
    bound = BOUNDS[table] if table in BOUNDS else lowering.bound(first)
    x = whole(name, shape, bound)
    if table not in KNOTS:
        return x
    step, knot = 1 << TABLE_STEP_BITS, KNOTS[table]
    steps = int(knot / (step * x.scales[0]))
    scale = knot / (step * steps) if steps else x.scales[0]
    return replace(x, scale=scale)  # so that 0 is an entry, and each knot


def output_of(lowering: Lowering, node: fx.Node, shape: tuple[int, ...]) -> QTensor:
    """Return the format of what a table gives."""
    name, table = lowering.name(node), table_of(lowering, node)
    if table in ("sigmoid", "hard_sigmoid") and len(shape) == 1 and _is_gate(lowering, node):
        return q15_gate(name, shape[0])
    dtype = "int16" if lowering.is_wide(node) else "int8"
    bound = 1.0 if table in ("tanh", "sigmoid", "hard_sigmoid") else lowering.bound(node)
    return symmetric(name, shape, dtype, bound)


def _check_form(lowering: Lowering, node: fx.Node, table: str) -> None:
    layer = lowering.layer(node)
    for place, (name, wanted) in enumerate(FORMS.get(table, {}).items(), start=1):
        given = node.kwargs.get(name, node.args[place] if len(node.args) > place else wanted)
        given = given if layer is None else getattr(layer, name)
        if given != wanted:
            raise LayerError(f"{where(node)}: {name} must be {wanted} on a device, not {given}")


def table_op(node_name: str, x: QTensor, y: QTensor, table: str) -> Lut:
    """Return the operator of a table."""
    return cell.table_op(f"{node_name}_act", x, y, table)


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
    name, function = lowering.name(node), TABLES[lowering.key(node)]
    held = lowering.filled(first, "int16")
    x = input_of(lowering, node, f"{name}_pre", held.tensor.shape)
    lowering.emit(Requantize.quantize(f"to_{x.name}", held.tensor, x))
    y = output_of(lowering, node, x.shape)
    lowering.emit(table_op(name, x, y, function))
    lowering.values[node.name] = Value(y, held.places)


RULES: dict[Any, Rule] = {
    **dict.fromkeys(RELU, Rule(relu, "same", arguments=("inplace",))),
    **{
        key: Rule(table, "int16", arguments=(*FORMS.get(function, ()), "inplace"))
        for key, function in TABLES.items()
    },
}
