"""Pooling over time, over the rows and columns of an image, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lnn_edge.nn.from_keras.build import Build, NeedsWindow, Value
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.from_keras.matrices import check_layout, per_axis, results, zeros_around
from lnn_edge.nn.table_layers import Function, GlobalPoolSizes, PoolSizes


def _pooled(function: Function, build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """MaxPooling and AveragePooling, 1D and 2D."""
    check_layout(layer)
    config, (value,) = layer.config, values
    axes = len(value.shape) - 1
    kernel = per_axis(config["pool_size"], axes)
    stride = per_axis(config.get("strides") or list(kernel), axes)
    if value.is_newest or axes not in (1, 2):
        raise layer.refuse(f"pools one or two axes, and gets a shape {value.shape}")
    if value.has_time and axes == 2:
        raise NeedsWindow(layer, "reads its frames as an image")
    padding = str(config.get("padding", "valid"))
    if value.has_time and padding == "same" and kernel != (1,):
        raise NeedsWindow(layer, 'has padding="same", which looks into the future')
    sizes: list[int | None] = []
    for n, k, s in zip(value.shape, kernel, stride, strict=False):
        if n is not None and any(zeros_around(k, n, s, 1, padding)):
            raise layer.refuse(
                f'padding="same" of {n} frames in steps of {s} needs a part of a frame more; train '
                'with padding="valid"'
            )
        sizes.append(None if n is None else results(n, k, s, 0))
    value = build.turned(layer, value, to_first=True)
    if any(n == 0 for n in sizes):
        raise layer.refuse(f"pools {kernel} of a shape {value.shape}; train it with less")
    return build.row(layer, PoolSizes(function, kernel, stride), [value], (*sizes, value.channels))


def _of_all(function: Function, build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """GlobalMaxPooling and GlobalAveragePooling, 1D and 2D."""
    check_layout(layer)
    (value,) = values
    if value.has_time:
        raise NeedsWindow(layer, "reads a whole record, which has no end on a device")
    if layer.config.get("keepdims") or len(value.shape) not in (2, 3):
        raise layer.refuse("keepdims is not known; train it without, and a Reshape behind")
    value = build.turned(layer, value, to_first=True)
    sizes = GlobalPoolSizes(function, value.sizes[:-1])
    made = build.row(layer, sizes, [value], (value.channels,))
    return Value(made.name, made.shape)


largest, average = partial(_pooled, "max"), partial(_pooled, "mean")
global_largest, global_average = partial(_of_all, "max"), partial(_of_all, "mean")
