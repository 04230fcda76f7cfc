"""Taps of a kernel that only ever see padding leave the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.qgraph import QGraph


def crop_kernels(graph: QGraph) -> QGraph:
    """Return a graph that computes the same bits with smaller kernels.

    Padding holds the zero point, so a tap that no position of the kernel lays on the input adds
    nothing. A recurrent kernel on a state of one element keeps one tap of them all.
    """
    stages = tuple(replace(s, ops=tuple(map(crop_kernel, s.ops))) for s in graph.stages)
    return replace(graph, stages=stages)


def crop_kernel(op: AbstractOp) -> AbstractOp:
    """Return an operator without taps that see only padding.

    Other operators, and kernels with dilation, are returned as they are.
    """
    if not isinstance(op, Conv2d) or op.dilation != (1, 1):
        return op
    spans = [_seen(op, axis) for axis in (0, 1)]
    sizes = (len(spans[0]), len(spans[1]))
    if sizes == op.kernel_size:
        return op
    weight = op.weight.reshape(len(op.weight), *op.kernel_size, -1)
    weight = weight[:, spans[0].start : spans[0].stop, spans[1].start : spans[1].stop]
    return replace(
        op,
        weight=np.ascontiguousarray(weight.reshape(len(weight), -1)),
        kernel_size=sizes,
        before=(op.before[0] - spans[0].start, op.before[1] - spans[1].start),
        exact=None,
    )


def _seen(op: Conv2d, axis: int) -> range:
    """Return the taps along an axis from the first to the last that see the input."""
    size, count = op.image[axis], op.outputs[0].shape[axis]
    first = np.arange(count) * op.strides[axis] - op.before[axis]
    at = first[:, None] + np.arange(op.kernel_size[axis])
    seen = np.flatnonzero(((at >= 0) & (at < size)).any(0))
    return range(int(seen[0]), int(seen[-1]) + 1)
