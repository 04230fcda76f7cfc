"""What is measured of a window, against numpy in floating point."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.data.uci_har import STEPS
from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.tasks.activity.spectrum import SpectrumPlan, front_end
from lnn_edge.tasks.registry import make_network
from tests.support.recordings import motion

PLAN = SpectrumPlan(128, 32, (1, 2, 3, 5, 8, 12, 18, 30, 65), 0.005)
SCALES = tuple(1 / s for s in STEPS)


def test_means_and_bands_are_those_of_numpy() -> None:
    run = motion(3, 40)
    (found,) = run_decisions(front_end(SCALES, PLAN), [run], ("mean", "spectrum"))
    front = {t.name: t for t in front_end(SCALES, PLAN).deciding_stage.outputs}
    ends = np.arange(127, len(run.frames), 32)
    assert found.stamps.tolist() == ends.tolist()
    samples = run.frames * np.array(SCALES)
    windows = np.stack([samples[end - 127 : end + 1] for end in ends])
    mean = windows.mean(1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(128) / 128)
    moved = (windows - mean[:, None]) * hann[:, None]
    magnitude = np.abs(np.fft.rfft(moved, axis=1)) / hann.sum()
    edges = zip(PLAN.bands, PLAN.bands[1:], strict=False)
    bands = np.stack([magnitude[:, a:b].sum(1) for a, b in edges], -1)
    got = {name: t.dequantize(found.values[name]) for name, t in front.items()}
    assert np.abs(got["mean"] - mean).max() < 2 * min(SCALES)
    error = got["spectrum"] - np.log1p(bands / PLAN.floor)
    assert np.abs(error).max() < 0.15  # the lines of the table, and bins rounded to 1 / 32 floor
    assert np.abs(error).mean() < 0.04
    assert np.ptp(got["spectrum"]) > 4


def test_a_constant_has_no_spectrum_and_a_sine_that_of_its_band() -> None:
    run = motion(3, 8)
    time = np.arange(len(run.frames))[:, None]
    wave = 360 * np.sin(2 * np.pi * 10 * time / 128)  # bin 10, band 4
    frames = np.concatenate([np.full((len(time), 3), 720), np.tile(wave, 3)], 1).astype(np.int16)
    object.__setattr__(run.record, "samples", frames)
    (found,) = run_decisions(front_end(SCALES, PLAN), [run], ("mean", "spectrum"))
    spectrum = found.values["spectrum"]
    assert (spectrum[:, :3] == 0).all()
    assert (spectrum[:, 3:].argmax(-1) == 4).all()
    assert (np.abs(found.values["mean"][:, 0] * min(SCALES) - 1) < 1e-3).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window": 100}, "window must be a power of two from 16 to 1024, not 100"),
        ({"window": 2048}, "window must be a power of two"),
        ({"hop": 0}, "size must be at least 1"),
        ({"bands": [1]}, r"two or more ascending bins from 1 to 65, not \[1\]"),
        ({"bands": [0, 5]}, "ascending bins from 1"),
        ({"bands": [5, 5]}, "ascending bins"),
        ({"bands": [1, 66]}, "ascending bins from 1 to 65"),
        ({"floor": 0.0}, "floor must be above 0, not 0"),
    ],
)
def test_what_no_spectrum_can_be_made_of_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_network("har-spectrum-cfc", wrong)
