"""Liquid neurons as quantized kernels of TFLite: quotients by RSQRT, synapses side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn_edge.codegen.tflite.arithmetic import (
    AXES,
    MOST,
    Q15,
    plus,
    product,
    scale_of,
    shaped,
    times,
    total,
    wide,
)
from lnn_edge.codegen.tflite.flat import Flat, Stored
from lnn_edge.graph.ops.decay import FRACTION_BITS
from lnn_edge.graph.ops.synapse import ARGUMENT, ARGUMENT_BOUND, SHARE, TOTAL, AbstractSynapseOp

_FULL = 1 / MOST  # scale of what lies within 1


def decay(op: Any, flat: Flat, x: Stored, *dt: Stored) -> Stored:
    """Return -dt (|x| + rate)."""
    x_of, y = op.inputs[0], op.outputs[0]
    rate = op.rate * x_of.scales[0]
    size = flat.add("ABS", [x], x.shape, "int16", x.scale)
    speed = plus(flat, size, rate, x.scale + float(rate.max()) / MOST)
    if dt:
        return product(flat, times(flat, speed, -np.ones(1), speed.scale), dt[0], scale_of(flat, y))
    constant = op.multiplier * 2.0 ** (op.shift - 32) * y.scales[0] / x_of.scales[0]
    return times(flat, speed, np.array([-constant]), scale_of(flat, y))


def relax(op: Any, flat: Flat, e: Stored, f: Stored) -> Stored:
    """Return A - A e f."""
    (e_of, f_of), y = op.inputs, op.outputs[0]
    amplitude = op.offset * 2.0**-FRACTION_BITS * y.scales[0]
    factor = op.multiplier * 2.0**-32 * y.scales[0] / (e_of.scales[0] * f_of.scales[0])
    scale = scale_of(flat, y) + float(np.abs(factor).max()) * f.scale
    away = times(flat, product(flat, e, f, f.scale), factor, scale)
    return plus(flat, away, amplitude, scale_of(flat, y))


def exponential(flat: Flat, x: Stored, scale: float) -> Stored:
    """Return exp(x) of x <= 0: sigmoid(x) / sigmoid(-x), whose divisor is a half at least."""
    above, below = (
        flat.add("LOGISTIC", [v], x.shape, "int16", Q15)
        for v in (x, times(flat, x, -np.ones(1), x.scale))
    )
    return product(flat, above, _reciprocal(flat, below, 0.5), scale)


def synapses(op: Any, flat: Flat, x: Stored) -> tuple[Stored, Stored]:
    """Return the currents num and den of inputs and leak, as shares of all conductances."""
    step = x.scale / op.inputs[0].scales[0]  # steps of x in one of 16 bits
    return _currents(op, flat, x, step, op.leak * SHARE)


def unfold(op: Any, flat: Flat, v: Stored, num: Stored, den: Stored, *dt: Stored) -> Stored:
    """Return v' = v + (n - d v) dt / (C + dt d), `unfolds` times; potentials within 1 inside."""
    y = op.outputs[0]
    bound = y.scales[0] * op.one
    capacity = op.capacity * 2.0**op.time_bits * SHARE
    low, high = (d * 2.0**op.time_bits * SHARE for d in op.denominators)
    longest = op.inputs[3].qmax if dt else 1
    elapsed = _elapsed(op, flat, *dt)
    unit = times(flat, v, np.array([1 / bound]), _FULL)
    for _ in range(op.unfolds):
        n, d = _currents(op, flat, unit, 1.0, np.zeros((2, y.size)))
        n, d = (total(flat, "ADD", a, b, _FULL) for a, b in ((num, n), (den, d)))
        gap = total(flat, "SUB", n, product(flat, d, unit, _FULL), 2 * _FULL)
        opened = d if elapsed is None else product(flat, d, elapsed, longest * _FULL)
        divisor = plus(flat, opened, capacity, high / MOST)
        inverse = _reciprocal(flat, divisor, low)
        gain = inverse
        if elapsed is not None:
            gain = product(flat, inverse, elapsed, min(longest / low, 1 / float(SHARE)) / MOST)
        unit = total(flat, "ADD", unit, product(flat, gap, gain, 2 * _FULL), _FULL)
    return times(flat, unit, np.array([bound]), scale_of(flat, y))


def _elapsed(op: Any, flat: Flat, *dt: Stored) -> Stored | None:
    """Return the steps of dt that have passed; None where they are in the capacity."""
    if not dt:
        return None
    scale = op.inputs[3].scales[0]
    return times(flat, dt[0], np.array([1 / scale]), dt[0].scale / scale)


def _currents(
    op: AbstractSynapseOp, flat: Flat, x: Stored, step: float, leak: np.ndarray
) -> tuple[Stored, Stored]:
    """Return num and den of what the synapses read, one row a neuron, one column an input.

    Args:
        op: Whose synapses.
        x: What they read.
        step: Of what slopes mean, in one of x in 16 bits.
        leak: (2, N) to add, as shares.
    """
    neurons, count = len(op.starts) - 1, x.shape[-1]
    neuron = np.repeat(np.arange(neurons), np.diff(op.starts))
    unit = ARGUMENT.scales[0] * 2.0**-op.shift

    def placed(values: np.ndarray) -> np.ndarray:
        matrix = np.zeros(wide((neurons, count)))
        matrix[0, 0, neuron, op.source] = values
        return matrix

    slope, offset = placed(op.slope * unit * step), placed(op.offset * unit)
    steepest = max(float(np.abs(slope).max()), 1.0 / MOST)  # in arguments a step of x
    sloped = times(flat, x, slope / x.scale, steepest)
    argument = plus(flat, sloped, offset, ARGUMENT_BOUND / MOST)
    gate = flat.add("LOGISTIC", [argument], argument.shape, "int16", Q15)
    sums = (_sum(flat, gate, placed(w / TOTAL)) for w in (op.driven, op.conductance))
    num, den = (
        plus(flat, s, base, _FULL) if base.any() else s for s, base in zip(sums, leak, strict=True)
    )
    return num, den


def _sum(flat: Flat, gate: Stored, weights: np.ndarray) -> Stored:
    """Return the sum of weighted gates of each row: the mean, for SUM overflows 16 bits."""
    neurons, count = gate.shape[-2:]
    most = max(float(np.abs(weights).max()), _FULL)
    weighted = times(flat, gate, weights, most / MOST)
    axis = flat.constant(np.array([AXES - 1], np.int32))
    mean = flat.add("MEAN", [weighted, axis], (1, 1, neurons), "int16", _FULL / count)
    return times(flat, shaped(flat, mean, wide((neurons,))), np.array([count]), _FULL)


def _reciprocal(flat: Flat, x: Stored, low: float) -> Stored:
    """Return 1 / x of x >= low > 0."""
    root = flat.add("RSQRT", [x], x.shape, "int16", low**-0.5 / MOST)
    return product(flat, root, root, 1 / low / MOST)
