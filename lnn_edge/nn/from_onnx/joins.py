"""Sums, products and joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Axis, Build, Value, axis_of
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.from_onnx.functions import Gaussian, gaussian_plus, gaussian_times
from lnn_edge.nn.from_onnx.norms import affine
from lnn_edge.nn.table_layers import DifferenceSizes, JoinSizes, ProductSizes, SumSizes

ONE, NONE = np.ones(1), np.zeros(1)


def add(build: Build, node: Node, x: Sequence[Any]) -> Any:
    """Add."""
    first, second = x
    if isinstance(first, Gaussian) or isinstance(second, Gaussian):
        part, other = (first, second) if isinstance(first, Gaussian) else (second, first)
        return gaussian_plus(build, node, part, other)
    if isinstance(second, np.ndarray):
        return affine(build, node, first, ONE, second)
    if isinstance(first, np.ndarray):
        return affine(build, node, second, ONE, first)
    return _both(build, node, SumSizes(), first, second)


def subtract(build: Build, node: Node, x: Sequence[Any]) -> Any:
    """Sub."""
    first, second = x
    if isinstance(second, np.ndarray):
        return affine(build, node, first, ONE, -second)
    if isinstance(first, np.ndarray):
        return affine(build, node, second, -ONE, first)
    return _both(build, node, DifferenceSizes(), first, second)


def multiply(build: Build, node: Node, x: Sequence[Any]) -> Any:
    """Mul."""
    first, second = x
    if isinstance(first, Gaussian) or isinstance(second, Gaussian):
        part, other = (first, second) if isinstance(first, Gaussian) else (second, first)
        return gaussian_times(build, node, part, other)
    if isinstance(second, np.ndarray):
        return affine(build, node, first, second, NONE)
    if isinstance(first, np.ndarray):
        return affine(build, node, second, first, NONE)
    return _both(build, node, ProductSizes(), first, second)


def divide(build: Build, node: Node, x: Sequence[Any]) -> Any:
    """Div: by a constant."""
    first, second = x
    if not isinstance(second, np.ndarray) or not np.all(second):
        raise build.refuse(node, "must divide a value by a constant other than 0")
    if isinstance(first, Gaussian):
        return gaussian_times(build, node, first, 1 / second)
    return affine(build, node, first, 1 / second, NONE)


def negate(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Neg."""
    return affine(build, node, x[0], -ONE, NONE)


def concat(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Concat: of channels."""
    if not all(isinstance(v, Value) for v in x):
        raise build.refuse(node, "joins values with constants; join values alone")
    axis = axis_of(build, node, int(node.attributes["axis"]), len(x[0].order))
    parts: list[Value] = [build.canonical(node, v) for v in x]
    places = {v.order[axis] for v in parts}
    alike = {
        (tuple(n for i, n in enumerate(v.sizes) if i != axis), v.kinds, v.order) for v in parts
    }
    if any(v.kind(axis) for v in parts) or len(alike) > 1 or len(places) > 1:
        shapes = " and ".join(str(v.sizes) for v in x)
        raise build.refuse(node, f"joins shapes {shapes} along axis {axis}; join channels alone")
    (place,) = next(iter(places)) or (-1,)
    if place < 0:
        raise build.refuse(node, "stacks values along a new axis; join channels")
    name = build.row(node, JoinSizes(place), [v.name for v in parts])
    row = list(parts[0].row)
    row[place] = Axis(sum(v.sizes[axis] for v in parts))
    return replace(parts[0], name=name, row=tuple(row))


def _both(build: Build, node: Node, sizes: Any, first: Any, second: Any) -> Value:
    """Return the row of two values of one shape."""
    if not isinstance(first, Value) or not isinstance(second, Value):
        raise build.refuse(node, "joins parts of a GELU with something else")
    if first.sizes != second.sizes or first.kinds != second.kinds:
        shapes = f"{first.sizes} and {second.sizes}"
        raise build.refuse(node, f"joins shapes {shapes}; a device joins equal ones only")
    if first.order != second.order or first.row != second.row:
        first, second = (build.canonical(node, v) for v in (first, second))
    made: Value = replace(first, name=build.row(node, sizes, [first.name, second.name]))
    return made
