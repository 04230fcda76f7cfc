"""Writes models of Keras 3 under one backend, and their outputs, in this folder.

Once for each backend, with keras==3.15.1, ncps==1.0.1, jax==0.10.2, tensorflow==2.21.0:
KERAS_BACKEND=jax python tests/support/keras/backends/make.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from ncps.keras import LTC, CfC
from ncps.wirings import AutoNCP

FOLDER = Path(__file__).parent
k = keras.layers
MODELS = {
    "stream": lambda: [
        keras.Input((None, 3)),
        k.Conv1D(4, 3, padding="causal", activation="relu"),
        k.BatchNormalization(),
        k.TimeDistributed(k.Dense(5, activation="tanh")),
        k.LSTM(4, return_sequences=True),
        k.GRU(4, return_sequences=True),
        k.Dense(2),
    ],
    "images": lambda: [
        keras.Input((None, 4, 4, 1)),
        k.TimeDistributed(k.Conv2D(2, 2, activation="relu")),
        k.ConvLSTM2D(2, (2, 2), padding="same", return_sequences=True),
        k.TimeDistributed(k.Flatten()),
        k.Dense(2),
    ],
    "wired": lambda: [keras.Input((None, 3)), CfC(AutoNCP(8, 2), return_sequences=True)],
    "ltc": lambda: [keras.Input((None, 3)), LTC(AutoNCP(8, 2), return_sequences=True)],
}
LIQUID = ("wired", "ltc")


def shaken(model: Any) -> Any:
    """Return a model whose weights are random, variances above 0."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        shape = variable.shape
        if "variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            fan = max(int(np.prod(shape[:-1])), 1)
            variable.assign(rng.normal(0, 1 / np.sqrt(fan), shape))
    return model


def main() -> None:
    backend, rng = keras.backend.backend(), np.random.default_rng(1)
    found = {}
    for name, make in MODELS.items():
        model = keras.Sequential(make())
        model = model if name in LIQUID else shaken(model)
        model.save(FOLDER / f"{name}_{backend}.keras")
        x = rng.normal(size=(2, 20, *model.input_shape[2:])).astype(np.float32)
        found[f"{name}_x"] = x.reshape(2, 20, -1)
        found[f"{name}_y"] = keras.ops.convert_to_numpy(model(x))
    np.savez_compressed(FOLDER / f"{backend}.npz", **found)


if __name__ == "__main__":
    main()
