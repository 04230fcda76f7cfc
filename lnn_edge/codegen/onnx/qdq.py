"""One stage with QuantizeLinear and DequantizeLinear around what a network computes, in floats.

The form that runtimes with kernels of their own read. Layers, gates and activations are float32
between quantized tensors; everything else, above all front ends and states of 32 bits, keeps its
integers. No bit is promised: floats round their ties to even, the graph rounds them up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from lnn_edge.codegen.onnx import namespace as xp
from lnn_edge.codegen.onnx.stage_model import (
    TYPES,
    given_to,
    infos,
    kept_of,
    model_of,
    results_of,
)
from lnn_edge.codegen.onnx.traced import (
    FLOAT,
    INT64,
    Trace,
    Traced,
    constant,
    name_in,
    record,
    trace_of,
)
from lnn_edge.graph.fixed import RANGES, real_multiplier
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.lut import FUNCTIONS
from lnn_edge.graph.ops.rescale import each
from lnn_edge.graph.stage import Stage

OPSET, IR_VERSION = 21, 10  # the first with quantized tensors of 16 bits, and of the same time
QUANTIZED = ("int8", "int16", "uint16")


def qdq_stage(stage: Stage, about: dict[str, str]) -> bytes:
    """Return the ONNX file of one step of a stage; inputs and outputs as stage_model's.

    Raises:
        GraphError: An operator does what ONNX cannot carry; names it.
    """
    trace, kept = Trace(), kept_of(stage)
    values = {t.name: _Value(t, trace, stored=t.name) for t in given_to(stage)}
    for op in stage.ops:
        trace.scope = op.name
        for tensor, value in zip(op.outputs, _computed(op, trace, values), strict=True):
            values[tensor.name] = value
    for tensor in kept:
        name = values[tensor.name].stored
        trace.nodes.append(helper.make_node("Identity", [name], [tensor.name]))
    opset = OPSET, IR_VERSION
    return model_of(trace, stage.name, infos(given_to(stage)), infos(kept), about, opset)


class _Value:
    """A tensor in its own type, as int64 and in real units; nodes that no one reads are left out.

    Args:
        tensor: Its format.
        trace: Where its nodes are.
        stored: Name of the result that has its type; None makes it from `whole`.
        whole: int64; None makes it from `stored`.
    """

    def __init__(
        self, tensor: QTensor, trace: Trace, stored: str | None = None, whole: Traced | None = None
    ) -> None:
        self._tensor, self._trace = tensor, trace
        if whole is not None:
            stored = trace.add("Cast", name_in(trace, whole), to=TYPES[tensor.dtype])
        assert stored is not None
        self.stored = stored
        self._whole = whole

    @property
    def whole(self) -> Traced:
        """Integers, int64."""
        if self._whole is not None:
            return self._whole
        name = self._trace.add("Cast", self.stored, to=TensorProto.INT64)
        return Traced(self._tensor.shape, INT64, self._trace, name)

    @property
    def real(self) -> Traced:
        """Real units, float32."""
        return self._in_units(self.stored, self._tensor.shape)

    def real_of(self, arranged: Traced, first: int = 0) -> Traced:
        """Return real units of its integers in another order.

        They are put in order before DequantizeLinear, since onnxruntime 1.32 fails on int8 that are
        put in order behind it.

        Args:
            arranged: int64; where channels differ in format, elements in memory from `first` on, or
                those of a window side by side along the last axis.
            first: See arranged.
        """
        if _is_one(self._tensor):
            name = self._trace.add("Cast", arranged.name, to=TYPES[self._tensor.dtype])
            return self._in_units(name, arranged.shape)
        scales, points = (
            np.resize(each(self._tensor, what, first, self._tensor.size), arranged.shape[-1])
            for what in ("scales", "zero_points")
        )
        return xp.astype(arranged - constant(points), FLOAT) * constant(scales, np.float32)

    def _in_units(self, stored: str, shape: tuple[int, ...]) -> Traced:
        names, axis = _format(self._trace, self._tensor), len(shape) - 1
        name = self._trace.add("DequantizeLinear", stored, *names, axis=axis)
        return Traced(shape, FLOAT, self._trace, name)


def _computed(op: AbstractOp, trace: Trace, values: dict[str, _Value]) -> list[_Value]:
    """Return the outputs of an operator, by its formula if it has one and their types allow it."""
    inputs = [values[t.name] for t in op.inputs]
    if all(y.dtype in QUANTIZED for y in op.outputs):
        real = None
        if op.kind in ALIKE:
            real = ALIKE[op.kind](op, *(x.real for x in inputs))
        elif op.kind in ARRANGED:
            real = ARRANGED[op.kind](op, *inputs)
        if real is not None:
            (y,) = op.outputs
            return [_Value(y, trace, _quantized(real, y, trace))]
    results = results_of(op, tuple(x.whole for x in inputs))
    return [_Value(y, trace, whole=v) for y, v in zip(op.outputs, results, strict=True)]


def _quantized(real: Traced, y: QTensor, trace: Trace) -> str:
    """Return the name of what real values become, limited to the tensor's range."""
    if (y.qmin, y.qmax) != RANGES[y.dtype] and _is_one(y):
        low, high = ((q - y.zero_points[0]) * y.scales[0] for q in (y.qmin, y.qmax))
        real = real.clip(low, high)
    names = _format(trace, y, flat=real.shape == (y.size,))
    name = trace.add("QuantizeLinear", name_in(trace, real), *names, axis=len(real.shape) - 1)
    return name if real.shape == y.shape else trace.add("Reshape", name, trace.index(*y.shape))


