"""Every operator in float64, written down a second time, and how far the integers may be off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from lnn_edge.ir import AbstractOp
from lnn_edge.ops import template
from lnn_edge.ops.affine import Affine
from lnn_edge.ops.conv import Conv1d
from lnn_edge.ops.decay import Decay, Relax
from lnn_edge.ops.leaky import LeakyAverage
from lnn_edge.ops.lut import Lut
from lnn_edge.ops.normalize import Normalize
from lnn_edge.ops.rows import AbstractRowOp
from lnn_edge.ops.slice import Slice
from lnn_edge.ops.synapse import AbstractSynapseOp, Synapses
from lnn_edge.ops.template import TemplateDistance
from lnn_edge.ops.unfold import Unfold
from lnn_edge.ops.window import Decimate

Reals = tuple[np.ndarray, ...]
ROUNDING = 0.5
MULTIPLIER = 0.25  # of a factor rounded to 31 bits or fewer, see fixed.quantize_multiplier
BENDS = {  # largest |f''|
    "sigmoid": 1 / (6 * np.sqrt(3)),
    "tanh": 4 / (3 * np.sqrt(3)),
    "lecun_tanh": 1.7159 * 0.666**2 * 4 / (3 * np.sqrt(3)),
    "exp": 1.0,  # up to 0
    "silu": 0.5,
    "gelu": np.sqrt(2 / np.pi),
}


def _rows(op: AbstractRowOp) -> tuple[np.ndarray, np.ndarray]:
    """Return what the integer weights and biases mean."""
    x, y = op.inputs[0], op.outputs[0]
    unit = op.multiplier * 2.0 ** (op.shift.astype(float) - 32) * y.scales[0]
    columns = op.weight.shape[1]
    scales = np.resize(np.resize(x.scales, x.shape[-1]), columns)
    return op.weight * unit[:, None] / scales, op.bias * unit


def linear(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, AbstractRowOp)
    weight, bias = _rows(op)
    return (np.einsum("oi,...i->...o", weight, x) + bias,)


def conv1d(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Conv1d)
    weight, bias = _rows(op)
    taps = weight.reshape(len(bias), op.kernel_size, -1)
    frames = range(0, x.shape[-2] - op.kernel_size + 1, op.stride)
    y = [np.einsum("okc,...kc->...o", taps, x[..., t : t + op.kernel_size, :]) for t in frames]
    return (np.stack(y, axis=-2) + bias,)


def lut(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Lut)
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "tanh": lambda v: 1 - 2 / (np.exp(2 * v) + 1),
        "lecun_tanh": lambda v: 1.7159 * (1 - 2 / (np.exp(2 * 0.666 * v) + 1)),
        "log2": lambda v: np.log(v) / np.log(2),
        "exp": lambda v: np.exp2(v / np.log(2)),
        "silu": lambda v: v / (1 + np.exp(-v)),
        "gelu": lambda v: v * ndtr(v),
    }
    return (functions[op.function](x),)


def decay(op: AbstractOp, x: np.ndarray, *dt: np.ndarray) -> Reals:
    assert isinstance(op, Decay)
    rate = op.rate * op.inputs[0].scales[0]
    step = op.outputs[0].scales[0] / op.inputs[0].scales[0]
    constant = op.multiplier * 2.0 ** (op.shift - 32) * step
    return (-(dt[0] if dt else constant) * (np.abs(x) + rate),)


def relax(op: AbstractOp, e: np.ndarray, f: np.ndarray) -> Reals:
    assert isinstance(op, Relax)
    y = op.outputs[0].scales[0]
    product = e / op.inputs[0].scales[0] * (f / op.inputs[1].scales[0])
    return ((op.offset / 65536 + product * op.multiplier / 2.0**32) * y,)


def normalize(op: AbstractOp, x: np.ndarray, amplitude: np.ndarray) -> Reals:
    assert isinstance(op, Normalize)
    floor = op.floor * op.inputs[1].scales[0]
    return (x / np.maximum(amplitude, floor)[..., None, :],)


def decimate(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Decimate)
    starts = range(0, x.shape[-2], op.factor)
    return (np.stack([x[..., t : t + op.factor, :].mean(axis=-2) for t in starts], axis=-2),)


def leaky_average(op: AbstractOp, x: np.ndarray, state: np.ndarray) -> Reals:
    assert isinstance(op, LeakyAverage)
    alpha = op.multiplier / 2.0**32
    update = (1 - alpha) * state + alpha * x
    return update, update


def template_distance(op: AbstractOp, x: np.ndarray, state: np.ndarray) -> Reals:
    assert isinstance(op, TemplateDistance)
    fine = op.inputs[0].scales[0] / (1 << template.FRACTION_BITS)
    most, rate = op.most * fine, op.rate / 2.0**32
    spans = zip(op.edges[:-1], op.edges[1:], strict=True)
    means = [np.abs(x - state)[..., i:j, :].mean(axis=-2) for i, j in spans]
    update = state + rate * np.clip(x - state, -most, most)
    return update, np.concatenate(means, axis=-1)


def slice_of(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Slice)
    flat = x.reshape(*x.shape[:-2], -1)
    return (flat[..., op.first : op.first + op.outputs[0].size],)


def affine(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Affine)
    step, y = op.inputs[0].scales[0], op.outputs[0].scales[0]
    factor = op.multiplier * 2.0 ** (op.shift - 32) * y / step
    return (x[..., : len(factor)] * factor + op.offset * y / 65536,)


def _synapse_sums(op: AbstractSynapseOp, source: np.ndarray) -> list[np.ndarray]:
    """Return currents and conductances of sources in steps, neuron after neuron."""
    unit = op.argument_scale / 2.0**op.slope_bits
    argument = (source[..., op.source] * op.slope + op.offset) * unit
    openness = 32768 / (1 + np.exp(-argument))
    spans = list(zip(op.rows[:-1], op.rows[1:], strict=True))
    return [
        np.stack([(openness * v)[..., i:j].sum(axis=-1) for i, j in spans], axis=-1)
        for v in (op.current, op.weight)
    ]


def synapses(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Synapses)
    steps = x / np.asarray(op.inputs[0].scales) + np.asarray(op.inputs[0].zero_points)
    totals = zip(_synapse_sums(op, steps), (op.leak_current, op.leak), op.outputs, strict=True)
    return tuple((total + leak) * np.asarray(y.scales) for total, leak, y in totals)


def unfold(op: AbstractOp, v: np.ndarray, n: np.ndarray, d: np.ndarray, *dt: np.ndarray) -> Reals:
    assert isinstance(op, Unfold)
    top = op.inputs[0].scales[0] * op.inputs[0].qmax
    units, time = (np.asarray(t.scales) for t in op.inputs[1:3]), dt[0] if dt else 1.0
    current_unit, unit = units
    capacity = op.capacity * 2.0**op.time_bits * unit * (op.inputs[3].scales[0] if dt else 1.0)
    for _ in range(op.unfolds):
        current, conductance = _synapse_sums(op, v / top * 32767)
        total, sink = n + current * current_unit, d + conductance * unit
        v = (capacity * v + time * total) / (capacity + time * sink)
    return (v,)


FORMULAS: dict[str, Callable[..., Reals]] = {
    "affine": affine,
    "center": lambda op, x: (x - x.mean(axis=-2, keepdims=True),),
    "concat": lambda op, *parts: (np.concatenate(parts, axis=-1),),
    "conv1d": conv1d,
    "decay": decay,
    "decimate": decimate,
    "gate": lambda op, x, gate: (gate * x,),
    "gated_sum": lambda op, a, b, gate: (a + gate * b,),
    "leaky_average": leaky_average,
    "linear": linear,
    "lut": lut,
    "mean_abs": lambda op, x: (np.abs(x).mean(axis=-2),),
    "mean_pool": lambda op, x: (x.mean(axis=-2),),
    "mix": lambda op, a, b, gate: ((1 - gate) * a + gate * b,),
    "normalize": normalize,
    "relax": relax,
    "remember": lambda op, c, f, i, g: (f * c + g * i,),
    "requantize": lambda op, x: (x,),
    "slice": slice_of,
    "synapses": synapses,
    "template_distance": template_distance,
    "time_gate": lambda op, a, b, dt: (a * dt + b,),
    "unfold": unfold,
}


def bound(op: AbstractOp) -> tuple[float, ...]:
    """Return the largest error of each output in its own steps (docs/numerics.md)."""
    if isinstance(op, AbstractRowOp | Normalize):
        return (ROUNDING,)  # the integers mean exactly these weights, this quotient
    if isinstance(op, Lut):
        return (_lut_bound(op),)
    if isinstance(op, LeakyAverage):
        return (ROUNDING, ROUNDING + (ROUNDING) * 2.0**-14)
    if isinstance(op, TemplateDistance):
        return (ROUNDING, ROUNDING + MULTIPLIER)
    if isinstance(op, Synapses):
        return tuple(_openness_bound(op) * _largest(op, v) for v in (op.current, op.weight))
    if isinstance(op, Unfold):
        return (_unfold_bound(op),)
    special = {"concat": 0.0, "remember": ROUNDING, "time_gate": ROUNDING + 2 * MULTIPLIER}
    return (special.get(op.kind, ROUNDING + MULTIPLIER),)


def _openness_bound(op: AbstractSynapseOp) -> float:
    """Return the error of an openness in steps of Q15: table, rounded argument, its limit."""
    step = op.argument_scale
    table = 1 + (256 * step) ** 2 * BENDS["sigmoid"] * 32768 / 8
    return float(table + ROUNDING * step / 4 * 32768 + 32768 / (1 + np.exp(32768 * step)))


def _largest(op: AbstractSynapseOp, values: np.ndarray) -> float:
    """Return the largest sum of magnitudes over a neuron's synapses."""
    spans = zip(op.rows[:-1], op.rows[1:], strict=True)
    return max(float(np.abs(values[i:j].astype(float)).sum()) for i, j in spans)


