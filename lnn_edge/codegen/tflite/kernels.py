"""Operators of a graph as quantized kernels of TFLite, activations in 16 bits, weights in 8.

TFLite Micro has every kernel that is taken here in these types. No bit is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lnn_edge.codegen.tflite import liquid
from lnn_edge.codegen.tflite.arithmetic import (
    AXES,
    MOST,
    NONE,
    Q15,
    RELU,
    RELU6,
    SAME,
    fineness,
    in_steps_of,
    padded,
    plus,
    product,
    scale_of,
    shaped,
    times,
    total,
    wide,
)
from lnn_edge.codegen.tflite.flat import Flat, Stored
from lnn_edge.graph.fixed import real_multiplier
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.geometry import Geometry, image_of
from lnn_edge.graph.ops.rescale import each

VALID = 1


def _how(y: QTensor) -> int:
    """Return the rectifier that a tensor's range is."""
    return RELU if len(set(y.zero_points)) == 1 and y.qmin == y.zero_points[0] else NONE


def _rows(op: Any, flat: Flat, x: Stored, geometry: Geometry, image: tuple[int, ...]) -> Stored:
    """Return rows of weights over what a kernel sees; a matrix is a kernel as wide as its input.

    CONV_2D and not FULLY_CONNECTED: TFLite Micro has a scale a row of 16 bits only there.
    """
    (x_of,), (y,) = op.inputs, op.outputs
    unit = real_multiplier(op.multiplier.astype(float), op.shift.astype(float)) * y.scales[0]
    of_bias = unit * fineness(flat, x_of)
    rows, columns = geometry.kernel_size
    weight = np.ascontiguousarray(op.rows.reshape(-1, rows, columns, image[2]))
    weights = flat.constant(weight, of_bias / x.scale)
    bias = flat.constant(np.round(op.bias / fineness(flat, x_of)).astype(np.int64), of_bias)
    seen = padded(flat, shaped(flat, x, (1, *image)), geometry)
    shape = (1, *geometry.output, len(op.bias))
    options = {"padding": VALID, "fusedActivationFunction": _how(y)}
    options |= dict(zip(("strideH", "strideW"), geometry.strides, strict=True))
    options |= dict(zip(("dilationHFactor", "dilationWFactor"), geometry.dilation, strict=True))
    made = flat.add("CONV_2D", [seen, weights, bias], shape, "int16", scale_of(flat, y), **options)
    return shaped(flat, made, wide(y.shape))


def _linear(op: Any, flat: Flat, x: Stored) -> Stored:
    one = (1, 1)
    return _rows(op, flat, x, Geometry(one, one, (0, 0), one), (1, 1, op.inputs[0].size))


def _convolution(op: Any, flat: Flat, x: Stored) -> Stored:
    return _rows(op, flat, x, op.walk.geometry, op.walk.image)


def _pool(code: str) -> Callable[..., Stored]:
    def emit(op: Any, flat: Flat, x: Stored) -> Stored:
        geometry, y = op.walk.geometry, op.outputs[0]
        seen = padded(flat, shaped(flat, x, (1, *image_of(op.inputs[0]))), geometry)
        return _pooled(flat, code, seen, geometry, y)

    return emit


def _mean(op: Any, flat: Flat, x: Stored) -> Stored:
    frames = op.inputs[0].shape[0]
    return _pooled(
        flat, "AVERAGE_POOL_2D", x, Geometry((1, frames), (1, 1), (0, 0), (1, 1)), op.outputs[0]
    )


def _pooled(flat: Flat, code: str, x: Stored, geometry: Geometry, y: QTensor) -> Stored:
    options = {"padding": VALID}
    options |= dict(zip(("filterHeight", "filterWidth"), geometry.kernel_size, strict=True))
    options |= dict(zip(("strideH", "strideW"), geometry.strides, strict=True))
    shape = (1, *geometry.output, x.shape[-1])
    made = flat.add(code, [x], shape, "int16", x.scale, **options)
    return in_steps_of(flat, shaped(flat, made, wide(y.shape)), scale_of(flat, y))


