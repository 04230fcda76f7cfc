"""Operators of every kind with drawn shapes, formats and constants, and inputs that stress them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from scipy import signal

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import biquad, leaky, template
from lnn_edge.graph.ops.biquad import Biquads, biquad_state
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.elementwise import (
    Add,
    Concat,
    GatedSum,
    Mix,
    Requantize,
    Subtract,
    TimeGate,
)
from lnn_edge.graph.ops.geometry import Geometry, Pair, geometry_of
from lnn_edge.graph.ops.leaky import LeakyAverage
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.ops.lut import FUNCTIONS, HARD_BOUNDS, TANH_FORMS, Lut
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.pool import AveragePool, MaxPool
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.ops.r_peak_rules import LONG_AGO, NEW, RPeakRules, RPeakTimes, r_peak_state
from lnn_edge.graph.ops.r_peaks import RPeaks
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.signal_quality import SignalQuality
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.ops.synapse import SHARE, RealSynapses, Synapses
from lnn_edge.graph.ops.template import TemplateDistance
from lnn_edge.graph.ops.unfold import ONE, Membranes, Unfold
from lnn_edge.graph.ops.window import Center, Decimate, MeanAbs, MeanPool
from lnn_edge.graph.stage import State

Q15 = 2.0**-15
TOPS = {"int8": 127, "int16": 32767, "uint16": 65535}


class Source(Protocol):
    """Where shapes and scales come from: hypothesis, or a seeded generator."""

    def integer(self, low: int, high: int) -> int: ...

    def real(self, low: float, high: float) -> float: ...


class Seeded:
    """Draws from numpy, the same each time."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def real(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def pick(draw: Source, *options: str) -> str:
    return options[draw.integer(0, len(options) - 1)]


def power(draw: Source, low: float, high: float) -> float:
    """Return 2 to a power, a whole one in every third case: then sums meet ties."""
    exponent = draw.real(low, high)
    return float(2.0 ** (round(exponent) if draw.integer(0, 2) == 0 else exponent))


def normal(draw: Source, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw.integer(0, 1 << 30))
    return rng.normal(0, 1, shape) * power(draw, -4, 2)


def asymmetric(draw: Source, name: str, shape: tuple[int, ...], scale: float) -> QTensor:
    """Return int8 with any zero point, or int16 around 0."""
    if draw.integer(0, 2) == 0:
        return QTensor(name, shape, "int16", scale / 256)
    return QTensor(name, shape, "int8", scale, draw.integer(-128, 127))


def row_output(draw: Source, x: QTensor, weight: np.ndarray, shape: tuple[int, ...]) -> QTensor:
    """Return an output that the rows fill, saturate, or use a part of; sometimes rectified."""
    width = np.sqrt(weight[0].size) * weight.std() + 1e-3
    natural = max(x.scales) * x.magnitude * width * power(draw, -3, 1)
    y = asymmetric(draw, "y", shape, natural / 128)
    if draw.integer(0, 1) or y.dtype == "int16":
        return y
    return QTensor("y", shape, "int8", y.scale, y.zero_point, y.zero_points[0])


def make_linear(draw: Source) -> Linear:
    columns, rows = draw.integer(1, 40), draw.integer(1, 9)
    x = asymmetric(draw, "x", (columns,), power(draw, -8, 0))
    if draw.integer(0, 2) == 0:
        scales = tuple((x.scales[0] * 2.0 ** -(np.arange(columns) % 3)).tolist())
        points = tuple(np.resize([0, 5, -7], columns).tolist())
        x = QTensor("x", (columns,), x.dtype, scales, points)
    weight = normal(draw, (rows, columns))
    y = row_output(draw, x, weight, (rows,))
    bias = normal(draw, (rows,)) * y.scales[0] * 16
    return Linear.quantize("linear", x, y, weight, bias)


