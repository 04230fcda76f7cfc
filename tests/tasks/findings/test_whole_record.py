"""The published preprocessing of whole recordings: against scipy and PyWavelets as published."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pywt
from scipy import signal

from lnn_edge.data.twelve_leads import FINDINGS, LEADS, RATE_HZ
from lnn_edge.errors import UsageError
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.findings.whole_record import SAMPLES, STEP, published_columns
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import load_trained, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import load_recipe
from tests.support.recordings import twelve_leads


def network(name: str = "ccfc") -> AbstractStreamNet:
    return make_network(name, load_recipe(name).model)


def record(samples: int) -> Labelled:
    rng = np.random.default_rng(samples)
    frames = rng.integers(-2000, 2000, (samples, len(LEADS))).astype(np.int16)
    return twelve_leads("noise", frames, [0] * len(FINDINGS))


def as_published(x: np.ndarray) -> np.ndarray:
    """Return columns of one lead by transfer functions, step by step."""
    x = signal.filtfilt(*signal.butter(4, (0.5 / 250, 40 / 250), "band"), x)
    coefficients = pywt.wavedec(x, "db4", level=8)
    coefficients[0] = signal.filtfilt(*signal.butter(6, 0.1 / 250), coefficients[0])
    x = pywt.waverec(coefficients, "db4")
    return np.abs(signal.stft(x, fs=500, window="hann", nperseg=256)[2]).T


def test_columns_are_those_of_the_published_steps() -> None:
    x = np.random.default_rng(0).normal(0, 1, (SAMPLES, 3))
    wanted = np.stack([as_published(lead) for lead in x.T], 1)
    columns = published_columns(x)
    assert columns.shape == (33, 3, 129)
    np.testing.assert_allclose(columns, wanted, atol=2e-5)


def test_a_tone_is_half_its_amplitude_in_its_bin_and_drift_is_gone() -> None:
    t = np.arange(SAMPLES) / RATE_HZ
    x = np.sin(2 * np.pi * 10 * RATE_HZ / 256 * t) + 3 * np.sin(2 * np.pi * 0.1 * t) + 2
    middle = published_columns(x[:, None])[8:-8, 0]
    np.testing.assert_allclose(middle[:, 10], 0.5, atol=0.01)
    assert middle[:, :3].max() < 0.05


def test_the_last_window_ends_with_the_recording() -> None:
    (long, short) = prepare(
        network(), [record(SAMPLES + 2 * STEP + 7), record(SAMPLES - 1)], "whole-record"
    )
    assert np.diff(long.stamps).tolist() == [STEP, STEP]
    assert long.stamps[-1] == SAMPLES + 2 * STEP + 6
    assert long.values["window"].shape == (3, 33, 12, 129)
    assert len(short.stamps) == 0


def test_a_network_of_other_windows_and_a_missing_package_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match=r"images of 33 columns.*take ccfc"):
        prepare(network("ccfc-stream"), [record(SAMPLES)], "whole-record")
    with pytest.raises(UsageError, match="images of 33 columns"):
        prepare(network("har-cfc"), [], "whole-record")
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(UsageError, match=r"needs the package PyWavelets.*lnn-edge\[whole-record\]"):
        prepare(network(), [record(SAMPLES)], "whole-record")


def test_a_network_trained_so_runs_on_the_causal_front_end(tmp_path: Path) -> None:
    recipe = load_recipe("ccfc")
    recipe = replace(
        recipe,
        preprocessing="whole-record",
        training=replace(recipe.training, epochs=1, batch_size=4),
    )
    hearts = load_labelled("synthetic-12lead")
    trained = train(recipe, hearts, (), tmp_path, seed=0)
    assert load_trained(tmp_path).card.recipe.preprocessing == "whole-record"
    windows = prepare(trained.network, hearts, "whole-record")
    columns = prepare(trained.network, hearts)
    near = windows[0].values["window"][-1, 8:-8, :, 3:20].astype(float)
    far = columns[0].values["window"][-1, 8:-8, :, 3:20].astype(float)
    assert 0 < np.abs(near.mean(0) - far.mean(0)).mean() < 5  # steps of 255: filters differ a bit
    assert quantize(trained, hearts).name == "ccfc"
