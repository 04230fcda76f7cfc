"""Writes outputs of CCfC and CLTC as Huang et al. 2024 built them, the witness of our networks.

The environment is that of make.py:
KERAS_BACKEND=torch env/bin/python tests/support/keras/make_huang2024.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from make_huang2024_inputs import SHAPE, draw_input, draw_weights
from ncps import keras as layers
from ncps.wirings import AutoNCP

FOLDER = Path(__file__).parent


def build(cell: str, activation: str, gate: str) -> keras.Model:
    """Return the published network, without its last sigmoid."""
    wiring = AutoNCP(20, 6)
    inputs = keras.Input((None, *SHAPE))
    x = keras.layers.ConvLSTM2D(
        16, (12, 3), (1, 2), activation=activation, recurrent_activation=gate, return_sequences=True
    )(inputs)
    x = keras.layers.TimeDistributed(keras.layers.Flatten())(x)
    x = keras.layers.TimeDistributed(keras.layers.Dense(75, activation=activation))(x)
    liquid = layers.CfC if cell == "ccfc" else layers.LTC
    return keras.Model(inputs, liquid(wiring, return_sequences=False)(x))


def main() -> None:
    arrays = {}
    for cell in ("ccfc", "cltc"):
        for activation, gate in (("relu", "sigmoid"), ("tanh", "hard_sigmoid")):
            model = build(cell, activation, gate)
            names = [w.path for w in model.weights]
            weights = draw_weights(names, [tuple(w.shape) for w in model.weights])
            model.set_weights(weights)
            key = f"{cell}.{activation}"
            arrays[key] = model.predict(draw_input(), verbose=0)
            arrays[f"{key}.names"] = np.array(names)
            arrays[f"{key}.shapes"] = np.array([[*w.shape, *[0] * (4 - w.ndim)] for w in weights])
            arrays[f"{key}.count"] = np.array(model.count_params())
    np.savez_compressed(FOLDER / "huang2024.npz", **arrays)


if __name__ == "__main__":
    main()
