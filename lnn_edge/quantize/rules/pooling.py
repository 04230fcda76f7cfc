"""Pooling: means over the frames of a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.geometry import Geometry, geometry_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.pool import AveragePool, MaxPool
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.window import MeanPool
from lnn_edge.graph.scales import symmetric
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value
from lnn_edge.quantize.rules.rows import laid_out


def average(lowering: Lowering, node: fx.Node) -> None:
    """AvgPool1d over time: a mean over elements of the ring."""
    read, window, source = lowering.read(node), lowering.window, lowering.source
    if read is None or window is None:
        raise LayerError(
            f"{where(node)}: must pool over time, (B, channels, time), not over another axis"
        )
    y = _format(lowering, node, len(source.places))
    reads_all = read.lag == 0 and read.step == 1 and read.size == window.shape[0]
    if source.is_whole and len(window.scales) == 1 and reads_all:
        lowering.emit(MeanPool.quantize(f"{y.name}_op", window, y))
    else:
        first = window.shape[0] - read.lag - read.size
        taps = range(first, first + read.size, read.step)
        weight = np.zeros((y.size, window.size))
        for tap in taps:
            weight[np.arange(y.size), source.places + source.tensor.size * tap] = 1 / len(taps)
        lowering.emit(Linear.quantize(f"{y.name}_op", window, y, weight, np.zeros(y.size)))
    lowering.values[node.name] = Value.of(y)


def pool(lowering: Lowering, node: fx.Node) -> None:
    """AvgPool or MaxPool over the frames of a window, an image, or a ring."""
    layer, read = lowering.layer(node), lowering.read(node)
    is_max = isinstance(layer, nn.MaxPool1d | nn.MaxPool2d)
    if read is not None and not is_max:
        return average(lowering, node)
    x, geometry, places = (_of_ring if read else _of_window)(lowering, node)
    size = (*geometry.output[-len(x.shape) + 1 :], x.shape[-1])
    name = lowering.name(node)
    if is_max:
        y = replace(x, name=f"{name}_row" if read else name, shape=size, role="scratch")
        lowering.emit(MaxPool.quantize(f"{name}_op", x, y, geometry))
        if read:  # one element, as a ring holds it
            y = replace(y, name=name, shape=(y.size,))
            lowering.emit(Requantize.quantize(f"reshape_{name}", lowering.ops[-1].outputs[0], y))
    else:
        y = replace(_format(lowering, node, 1), shape=size)
        lowering.emit(AveragePool.quantize(f"{name}_op", x, y, geometry))
    lowering.values[node.name] = Value(y, places)


def _of_ring(lowering: Lowering, node: fx.Node) -> tuple[QTensor, Geometry, np.ndarray]:
    """Return a ring's window, of which one kernel gives one result."""
    read, window, source = lowering.read(node), lowering.window, lowering.source
    assert read is not None
    assert window is not None
    if not source.is_whole or len(window.shape) != 2 or (read.lag, read.step) != (0, 1):
        raise LayerError(f"{where(node)}: a maximum over frames that do not lie one by one")
    x, first = window, window.shape[0] - read.size
    if first:
        name = f"{lowering.name(node)}_part"
        x = replace(window, name=name, shape=(read.size, window.shape[1]), role="scratch")
        lowering.emit(Slice.quantize(f"cut_{name}", window, x, first * window.shape[1]))
    geometry = Geometry((1, read.size), (1, 1), (0, 0), (1, 1))
    return x, geometry, np.arange(source.tensor.size)


def _of_window(lowering: Lowering, node: fx.Node) -> tuple[QTensor, Geometry, np.ndarray]:
    layer, value = lowering.layer(node), lowering.value(node.args[0])
    channels, *sides = value.places.shape
    ours = np.moveaxis(np.arange(value.places.size).reshape(*sides, channels), -1, 0)
    x = laid_out(lowering, node, (*sides, channels), ours)
    kernel, stride, padding = (
        _pair(value, len(sides), alone)
        for value, alone in ((layer.kernel_size, 1), (layer.stride, 1), (layer.padding, 0))
    )
    if layer.ceil_mode or getattr(layer, "dilation", 1) not in (1, (1, 1)):
        raise LayerError(f"{where(node)}: ceil_mode and dilation have no operator; leave them out")
    if any(padding) and not isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
        raise LayerError(f"{where(node)}: padding of a mean has no operator; take padding=0")
    image = (1, *sides) if len(sides) == 1 else tuple(sides)
    geometry = geometry_of((image[0], image[1]), kernel, stride, padding)
    shape = geometry.output[-len(sides) :]
    results = np.arange(int(np.prod(shape)) * channels).reshape(*shape, channels)
    return x, geometry, np.moveaxis(results, -1, 0)


def _pair(value: Any, axes: int, alone: int) -> tuple[int, int]:
    """Return a size along rows and columns; a window is an image of one row."""
    one = value if isinstance(value, tuple) else (value,) * axes
    return (alone, one[0]) if axes == 1 else (one[0], one[1])


def mean(lowering: Lowering, node: fx.Node) -> None:
    """Mean over the frames of a window."""
    value = lowering.value(node.args[0])
    if value.places.ndim != 2:
        raise LayerError(
            f"{where(node)}: a mean must be over (channels, frames), not {value.places.shape}"
        )
    channels, frames = value.places.shape
    if not np.array_equal(value.places, np.arange(channels * frames).reshape(frames, channels).T):
        raise LayerError(f"{where(node)}: a mean over another axis than the frames of a window")
    y = _format(lowering, node, channels)
    lowering.emit(MeanPool.quantize(f"{y.name}_op", value.tensor, y))
    places = np.arange(channels).reshape(lowering.plan.axes[node.name].static)
    lowering.values[node.name] = Value(y, places)


def _format(lowering: Lowering, node: fx.Node, size: int) -> QTensor:
    dtype = "int16" if lowering.is_wide(node) else "int8"
    return symmetric(lowering.name(node), (size,), dtype, lowering.bound(node))


RULES: dict[Any, Rule] = {
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d), Rule(pool)),
    nn.AdaptiveAvgPool1d: Rule(mean),
    torch.mean: Rule(mean),
    "mean": Rule(mean),
}
