"""Pooling: means over the frames of a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx, nn

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.window import MeanPool
from lnn_edge.graph.scales import symmetric
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value


def average(lowering: Lowering, node: fx.Node) -> None:
    """AvgPool1d over time: a mean over elements of the ring."""
    read, window, source = lowering.read(node), lowering.window, lowering.source
    if read is None or window is None:
        raise LayerError(f"{where(node)}: pools another axis than time; needed (B, channels, time)")
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


def mean(lowering: Lowering, node: fx.Node) -> None:
    """Mean over the frames of a window."""
    value = lowering.value(node.args[0])
    if value.places.ndim != 2:
        raise LayerError(
            f"{where(node)}: a mean over {value.places.shape}; needed (channels, frames)"
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
    nn.AvgPool1d: Rule(average),
    nn.AdaptiveAvgPool1d: Rule(mean),
    torch.mean: Rule(mean),
    "mean": Rule(mean),
}
