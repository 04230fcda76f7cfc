"""The formula of every operator in float64, and how far the integers may be off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal
from scipy.special import ndtr

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops import biquad, template
from lnn_edge.graph.ops.biquad import Biquads
from lnn_edge.graph.ops.convolution import AbstractConvolution
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.leaky import LeakyAverage
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.ops.lut import TANH_FORMS, Lut
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.pool import AbstractPool
from lnn_edge.graph.ops.rows import AbstractRowOp
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.signal_quality import SignalQuality
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.ops.synapse import ARGUMENT, SHARE, TOTAL, AbstractSynapseOp, Synapses
from lnn_edge.graph.ops.template import TemplateDistance
from lnn_edge.graph.ops.unfold import Unfold
from lnn_edge.graph.ops.window import Decimate

Reals = tuple[np.ndarray, ...]
ROUNDING = 0.5
MULTIPLIER = 0.25  # of a factor rounded to 31 bits or fewer, see fixed.quantize_multiplier
BENDS = {  # largest |f''|
    "sigmoid": 1 / (6 * np.sqrt(3)),
    "tanh": 4 / (3 * np.sqrt(3)),
    "lecun_tanh": 1.7159 * 0.666**2 * 4 / (3 * np.sqrt(3)),
    "exp": 1.0,  # up to 0
    "log1p": 1.0,  # from 0 on
    "hard_sigmoid": 0.0,
    "steep_hard_sigmoid": 0.0,
    "silu": 0.5,
    "gelu": np.sqrt(2 / np.pi),
    "relu6": 0.0,
    "leaky_relu": 0.0,
    "elu": 1.0,  # below 0
    "hardswish": 1 / 3,
    "softplus": 1 / 4,
}
KINKS = {  # where the slope jumps, and by how much
    "relu6": ((0.0, 1.0), (6.0, 1.0)),
    "leaky_relu": ((0.0, 0.99),),
    "hardswish": ((-3.0, 0.5), (3.0, 0.5)),
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


def convolution(op: AbstractOp, x: np.ndarray) -> Reals:
    """One filter and position at a time, each over the channels of its group."""
    assert isinstance(op, AbstractConvolution)
    x_of, y, g = op.inputs[0], op.outputs[0], op.walk.geometry
    unit = op.multiplier * 2.0 ** (op.shift.astype(float) - 32) * y.scales[0]
    image, (rows, columns, filters) = (1, *x_of.shape)[-3:], (1, *y.shape)[-3:]
    steps = np.broadcast_to(x_of.scales, image[2])
    x = x.reshape(len(x), *image) / steps
    margins = [(b, k * d) for b, k, d in zip(g.before, g.kernel_size, g.dilation, strict=True)]
    x = np.pad(x, [(0, 0), *margins, (0, 0)])
    own, made = image[2] // op.groups, np.zeros((len(x), rows, columns, filters))
    for r, c, o in np.ndindex(rows, columns, filters):
        first = o * op.groups // filters * own
        taps = op.weight[o].reshape(*g.kernel_size, own)
        total = op.bias[o]
        for i, j in np.ndindex(*g.kernel_size):
            at = r * g.strides[0] + i * g.dilation[0], c * g.strides[1] + j * g.dilation[1]
            total = total + x[:, at[0], at[1], first : first + own] @ taps[i, j]
        made[:, r, c, o] = total * unit[o]
    return (made.reshape(len(x), *y.shape),)


def pooled(reduce: Callable[..., np.ndarray], padding: float) -> Callable[..., Reals]:
    """Return the pooling that reduces each patch of a padded image."""

    def formula(op: AbstractOp, x: np.ndarray) -> Reals:
        assert isinstance(op, AbstractPool)
        y, (down, right) = op.outputs[0], op.kernel_size
        rows, columns, channels = (1, *y.shape)[-3:]
        x = x.reshape(len(x), *(1, *op.inputs[0].shape)[-3:])
        margins = [(b, k) for b, k in zip(op.before, op.kernel_size, strict=True)]
        x = np.pad(x, [(0, 0), *margins, (0, 0)], constant_values=padding)
        made = np.zeros((len(x), rows, columns, channels))
        for r, c in np.ndindex(rows, columns):
            top, left = r * op.strides[0], c * op.strides[1]
            made[:, r, c] = reduce(x[:, top : top + down, left : left + right], axis=(1, 2))
        return (made.reshape(len(x), *y.shape),)

    return formula


def scale(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Scale)
    unit = op.multiplier * 2.0 ** (op.shift.astype(float) - 32) * np.asarray(op.outputs[0].scales)
    return ((op.weight * (x / np.asarray(op.inputs[0].scales)) + op.bias) * unit,)


def lut(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Lut)
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "hard_sigmoid": lambda v: np.minimum(np.maximum(v / 6 + 1 / 2, 0), 1),
        "steep_hard_sigmoid": lambda v: np.minimum(np.maximum(0.2 * v + 0.5, 0), 1),
        "tanh": lambda v: 1 - 2 / (np.exp(2 * v) + 1),
        "lecun_tanh": lambda v: 1.7159 * (1 - 2 / (np.exp(2 * 0.666 * v) + 1)),
        "log2": lambda v: np.log(v) / np.log(2),
        "log1p": lambda v: np.log(1 + v),
        "exp": lambda v: np.exp2(v / np.log(2)),
        "silu": lambda v: v / (1 + np.exp(-v)),
        "gelu": lambda v: v * ndtr(v),
        "relu6": lambda v: np.minimum(np.maximum(v, 0), 6),
        "leaky_relu": lambda v: np.where(v > 0, v, 0.01 * v),
        "elu": lambda v: np.where(v > 0, v, np.exp(np.minimum(v, 0)) - 1),
        "hardswish": lambda v: v * np.minimum(np.maximum(v + 3, 0), 6) / 6,
        "softplus": lambda v: np.logaddexp(v, 0),
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
    floor = op.floor * np.asarray(op.inputs[1].scales)
    return (x / np.maximum(amplitude, floor)[..., None, :],)


def multiply(op: AbstractOp, a: np.ndarray, b: np.ndarray) -> Reals:
    frames = a.reshape(len(a), -1, b[0].size)
    return ((frames * b.reshape(len(b), 1, -1)).reshape(a.shape),)


def decimate(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Decimate)
    starts = range(0, x.shape[-2], op.factor)
    return (np.stack([x[..., t : t + op.factor, :].mean(axis=-2) for t in starts], axis=-2),)


def leaky_average(op: AbstractOp, x: np.ndarray, state: np.ndarray, *dt: np.ndarray) -> Reals:
    assert isinstance(op, LeakyAverage)
    alpha = np.array(op.multiplier / 2.0**32)
    for elapsed, tensor in zip(dt, op.inputs[2:], strict=True):
        alpha = alpha * elapsed / tensor.scales[0]
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


def signal_quality(op: AbstractOp, x: np.ndarray) -> Reals:
    """One channel at a time, its noise as a sum over two pieces that are differentiated twice."""
    assert isinstance(op, SignalQuality)
    steps = np.round(x / op.inputs[0].scales[0], 6).swapaxes(-1, -2)  # 1e-6 off, limits are equal
    pieces = steps[..., : op.first], steps[..., op.last :]
    noise = sum(np.abs(np.diff(piece, 2)).sum(-1) for piece in pieces)
    event = np.ptp(steps[..., op.first : op.last], -1)
    flat = np.ptp(steps, -1) <= op.flat
    saturated = ((steps <= op.low) | (steps >= op.high)).any(-1)
    noisy = noise / event.clip(1e-9, None) > op.most / 256
    noisy = np.where(event > 0, noisy, noise > 0)
    each = np.stack((flat, saturated, noisy), -1)  # (..., C, 3)
    whole = np.concatenate((each[..., :2].any(-2), each[..., 2:].all(-2)), -1)
    return (np.concatenate((whole[..., None, :], each), -2) @ np.array([1.0, 2.0, 4.0]),)


def slice_of(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Slice)
    flat = x.reshape(len(x), -1)
    return (flat[:, op.first : op.first + op.outputs[0].size],)


def biquads(op: AbstractOp, x: np.ndarray, state: np.ndarray) -> Reals:
    assert isinstance(op, Biquads)
    most = biquad.LIMIT * op.inputs[1].scales[0]
    signals = [x]
    for k, row in enumerate(op.coefficients * 2.0**-biquad.COEFFICIENT_BITS):
        entering = np.stack([signals[-1], state[..., k, 0], state[..., k, 1]], -1)
        fed_back = np.concatenate([row[3:], [2.0**-biquad.COEFFICIENT_BITS]])
        total = entering @ row[:3] + state[..., k + 1, :] @ fed_back
        signals.append(np.clip(total, -most, most))
    fresh = np.stack(signals, -1)
    return np.stack([fresh, state[..., 0], np.zeros_like(fresh)], -1), signals[-1]


def stft_magnitude(op: AbstractOp, x: np.ndarray) -> Reals:
    size = op.inputs[0].shape[0]
    options = {"boundary": None, "padded": False, "noverlap": 0, "axis": -2}
    _, _, y = signal.stft(x, window="hann", nperseg=size, scaling="spectrum", **options)
    return (np.abs(y[..., 0]).swapaxes(-1, -2)[..., : op.outputs[0].shape[1]],)


def _gated(op: AbstractSynapseOp, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the synapses of each neuron, in shares; x in the steps that the slopes mean."""
    unit = ARGUMENT.scales[0] / 2.0**op.shift
    num = np.zeros((*x.shape[:-1], len(op.starts) - 1))
    den = num.copy()
    for j, (first, last) in enumerate(zip(op.starts[:-1], op.starts[1:], strict=True)):
        for k in range(first, last):
            argument = (x[..., op.source[k]] * op.slope[k] + op.offset[k]) * unit
            gate = (1 + np.tanh(argument / 2)) / 2
            num[..., j] += op.driven[k] / TOTAL * gate
            den[..., j] += op.conductance[k] / TOTAL * gate
    return num, den


