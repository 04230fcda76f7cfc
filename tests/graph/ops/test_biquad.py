"""The filter against scipy, its rest, and its first sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.biquad import EMPTY, Biquads, biquad_state
from tests.support.recordings import mitdb_record

BANDS = {
    "beats": (1, [5.0, 15.0], "bandpass", 360),
    "wide": (2, [0.5, 40.0], "bandpass", 500),
    "baseline": (2, 0.5, "highpass", 500),
    "smooth": (3, 30.0, "lowpass", 360),
}


def filter_of(band: str, channels: int = 1, finer: int = 1) -> tuple[Biquads, np.ndarray]:
    order, edges, kind, rate = BANDS[band]
    sos = signal.butter(order, edges, kind, fs=rate, output="sos")
    x = QTensor("x", (channels,), "int16", 1.0)
    state, update = biquad_state("s", x, len(sos))
    y = QTensor("y", (channels,), "int16", 1.0 / finer)
    return Biquads.quantize("filter", (x, state, update, y), sos), sos


def run(op: Biquads, samples: np.ndarray) -> np.ndarray:
    """Return the outputs of samples (T, C) from a new state on."""
    state = np.full(op.inputs[1].shape, EMPTY, np.int64)
    outputs = []
    for frame in samples.astype(np.int64):
        state, y = op.reference(frame, state)
        outputs.append(y)
    return np.array(outputs)


def witness(sos: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return scipy's outputs, as if the first sample had always been there."""
    start = signal.sosfilt_zi(sos)[:, :, None] * samples[0]
    outputs: np.ndarray = signal.sosfilt(sos, samples.astype(float), axis=0, zi=start)[0]
    return outputs


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    step = np.zeros((3000, 1))
    step[500:] = 7000
    return {
        "noise": rng.integers(-8000, 8000, (3000, 1)),
        "step": step,
        "drift": np.cumsum(rng.normal(0, 9, (3000, 1)), axis=0).round(),
    }


@pytest.mark.parametrize("name", ["noise", "step", "drift"])
@pytest.mark.parametrize("band", BANDS)
def test_it_is_scipys_filter(band: str, name: str) -> None:
    """Half a step of y, and what sections and coefficients are rounded by."""
    op, sos = filter_of(band)
    samples = signals()[name]
    wanted = witness(sos, samples)
    assert np.abs(wanted).max() < 32767
    assert np.abs(run(op, samples) - wanted).max() <= 0.5 + 0.1


def test_it_is_scipys_filter_on_a_recording() -> None:
    samples = mitdb_record("100").frames[:7200]
    for band in ("beats", "wide"):
        op, sos = filter_of(band, 2, finer=4)
        wanted = 4 * witness(sos, samples)
        assert np.abs(run(op, samples) - wanted).max() <= 0.5 + 4 * 0.1


def test_the_first_sample_is_taken_as_if_it_had_always_been_there() -> None:
    op, _ = filter_of("wide")
    assert np.abs(run(op, np.full((400, 1), 12345))).max() == 0
    smooth, _ = filter_of("smooth")
    assert (run(smooth, np.full((400, 1), 12345)) == 12345).all()


def test_a_high_pass_comes_to_rest() -> None:
    """Ten seconds after a step nothing is left of it: no dead zone holds it up."""
    op, _ = filter_of("baseline")
    samples = np.zeros((8000, 1))
    samples[100:] = 9000
    assert np.abs(run(op, samples)[-500:]).max() == 0


def test_channels_do_not_mix() -> None:
    op, _ = filter_of("wide", 3)
    one, _ = filter_of("wide", 1)
    samples = np.random.default_rng(1).integers(-3000, 3000, (300, 3))
    together = run(op, samples)
    for channel in range(3):
        alone = run(one, samples[:, channel : channel + 1])
        np.testing.assert_array_equal(together[:, channel], alone[:, 0])


def test_extremes_saturate() -> None:
    op, _ = filter_of("wide", finer=4)
    samples = np.where(np.arange(2000) % 200 < 100, 32767, -32768)[:, None]
    y = run(op, samples)
    assert (y.max(), y.min()) == (32767, -32768)
