"""What scales and shifts: BatchNormalization, and sums and products with constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Axis, Build, Value
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.table_layers import BatchNormSizes, ScaleSizes

MATRICES = {"linear": -1, "conv1d": 1, "conv2d": 1}
"""Kinds of rows whose weights take a scale and a shift in, and the axis of their outputs."""


def batch_norm(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """BatchNormalization as it is after training."""
    value, *given = x
    if len(given) != 4 or not all(isinstance(v, np.ndarray) for v in given):
        raise build.refuse(node, "must have scale, bias, mean and variance as constants")
    gain, shift, mean, variance = (v.astype(np.float64).ravel() for v in given)
    if node.attributes.get("training_mode") or len({len(v) for v in (gain, shift, mean)}) > 1:
        raise build.refuse(node, "is in training; export the model in evaluation mode")
    factor = gain / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    form = [1, -1, *[1] * (len(value.order) - 2)]
    return affine(build, node, value, factor.reshape(form), (shift - mean * factor).reshape(form))


def affine(build: Build, node: Node, value: Value, gain: np.ndarray, shift: np.ndarray) -> Value:
    """Return y = gain x + shift, by the matrix before it where that can take them in.

    Args:
        build: The table.
        node: Where it comes from.
        value: x.
        gain: Broadcast as ONNX does: alike for all numbers, or for those of each channel.
        shift: Likewise.
    """
    gain, shift = (_filled(build, node, value, np.asarray(v, np.float64)) for v in (gain, shift))
    varied = [a for a in range(gain.ndim) if max(gain.shape[a], shift.shape[a]) > 1]
    if len(varied) > 1 or (varied and value.kind(varied[0])):
        raise build.refuse(
            node, f"has a constant that is not one number a channel of axes {value.sizes}"
        )
    if not varied and not shift.any():
        factor = float(gain.ravel()[0])
        return value if factor == 1 else build.each(node, ScaleSizes(factor), value)
    axis = varied[0] if varied else _channels_of(build, node, value)
    size = value.sizes[axis]
    gain, shift = (np.broadcast_to(v.ravel(), size).copy() for v in (gain, shift))
    if _taken_in(build, node, value, axis, gain, shift):
        return value
    return _normed(build, node, value, axis, gain, shift)


def _filled(build: Build, node: Node, value: Value, given: np.ndarray) -> np.ndarray:
    """Return a constant with as many axes as the value."""
    axes = len(value.order)
    sizes = (1,) * (axes - given.ndim) + given.shape if given.ndim <= axes else given.shape
    if len(sizes) > axes or any(n not in (1, m) for n, m in zip(sizes, value.sizes, strict=True)):
        raise build.refuse(node, f"has a constant {given.shape} that does not fit {value.sizes}")
    return given.reshape(sizes)


def _channels_of(build: Build, node: Node, value: Value) -> int:
    """Return an axis whose numbers can be scaled one by one, where all are scaled alike."""
    found = [a for a in range(len(value.order)) if not value.kind(a) and value.order[a]]
    if not found:
        raise build.refuse(node, f"adds a constant to axes {value.sizes} without channels")
    return found[-1]


def _taken_in(
    build: Build, node: Node, value: Value, axis: int, gain: np.ndarray, shift: np.ndarray
) -> bool:
    """Let the matrix that gave a value scale and shift its outputs; return whether it can."""
    row = build.named.get(value.name)
    if row is None or row.kind not in MATRICES or not build.is_alone(value):
        return False
    if value.order[axis] != (MATRICES[row.kind] % len(value.row),):
        return False
    place = "1." if f"{row.name}.1.weight" in build.own else ""
    weight, bias = f"{row.name}.{place}weight", f"{row.name}.{place}bias"
    build.spend(node, build.own[weight].size)
    shaped = gain.reshape(-1, *[1] * (build.own[weight].ndim - 1))
    build.own[weight] = build.own[weight] * shaped
    build.own[bias] = build.own[bias] * gain + shift
    return True


def _normed(
    build: Build, node: Node, value: Value, axis: int, gain: np.ndarray, shift: np.ndarray
) -> Value:
    """Add a row that scales and shifts the numbers along an axis."""
    others = value.statics([a for a in range(len(value.order)) if a != axis])
    others = [g for g in others if prod(value.row[i].size for i in g) > 1]
    leads = [value.places("B")] if not others else value.leads
    behind = others if others else [g for g in (value.places("T"),) if g]
    if len(behind) > 2:
        behind = [tuple(i for g in behind for i in g)]
    channels = value.order[axis]
    name = build.laid(node, value, [*leads, channels, *behind])
    like = name
    if len(leads) > 1:
        name = build.folded(node, name)
    size = len(gain)
    weights = {"weight": gain, "bias": shift, "running_mean": 0 * gain}
    weights["running_var"] = np.ones(size)
    name = build.row(node, BatchNormSizes(size, 0.0, 2 + len(behind)), [name], weights)
    if len(leads) > 1:
        name = build.unfolded(node, name, like)
    groups = [*leads, channels, *behind]
    row = [Axis(prod(value.row[i].size for i in g), value.row[g[0]].kind) for g in groups]
    if len(behind) == 1 and len(others) > 1:
        raise build.refuse(node, f"scales channels among axes {value.sizes}")
    place = {i: n for n, g in enumerate(groups) for i in g}
    order = tuple(
        tuple(dict.fromkeys(place[i] for i in axes if i in place)) for axes in value.order
    )
    return Value(name, tuple(row), order)
