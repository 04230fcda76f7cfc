"""Constants are the integers nearest to the real numbers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.biquad import Biquads, biquad_state
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.stft import StftMagnitude

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
