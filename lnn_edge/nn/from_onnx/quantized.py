"""QuantizeLinear and DequantizeLinear around values: the ranges that a file gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Build, Value
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.from_onnx.views import Padded
from lnn_edge.nn.table_layers import ActivationSizes

BITS = {"u1": (0, 255), "i1": (-128, 127), "u2": (0, 65535), "i2": (-32768, 32767)}
"""Integers of each type that values are quantized to."""

POSITIVE = ("relu", "relu6", "sigmoid", "hard_sigmoid", "softplus")
"""Functions that give nothing below 0."""
MOVED = ("pool", "global_pool", "reshape", "permute", "newest", "part", "cut", "fold", "unfold")
"""Kinds of rows that give nothing below what they read."""


@dataclass(frozen=True)
class Held:
    """A value in integers.

    Attributes:
        value: As floats; zeros may lie around it.
        scale: Of the integers.
        zero: The integer of 0.
        low: Lowest integer.
        high: Highest.
    """

    value: Value | Padded
    scale: float
    zero: int
    low: int
    high: int


def quantize(build: Build, node: Node, x: Sequence[Any]) -> Held:
    """QuantizeLinear: a value between integers."""
    value, scale, *rest = x
    zero = rest[0] if rest and rest[0] is not None else np.zeros((), np.uint8)
    if not isinstance(scale, np.ndarray) or not isinstance(zero, np.ndarray):
        raise build.refuse(node, "takes its scale from a value; export it in fixed integers")
    if scale.size != 1 or zero.size != 1 or not float(scale.ravel()[0]) > 0:
        raise build.refuse(node, "must have one scale above 0 for all numbers of a value")
    bounds = BITS.get(f"{zero.dtype.kind}{zero.dtype.itemsize}")
    if bounds is None:
        raise build.refuse(node, f"makes integers of type {zero.dtype}; a device has 8 and 16 bits")
    return Held(value, float(scale.ravel()[0]), int(zero.ravel()[0]), *bounds)


def dequantize(build: Build, node: Node, x: Sequence[Any]) -> Value | Padded:
    """DequantizeLinear: the value again, with the range that its integers have.

    Integers whose lowest stands for 0 cut off what is below: onnxruntime leaves a ReLU out there.
    """
    held, scale, *rest = x
    zero = rest[0] if rest and rest[0] is not None else np.zeros((), np.uint8)
    alike = isinstance(held, Held) and isinstance(scale, np.ndarray) and scale.size == 1
    if not alike or float(scale.ravel()[0]) != held.scale or int(zero.ravel()[0]) != held.zero:
        raise build.refuse(node, "must have the scale and zero point that QuantizeLinear has")
    low = (held.low - held.zero) * held.scale
    high = (held.high - held.zero) * held.scale
    if held.zero == 0 and held.low < 0:
        low = -high  # ours are symmetric, without the lowest integer
    value: Value = held.value.value if isinstance(held.value, Padded) else held.value
    if low == 0 and not _is_positive(build, value.name):
        value = build.each(node, ActivationSizes("relu"), value)
    build.ranges[value.name] = (low, high)
    return replace(held.value, value=value) if isinstance(held.value, Padded) else value


def _is_positive(build: Build, name: str) -> bool:
    """Return whether a row gives nothing below 0 by itself."""
    row = build.named.get(name)
    while row is not None and row.kind in MOVED and build.ranges.get(row.name) is None:
        name = row.inputs[0]
        row = build.named.get(name)
    if build.ranges.get(name, (-1.0, 0.0))[0] == 0:
        return True
    return row is not None and (row.kind == "softmax" or row.options.get("function") in POSITIVE)
