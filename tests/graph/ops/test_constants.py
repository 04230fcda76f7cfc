"""Constants are the integers nearest to the real numbers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.biquad import Biquads, biquad_state
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.rescale import shortest_period
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.ops.synapse import (
    ARGUMENT,
    SHARE,
    TOTAL,
    RealSynapses,
    Synapses,
    quantize_synapses,
)

RNG = np.random.default_rng(3)
Q15 = QTensor("e", (40,), "uint16", 2.0**-15, qmin=0, qmax=1 << 15)


def check_nearest(got: np.ndarray, real: np.ndarray) -> None:
    """A double may be on the wrong side of a tie by its own rounding, no further."""
    off = got.astype(np.longdouble) - real
    assert np.abs(off).max() <= 0.5 + 1e-4
    assert np.abs(off.mean()) < 0.2  # neither always up nor always down


@pytest.mark.parametrize("size", [64, 1024])
def test_window_and_turns_of_the_stft(size: int) -> None:
    x, y = QTensor("x", (size, 1), "int16"), QTensor("y", (1, size // 2 + 1), "int16")
    op = StftMagnitude.quantize("op", x, y)
    window = signal.windows.hann(size, sym=False)[: size // 2]
    check_nearest(op.window[:-1], window * 2.0**31)
    assert op.window[-1] == 2**31 - 1  # 1 does not fit
    angles = 2 * np.pi * np.arange(size // 4, dtype=np.longdouble) / size
    check_nearest(op.turn, np.stack([np.cos(angles), np.sin(angles)], axis=1) * 2.0**30)


def test_coefficients_of_a_filter() -> None:
    """The largest gain of one section is left as it is, so its poles and zeros are scipy's."""
    sos = np.concatenate(
        [signal.butter(2, w, fs=1, output="sos") for w in (0.05, 0.1, 0.2, 0.23, 0.31)]
    )
    sos[:, :3] *= np.array([[0.9], [0.77], [0.6], [0.53], [0.31]])
    for section in sos:
        x = QTensor("x", (1,), "int16")
        state, update = biquad_state("s", x, 1)
        op = Biquads.quantize("op", (x, state, update, QTensor("y", (1,), "int16")), section[None])
        wanted = np.concatenate([section[:3], -section[4:]]) * 2.0**29
        assert (
            np.abs(op.coefficients[0] - wanted).max() <= 1.5
        )  # the middle one makes the sum right
        assert abs(op.coefficients[0, :3].sum() - wanted[:3].sum()) <= 0.5
        assert np.abs(op.coefficients[0, [0, 2, 3, 4]] - wanted[[0, 2, 3, 4]]).max() <= 0.5
        gain = section[:3].sum() / section[3:].sum()
        assert abs(op.gain[0] - gain * 2.0**29) <= 0.5


def test_factors_and_offsets_of_a_relaxation() -> None:
    f, y = QTensor("f", (40,), "int16", 2.0**-12), QTensor("y", (40,), "int16", 2.0**-11)
    amplitude = RNG.normal(0, 1, 40)
    op = Relax.quantize("op", Q15, f, y, amplitude)
    check_nearest(op.multiplier, -amplitude * 2.0 ** (-15 - 12 + 11 + 32))
    check_nearest(op.offset, amplitude * 2.0 ** (11 + 16))


def test_rates_of_a_decay() -> None:
    x, y = QTensor("x", (40,), "int16", 2.0**-9), QTensor("y", (40,), "int16", 2.0**-9)
    rates = RNG.normal(0, 3, 40)
    op = Decay.quantize("op", x, 0.25, y, rates)
    check_nearest(op.rate, np.abs(rates) * 2.0**9)


def test_slopes_offsets_and_conductances_of_synapses() -> None:
    exists = RNG.random((12, 9)) < 0.6
    slope, offset = RNG.normal(0, 1e-4, exists.shape), RNG.normal(0, 3, exists.shape)
    conductance = exists * RNG.uniform(0.01, 0.1, exists.shape)
    real = RealSynapses(exists, slope, offset, conductance, conductance / 3)
    starts, source, *got, shift, _ = quantize_synapses(real, 32767)
    place = source, np.repeat(np.arange(9), np.diff(starts))
    step = ARGUMENT.scales[0] * 2.0**-shift
    units = (step, step, 1 / TOTAL, 1 / TOTAL)
    for integers, floats, unit in zip(
        got, (slope, offset, conductance, conductance / 3), units, strict=True
    ):
        check_nearest(integers, floats[place] / unit)


@pytest.mark.parametrize("current", [1.0, -1.0])
def test_the_current_of_a_leak_stays_within_its_conductance(current: float) -> None:
    """By rounding the one is a step above the other here."""
    none = np.zeros((2, 1))
    synapses = RealSynapses(none > 0, none, none, none, none)
    leak = np.array([[current * 9.5 * SHARE], [9.4 * SHARE]])
    op = Synapses.quantize("op", QTensor("x", (2,), "int16"), synapses, leak)
    assert op.leak.tolist() == [[9 * current], [9]]


def test_a_bias_with_zero_points_folded_in_is_one_a_channel() -> None:
    x, y = QTensor("x", (5, 3), "int8", 0.5, 7), QTensor("y", (5, 3), "int8", 0.5)
    op = Scale.quantize("op", x, y, np.array([1.0, -2.0, 3.0]), np.zeros(3))
    assert op.folded_bias.tolist() == (op.bias - 7 * op.weight.astype(np.int64)).tolist()


def test_formats_repeat_after_the_fewest_elements() -> None:
    four, two, one = np.array([1, 2, 3, 2] * 3), np.array([1, 2] * 6), np.ones(12, int)
    assert shortest_period((one, one), (6, 4)) == 1
    assert shortest_period((one, two), (4, 2)) == 2
    assert shortest_period((four, two), (4, 2)) == 4
    assert shortest_period((four,), (5, 2)) == 12
