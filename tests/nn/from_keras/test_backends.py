"""A model saved under TensorFlow or JAX gives what Keras gave there: files and outputs are stored.

The torch backend is that of the other tests of this room.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.places import SUPPORT

FOLDER = SUPPORT / "keras" / "backends"
KINDS = {
    "stream": {"conv1d", "batch_norm", "linear", "lstm", "gru"},
    "images": {"conv2d", "conv_lstm", "linear"},
    "wired": {"wired_cfc"},
    "ltc": {"ltc"},
}
pytestmark = pytest.mark.usefixtures("readers_here")


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("name", KINDS)
def test_a_model_gives_what_keras_gave(name: str, backend: str) -> None:
    pytest.importorskip("h5py")
    model = import_model(FOLDER / f"{name}_{backend}.keras", ImportOptions())
    assert KINDS[name] <= {row.kind for row in model.card.layers}
    with np.load(FOLDER / f"{backend}.npz") as arrays:
        frames, wanted = arrays[f"{name}_x"], arrays[f"{name}_y"]
    assert np.abs(model.run(frames) - wanted).max() < 1e-5


def test_a_layer_of_integers_is_still_refused(tmp_path: Path) -> None:
    """Only a cell may hold whole numbers, and none of 8 bits: those are of a quantized layer."""
    import io
    import zipfile

    import h5py

    from lnn_edge.errors import DataError

    with zipfile.ZipFile(FOLDER / "ltc_jax.keras") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    buffer = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        cell = file["layers/ltc/cell/vars"]
        values = cell["6"][...]
        del cell["6"]
        cell["6"] = values.astype(np.int8)
    parts["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, raw in parts.items():
            archive.writestr(name, raw)
    with pytest.raises(DataError, match="of 14 variables"):
        import_model(tmp_path / "net.keras", ImportOptions())
