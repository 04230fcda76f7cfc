"""Pooling over frames, over windows and images, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

from lnn_edge.nn.from_onnx.build import WHOLE, Axis, Build, Value, axis_of
from lnn_edge.nn.from_onnx.constants import axes_of
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.from_onnx.matrices import padding_of, per_axis, results
from lnn_edge.nn.table_layers import Function, GlobalPoolSizes, PoolSizes


def _pooled(function: Function, build: Build, node: Node, x: Sequence[Any]) -> Value:
    """MaxPool and AveragePool, over one axis or two."""
    value: Value = x[0]
    axes = len(value.order) - 2
    kernel = per_axis(build, node, "kernel_shape", axes, None)
    stride = per_axis(build, node, "strides", axes)
    given = node.attributes
    if len(node.outputs) > 1 and node.outputs[1]:
        raise build.refuse(node, "gives the places of the largest; a device has the largest alone")
    if any(n > 1 for n in per_axis(build, node, "dilations", axes)) or given.get("ceil_mode"):
        raise build.refuse(node, "has dilations or ceil_mode, for which there is no operator")
    zeros = padding_of(build, node, axes)
    if any(n for pair in zeros for n in pair) or given.get("auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    ):
        raise build.refuse(node, "pads, for which there is no operator; pool without pads")
    moved = [
        a
        for a in range(2, 2 + axes)
        if value.sizes[a] > 1 or value.kind(a) or (kernel[a - 2], stride[a - 2]) != (1, 1)
    ] or [1 + axes]
    if len(moved) > 2 or value.kind(1) or any(value.kind(a) not in ("", "T") for a in moved):
        raise build.refuse(node, f"pools axes {value.sizes}; a device pools one or two")
    if len(moved) > 1 and any(value.kind(a) for a in moved):
        raise build.window(node, "reads its frames as an image")
    way = [(kernel[a - 2], stride[a - 2]) for a in moved]
    sizes = [results(value.sizes[a], k, s, (0, 0)) for a, (k, s) in zip(moved, way, strict=True)]
    if min(sizes) < 1:
        raise build.refuse(node, f"pools {kernel} of axes {value.sizes}")
    form = PoolSizes(function, tuple(k for k, _ in way), tuple(s for _, s in way))
    return _over(build, node, value, form, moved, sizes)


def _over(
    build: Build,
    node: Node,
    value: Value,
    form: Any,
    moved: Sequence[int],
    sizes: Sequence[int],
    channels: int = 1,
) -> Value:
    """Return what a pooling makes of some axes; without sizes they are gone."""
    along = [value.order[a] for a in moved]
    leads = [g for g in value.leads if g not in along]
    groups = [*leads, value.order[channels], *along]
    name = build.laid(node, value, groups)
    like = name
    if len(leads) > 1:
        name = build.folded(node, name)
    name = build.row(node, form, [name])
    if len(leads) > 1:
        name = build.unfolded(node, name, like)
    row = [value.row[g[0]] for g in leads] + [Axis(value.sizes[channels])]
    row += [Axis(n, "T" if value.kind(a) else "") for n, a in zip(sizes, moved, strict=False)]
    place = {i: n for n, g in enumerate(leads) for i in g}
    new = {a: (len(leads) + 1 + i,) for i, a in enumerate(moved)} if sizes else {}
    new[channels] = (len(leads),)
    order = tuple(
        new.get(a, tuple(place[i] for i in axes if i in place))
        for a, axes in enumerate(value.order)
    )
    return Value(name, tuple(row), order)


def _of_all(function: Function, build: Build, node: Node, x: Sequence[Any]) -> Value:
    """GlobalAveragePool and GlobalMaxPool."""
    return _reduced(function, build, node, x[0], list(range(2, len(x[0].order))))


def _reduced(
    function: Function, build: Build, node: Node, value: Value, axes: Sequence[int]
) -> Value:
    """Return largest or mean over axes, which then have one number."""
    long = [a for a in axes if value.sizes[a] > 1 or value.kind(a)]
    if any(value.kind(a) for a in long):
        raise build.window(node, WHOLE)
    rest = [a for a in range(len(value.order)) if a not in axes and value.statics([a])]
    if len(rest) != 1 or len(long) > 2:
        raise build.refuse(
            node, f"takes axes {list(axes)} of {value.sizes}; one axis of channels must be left"
        )
    if not long:
        return value
    form = GlobalPoolSizes(function, tuple(prod((value.sizes[a],)) for a in long))
    return _over(build, node, value, form, long, (), rest[0])


def _reduce(function: Function, build: Build, node: Node, x: Sequence[Any]) -> Value:
    """ReduceMean and ReduceMax."""
    value: Value = x[0]
    given = axes_of(build, node, x[1] if len(x) > 1 else None)
    count = len(value.order)
    chosen = range(count) if given is None else {axis_of(build, node, a, count) for a in given}
    made = _reduced(function, build, node, value, sorted(chosen))
    if node.attributes.get("keepdims", 1):
        return made
    order = tuple(axes for a, axes in enumerate(made.order) if a not in chosen)
    return Value(made.name, made.row, order)


largest, average = partial(_pooled, "max"), partial(_pooled, "mean")
global_largest, global_average = partial(_of_all, "max"), partial(_of_all, "mean")
reduce_largest, reduce_mean = partial(_reduce, "max"), partial(_reduce, "mean")
