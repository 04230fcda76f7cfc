"""Layers that read several values, and one applied to each frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from lnn_edge.nn.from_keras.build import Build, Value
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.table_layers import (
    DifferenceSizes,
    JoinSizes,
    ProductSizes,
    ScaleSizes,
    SumSizes,
)


def _joined(sizes: Any, build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Add, Subtract and Multiply: of values alike, one after the other."""
    first, *others = _alike(build, layer, values)
    if any(other.shape != first.shape for other in others):
        shapes = " and ".join(str(v.shape) for v in values)
        raise layer.refuse(f"joins shapes {shapes}; a device joins equal ones only")
    for other in others:
        first = build.row(layer, sizes, [first, other], first.shape)
    return first


def average(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Average."""
    made = _joined(SumSizes(), build, layer, values)
    return build.row(layer, ScaleSizes(1 / len(values)), [made], made.shape)


def concatenate(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Concatenate: channels, which are the last axis in Keras."""
    parts = _alike(build, layer, values)
    axis = layer.config.get("axis", -1)
    if axis not in (-1, len(parts[0].shape) - parts[0].is_newest):
        raise layer.refuse(f"axis {axis} is not the last one, of channels; train it with axis=-1")
    if any(part.shape[:-1] != parts[0].shape[:-1] for part in parts):
        shapes = " and ".join(str(v.shape) for v in values)
        raise layer.refuse(f"joins shapes {shapes}; a device joins equal numbers of frames only")
    shape = (*parts[0].shape[:-1], sum(part.channels for part in parts))
    return build.row(layer, JoinSizes(1 if parts[0].is_first else -1), parts, shape)


def _alike(build: Build, layer: KerasLayer, values: Sequence[Value]) -> list[Value]:
    """Return values that lie alike.

    Raises:
        DataError: One is the last frame alone and another is not.
    """
    if len({value.is_newest for value in values}) > 1:
        raise layer.refuse("joins a last frame with all frames, so it reads the future")
    to_first = all(value.is_first for value in values)
    return [build.turned(layer, value, to_first=to_first) for value in values]


add = partial(_joined, SumSizes())
subtract = partial(_joined, DifferenceSizes())
multiply = partial(_joined, ProductSizes())