def _unfold_bound(op: Unfold) -> float:
    """Return the error after all unfolds, each adding to that of the one before.

    With e, n, d the errors of v, N, D and g = dt / (C + dt D), exactly:
    |v' error| = |C e + dt n - dt d v'| / (C + dt D) <= e + g (n + d) in units of the bound.
    """
    v, _, conductances, *times = op.inputs
    top, time = v.qmax, times[0].qmax if times else 1
    gain = time / (op.capacity.min() * 2.0**op.time_bits + time * conductances.qmin)
    steepest = float(np.abs(op.slope.astype(float)).max()) * op.argument_scale
    steepest *= 32767 / 2.0**op.slope_bits / 4
    least = op.capacity.min() + (
        (times[0].qmin if times else 1) * conductances.qmin >> op.time_bits
    )
    rounding = 2 * (2.0**-14 + 1 / least) + (gain * 2.0 ** (op.error_bits - 1) + ROUNDING) / top
    error = 0.0
    for _ in range(op.unfolds):
        seen = error + (ROUNDING / 32767 if op.view_bits else 0)
        sums = _largest(op, op.weight) * (_openness_bound(op) + 32768 * steepest * seen)
        error = min(error + 2 * gain * sums + rounding, 2.0)
    return float(error * top)


def _lut_bound(op: Lut) -> float:
    if op.step_bits == 0:
        return ROUNDING
    x, y = op.inputs[0], op.outputs[0]
    bend = BENDS.get(op.function) or 1 / (np.log(2) * (x.qmin * x.scales[0]) ** 2)
    step = x.scales[0] * (1 << op.step_bits)
    return float(1.0 + step**2 * bend / (8 * y.scales[0]))
