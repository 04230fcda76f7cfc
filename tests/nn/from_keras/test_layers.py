"""Every known layer of Keras gives what Keras gives, in a stream and in windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lnn_edge.nn.importer as importer
from lnn_edge.nn.imported import load_imported, save_imported
from lnn_edge.nn.ncps import ImportOptions
from tests.support.keras_cases import ANY, CASES
from tests.support.keras_models import frames_of, keras_library, outputs_of, saved, shaken

# Keras asks numpy for arrays in a way that numpy 2 warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning"),
    pytest.mark.usefixtures("readers_here"),
]


@pytest.mark.parametrize("name", CASES)
def test_a_model_gives_what_keras_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = case.build()
    path = saved(model, tmp_path / "net.keras")
    read = importer.import_model(path, ImportOptions(hop=case.hop))
    save_imported(tmp_path / "folder", read)
    frames = frames_of(case.shape)
    assert error_of(load_imported(tmp_path / "folder"), model, frames, case.hop) < 1e-5


def error_of(read: object, model: object, frames: np.ndarray, hop: int | None) -> float:
    """Return the largest difference from Keras, relative to the largest number."""
    import torch

    values = read.module(torch.from_numpy(frames))  # type: ignore[attr-defined]
    ours = list(values.values()) if isinstance(values, dict) else [values]
    worst = 0.0
    for mine, theirs in zip(ours, outputs_of(model, frames, hop), strict=True):
        found = mine.detach().numpy()
        found = found[:, -1] if theirs.ndim == 2 else found
        assert found.shape == theirs.shape
        worst = max(worst, float(np.abs(found - theirs).max() / max(np.abs(theirs).max(), 1)))
    return worst


def test_branches_join_and_several_outputs_leave(tmp_path: Path) -> None:
    keras = keras_library()
    k = keras.layers
    x = keras.Input(ANY)
    left, right = k.Conv1D(4, 3, padding="causal")(x), k.Dense(4, activation="relu")(x)
    z = k.Add()([left, right, left])
    z = k.Multiply()([z, k.Dense(4, activation="sigmoid")(right)])
    z = k.Concatenate()([z, k.Subtract()([left, right]), k.Average()([left, right])])
    inner = keras.Sequential([k.Dense(12), k.ReLU()], name="inner")
    shared = k.Dense(12)
    z = k.GRU(4, return_sequences=True)(shared(inner(shared(z))))
    outputs = {"beat": k.Dense(3, activation="softmax", name="beat")(z), "rate": k.Dense(1)(z)}
    model = keras.Model(x, list(outputs.values()))
    path = saved(shaken(model), tmp_path / "net.keras")
    read = importer.import_model(path, ImportOptions())
    assert read.card.form.outputs[0] == "beat_softmax"
    assert error_of(read, model, frames_of(ANY), None) < 1e-5