def _part(op: Any, flat: Flat, x: Stored) -> Stored:
    """Return elements in another format, which may differ from channel to channel."""
    (x_of,), (y,) = op.inputs, op.outputs
    made = shaped(flat, x, wide((x_of.size,)))
    if y.size < x_of.size:
        ends = [(0, 0, 0, op.start), (1, 1, 1, op.start + y.size), (1, 1, 1, 1)]
        told = [flat.constant(np.array(v, np.int32)) for v in ends]
        shape = wide((y.size,))
        made = flat.add("STRIDED_SLICE", [made, *told], shape, "int16", x.scale)
    factors = each(x_of, "scales", op.start, y.size) / each(y, "scales", 0, y.size)
    factors *= fineness(flat, x_of) / fineness(flat, y)  # steps of y in one of x
    scale = scale_of(flat, y)
    is_plain = np.allclose(factors * scale, made.scale, SAME, 0)
    if is_plain and _how(y) == NONE:
        made = in_steps_of(flat, made, scale)
    else:
        factors = factors[:1] if np.ptp(factors) <= SAME * factors[0] else factors
        made = times(flat, made, factors * scale / made.scale, scale, _how(y))
    return shaped(flat, made, wide(y.shape))


def _concat(op: Any, flat: Flat, *parts: Stored) -> Stored:
    (y,) = op.outputs
    fine = fineness(flat, y)
    told = zip(op.inputs, parts, strict=True)
    alike = [in_steps_of(flat, x, t.scales[0] * fine) for t, x in told]
    if len(alike) == 1:
        return alike[0]
    return flat.add(
        "CONCATENATION", alike, wide(y.shape), "int16", scale_of(flat, y), axis=AXES - 1
    )


def _constant(op: Any, flat: Flat) -> Stored:
    (y,) = op.outputs
    real = np.broadcast_to(y.dequantize(op.value), y.shape)
    quantized = np.round(real / scale_of(flat, y)).clip(-MOST, MOST).astype(np.int16)
    return flat.constant(quantized.reshape(wide(y.shape)), scale_of(flat, y))


def _gate(op: Any, flat: Flat, x: Stored, gate: Stored) -> Stored:
    return product(flat, x, gate, scale_of(flat, op.outputs[0]), _how(op.outputs[0]))


def _mix(op: Any, flat: Flat, a: Stored, b: Stored, gate: Stored) -> Stored:
    """Return a + g (b - a)."""
    apart = total(flat, "SUB", b, a, a.scale + b.scale)
    moved = product(flat, apart, gate, apart.scale)
    return total(flat, "ADD", a, moved, scale_of(flat, op.outputs[0]))


def _gated_sum(op: Any, flat: Flat, a: Stored, b: Stored, gate: Stored) -> Stored:
    return total(flat, "ADD", a, product(flat, b, gate, b.scale), scale_of(flat, op.outputs[0]))


def _time_gate(op: Any, flat: Flat, a: Stored, b: Stored, dt: Stored) -> Stored:
    """Return a dt + b; a product beyond all that the sum holds saturates."""
    scale = scale_of(flat, op.outputs[0])
    step = min(a.scale * dt.scale * MOST, scale + b.scale)
    return total(flat, "ADD", product(flat, a, dt, step), b, scale)


def _sum(code: str) -> Callable[..., Stored]:
    def emit(op: Any, flat: Flat, a: Stored, b: Stored) -> Stored:
        return total(flat, code, a, b, scale_of(flat, op.outputs[0]), _how(op.outputs[0]))

    return emit


def _remember(op: Any, flat: Flat, c: Stored, f: Stored, i: Stored, g: Stored) -> Stored:
    old, new = product(flat, c, f, c.scale), product(flat, i, g, i.scale)
    return total(flat, "ADD", old, new, scale_of(flat, op.outputs[0]))


def _multiply(op: Any, flat: Flat, a: Stored, b: Stored) -> Stored:
    first, second = op.inputs
    shape = first.shape if first.size == second.size else second.shape[-1:]
    b = shaped(flat, b, wide(shape))
    return product(flat, a, b, scale_of(flat, op.outputs[0]), _how(op.outputs[0]))


def _scale(op: Any, flat: Flat, x: Stored) -> Stored:
    """Return a factor and an offset for each channel."""
    (x_of,), (y,) = op.inputs, op.outputs
    unit = real_multiplier(op.multiplier.astype(float), op.shift.astype(float))
    gain = op.weight * unit * fineness(flat, x_of) / fineness(flat, y)  # steps of y in one of x
    offset = op.bias * unit * scale_of(flat, y) / fineness(flat, y)
    scale = scale_of(flat, y)
    step = min(float(np.abs(gain).max()) * scale, scale + float(np.abs(offset).max()) / MOST)
    made = times(flat, x, gain * scale / x.scale, step)
    return plus(flat, made, offset, scale, _how(y))


def _lut(op: Any, flat: Flat, x: Stored) -> Stored:
    return FUNCTIONS[op.function](flat, x, scale_of(flat, op.outputs[0]))