def synapses(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Synapses)
    num, den = _gated(op, x / np.asarray(op.inputs[0].scales))
    return num + op.leak[0] * SHARE, den + op.leak[1] * SHARE


def unfold(
    op: AbstractOp, v: np.ndarray, num: np.ndarray, den: np.ndarray, *dt: np.ndarray
) -> Reals:
    assert isinstance(op, Unfold)
    bound = op.outputs[0].scales[0] * op.one
    capacity = op.capacity * 2.0**op.time_bits * SHARE
    elapsed = dt[0] / op.inputs[3].scales[0] if dt else 1.0
    for _ in range(op.unfolds):
        n, d = _gated(op, v / bound * 32767)
        v = (capacity * v + elapsed * (num + n) * bound) / (capacity + elapsed * (den + d))
    return (v,)


def loop(op: AbstractOp, x: np.ndarray) -> Reals:
    assert isinstance(op, Loop)
    flat, results = x.reshape(len(x), -1), []
    known = {
        s.tensor.name: s.tensor.dequantize(np.full((len(x), *s.tensor.shape), s.initial))
        for s in op.states
    }
    for t in range(op.count):
        at = op.first + t * op.stride
        known[op.step.name] = flat[:, at : at + op.step.size].reshape(len(x), *op.step.shape)
        for inner in op.body:
            made = FORMULAS[inner.kind](inner, *(known[i.name] for i in inner.inputs))
            for y, value in zip(inner.outputs, made, strict=True):
                low, high = (y.dequantize(np.full(y.shape, q)) for q in (y.qmin, y.qmax))
                known[y.name] = np.clip(value, low, high)
        known.update({s.tensor.name: known[s.update.name] for s in op.states})
        results.append(known[op.result.name])
    return (
        np.stack(results, 1) if len(op.outputs[0].shape) > len(op.result.shape) else results[-1],
    )