def make_conv1d(draw: Source) -> Conv1d:
    frames, channels, filters = draw.integer(1, 16), draw.integer(1, 4), draw.integer(1, 6)
    taps, stride = draw.integer(1, frames), draw.integer(1, 3)
    x = asymmetric(draw, "x", (frames, channels), power(draw, -8, 0))
    weight = normal(draw, (filters, channels, taps))
    y = row_output(draw, x, weight, ((frames - taps) // stride + 1, filters))
    bias = normal(draw, (filters,)) * y.scales[0] * 16
    return Conv1d.quantize("conv1d", x, y, weight, bias, stride)


def make_walking_conv1d(draw: Source) -> Conv1d:
    """Padding, dilation and groups, each in some."""
    groups, padding = draw.integer(1, 3), draw.integer(0, 2)
    channels, filters = groups * draw.integer(1, 12), groups * draw.integer(1, 4)
    taps, stride, dilation = draw.integer(1, 4), draw.integer(1, 3), draw.integer(1, 3)
    reach = (taps - 1) * dilation
    frames, before = reach + draw.integer(1, 6), (0, reach, reach // 2)[padding]
    x = asymmetric(draw, "x", (frames, channels), power(draw, -8, 0))
    if not padding and draw.integer(0, 1):
        x = replace(x, scale=tuple((x.scales[0] / np.arange(1, channels + 1)).tolist()))
        points = tuple(np.resize([x.zero_points[0], 5, -7], channels).tolist())
        x = replace(x, zero_point=points)
    weight = normal(draw, (filters, channels // groups, taps))
    length = (frames + before + (padding == 2) * before - reach - 1) // stride + 1
    y = row_output(draw, x, weight, (length, filters))
    bias = normal(draw, (filters,)) * y.scales[0] * 16
    way = {"before": before, "dilation": dilation, "groups": groups}
    return Conv1d.quantize("conv1d", x, y, weight, bias, stride, **way)


def make_requantize(draw: Source) -> Requantize:
    shape = tuple(draw.integer(1, 5) for _ in range(draw.integer(1, 2)))
    formats = []
    for name in ("x", "y"):
        dtype = pick(draw, "int8", "int16", "uint16")
        zero = draw.integer(0, 100) if draw.integer(0, 1) else 0
        formats.append(QTensor(name, shape, dtype, 1 / TOPS[dtype], zero))
    x, y = formats
    wider = QTensor("y", shape, y.dtype, y.scales[0] * power(draw, -3, 4), y.zero_point)
    return Requantize.quantize("requantize", x, wider)


def make_scale(draw: Source) -> Scale:
    """Gains of both signs and none; some offsets are far beyond the gains."""
    shape = tuple(draw.integer(1, 5) for _ in range(draw.integer(1, 3)))
    x = asymmetric(draw, "x", shape, power(draw, -8, 0))
    y = asymmetric(draw, "y", shape, power(draw, -8, 0))
    gain = normal(draw, shape[-1:]) * y.scales[0] * y.magnitude / (x.scales[0] * x.magnitude)
    offset = normal(draw, shape[-1:]) * y.scales[0] * y.magnitude * power(draw, -8, 2)
    gain[draw.integer(0, 9) :] = 0.0
    return Scale.quantize("scale", x, y, gain, offset)


def with_formats(draw: Source, tensor: QTensor) -> QTensor:
    """Return a tensor whose channels differ in scale, zero point or both."""
    channels, choice = tensor.shape[-1], draw.integer(0, 3)
    scales = tuple((tensor.scales[0] * 3.0 ** -(np.arange(channels) % 3)).tolist())
    points = tuple(np.resize([tensor.zero_points[0], 3, 17], channels).tolist())
    return replace(
        tensor,
        scale=scales if choice != 1 else tensor.scale,
        zero_point=points if choice in (1, 2) else tensor.zero_point,
    )


def make_requantize_by_elements(draw: Source) -> Requantize:
    """Formats that differ along the last axis of either side, often in another shape."""
    rows, channels = draw.integer(1, 4), draw.integer(1, 5)
    shapes = ((rows, channels), (rows * channels,), (channels, rows), (1, rows, channels))
    x = QTensor("x", shapes[draw.integer(0, 1)], pick(draw, "int8", "int16"), 2.0**-7)
    dtype = pick(draw, "int8", "int16", "uint16")
    scale = 2.0**-7 * x.magnitude / TOPS[dtype] * power(draw, -3, 3)
    y = QTensor("y", shapes[draw.integer(0, 3)], dtype, scale)
    return Requantize.quantize("requantize", with_formats(draw, x), with_formats(draw, y))


def make_slice_of_elements(draw: Source) -> Slice:
    shape = (draw.integer(1, 3), draw.integer(1, 6))
    x = QTensor("x", shape, pick(draw, "int8", "int16"), 2.0**-12, draw.integer(-9, 9))
    y = QTensor("y", (draw.integer(1, x.size),), "int16", 2.0**-12 * power(draw, -3, 9))
    first = draw.integer(0, x.size - y.size)
    return Slice.quantize("slice", with_formats(draw, x), with_formats(draw, y), first)


def real_synapses(draw: Source, inputs: int, neurons: int, step: float) -> RealSynapses:
    """Return synapses whose conductances are shares that leave something for a leak."""
    rng = np.random.default_rng(draw.integer(0, 1 << 30))
    size = (inputs, neurons)
    exists = rng.random(size) < draw.real(0.1, 1.0)
    conductance = exists * rng.uniform(0.001, 1, size)
    conductance /= 0.2 + 2 * conductance.sum(axis=0)
    slope = rng.uniform(-8, 8, size) * power(draw, -2, 2) * step
    driven = conductance * rng.choice((-1.0, 0.3, 1.0), size)
    return RealSynapses(exists, slope, rng.uniform(-6, 6, size), conductance, driven)


def make_synapses(draw: Source) -> Synapses:
    inputs, neurons = draw.integer(1, 5), draw.integer(1, 6)
    x = QTensor("x", (inputs,), "int16", power(draw, -14, -6))
    leak = np.array([[draw.real(-1, 1)], [1.0]]) * np.full((2, neurons), draw.real(0.01, 0.2))
    synapses = real_synapses(draw, inputs, neurons, 1 / 32767)
    return Synapses.quantize("synapses", x, synapses, leak)


def make_unfold(draw: Source) -> Unfold:
    """Currents stay within the smallest conductance, as those of synapses would."""
    neurons, dtype = draw.integer(1, 6), pick(draw, "int16", "int32")
    one, bound = ONE[dtype], draw.real(0.3, 3.0)
    v, y = (QTensor(n, (neurons,), dtype, bound / one, 0, -one, one) for n in ("v", "y"))
    least = draw.integer(1 << 20, 1 << 28)
    num = QTensor("num", (neurons,), "int32", SHARE, 0, -least, least)
    den = QTensor("den", (neurons,), "int32", SHARE, 0, least, draw.integer(least, 1 << 29))
    inputs: tuple[QTensor, ...] = (v, num, den)
    if draw.integer(0, 1):
        high = draw.integer(1, 65535)
        inputs += (QTensor("dt", (1,), "uint16", 1 / 360, 0, draw.integer(0, high), high),)
    membranes = Membranes(
        np.full(neurons, power(draw, -3, 8)),
        np.full(neurons, power(draw, -1, 4)),
        draw.integer(1, 3),
    )
    synapses = real_synapses(draw, neurons, neurons, 1 / 32767)
    return Unfold.quantize("unfold", inputs, y, synapses, membranes)


def make_conv2d(draw: Source) -> Conv2d:
    size = (draw.integer(1, 5), draw.integer(1, 5))
    channels, filters = draw.integer(1, 3), draw.integer(1, 6)
    kernel = (draw.integer(1, size[0]), draw.integer(1, size[1]))
    strides = (draw.integer(1, 3), draw.integer(1, 3))
    geometry = geometry_of(size, kernel, strides, pick(draw, "valid", "same"))
    x = asymmetric(draw, "x", (*size, channels), power(draw, -10, 0))
    if size[0] == 1 and draw.integer(0, 1):
        x = replace(x, shape=(size[1], channels))
    weight = normal(draw, (*kernel, channels, filters))
    rows = weight.reshape(-1, filters).T
    y = row_output(draw, x, rows, (*geometry.output, filters))
    return Conv2d.quantize("conv2d", x, y, weight, normal(draw, (filters,)), geometry)


def make_walking_conv2d(draw: Source) -> Conv2d:
    """Dilation and groups, each in some; often a filter a channel."""
    groups = draw.integer(1, 3)
    own, filters = draw.integer(1, 6), groups * draw.integer(1, 3)
    taps, dilation = (
        (draw.integer(1, 3), draw.integer(1, 3)),
        (draw.integer(1, 2), draw.integer(1, 2)),
    )
    reach = [(k - 1) * d for k, d in zip(taps, dilation, strict=True)]
    size = (reach[0] + draw.integer(1, 4), reach[1] + draw.integer(1, 4))
    paddings: tuple[str | Pair, ...] = ("valid", "same", (reach[0], reach[1] // 2))
    strides = (draw.integer(1, 2), draw.integer(1, 2))
    geometry = geometry_of(size, taps, strides, paddings[draw.integer(0, 2)], dilation)
    x = asymmetric(draw, "x", (*size, groups * own), power(draw, -10, 0))
    weight = normal(draw, (*taps, own, filters))
    y = row_output(draw, x, weight.reshape(-1, filters).T, (*geometry.output, filters))
    return Conv2d.quantize(
        "conv2d", x, y, weight, normal(draw, (filters,)), geometry, groups=groups
    )


def make_add(draw: Source) -> Add:
    shape = (draw.integer(1, 4), draw.integer(1, 4))
    a, b = (QTensor(n, shape, "int16", power(draw, -14, -8)) for n in ("a", "b"))
    y = QTensor("y", shape, "int16", power(draw, -13, -7))
    if draw.integer(0, 1):
        y = QTensor("y", shape, "int16", y.scale, 0, 0)
    return Add.quantize("add", a, b, y)


def make_subtract(draw: Source) -> Subtract:
    add = make_add(draw)
    return Subtract.quantize("subtract", *add.inputs, *add.outputs)


def make_multiply(draw: Source) -> Multiply:
    """Two of a shape, or channels times every frame."""
    shape = tuple(draw.integer(1, 4) for _ in range(draw.integer(1, 3)))
    a = asymmetric(draw, "a", shape, power(draw, -8, 0))
    b = asymmetric(draw, "b", shape if draw.integer(0, 1) else shape[-1:], power(draw, -8, 0))
    top = a.scales[0] * a.magnitude * b.scales[0] * b.magnitude * power(draw, -3, 1)
    return Multiply.quantize("multiply", a, b, asymmetric(draw, "y", shape, top / 128))


def make_slice(draw: Source) -> Slice:
    shape = (draw.integer(1, 3), draw.integer(1, 6))
    size = draw.integer(1, shape[0] * shape[1])
    dtype = pick(draw, "int8", "int16", "uint16")
    x, scale = QTensor("x", shape, "int16", 2.0**-12), power(draw, -3, 9)
    y = QTensor("y", (size,), dtype, scale * 2.0**-12, draw.integer(0, 100))
    return Slice.quantize("slice", x, y, draw.integer(0, x.size - size))


def make_concat(draw: Source) -> Concat:
    dtype = pick(draw, "int8", "int16")
    parts = tuple(
        QTensor(f"p{i}", (draw.integer(1, 6),), dtype, power(draw, -8, 0), draw.integer(-9, 9))
        for i in range(draw.integer(1, 3))
    )
    return Concat.join("concat", parts, "y")


def make_concat_of_rows(draw: Source) -> Concat:
    dtype, rows = pick(draw, "int8", "int16"), (draw.integer(2, 4), draw.integer(1, 2))
    scale, zero = power(draw, -8, 0), draw.integer(-9, 9)
    parts = tuple(
        QTensor(f"p{i}", (*rows, draw.integer(1, 4)), dtype, scale, zero)
        for i in range(draw.integer(2, 3))
    )
    return Concat.join("concat", parts, "y")


def make_time_gate(draw: Source) -> TimeGate:
    shape = (draw.integer(1, 8),)
    a = QTensor("a", shape, "int16", power(draw, 0, 4) * Q15)
    b = QTensor("b", shape, "int16", power(draw, 0, 6) * Q15)
    dt = QTensor("dt", (1,), "uint16", 1 / 360, 0, draw.integer(0, 40), draw.integer(41, 20000))
    y = QTensor("y", shape, "int16", power(draw, 2, 4) * Q15)
    return TimeGate.quantize("time_gate", a, b, dt, y)


def make_mix(draw: Source) -> Mix:
    shape = (draw.integer(1, 8),)
    scale = power(draw, -1, 2) * Q15
    a, b = (QTensor(name, shape, "int16", scale, 0, -32767) for name in "ab")
    gate = QTensor("gate", shape, "uint16", Q15, 0, 0, 1 << 15)
    dtype = pick(draw, "int8", "int16")
    y = QTensor("y", shape, dtype, scale * 32767 / TOPS[dtype] * power(draw, -2, 2))
    return Mix.quantize("mix", a, b, gate, y)


def make_gated_sum(draw: Source) -> GatedSum:
    mix = make_mix(draw)
    return GatedSum.quantize("gated_sum", *mix.inputs, mix.outputs[0])


def make_decay(draw: Source) -> Decay:
    shape, limit = (draw.integer(1, 8),), draw.integer(1, 32767)
    x = QTensor("x", shape, "int16", power(draw, -4, 3) / limit, 0, -limit, limit)
    y = QTensor("y", shape, "int16", power(draw, 0, 4) * Q15, 0, -32768, 0)
    rate = normal(draw, shape) / 4
    rate = rate * min(1.0, (32767 - limit) * x.scales[0] / float(np.abs(rate).max()))
    if draw.integer(0, 2) == 0:
        return Decay.quantize("decay", x, power(draw, -8, 1), y, rate)
    dt = QTensor("dt", (1,), "uint16", 1 / 360, 0, draw.integer(0, 40), draw.integer(41, 65535))
    return Decay.quantize("decay", x, dt, y, rate)


def make_relax(draw: Source) -> Relax:
    shape, top = (draw.integer(1, 8),), power(draw, -4, 3)
    amplitude = normal(draw, shape)
    e = QTensor("e", shape, "uint16", Q15, 0, 0, 1 << 15)
    f = QTensor("f", shape, "int16", top * Q15, 0, -32767)
    bound = float(np.abs(amplitude).max()) * (1.01 + top * power(draw, -2, 0))
    return Relax.quantize("relax", e, f, QTensor("y", shape, "int16", bound * Q15), amplitude)


def make_gate(draw: Source) -> Gate:
    x, _, gate = make_mix(draw).inputs
    dtype = pick(draw, "int8", "int16")
    y = QTensor("y", x.shape, dtype, x.scales[0] * 32767 / TOPS[dtype] * power(draw, -2, 2))
    return Gate.quantize("gate", x, gate, y)


def make_remember(draw: Source) -> Remember:
    shape, bits = (draw.integer(1, 5),), draw.integer(15, 30)
    c, y = (QTensor(name, shape, "int32", 2.0**-bits) for name in ("c", "y"))
    i = QTensor("i", shape, "int16", Q15, 0, -32767)
    f, g = (QTensor(name, shape, "uint16", Q15, 0, 0, 1 << 15) for name in "fg")
    return Remember("remember", (c, f, i, g), (y,), bits)


def make_leaky_average(draw: Source) -> LeakyAverage:
    shape, scale = (draw.integer(1, 5),), power(draw, -9, 0)
    fine = scale / (1 << leaky.FRACTION_BITS)
    x, y = (QTensor(name, shape, "int16", scale) for name in "xy")
    state, update = (QTensor(name, shape, "int32", fine) for name in ("s", "s_next"))
    return LeakyAverage.quantize("leaky_average", x, state, update, y, draw.real(0.002, 0.49))


def make_leaky_average_over_time(draw: Source) -> LeakyAverage:
    average = make_leaky_average(draw)
    dt = QTensor("dt", (1,), "uint16", 1 / 360, 0, draw.integer(0, 40), draw.integer(41, 65535))
    time_s = draw.real(2.01, 400.0) * dt.qmax * dt.scales[0]
    (x, state), (update, y) = average.inputs, average.outputs
    return LeakyAverage.over_time("leaky_average", (x, state, dt), (update, y), time_s)


def make_lut(draw: Source) -> Lut:
    name = pick(draw, *(f for f in FUNCTIONS if f not in (*STEEPEST, "log1p")))
    shape = (draw.integer(1, 9),)
    if name == "log2":
        low = draw.integer(20, 60)
        x = QTensor("x", shape, "uint16", 1 / 360, 0, low, draw.integer(low + 1, 3000))
        y = QTensor("y", shape, "int16", 8 * Q15)
        return Lut.quantize("lut", x, y, name, draw.integer(0, 3))
    if name == "exp":
        x = QTensor("x", shape, "int16", power(draw, 0, 4) / 32768, 0, -32768, 0)
        return Lut.quantize("lut", x, QTensor("y", shape, "uint16", Q15, 0, 0, 1 << 15), name, 7)
    if name in HARD_BOUNDS:  # straight up to where it is limited
        x = QTensor("x", shape, "int16", HARD_BOUNDS[name] / 32767, 0, -32767, 32767)
        return Lut.quantize("lut", x, QTensor("y", shape, "uint16", Q15, 0, 0, 1 << 15), name, 8)
    tops = {"sigmoid": 1.0, "tanh": 1.0, "lecun_tanh": 1.72, "silu": 12.0, "gelu": 12.0}
    top = tops[name]
    dtype = pick(draw, "int8", "int16")
    x = QTensor("x", shape, dtype, power(draw, 0, 3.5) / TOPS[dtype])
    wide = QTensor("y", shape, "int16", top * 1.0001 / 32767)
    y = wide if draw.integer(0, 1) else QTensor("y", shape, "int8", top * 1.01 / 127)
    return Lut.quantize("lut", x, y, name, 0 if dtype == "int8" else draw.integer(5, 9))


def make_lut_of_tanh(draw: Source) -> Lut:
    """One table of tanh, read by a factor."""
    name, shape = pick(draw, *TANH_FORMS), (draw.integer(1, 9),)
    x = QTensor("x", shape, "int16", power(draw, 0, 3.5) / 32768)
    top = TANH_FORMS[name][1] * 1.0001
    y = pick(
        draw, QTensor("y", shape, "int16", top / 32767), QTensor("y", shape, "int8", top / 127)
    )
    if name == "sigmoid":
        y = QTensor("y", shape, "uint16", Q15, 0, 0, 1 << 15)
    return Lut.of_tanh("lut", x, y, name, pick(draw, 8, 8, draw.integer(5, 9)))


def make_lut_of_log1p(draw: Source) -> Lut:
    """A logarithm of what is not negative, an entry at every unit or closer."""
    step_bits = draw.integer(2, 6)
    most = draw.integer(1, 32767 >> step_bits) << step_bits
    unit = 2.0 ** -(step_bits + draw.integer(0, 2))
    x = QTensor("x", (draw.integer(1, 9),), "int16", unit, 0, 0, most)
    top = np.log1p(most * unit) * 1.001
    dtype = pick(draw, "int8", "int16")
    y = QTensor("y", x.shape, dtype, float(top) / TOPS[dtype])
    return Lut.quantize("lut", x, y, "log1p", step_bits)


STEEPEST = {"relu6": 1.0, "leaky_relu": 1.0, "elu": 1.0, "hardswish": 1.5, "softplus": 1.0}


def make_unbounded_lut(draw: Source) -> Lut:
    """Functions that follow x, most of them made of pieces; some meet on an entry."""
    name, shape = pick(draw, *STEEPEST), (draw.integer(1, 9),)
    dtype, most = pick(draw, "int8", "int16"), power(draw, 0, 4)
    zero = draw.integer(-128, 127) if dtype == "int8" else 0
    x = QTensor("x", shape, dtype, most / TOPS[dtype], zero)
    top = (STEEPEST[name] * x.magnitude * x.scales[0] + 1.0) * 1.001
    wide = pick(draw, "int8", "int16")
    y = QTensor("y", shape, wide, top / TOPS[wide])
    return Lut.quantize("lut", x, y, name, 0 if dtype == "int8" else draw.integer(5, 9))


def make_normalize(draw: Source) -> Normalize:
    frames, channels = draw.integer(1, 8), draw.integer(1, 3)
    scale, gain = power(draw, -9, 0), draw.integer(1, 200)
    x = QTensor("x", (frames, channels), "int16", scale)
    amplitude = QTensor("a", (channels,), "int16", scale)
    y = QTensor("y", (frames, channels), pick(draw, "int8", "int16"), 1 / gain)
    return Normalize("normalize", (x, amplitude), (y,), gain, draw.integer(1, 50))


def window(draw: Source, frames: int) -> tuple[QTensor, float]:
    """Return an int16 window and a scale for what is made of it."""
    scale = power(draw, -9, 0)
    made = scale * (power(draw, -2, 2) if draw.integer(0, 1) else 1)
    return QTensor("x", (frames, draw.integer(1, 3)), "int16", scale), made


def make_decimate(draw: Source) -> Decimate:
    factor, frames = draw.integer(1, 5), draw.integer(1, 6)
    x, scale = window(draw, factor * frames)
    y = QTensor("y", (frames, x.shape[1]), "int16", scale)
    return Decimate.quantize("decimate", x, y, factor)


def make_center(draw: Source) -> Center:
    x, _ = window(draw, draw.integer(1, 24))
    return Center.quantize("center", x, QTensor("y", x.shape, "int16", x.scale))


def make_mean_abs(draw: Source) -> MeanAbs:
    x, scale = window(draw, draw.integer(1, 24))
    return MeanAbs.quantize("mean_abs", x, QTensor("y", x.shape[1:], "int16", scale))


def make_signal_quality(draw: Source) -> SignalQuality:
    """Limits that drawn windows lie on both sides of; an event that leaves two frames beside it."""
    frames, channels = draw.integer(5, 24), draw.integer(1, 3)
    first = draw.integer(2, frames - 3)
    last = draw.integer(first + 1, frames - 2)
    top = 1 << draw.integer(4, 15)
    x = QTensor("x", (frames, channels), "int16", power(draw, -9, 0), 0, -top, top - 1)
    low, high = -draw.integer(1, top), draw.integer(0, top - 1)
    if draw.integer(0, 1):
        low, high = -top, top - 1
    beside = first + frames - last - 4
    most = draw.integer(1, 256 * max(2 * beside, 1))
    y = QTensor("y", (1 + channels,), pick(draw, "int8", "int16"), 1.0, 0, 0, 7)
    limits = draw.integer(0, 2 * top), low, high, first, last, most
    return SignalQuality("signal_quality", (x,), (y,), *limits)


def make_mean_pool(draw: Source) -> MeanPool:
    shape = (draw.integer(1, 24), draw.integer(1, 4))
    x = asymmetric(draw, "x", shape, power(draw, -8, 0))
    y = asymmetric(draw, "y", shape[1:], x.scales[0] * x.magnitude / 128 * power(draw, -2, 1))
    return MeanPool.quantize("mean_pool", x, y)


def pool_shapes(
    draw: Source,
) -> tuple[tuple[int, ...], tuple[int, ...], Geometry]:
    """Return shapes of x and y, and how a kernel leads from one to the other."""
    size, channels = (draw.integer(1, 6), draw.integer(1, 6)), draw.integer(1, 4)
    if draw.integer(0, 1):
        size = (1, size[1])
    kernel = (draw.integer(1, size[0]), draw.integer(1, size[1]))
    strides = (draw.integer(1, 3), draw.integer(1, 3))
    margins = (draw.integer(0, kernel[0] // 2), draw.integer(0, kernel[1] // 2))
    paddings: tuple[str | Pair, ...] = ("valid", "same", margins)
    geometry = geometry_of(size, kernel, strides, paddings[draw.integer(0, 2)])
    shapes = (*size, channels), (*geometry.output, channels)
    if size[0] == 1 and draw.integer(0, 1):
        return shapes[0][1:], shapes[1][1:], geometry
    return *shapes, geometry


def make_max_pool(draw: Source) -> MaxPool:
    shape, pooled, geometry = pool_shapes(draw)
    x = asymmetric(draw, "x", shape, power(draw, -8, 0))
    y = QTensor("y", pooled, x.dtype, x.scale, x.zero_point)
    return MaxPool.quantize("max_pool", x, y, geometry)


def make_average_pool(draw: Source) -> AveragePool:
    shape, pooled, geometry = pool_shapes(draw)
    x = asymmetric(draw, "x", shape, power(draw, -8, 0))
    y = asymmetric(draw, "y", pooled, x.scales[0] * x.magnitude / 128 * power(draw, -2, 1))
    return AveragePool.quantize("average_pool", x, y, geometry)


def make_template_distance(draw: Source) -> TemplateDistance:
    lengths = [draw.integer(1, 8) for _ in range(draw.integer(1, 3))]
    edges, channels = [0, *np.cumsum(lengths).tolist()], draw.integer(1, 3)
    scale, shape = power(draw, -8, 0), (edges[-1], channels)
    fine = scale / (1 << template.FRACTION_BITS)
    x = QTensor("x", shape, "int8", scale, 0, draw.integer(-128, -127))
    state, update = (QTensor(name, shape, "int16", fine) for name in ("s", "s_next"))
    y = QTensor("y", (len(lengths) * channels,), "int16", scale * power(draw, -8, 0))
    most, rate = scale * draw.real(0.5, 100), draw.real(0.01, 0.49)
    return TemplateDistance.quantize("template_distance", (x, state, update, y), edges, most, rate)


def make_stft_magnitude(draw: Source) -> StftMagnitude:
    """Scales differ from bin to bin: some saturate, some stay nearly empty."""
    size, channels = 1 << draw.integer(4, 6), draw.integer(1, 3)
    x = QTensor("x", (size, channels), "int16", power(draw, -9, 0))
    if draw.integer(0, 3) == 0:
        x = replace(x, qmin=-draw.integer(0, 2048), qmax=draw.integer(1, 2047))
    dtype, bins = pick(draw, "int8", "int16"), size // 2 + 1
    bins -= draw.integer(0, 2) // 2 * draw.integer(1, size // 2)
    top = x.scales[0] * x.magnitude / {"int8": 255, "int16": 32767}[dtype] * power(draw, -5, 2)
    scales = tuple((top * 2.0 ** -(np.arange(bins) * draw.real(0, 4) / bins)).tolist())
    zero = -128 if dtype == "int8" else 0
    y = QTensor("y", (channels, bins), dtype, scales, zero)
    return StftMagnitude.quantize("stft_magnitude", x, y)


def make_biquads(draw: Source) -> Biquads:
    """Band-passes, and sections that nobody would design: some overflow their signals."""
    channels, scale = draw.integer(1, 4), power(draw, -9, 0)
    x = QTensor("x", (channels,), "int16", scale)
    low = draw.real(0.02, 0.3)
    sos = signal.butter(
        draw.integer(1, 2), [low, draw.real(low + 0.05, 0.95)], "bandpass", output="sos"
    )
    loud = power(draw, -2, 1) if draw.integer(0, 2) == 0 else 1.0
    state, update = biquad_state("s", x, len(sos))
    y = QTensor("y", (channels,), "int16", scale * power(draw, -3, 2))
    louder = np.concatenate((sos[:, :3] * loud, sos[:, 3:]), axis=1)
    try:
        return Biquads.quantize("biquads", (x, state, update, y), louder)
    except QuantizationError:  # a coefficient that the format does not hold
        return Biquads.quantize("biquads", (x, state, update, y), sos)


def make_constant(draw: Source) -> Constant:
    """The operator that reads nothing."""
    dtype = pick(draw, "int8", "int16", "uint16", "int32")
    low, high = RANGES[dtype]
    shape = (draw.integer(1, 9),)
    value = np.array([draw.integer(low, high) for _ in range(shape[0])], np.int32)
    return Constant("constant", (), (QTensor("y", shape, dtype, power(draw, -9, 0)),), value)


def make_r_peaks(draw: Source, share: int = 104, told_blocks: int = 0) -> RPeaks:
    """A detector for a low sampling rate: its rings are short."""
    leads, times = draw.integer(1, 2), RPeakTimes.at(draw.integer(20, 30), draw.integer(0, 3))
    x = QTensor("x", (leads,), "int16", 1.0)
    z = QTensor("z", (draw.integer(1, 2),), "int16", 1.0)
    rules = RPeakRules(times, share, told_blocks)
    state, update = r_peak_state("s", leads, rules)
    event = QTensor("event", (1,), "uint16")
    return RPeaks.make("r_peaks", (x, z, state), (update, event), rules)


def make_telling_r_peaks(draw: Source) -> RPeaks:
    """A detector that tells of the beats that it learned from."""
    return make_r_peaks(draw, draw.integer(1, 256), 1 << draw.integer(0, 2))


def make_loop(draw: Source) -> Loop:
    """h' = W [x; h] + w by rows of a sum below one, on rows of x that may lie apart."""
    size, hidden, count = draw.integer(1, 5), draw.integer(1, 6), draw.integer(1, 6)
    rows, apart = count + draw.integer(0, 2), draw.integer(1, 2)
    x = QTensor("x", (rows * apart, size), "int8", power(draw, -8, 0), draw.integer(-9, 9))
    step = replace(x, name="step", shape=(size,))
    h, h_next = (QTensor(n, (hidden,), "int8", 2.0**-6, -3) for n in ("h", "h_next"))
    join = Concat.join("join", (step, h), "joined")
    z = replace(join.outputs[0], name="z")
    copy = Requantize.quantize("copy", join.outputs[0], z)  # its input is dead where the row runs
    top = x.scales[0] * x.magnitude * size
    weight = np.random.default_rng(draw.integer(0, 1 << 30)).uniform(-1, 1, (hidden, size + hidden))
    weight *= np.r_[np.full(size, 2 / top), np.full(hidden, 0.9 / hidden)]
    row = Linear.quantize("row", z, h_next, weight, np.full(hidden, draw.real(-1, 1)))
    shape = (count, hidden) if draw.integer(0, 1) else (hidden,)
    y = replace(h_next, name="y", shape=shape)
    first = draw.integer(0, rows - count) * apart * size
    state = State(h, h_next, draw.integer(-128, 127))
    own = (join, copy, row), (state,), step, h_next, count, first, apart * size
    return Loop("loop", (x,), (y,), *own)


MAKERS: dict[str, Callable[[Source], AbstractOp]] = {
    "add": make_add,
    "average_pool": make_average_pool,
    "biquads": make_biquads,
    "center": make_center,
    "concat": make_concat,
    "constant": make_constant,
    "conv1d": make_conv1d,
    "conv1d.walk": make_walking_conv1d,
    "conv2d": make_conv2d,
    "conv2d.walk": make_walking_conv2d,
    "decay": make_decay,
    "decimate": make_decimate,
    "gate": make_gate,
    "concat.rows": make_concat_of_rows,
    "gated_sum": make_gated_sum,
    "leaky_average": make_leaky_average,
    "leaky_average.time": make_leaky_average_over_time,
    "linear": make_linear,
    "loop": make_loop,
    "lut": make_lut,
    "lut.of_tanh": make_lut_of_tanh,
    "lut.of_log1p": make_lut_of_log1p,
    "lut.unbounded": make_unbounded_lut,
    "max_pool": make_max_pool,
    "mean_abs": make_mean_abs,
    "mean_pool": make_mean_pool,
    "mix": make_mix,
    "multiply": make_multiply,
    "normalize": make_normalize,
    "r_peaks": make_r_peaks,
    "r_peaks.telling": make_telling_r_peaks,
    "relax": make_relax,
    "remember": make_remember,
    "requantize": make_requantize,
    "requantize.elements": make_requantize_by_elements,
    "scale": make_scale,
    "signal_quality": make_signal_quality,
    "slice": make_slice,
    "slice.elements": make_slice_of_elements,
    "stft_magnitude": make_stft_magnitude,
    "subtract": make_subtract,
    "synapses": make_synapses,
    "template_distance": make_template_distance,
    "time_gate": make_time_gate,
    "unfold": make_unfold,
}
"""By kind of operator, or `kind.form` where a kind has further forms."""


def kind_of(name: str) -> str:
    """Return the kind of operator that a maker makes."""
    return name.partition(".")[0]


def step_with_a_beat(op: RPeaks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs and state of a step that tells of a beat, once heights are learned."""
    state, told = np.full(op.inputs[2].shape, NEW, np.int64), 0
    for n in range(2000):
        x, z = (np.full(t.shape, 9000 * (n % 25 == 0), np.int64) for t in op.inputs[:2])
        after, event = op.reference(x, z, state)
        told += int(event[0]) > 0
        if told == 3:
            return x, z, state
        state = after
    raise AssertionError("no beat was found")


def with_age(op: RPeaks, state: np.ndarray, name: str, age: int) -> np.ndarray:
    """Return a state in which an age is so many samples once this step has counted it up."""
    changed = state.copy()
    changed[op.layout[name]] = age - 1
    return changed


def _beats_at_edges(op: RPeaks) -> tuple[np.ndarray, ...]:
    """Return steps that tell of a beat, with ages around those that make a difference."""
    x, z, state = step_with_a_beat(op)
    told = int(op.reference(x, z, state)[1][0]) - op.t.delay - 1
    ages = {"beat_age": LONG_AGO, "event_age": told}
    states = [with_age(op, state, n, at + off) for n, at in ages.items() for off in (-1, 0, 1)]
    return np.stack([x] * len(states)), np.stack([z] * len(states)), np.stack(states)


def _first_steps(op: RPeaks) -> tuple[np.ndarray, ...]:
    """Return the steps of a new detector on tall and low tops until it has told of them."""
    state, steps = np.full(op.inputs[2].shape, NEW, np.int64), []
    for n in range(op.rules.blocks * (op.t.learn + 2)):
        height = (9000, 4000)[n // 9 % 2] * (n % 9 == 0)
        x, z = (np.full(t.shape, height, np.int64) for t in op.inputs[:2])
        steps.append((x, z, state))
        state = op.reference(x, z, state)[0]
    return tuple(np.stack(column) for column in zip(*steps, strict=True))


def _qualities_at_edges() -> tuple[SignalQuality, tuple[np.ndarray, ...]]:
    """Return windows of two channels on either side of every limit, the second good throughout."""
    x, y = QTensor("x", (9, 2), "int16"), QTensor("y", (3,), "int16", 1.0, 0, 0, 7)
    op = SignalQuality("signal_quality", (x,), (y,), 6, -500, 500, 3, 6, 100)
    good = np.array([0, 0, 0, 50, 0, 50, 0, 0, 0])
    rough = [0, 4, 0, 25, -25, 25, 0, 8, 0]  # 24, and 50 * 100 >> 8 is 19
    changed = [
        [0, 0, 0, 6, 0, 0, 0, 0, 0],
        [0, 0, 0, 7, 0, 0, 0, 0, 0],
        [-500, *good[1:].tolist()],
        [-499, *good[1:].tolist()],
        [*good[:-1].tolist(), 500],
        [*good[:-1].tolist(), 499],
        rough,
        [0, 0, 0, 25, -25, 25, 0, 10, 1],
        [0, 0, 0, 25, -25, 25, 0, 10, 0],
        [0, 0, 0, 25, -25, 25, 0, 9, 0],
        [0, 0, 9, -9, 9, -9, 9, 0, 0],
    ]
    pairs = [np.stack((np.array(c), good), -1) for c in changed]
    both = [np.stack((np.array(rough), rough), -1), np.stack((good, np.array(rough)), -1)]
    return op, (np.stack(pairs + both),)


def edges() -> dict[str, tuple[AbstractOp, tuple[np.ndarray, ...]]]:
    """Return operators on inputs that drawn ones seldom reach, by kind: ties, ends of a limit."""
    e, f = (QTensor("e", (1,), "uint16", Q15, 0, 0, 1 << 15), QTensor("f", (1,), "int16", Q15))
    factors = np.array([1 << 30], np.int32), np.array([0], np.int32)
    relax = Relax("relax", (e, f), (QTensor("y", (1,), "int16", Q15),), *factors)
    c, kept = (QTensor(name, (1,), "int32", 2.0**-30) for name in ("c", "y"))
    gates = (QTensor(name, (1,), "uint16", Q15, 0, 0, 1 << 15) for name in ("open", "shut"))
    opened, shut = gates
    remember = Remember("remember", (c, opened, replace(f, qmin=-32767), shut), (kept,), 30)
    near = np.r_[1 - (1 << 31) + np.arange(9), (1 << 31) - 1 - np.arange(9), 16383 << 17, -1 << 30]
    ones, zeros = np.full((len(near), 1), 1 << 15), np.zeros((len(near), 1), np.int64)
    detector, telling = make_r_peaks(Seeded(0)), make_r_peaks(Seeded(1), told_blocks=4)
    x, y = (QTensor(name, (1,), "int16", 0.5, 0, -1000) for name in ("x", "y"))
    state, update = (QTensor(n, (1,), "int32", x.scales[0] / (1 << 14)) for n in ("s", "s_next"))
    average = LeakyAverage.quantize("leaky_average", x, state, update, y, 0.25)
    below = np.array([[-4000], [-1001], [-1000], [40000]]) << leaky.FRACTION_BITS
    return {
        "leaky_average": (average, (np.array([[-1000], [-1000], [-1000], [32767]]), below)),
        "r_peaks": (detector, _beats_at_edges(detector)),
        "r_peaks.telling": (telling, _first_steps(telling)),
        "relax": (relax, (np.array([[2], [2], [2], [6]]), np.array([[1], [-1], [3], [-1]]))),
        "remember": (remember, (near[:, None], ones, zeros, zeros)),
        "signal_quality": _qualities_at_edges(),
    }


def wide_operators() -> dict[str, list[AbstractOp]]:
    """Return rows of more than two blocks of columns, by kind; the last block is a part of one."""
    rng, ops = np.random.default_rng(5), {"linear": list[AbstractOp](), "conv2d": []}
    y = QTensor("y", (5,), "int16", 0.5, 0, -3000)
    for x in (
        QTensor("x", (1099,), "int8", 0.05, 3),
        QTensor("x", (1030,), "int16", 0.001, 0, -9000, 9000),
        QTensor("x", (1032,), "int16", 0.05, 3, -128, 127),  # holds int8
    ):
        ops["linear"].append(
            Linear.quantize("wide", x, y, rng.normal(0, 1, (5, x.size)), np.ones(5))
        )
    whole = QTensor("x", (48,), "int16", 0.001)  # of whole groups, read where it lies
    end = QTensor("y", (18,), "int16", 0.5, 0, 0)
    ops["linear"].append(
        Linear.quantize("whole", whole, end, rng.normal(0, 1, (18, 48)), np.ones(18))
    )
    # Every product at its extreme: the largest sums of blocks.
    ones, largest = np.ones((4, 1100)), QTensor("x", (1100,), "int8", 1.0)
    end = QTensor("y", (4,), "int16", 8.0)
    ops["linear"] += [Linear.quantize("full", largest, end, s * ones, np.zeros(4)) for s in (1, -1)]
    # A range without the lowest value of its type, and sums far beyond it.
    x, end = QTensor("x", (20,), "int8", 1.0), QTensor("y", (7,), "int16", 0.01, 0, -32767)
    ops["linear"].append(Linear.quantize("beyond", x, end, rng.normal(0, 1, (7, 20)), np.ones(7)))
    for dtype, channels, padding in (("int8", 130, "same"), ("int16", 119, "valid")):
        geometry = geometry_of((4, 5), (3, 3), (2, 1), padding)
        x = QTensor("x", (4, 5, channels), dtype, 0.01, 7 if dtype == "int8" else 0, -100, 100)
        y = QTensor("y", (*geometry.output, 6), "int8", 0.8, -5)
        weight = rng.normal(0, 1, (3, 3, channels, 6))
        ops["conv2d"].append(Conv2d.quantize("wide", x, y, weight, np.ones(6), geometry))
    for dtype, channels in (("int8", 73), ("int16", 71)):  # all of the image at once
        geometry, zero = geometry_of((3, 5), (3, 5), (1, 1), "valid"), 7 if dtype == "int8" else 0
        x = QTensor("x", (3, 5, channels), dtype, 0.01, zero, -100, 100)
        y, weight = QTensor("y", (1, 1, 6), "int8", 0.8, -5), rng.normal(0, 1, (3, 5, channels, 6))
        ops["conv2d"].append(Conv2d.quantize("whole", x, y, weight, np.ones(6), geometry))
    return ops


def walking_operators() -> list[AbstractOp]:
    """Return convolutions whose kernels and groups are larger than those that are drawn."""
    rng, ops = np.random.default_rng(8), list[AbstractOp]()
    for dtype, channels, groups, padding, dilation in (
        ("int8", 12, 2, "valid", (1, 2)),
        ("int16", 12, 2, "valid", (2, 1)),
        ("int8", 12, 2, "same", (1, 1)),
        ("int8", 8, 8, "same", (2, 2)),
        ("int8", 7, 1, "same", (2, 2)),
        ("int16", 7, 1, (3, 2), (2, 2)),
        ("int8", 130, 1, "same", (2, 1)),  # wide
        ("int16", 130, 1, "valid", (1, 2)),
    ):
        x = QTensor("x", (6, 7, channels), dtype, 0.01, 7 if dtype == "int8" else 0, -100, 100)
        geometry = geometry_of((6, 7), (3, 3), (2, 1), padding, dilation)
        y, weight = (
            QTensor("y", (*geometry.output, 8), "int8", 0.3, -5),
            (3, 3, channels // groups, 8),
        )
        ops.append(
            Conv2d.quantize(
                "walk", x, y, rng.normal(0, 1, weight), np.ones(8), geometry, groups=groups
            )
        )
    x, y = QTensor("x", (11, 7), "int16", 0.01), QTensor("y", (5, 5), "int8", 0.4, 3)
    weight = rng.normal(0, 1, (5, 7, 3))
    ops.append(Conv1d.quantize("walk", x, y, weight, np.ones(5), 2, before=1))
    return ops


def operators_on_channels() -> list[AbstractOp]:
    """Return operators whose channels differ in scale and zero point."""
    rng = np.random.default_rng(6)
    scales, points = (0.01, 0.5, 0.002), (7, -90, 0)
    x = QTensor("x", (11, 3), "int8", scales, points)
    y = QTensor("y", (4, 5), "int8", 0.4, 3)
    weight, bias = rng.normal(0, 1, (5, 3, 5)), rng.normal(0, 1, 5)
    flat = QTensor("y", (5,), "int16", 0.01)
    part = QTensor("z", (3,), "int8", scales, points)
    geometry = geometry_of((1, 11), (1, 3), (1, 2), (0, 1))
    scaled = QTensor("y", x.shape, "int16", (0.001, 0.01, 0.0001), 5)
    pooled = QTensor("y", (6, 3), "int8", scales, points)
    return [
        Conv1d.quantize("conv1d", x, y, weight, bias, 2),
        Linear.quantize("linear", part, flat, rng.normal(0, 1, (5, 3)), bias),
        MaxPool.quantize("max_pool", x, pooled, geometry),
        Scale.quantize("scale", x, scaled, np.array([1.0, -0.2, 30.0]), np.array([0.3, 5.0, -2.0])),
        Concat.join("concat", (part, QTensor("w", (2,), "int8", 0.3, -1)), "y"),
    ]


def limits(op: AbstractOp) -> list[tuple[int, int]]:
    """Return the smallest and largest value that each input can have when the operator runs.

    A state that the operator itself makes stays within its input's range.
    """
    ranges = [(t.qmin, t.qmax) for t in op.inputs]
    if not op.inputs:
        return ranges
    x = op.inputs[0]
    if isinstance(op, Biquads):
        ranges[1] = (-biquad.LIMIT, biquad.LIMIT - 1)
    if isinstance(op, LeakyAverage):
        ranges[1] = (x.qmin << leaky.FRACTION_BITS, x.qmax << leaky.FRACTION_BITS)
    if isinstance(op, TemplateDistance):
        ranges[1] = (x.qmin << template.FRACTION_BITS, x.qmax << template.FRACTION_BITS)
    return ranges


def empty_value(op: AbstractOp) -> int | None:
    """Return the state value that means "nothing yet", where there is one."""
    empties = {Biquads: biquad.EMPTY, LeakyAverage: leaky.EMPTY, TemplateDistance: template.EMPTY}
    return empties.get(type(op))


def random_inputs(op: AbstractOp, trials: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return values over the whole range, (trials, *shape) per input."""
    rng = np.random.default_rng(seed)
    pairs = zip(op.inputs, limits(op), strict=True)
    values = tuple(rng.integers(a, b, (trials, *t.shape), endpoint=True) for t, (a, b) in pairs)
    return _with_state_of_detector(op, values, seed) if isinstance(op, RPeaks) else values


def _with_state_of_detector(
    op: RPeaks, values: tuple[np.ndarray, ...], seed: int
) -> tuple[np.ndarray, ...]:
    """Return the inputs with states that a detector can be in, some of them new."""
    rng, (x, z, state) = np.random.default_rng(seed), values
    state = np.full_like(state, -1)
    old = np.arange(len(x)) % 4 > 0
    for step in range(9 * op.t.second):
        beat = np.exp(-(((step % op.t.second) - 5) ** 2) / 4)
        loud = rng.normal(0, 300, (len(x), 1)) * beat + rng.normal(0, 20, (len(x), 1))
        now = [np.broadcast_to(np.rint(loud), v.shape).astype(np.int64) for v in (x, z)]
        state = np.where(old[:, None], op.reference(*now, state)[0], state)
        old = old & (rng.random(len(x)) > 2e-3)  # they stop at different moments
    return x, z, state


def stress_inputs(op: AbstractOp, trials: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return random values, small ones, all combinations of rails and zeros, alternating rails.

    Where a state can be empty, the last two trials have empty ones.
    """
    if not op.inputs:
        return ()
    if isinstance(op, RPeaks):
        x, z, state = random_inputs(op, trials, seed)
        quiet = (x // 64, z // 64, state)
        return tuple(np.concatenate(v) for v in zip((x, z, state), quiet, strict=True))
    parts = [random_inputs(op, trials, seed), _small_inputs(op, trials, seed)]
    fixed = [(low, high, min(max(0, low), high)) for low, high in limits(op)]
    for choice in np.ndindex(*(3,) * len(fixed)):
        values = [f[c] for f, c in zip(fixed, choice, strict=True)]
        pairs = zip(op.inputs, values, strict=True)
        parts.append(tuple(np.full((1, *t.shape), v) for t, v in pairs))
    parts.append(tuple(_alternate(t, *f[:2]) for t, f in zip(op.inputs, fixed, strict=True)))
    if isinstance(op, LeakyAverage):
        parts.append(_halfway_averages(op))
    empty = empty_value(op)
    if empty is not None:
        first, state, *others = random_inputs(op, 2, seed + 1)
        state[0] = empty
        state[1].flat[0] = empty
        parts.append((first, state, *others))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _small_inputs(op: AbstractOp, trials: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return values around zero, where signs change and sums meet ties."""
    rng, parts = np.random.default_rng(seed), []
    for tensor, (low, high) in zip(op.inputs, limits(op), strict=True):
        middle = min(max(0, low), high)
        ends = max(low, middle - 3), min(high, middle + 3)
        parts.append(rng.integers(*ends, (trials, *tensor.shape), endpoint=True))
    return tuple(parts)


def _halfway_averages(op: LeakyAverage) -> tuple[np.ndarray, ...]:
    """Return states from which the average passes the middle between two steps of x."""
    longest = [t.qmax for t in op.inputs[2:]]
    alpha, half = op.multiplier * math.prod(longest) / 2.0**32, 1 << (leaky.FRACTION_BITS - 1)
    away = round(half / (1 - alpha)) + np.arange(-3, 4)
    state = np.concatenate([away, -away])
    shape = (len(state), *op.inputs[0].shape)
    state = np.broadcast_to(state[:, None], shape).copy()
    elapsed = (np.full((len(state), 1), dt) for dt in longest)
    return np.zeros(shape, np.int64), state, *elapsed


def _alternate(tensor: QTensor, low: int, high: int) -> np.ndarray:
    """Return rails in turn, starting with either."""
    even = (np.arange(tensor.size) % 2 == 0).reshape(tensor.shape)
    return np.stack([np.where(even, low, high), np.where(even, high, low)])