def _s_shaped(code: str, inner: float = 1.0, outer: float = 1.0) -> Callable[..., Stored]:
    def emit(flat: Flat, x: Stored, scale: float) -> Stored:
        if inner != 1.0:
            x = times(flat, x, np.array([inner]), inner * x.scale)
        made = flat.add(code, [x], x.shape, "int16", Q15)
        if outer != 1.0:
            return times(flat, made, np.array([outer]), scale)
        return in_steps_of(flat, made, scale)

    return emit


def _hard_sigmoid(slope: float) -> Callable[..., Stored]:
    def emit(flat: Flat, x: Stored, scale: float) -> Stored:
        sloped = times(flat, x, np.array([slope]), Q15)
        return in_steps_of(flat, plus(flat, sloped, np.array([0.5]), Q15, RELU), scale)

    return emit


def _leaky_relu(flat: Flat, x: Stored, scale: float) -> Stored:
    return flat.add("LEAKY_RELU", [x], x.shape, "int16", scale, alpha=0.01)


FUNCTIONS: dict[str, Callable[[Flat, Stored, float], Stored]] = {
    "exp": liquid.exponential,
    "hard_sigmoid": _hard_sigmoid(1 / 6),
    "hardswish": lambda flat, x, scale: product(flat, x, _hard_sigmoid(1 / 6)(flat, x, Q15), scale),
    "leaky_relu": _leaky_relu,
    "lecun_tanh": _s_shaped("TANH", 0.666, 1.7159),
    "relu6": lambda flat, x, scale: times(flat, x, np.ones(1), scale, RELU6),
    "sigmoid": _s_shaped("LOGISTIC"),
    "silu": lambda flat, x, scale: product(flat, x, _s_shaped("LOGISTIC")(flat, x, Q15), scale),
    "steep_hard_sigmoid": _hard_sigmoid(1 / 5),
    "tanh": _s_shaped("TANH"),
}

KERNELS: dict[str, Callable[..., Stored | tuple[Stored, ...]]] = {
    "add": _sum("ADD"),
    "average_pool": _pool("AVERAGE_POOL_2D"),
    "concat": _concat,
    "constant": _constant,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "decay": liquid.decay,
    "gate": _gate,
    "gated_sum": _gated_sum,
    "linear": _linear,
    "lut": _lut,
    "max_pool": _pool("MAX_POOL_2D"),
    "mean_pool": _mean,
    "mix": _mix,
    "multiply": _multiply,
    "relax": liquid.relax,
    "remember": _remember,
    "requantize": _part,
    "scale": _scale,
    "slice": _part,
    "subtract": _sum("SUB"),
    "synapses": liquid.synapses,
    "time_gate": _time_gate,
    "unfold": liquid.unfold,
}
"""What an operator is of values in 16 bits."""

_NEVER_BEYOND = ("concat", "constant", "lut", "max_pool", "unfold")
"""What gives no value outside the range of its output."""


def has_kernels(op: Any) -> bool:
    """Return whether TFLite Micro has kernels of 16 bits for an operator and its formats."""
    tensors = (*op.inputs, *op.outputs)
    if any(t.dtype != "int8" and len(set(t.zero_points)) > 1 for t in tensors):
        return False  # around the first zero point the others may leave 16 bits
    if op.kind == "lut":
        x = op.inputs[0]
        return op.function in FUNCTIONS and (op.function != "exp" or x.qmax <= x.zero_points[0])
    if op.kind == "max_pool":
        return bool(op.walk.stays_inside)  # what lies around is no zero
    return op.kind in KERNELS


def kernels_of(op: AbstractOp, flat: Flat, inputs: Sequence[Stored]) -> tuple[Stored, ...]:
    """Return the outputs of an operator that has kernels, in 16 bits."""
    made = KERNELS[op.kind](op, flat, *inputs)
    if isinstance(made, tuple):
        return made
    return (made if op.kind in _NEVER_BEYOND else _limited(flat, made, op.outputs[0]),)


def _limited(flat: Flat, x: Stored, y: QTensor) -> Stored:
    """Return a value limited to its range where 16 bits are wider; a rectifier is in the kernel."""
    if len(set(y.zero_points)) > 1:
        return x
    for code, end in (("MAXIMUM", y.qmin), ("MINIMUM", y.qmax)):
        limit = round((end - y.zero_points[0]) / fineness(flat, y))
        if 0 < abs(limit) < MOST:
            told = flat.constant(np.array([limit], np.int16), x.scale)
            x = flat.add(code, [x, told], x.shape, "int16", x.scale)
    return x
