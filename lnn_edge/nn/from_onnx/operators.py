"""Which operators of ONNX are known, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lnn_edge.errors import LnnEdgeError
from lnn_edge.nn.from_onnx import (
    functions,
    joins,
    loops,
    matrices,
    norms,
    pooling,
    quantized,
    views,
)
from lnn_edge.nn.from_onnx.build import Build, Value
from lnn_edge.nn.from_onnx.constants import fold
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.from_onnx.functions import Gaussian
from lnn_edge.nn.from_onnx.quantized import Held
from lnn_edge.nn.from_onnx.recurrent import recur
from lnn_edge.nn.from_onnx.views import Padded

Make = Callable[[Build, Node, Sequence[Any]], Any]
"""Adds the rows of a node; returns what it gives, a tuple where it gives several."""
KNOWN: Mapping[str, Make] = {
    **functions.FUNCTIONS,
    "MatMul": matrices.matmul,
    "Gemm": matrices.gemm,
    "Conv": matrices.conv,
    "BatchNormalization": norms.batch_norm,
    "Add": joins.add,
    "Sub": joins.subtract,
    "Mul": joins.multiply,
    "Div": joins.divide,
    "Neg": joins.negate,
    "Concat": joins.concat,
    "MaxPool": pooling.largest,
    "AveragePool": pooling.average,
    "GlobalMaxPool": pooling.global_largest,
    "GlobalAveragePool": pooling.global_average,
    "ReduceMax": pooling.reduce_largest,
    "ReduceMean": pooling.reduce_mean,
    "LSTM": recur,
    "GRU": recur,
    "RNN": recur,
    "Scan": loops.scan,
    "Loop": loops.loop,
    "Identity": views.nothing,
    "Dropout": views.nothing,
    "Cast": views.cast,
    "Shape": views.shape,
    "Transpose": views.transpose,
    "Squeeze": views.squeeze,
    "Unsqueeze": views.unsqueeze,
    "Flatten": views.flatten,
    "Reshape": views.reshape,
    "Split": views.split,
    "Slice": views.cut,
    "Gather": views.gather,
    "Expand": views.expand,
    "Pad": views.pad,
    "QuantizeLinear": quantized.quantize,
    "DequantizeLinear": quantized.dequantize,
}
"""By operator."""
NO_DEVICE = "has no operator on a device"
REFUSED: Mapping[str, str] = {
    "ArgMax": "gives a place and no scores; export the scores",
    "If": "branches on values, which no device does; export one branch",
    "DynamicQuantizeLinear": "finds its scale as it runs; quantize with fixed scales (QDQ)",
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
        "computes in integers of ONNX; quantize in the format QDQ instead",
    ),
}
"""What to do instead of some operators."""
PARTS: Mapping[type, tuple[str, ...]] = {
    Padded: ("Conv", "QuantizeLinear"),
    Gaussian: ("Add", "Mul", "Div"),
    Held: ("DequantizeLinear",),
}
"""Who reads what is only a part of something."""


def add_node(build: Build, node: Node, x: Sequence[Any]) -> tuple[Any, ...]:
    """Add the rows of a node; return what it gives.

    Args:
        build: The table.
        node: Of the graph.
        x: Its inputs: values, constants, None for one that is left out.

    Raises:
        DataError: It is not known, or has a form that no device can run; names the node.
        NeedsWindow: It reads several frames that only a window holds.
    """
    if node.domain:
        raise build.refuse(node, f"is an operator of {node.domain}, not one of ONNX itself")
    try:
        if node.op != "Loop" and all(v is None or isinstance(v, np.ndarray) for v in x):
            if any(name in build.derived for name in node.inputs):
                build.derived.update(node.outputs)
            return tuple(fold(build, node, x))
        make = KNOWN.get(node.op)
        if make is None:
            reason = REFUSED.get(node.op, f"{NO_DEVICE}; known are {', '.join(sorted(KNOWN))}")
            raise build.refuse(node, reason)
        made = make(build, node, [_plain(build, node, v) for v in x])
        return made if isinstance(made, tuple) else (made,)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, LnnEdgeError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise build.refuse(node, f"has a form that ONNX does not have ({reason})") from None


def _plain(build: Build, node: Node, value: Any) -> Any:
    """Return an input; zeros around it that the node does not take in become rows."""
    readers = PARTS.get(type(value))
    if readers is None or node.op in readers:
        return value
    if isinstance(value, Padded):
        return views.settled(build, node, value)
    if isinstance(value, Gaussian):
        raise build.refuse(node, "reads a part of GELU; Erf has no operator by itself")
    raise build.refuse(node, "reads integers; put DequantizeLinear before it")


def is_value(value: Any) -> bool:
    """Return whether a node gave a whole value."""
    return isinstance(value, Value)