def _is_one(tensor: QTensor) -> bool:
    """Return whether all channels have one format."""
    return len(set(tensor.scales)) == len(set(tensor.zero_points)) == 1


def _format(trace: Trace, tensor: QTensor, *, flat: bool = False) -> tuple[str, str]:
    """Return the names of scale and zero point: one, one a channel, or flat one an element."""
    count = tensor.size if flat else tensor.shape[-1]
    scales, points = (each(tensor, w, 0, count) for w in ("scales", "zero_points"))
    if _is_one(tensor):
        scales, points = scales[0], points[0]
    scale = trace.store(np.asarray(scales, np.float32))
    return scale, trace.store(np.asarray(points, tensor.dtype))


def _rows(op: Any, x: _Value) -> Traced:
    """Return W x + b, of int8 with weights int8 and biases int32, a scale for each row.

    Of anything else in floats without DequantizeLinear, which onnxruntime 1.32 takes as leave to
    round 16 bits of x, or float weights, to 8.
    """
    (x_of,), y, whole = op.inputs, op.outputs[0], op.columns(x.whole)
    whole = whole.reshape(-1, whole.shape[-1])
    unit = real_multiplier(op.multiplier.astype(float), op.shift.astype(float)) * y.scales[0]
    if x_of.dtype == "int8" and _is_one(x_of):
        columns = x.real_of(whole)
        trace = trace_of(columns)
        weight = _dequantized(trace, op.rows.T, unit / x_of.scales[0])
        bias = _dequantized(trace, op.bias, unit)
    else:
        columns = xp.astype(whole - constant(op.column_zero_points), FLOAT)
        weight, bias = (constant(v * unit, np.float32) for v in (op.rows.T, op.bias))
    return record("Gemm", (columns.shape[0], len(op.bias)), FLOAT, columns, weight, bias)


def _dequantized(trace: Trace, values: np.ndarray, scale: np.ndarray) -> Traced:
    """Return constants whose last axis has a scale for each element."""
    names = trace.store(np.ascontiguousarray(values)), trace.store(scale.astype(np.float32))
    name = trace.add("DequantizeLinear", *names, axis=values.ndim - 1)
    return Traced(values.shape, FLOAT, trace, name)


def _pooled(op: Any, x: _Value, padding: int, reduce: Callable[..., Traced]) -> Traced:
    return reduce(x.real_of(op.patches(x.whole, padding)), axis=-2)


def _part(op: Any, x: _Value) -> Traced:
    start, size = op.start, op.outputs[0].size
    return x.real_of(x.whole.reshape(-1)[start : start + size], start)


def _product(op: Any, a: _Value, b: _Value) -> Traced:
    (first, second), wide = op.inputs, b.whole
    shape = first.shape if first.size == second.size else second.shape[-1:]
    return a.real * b.real_of(wide.reshape(shape))


ALIKE: dict[str, Callable[..., Traced]] = {
    "add": lambda op, a, b: a + b,
    "concat": lambda op, *parts: xp.concat(parts, axis=-1),
    "gate": lambda op, x, gate: gate * x,
    "gated_sum": lambda op, a, b, gate: a + gate * b,
    "lut": lambda op, x: FUNCTIONS[op.function](x),
    "mean_pool": lambda op, x: xp.sum(x, axis=0) * (1 / x.shape[0]),
    "mix": lambda op, a, b, gate: a + gate * (b - a),
    "subtract": lambda op, a, b: a - b,
    "time_gate": lambda op, a, b, dt: a * dt + b,
}
"""What operators compute of real units."""

ARRANGED: dict[str, Callable[..., Traced]] = {
    "average_pool": lambda op, x: (
        _pooled(op, x, op.inputs[0].zero_points[0], xp.sum) * (1 / op.elements)
    ),
    "conv1d": _rows,
    "conv2d": _rows,
    "linear": _rows,
    "max_pool": lambda op, x: _pooled(op, x, op.inputs[0].qmin, xp.max),
    "multiply": _product,
    "requantize": _part,
    "slice": _part,
}
"""The same of operators that put elements in another order first. All others keep integers."""
