"""Makes the folders beside it: SavedModels of Keras 2 with inputs and outputs, random weights.

    pip install tensorflow==2.21.0 tf_keras==2.21.0
    TF_USE_LEGACY_KERAS=1 python -m tests.support.keras.saved_model.make

saved_model.pb, the program, is left out: nothing reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
KEPT = ("keras_metadata.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


def window(k: Any) -> tuple[Any, tuple[int, int]]:
    """Return a model that reads windows of 40 frames."""
    layers = k.layers
    model = k.Sequential(
        [
            layers.Input((40, 3)),
            layers.Conv1D(6, 5, padding="same", activation="relu", name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.GRU(7, return_sequences=True, name="gru"),
            layers.LSTM(8, name="lstm"),
            layers.Dropout(0.1),
            layers.Dense(4, name="head"),
        ]
    )
    rng = np.random.default_rng(0)
    shifts, scales = rng.normal(size=(2, 6)), rng.uniform(0.5, 1.5, (2, 6))
    model.get_layer("bn").set_weights([scales[0], *shifts, scales[1]])
    return model, (40, 3)


def stream(k: Any) -> tuple[Any, tuple[int, int]]:
    """Return a model that reads frame by frame, with two branches."""
    layers, given = k.layers, k.Input((32, 3))
    branches = [layers.Dense(5, f, name=name)(given) for f, name in (("tanh", "a"), (None, "b"))]
    joined = layers.Concatenate(name="cat")(branches)
    memory = layers.LSTM(6, return_sequences=True, name="rec")(joined)
    made = layers.TimeDistributed(layers.Dense(2), name="td")(memory)
    return k.Model(given, made), (32, 3)


def save(model: Any, shape: tuple[int, int], folder: Path) -> None:
    """Save a model as Keras 2 does, and what it gives."""
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype(np.float32)
    model.save(folder, save_format="tf")
    np.savez(folder / "outputs.npz", x=x, y=model.predict(x, verbose=0))


def main() -> None:
    """Make every folder."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    for build in (window, stream):
        folder = HERE / build.__name__
        save(*build(tf_keras), folder)
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            if path.is_file() and str(path.relative_to(folder)) not in (*KEPT, "outputs.npz"):
                path.unlink()


if __name__ == "__main__":
    main()