FORMULAS: dict[str, Callable[..., Reals]] = {
    "add": lambda op, a, b: (a + b,),
    "average_pool": pooled(np.mean, 0.0),
    "biquads": biquads,
    "center": lambda op, x: (x - x.mean(axis=-2, keepdims=True),),
    "concat": lambda op, *parts: (np.concatenate(parts, axis=-1),),
    "constant": lambda op: (op.outputs[0].dequantize(op.value),),
    "conv1d": convolution,
    "conv2d": convolution,
    "decay": decay,
    "decimate": decimate,
    "gate": lambda op, x, gate: (gate * x,),
    "gated_sum": lambda op, a, b, gate: (a + gate * b,),
    "leaky_average": leaky_average,
    "linear": linear,
    "loop": loop,
    "lut": lut,
    "max_pool": pooled(np.max, -np.inf),
    "mean_abs": lambda op, x: (np.abs(x).mean(axis=-2),),
    "mean_pool": lambda op, x: (x.mean(axis=-2),),
    "mix": lambda op, a, b, gate: ((1 - gate) * a + gate * b,),
    "multiply": multiply,
    "normalize": normalize,
    "relax": relax,
    "remember": lambda op, c, f, i, g: (f * c + g * i,),
    "requantize": lambda op, x: (x.reshape(len(x), *op.outputs[0].shape),),
    "scale": scale,
    "signal_quality": signal_quality,
    "slice": slice_of,
    "stft_magnitude": stft_magnitude,
    "subtract": lambda op, a, b: (a - b,),
    "synapses": synapses,
    "template_distance": template_distance,
    "time_gate": lambda op, a, b, dt: (a * dt + b,),
    "unfold": unfold,
}


# of a gate in Q15: argument rounded (half its step, slope 1/4), table interpolated
GATE_ERROR = 0.5 * ARGUMENT.scales[0] / 4 * 32768 + float(
    1.0 + (256 * ARGUMENT.scales[0]) ** 2 * BENDS["sigmoid"] / 8 * 32768
)


