"""Functions of each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose, sqrt
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Build, Value
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.table_layers import ActivationSizes, BentSizes, ScaleSizes, SoftmaxSizes

Make = Callable[[Build, Node, Sequence[Any]], Any]


@dataclass(frozen=True)
class Gaussian:
    """A part of GELU, x (1 + erf(x / sqrt 2)) / 2, as older versions write it in basic operators.

    Attributes:
        value: x.
        factor: Of the part.
        has_one: Whether 1 is added to erf.
        has_value: Whether it is multiplied by x.
    """

    value: Value
    factor: float = 1.0
    has_one: bool = False
    has_value: bool = False


def _activated(function: str, build: Build, node: Node, x: Sequence[Any]) -> Value:
    return build.each(node, ActivationSizes(function), x[0])


def hard_sigmoid(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """HardSigmoid: max(0, min(1, alpha x + beta)), of which a device has alpha 1/6, beta 1/2."""
    alpha, beta = (float(node.attributes.get(k, d)) for k, d in (("alpha", 0.2), ("beta", 0.5)))
    if beta != 0.5:
        raise build.refuse(node, f"has beta {beta}; a device has 0.5 alone")
    value: Value = x[0]
    if not isclose(6 * alpha, 1, rel_tol=1e-6):
        value = build.each(node, ScaleSizes(6 * alpha), value)
    return _activated("hard_sigmoid", build, node, [value])


def leaky_relu(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """LeakyRelu: x above 0, alpha x below."""
    alpha = float(node.attributes.get("alpha", 0.01))
    is_usual = isclose(alpha, 0.01, rel_tol=1e-6)
    sizes: Any = ActivationSizes("leaky_relu") if is_usual else BentSizes(alpha)
    return build.each(node, sizes, x[0])


def elu(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Elu: x above 0, alpha (exp(x) - 1) below."""
    alpha = float(node.attributes.get("alpha", 1.0))
    sizes: Any = ActivationSizes("elu") if alpha == 1 else BentSizes(alpha, is_curved=True)
    return build.each(node, sizes, x[0])


def gelu(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Gelu: by the error function alone."""
    if node.attributes.get("approximate", "none") != "none":
        raise build.refuse(node, "approximates by tanh; a device has approximate='none' alone")
    return _activated("gelu", build, node, x)


def clip(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Clip: to 0 and above, or to 0 and 6."""
    value, *rest = x
    bounds = [v if isinstance(v, np.ndarray) else None for v in (*rest, None, None)[:2]]
    low, high = (None if v is None else float(v.ravel()[0]) for v in bounds)
    if low == 0 and (high is None or high > 1e30):
        return _activated("relu", build, node, [value])
    if low == 0 and high == 6:
        return _activated("relu6", build, node, [value])
    raise build.refuse(node, f"cuts off at {low} and {high}; a device has 0 and 6, or 0 alone")


def softmax(build: Build, node: Node, x: Sequence[Any], *, is_log: bool = False) -> Value:
    """Softmax and LogSoftmax over the last axis, which a device leaves out at an output."""
    value: Value = x[0]
    axes = len(value.order)
    axis = int(node.attributes.get("axis", -1 if build.opset >= 13 else 1)) % axes
    if axis != axes - 1 or value.kind(axis) or not value.order[axis]:
        raise build.refuse(node, f"is over axis {axis} of {axes}; take the last, of channels")
    value = build.canonical(node, value)
    if value.order[axis] != (len(value.row) - 1,):
        raise build.refuse(node, f"is over a part of axes {value.sizes}")
    return build.each(node, SoftmaxSizes(is_log), value)


def erf(build: Build, node: Node, x: Sequence[Any]) -> Gaussian:
    """Erf: of GELU alone, so of x / sqrt 2."""
    value: Value = x[0]
    row = build.named.get(value.name)
    factor = row.options.get("factor") if row is not None and row.kind == "scale" else None
    if (
        row is None
        or not isinstance(factor, float)
        or not isclose(factor, 1 / sqrt(2), rel_tol=1e-4)
    ):
        raise build.refuse(node, "has no operator on a device but as a part of GELU")
    return Gaussian(replace(value, name=row.inputs[0]))


def gaussian_plus(build: Build, node: Node, part: Gaussian, other: Any) -> Gaussian:
    """Return a part of GELU with 1 added."""
    is_one = isinstance(other, np.ndarray) and other.size == 1 and float(other.ravel()[0]) == 1
    if part.has_one or part.has_value or part.factor != 1 or not is_one:
        raise build.refuse(node, "is no GELU: 1 must be added to erf(x / sqrt 2)")
    return replace(part, has_one=True)


def gaussian_times(build: Build, node: Node, part: Gaussian, other: Any) -> Gaussian | Value:
    """Return a part of GELU times a number, or times x; GELU itself once it is whole."""
    if isinstance(other, np.ndarray) and other.size == 1:
        part = replace(part, factor=part.factor * float(other.ravel()[0]))
    else:
        part = _times_value(build, node, part, other)
    if not (part.has_one and part.has_value and isclose(part.factor, 0.5, rel_tol=1e-6)):
        return part
    return _activated("gelu", build, node, [part.value])


def _times_value(build: Build, node: Node, part: Gaussian, other: Any) -> Gaussian:
    name, factor = getattr(other, "name", ""), 1.0
    row = build.named.get(name)
    if row is not None and row.kind == "scale" and row.inputs[0] == part.value.name:
        name, factor = row.inputs[0], float(str(row.options["factor"]))
    if name != part.value.name or part.has_value:
        raise build.refuse(node, "is no GELU: 1 + erf(x / sqrt 2) must be multiplied by x")
    return replace(part, has_value=True, factor=part.factor * factor)


FUNCTIONS: dict[str, Make] = {
    **{
        op: partial(_activated, name)
        for op, name in {
            "Relu": "relu",
            "Tanh": "tanh",
            "Sigmoid": "sigmoid",
            "Softplus": "softplus",
            "HardSwish": "hard_swish",
        }.items()
    },
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "Elu": elu,
    "Gelu": gelu,
    "Clip": clip,
    "Softmax": softmax,
    "LogSoftmax": partial(softmax, is_log=True),
    "Erf": erf,
}
"""By operator."""
