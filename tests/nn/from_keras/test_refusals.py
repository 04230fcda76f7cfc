"""What a saved model of Keras cannot be is said in one sentence that names the layer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.keras_models import Case, frames_of, keras_library, saved, shaken

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.usefixtures("readers_here"),
]
STREAM, WINDOW = (None, 3), (16, 3)
Make = Callable[[Any], Any]
REFUSED: dict[str, tuple[tuple[int | None, ...], Make, str]] = {
    "lambda": (STREAM, lambda k: k.Lambda(lambda x: x * 2), r"\(Lambda\): holds code"),
    "both ways": (STREAM, lambda k: k.Bidirectional(k.GRU(3)), "which no stream can"),
    "backwards": (STREAM, lambda k: k.GRU(3, go_backwards=True), r"\(GRU\): has go_backwards"),
    "norm": (STREAM, lambda k: k.LayerNormalization(), "has no operator on a device; known are"),
    "masking": (STREAM, lambda k: k.Masking(), "leaves frames out"),
    "future": (STREAM, lambda k: k.Conv1D(3, 3, padding="same"), "looks into the future; train"),
    "whole": (STREAM, lambda k: k.GlobalMaxPooling1D(), r"Input\(\(128, 3\)\)"),
    "function": (STREAM, lambda k: k.Dense(3, activation="mish"), "activation mish has no oper"),
    "cell function": (STREAM, lambda k: k.LSTM(3, activation="relu"), "activation relu has no"),
    "axis": (WINDOW, lambda k: k.BatchNormalization(axis=1), "axis 1 is not the last"),
    "pool": (WINDOW, lambda k: k.MaxPooling1D(3, padding="same"), "needs a part of a frame more"),
    "zeros": (WINDOW, lambda k: k.ZeroPadding1D(2), "zeros in a window"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_layer_is_refused_by_name(case: str, tmp_path: Path) -> None:
    shape, make, message = REFUSED[case]
    path = saved(Case(shape, lambda k: [make(k)]).build(), tmp_path / "net.keras")
    hop = 4 if shape == WINDOW else None
    with pytest.raises(DataError, match=message) as caught:
        import_model(path, ImportOptions(hop=hop))
    assert "net.keras: layer " in str(caught.value)


def test_a_window_asks_how_far_it_moves(tmp_path: Path) -> None:
    case = Case(WINDOW, lambda k: [k.Flatten(), k.Dense(2)])
    path = saved(case.build(), tmp_path / "net.keras")
    with pytest.raises(UsageError, match=r"how far its window of 16 frames moves \(.*--hop with 1"):
        import_model(path, ImportOptions())
    for hop in (0, 17):
        with pytest.raises(UsageError, match=rf"--hop {hop} must be 1 to 16"):
            import_model(path, ImportOptions(hop=hop))


def test_a_stream_takes_no_hop(tmp_path: Path) -> None:
    path = saved(Case(STREAM, lambda k: [k.Dense(2)]).build(), tmp_path / "net.keras")
    with pytest.raises(UsageError, match="leave --hop out"):
        import_model(path, ImportOptions(hop=3))


def test_a_layer_of_ones_own_is_refused(tmp_path: Path) -> None:
    keras = keras_library()

    @keras.saving.register_keras_serializable("mine")
    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    path = saved(Case(STREAM, lambda k: [Twice()]).build(), tmp_path / "net.keras")
    with pytest.raises(DataError, match=r"\(mine>Twice\): is code of its own, which is not run"):
        import_model(path, ImportOptions())


def edited(path: Path, edit: Callable[[Any], object]) -> Path:
    """Change the configuration in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(parts["config.json"])
    edit(config["config"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in parts.items():
            archive.writestr(name, raw)
    return path


def reshaped(*shape: int | None) -> Callable[[Any], object]:
    """Return what gives the input another shape."""
    return lambda c: c["layers"][0]["config"].update(batch_shape=[None, *shape])


EDITS: dict[str, tuple[Callable[[Any], object], str]] = {
    "no class": (lambda c: c["layers"][1].pop("class_name"), "no model as Keras writes it"),
    "large stride": (lambda c: c["layers"][1]["config"].update(strides=[1 << 40]), "not that of"),
    "other kernel": (reshaped(None, 9), "does not read 9"),
    "huge input": (reshaped(1 << 60, 3), "a shape"),
    "no input": (lambda c: (c["layers"].pop(0), c.pop("build_input_shape", 0)), "of an input"),
    "list": (lambda c: c.update(layers=3), "no model as Keras writes it"),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_damaged_configuration_is_one_sentence(case: str, tmp_path: Path) -> None:
    path = saved(Case(STREAM, lambda k: [k.Conv1D(2, 3)]).build(), tmp_path / "net.keras")
    edit, message = EDITS[case]
    edited(path, edit)
    with pytest.raises(LnnEdgeError, match=message):
        import_model(path, ImportOptions())


def test_variables_that_unpack_to_more_than_a_model_has_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path, raw = tmp_path / "net.keras", io.BytesIO()
    with h5py.File(raw, "w") as file:
        for i in range(3):
            file.create_dataset(
                f"layers/dense/vars/{i}", (1 << 21,), "float32", fillvalue=0, chunks=(1 << 20,)
            )
    with zipfile.ZipFile(path, "w") as archive:
        row = {"class_name": "InputLayer", "config": {"batch_shape": [None, None, 3], "name": "a"}}
        config = {"class_name": "Sequential", "config": {"layers": [row]}}
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", raw.getvalue())
    with pytest.raises(DataError, match="and no board more than"):
        import_model(path, ImportOptions())


@pytest.mark.filterwarnings("ignore:.*legacy.*")
def test_a_model_in_hdf5_is_read_alike(tmp_path: Path) -> None:
    keras = keras_library()
    k = keras.layers
    x = keras.Input(STREAM)
    z = k.BatchNormalization()(k.Conv1D(4, 3, padding="causal")(x))
    z = k.GRU(4, return_sequences=True)(k.SeparableConv1D(4, 2)(k.Add()([z, z])))
    model = shaken(keras.Model(x, k.TimeDistributed(k.Dense(2))(z)))
    old = import_model(saved(model, tmp_path / "net.h5"), ImportOptions())
    new = import_model(saved(model, tmp_path / "net.keras"), ImportOptions())
    frames = frames_of(STREAM)
    np.testing.assert_array_equal(old.run(frames), new.run(frames))


@pytest.mark.filterwarnings("ignore:.*legacy.*")
@pytest.mark.parametrize(("version", "slope"), [("2.15.0", 1 / 5), ("3.9.2", 1 / 6)])
def test_the_slope_of_a_hard_sigmoid_is_that_of_the_version(
    version: str, slope: float, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    plain = Case(STREAM, lambda k: [k.Dense(2)]).build()
    model = Case(STREAM, lambda k: [k.Dense(2, activation="hard_sigmoid")]).build()
    path = saved(model, tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        assert str(file.attrs["keras_version"]).startswith("3.")
        file.attrs["keras_version"] = version
    frames = 4 * frames_of(STREAM)
    before = import_model(saved(plain, tmp_path / "plain.keras"), ImportOptions()).run(frames)
    assert (np.abs(before) > 3).any()
    wanted = np.clip(slope * before + 0.5, 0, 1)
    got = import_model(path, ImportOptions()).run(frames)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*legacy.*")
def test_an_inner_model_in_hdf5_is_asked_for_anew(tmp_path: Path) -> None:
    keras = keras_library()
    inner = keras.Sequential([keras.layers.Dense(2)])
    path = saved(Case(STREAM, lambda k: [inner]).build(), tmp_path / "net.h5")
    with pytest.raises(DataError, match="load it in Keras 3 and save it as"):
        import_model(path, ImportOptions())


@pytest.mark.parametrize("place", ["model_weights", "model_weights/rnn"])
def test_a_number_where_names_must_be_is_damage(tmp_path: Path, place: str) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"rnn"]
        weights.create_group("rnn").attrs["weight_names"] = [b"kernel"]
        file[place].attrs["layer_names" if place == "model_weights" else "weight_names"] = 3
    with pytest.raises(DataError, match=r"is damaged .*; save the weights again"):
        import_model(path, ImportOptions())