def bound(op: AbstractOp) -> tuple[float, ...]:
    """Return the largest error of each output in its own steps (docs/numerics.md)."""
    if isinstance(op, AbstractRowOp | Normalize | Scale):
        return (ROUNDING,)  # the integers mean exactly these weights, this quotient
    if isinstance(op, Loop):
        return (_loop_bound(op),)
    if isinstance(op, Lut):
        return (_lut_bound(op),)
    if isinstance(op, LeakyAverage):
        return (ROUNDING, ROUNDING + (ROUNDING) * 2.0**-14)
    if isinstance(op, TemplateDistance):
        return (ROUNDING, ROUNDING + MULTIPLIER)
    if isinstance(op, Synapses):
        most = GATE_ERROR * float(op.totals().max()) + ROUNDING
        return (most, most)
    if isinstance(op, Unfold):
        return (_unfold_bound(op),)
    if isinstance(op, StftMagnitude):
        own = op.error_of_x * op.inputs[0].scales[0] / min(op.outputs[0].scales)
        return (ROUNDING + own + op.limit * 2.0**-32,)
    if isinstance(op, Biquads):
        return _biquads_bound(op)
    special = {
        "constant": 0.0,
        "add": ROUNDING + 2 * MULTIPLIER,
        "subtract": ROUNDING + 2 * MULTIPLIER,
        "concat": 0.0,
        "max_pool": 0.0,
        "remember": ROUNDING,
        "signal_quality": 0.0,
        "time_gate": ROUNDING + 2 * MULTIPLIER,
    }
    return (special.get(op.kind, ROUNDING + MULTIPLIER),)


def _biquads_bound(op: Biquads) -> tuple[float, ...]:
    """Each section rounds once, and what enters it was rounded."""
    errors = [0.0]
    for row in op.coefficients * 2.0**-biquad.COEFFICIENT_BITS:
        errors.append(abs(row[0]) * errors[-1] + 1.0)
    own = errors[-1] * op.inputs[1].scales[0] / op.outputs[1].scales[0]
    return np.inf, own + ROUNDING + MULTIPLIER  # what is cut off has no meaning in real numbers


def _loop_bound(op: Loop) -> float:
    """Each round of make_loop rounds once, and what it reads of the one before was rounded."""
    row = next(inner for inner in op.body if isinstance(inner, AbstractRowOp))
    carried = np.abs(row.weight[:, op.step.size :]).sum(axis=1) * row.multiplier / 2.0**32
    gain = float((carried * 2.0 ** row.shift.astype(float)).max())
    return float(ROUNDING * sum(gain**k for k in range(op.count)))


def _lut_bound(op: Lut) -> float:
    if op.step_bits == 0:
        return ROUNDING
    x, y = op.inputs[0], op.outputs[0]
    bend = BENDS.get(op.function)
    if bend is None:  # log2
        bend = 1 / (np.log(2) * (x.qmin * x.scales[0]) ** 2)
    step = x.scales[0] * (1 << op.step_bits)
    curved = step**2 * bend / 8
    for place, jump in KINKS.get(op.function, ()):
        part = (place / x.scales[0] + x.zero_points[0] - x.qmin) / (1 << op.step_bits) % 1.0
        curved += step * jump * part * (1 - part)
    if not op.has_factor:
        return float(1.0 + curved / y.scales[0])
    entry = TANH_FORMS[op.function][1] * 2.0**-15  # limited to less than 1
    return float((entry + curved) / y.scales[0] + ROUNDING + MULTIPLIER)


def _unfold_bound(op: Unfold) -> float:
    """Return the largest error after all unfolds, each adding to that of the one before.

    With e, n, d the errors of v, N, D and g = dt / (C + dt D), exactly, in units of the range:
    |v' error| = |C e + dt n - dt d v'| / (C + dt D) <= e + g (n + d)
    """
    _, _, den, *elapsed = op.inputs
    shortest, longest = (elapsed[0].qmin, elapsed[0].qmax) if elapsed else (1, 1)
    least = op.capacity.min() + (shortest * den.qmin >> op.time_bits)
    gain = longest / (op.capacity.min() * 2.0**op.time_bits + longest * den.qmin)
    steepest = np.abs(op.slope).max(initial=0) * 2.0**-op.shift * ARGUMENT.scales[0] * 32767 / 4
    # the reciprocal times at most twice the range; what the gap and v' are rounded by
    own = 2 * (2.0**-14 + 1 / least) + (gain * 2.0 ** (op.gap_bits - 1) + ROUNDING) / op.one
    view = ROUNDING / 32767 if op.outputs[0].dtype == "int32" else 0.0
    error = 0.0
    for _ in range(op.unfolds):
        gates = GATE_ERROR + 32768 * steepest * (error + view)
        error = min(error + 2 * gain * float(op.totals().max()) * gates + own, 2.0)
    return error * op.one
