"""Pooling: means and maxima over the frames of a window, or the pixels of an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

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
from lnn_edge.quantize.lowering import Lowering, Rule, Value, told_axis
from lnn_edge.quantize.rules.rows import channels_last, laid_out

MEANS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, torch.mean, "mean")
MAXIMA = (
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, torch.amax, "amax"),
    *(functional.adaptive_max_pool1d, functional.adaptive_max_pool2d),
)
ADAPTIVE = (
    *(functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d),
    *(functional.adaptive_max_pool1d, functional.adaptive_max_pool2d),
)

PLAIN = {"ceil_mode": False, "dilation": 1, "divisor_override": None, "return_indices": False}
"""What a pooling layer may have beside kernel, stride and padding."""


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
    y = _pooled_by(lowering, node, x, geometry, is_max, "_row" if read else "")
    if read:  # one element, as a ring holds it
        row, name = y, lowering.name(node)
        y = replace(row, name=name, shape=(row.size,))
        lowering.emit(Requantize.quantize(f"reshape_{name}", row, y))
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
    x = laid_out(lowering, node, (*sides, channels), channels_last(channels, *sides))
    kernel, stride, padding = (
        _pair(value, len(sides), alone)
        for value, alone in ((layer.kernel_size, 1), (layer.stride, 1), (layer.padding, 0))
    )
    unknown = {name: getattr(layer, name, plain) for name, plain in PLAIN.items()}
    strange = [name for name, value in unknown.items() if value not in (PLAIN[name], (1, 1))]
    if strange:
        raise LayerError(f"{where(node)}: {', '.join(strange)} has no operator; leave it out")
    if any(padding) and not isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
        raise LayerError(f"{where(node)}: padding of a mean has no operator; take padding=0")
    image = (1, *sides) if len(sides) == 1 else tuple(sides)
    geometry = geometry_of((image[0], image[1]), kernel, stride, padding)
    shape = geometry.output[-len(sides) :]
    return x, geometry, channels_last(channels, *shape)


def _pair(value: Any, axes: int, alone: int) -> tuple[int, int]:
    """Return a size along rows and columns; a window is an image of one row."""
    one = value if isinstance(value, tuple) else (value,) * axes
    return (alone, one[0]) if axes == 1 else (one[0], one[1])


def over_all(lowering: Lowering, node: fx.Node) -> None:
    """Mean or maximum over the frames of a window, or the pixels of an image."""
    value = lowering.value(node.args[0])
    channels, *sides = value.places.shape
    all_sides = list(range(1, 1 + len(sides)))
    if not sides or _pooled(lowering, node, all_sides) != all_sides:
        raise LayerError(
            f"{where(node)}: a mean or maximum must be over all frames of a window or pixels of an "
            f"image, of shape (channels, ...), not over other axes of {value.places.shape}"
        )
    ours = channels_last(channels, *sides)
    if not np.array_equal(value.places, ours):
        raise LayerError(
            f"{where(node)}: numbers of a window or image that do not lie channel beside channel; "
            "leave the permutation before it out"
        )
    is_max, places = lowering.key(node) in MAXIMA, np.arange(channels)
    x = laid_out(lowering, node, (*sides, channels), ours)
    if len(sides) == 1 and not is_max:
        y = _format(lowering, node, channels)
        lowering.emit(MeanPool.quantize(f"{y.name}_op", x, y))
    else:
        image = sides[0] if len(sides) == 2 else 1, sides[-1]
        y = _pooled_by(lowering, node, x, geometry_of(image, image, (1, 1), (0, 0)), is_max)
    lowering.values[node.name] = Value(y, places.reshape(lowering.plan.axes[node.name].static))


def _pooled(lowering: Lowering, node: fx.Node, all_sides: list[int]) -> list[int]:
    """Return the axes of one element over which a node takes a mean or maximum."""
    first: Any = node.args[0]
    layer = lowering.layer(node)
    if layer is not None or lowering.key(node) in ADAPTIVE:
        size = layer.output_size if layer else node.kwargs.get("output_size", (*node.args, 0)[1])
        if size not in (1, (1,), (1, 1), [1], [1, 1]):
            raise LayerError(f"{where(node)}: output_size must be 1 on a device, not {size}")
        return all_sides
    axes = told_axis(node)
    if axes is None:
        return []
    several = axes if isinstance(axes, list | tuple) else (axes,)
    return sorted(lowering.own_axis(first, axis) for axis in several)


def _pooled_by(
    lowering: Lowering,
    node: fx.Node,
    x: QTensor,
    geometry: Geometry,
    is_max: bool,
    ending: str = "",
) -> QTensor:
    """Emit a mean or maximum over what a geometry says; return its result."""
    name = lowering.name(node)
    size = (*geometry.output[-len(x.shape) + 1 :], x.shape[-1])
    if is_max:
        y = replace(x, name=f"{name}{ending}", shape=size, role="scratch")
        return lowering.emit(MaxPool.quantize(f"{name}_op", x, y, geometry))
    y = replace(_format(lowering, node, 1), shape=size)
    return lowering.emit(AveragePool.quantize(f"{name}_op", x, y, geometry))


def _format(lowering: Lowering, node: fx.Node, size: int) -> QTensor:
    dtype = "int16" if lowering.is_wide(node) else "int8"
    return symmetric(lowering.name(node), (size,), dtype, _bound(lowering, node))


def _bound(lowering: Lowering, node: fx.Node) -> float:
    """Return the largest magnitude of a mean, which stays within what it reads."""
    if node.name in lowering.ranges:
        return lowering.bound(node)
    x = lowering.value(node.args[0]).tensor
    return float(max(abs(x.dequantize(q)).max() for q in (x.qmin, x.qmax)))


RULES: dict[Any, Rule] = {
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d), Rule(pool)),
    **dict.fromkeys((*MEANS, *MAXIMA), Rule(over_all, arguments=("dim", "keepdim", "axis"))),
    **dict.fromkeys(ADAPTIVE, Rule(over_all, arguments=("output_size",))),
}
