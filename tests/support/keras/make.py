"""Writes weights, models and outputs of ncps.keras in this folder, the witness of the import.

python -m venv env && env/bin/pip install keras==3.15.1 h5py==3.16.0 torch==2.13.0 ncps==1.0.1
KERAS_BACKEND=torch env/bin/python tests/support/keras/make.py
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from ncps import keras as layers
from ncps.wirings import NCP, AutoNCP, FullyConnected, Random

FOLDER = Path(__file__).parent
INPUT, STEPS = 3, 40


def wiring() -> AutoNCP:
    """Return the wiring anew: a second build of one object adds synapses."""
    return AutoNCP(9, 2, seed=5)


CELLS = {
    "default": lambda: layers.CfC(4, backbone_units=6, return_sequences=True),
    "no_gate": lambda: layers.CfC(
        4, mode="no_gate", activation="tanh", backbone_layers=2, backbone_units=6,
        return_sequences=True,
    ),
    "pure": lambda: layers.CfC(4, mode="pure", backbone_units=6, return_sequences=True),
    "mixed": lambda: layers.CfC(4, mixed_memory=True, backbone_units=6, return_sequences=True),
    "wired": lambda: layers.CfC(wiring(), return_sequences=True),
    "ltc": lambda: layers.LTC(wiring(), ode_unfolds=4, return_sequences=True),
}  # fmt: skip


IMAGE = (5, 6, 2)
IMAGES = {
    "valid": {"kernel_size": (2, 3), "padding": "valid"},
    "same": {"kernel_size": (3, 2), "padding": "same", "recurrent_activation": "hard_sigmoid"},
    "strided": {"kernel_size": (3, 3), "strides": (2, 3), "padding": "same", "activation": "relu"},
    "strided_valid": {"kernel_size": (2, 2), "strides": (2, 2), "padding": "valid"},
}


def write_images(rng: np.random.Generator) -> None:
    """Write weights and outputs of ConvLSTM2D."""
    images = rng.normal(0, 1, (2, 7, *IMAGE)).astype(np.float32)
    arrays = {"images": images}
    for name, form in IMAGES.items():
        inputs = keras.Input((7, *IMAGE))
        layer = keras.layers.ConvLSTM2D(3, return_sequences=True, **form)
        model = keras.Model(inputs, layer(inputs))
        model.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()])
        keys = ("kernel", "recurrent_kernel", "bias")
        for key, value in zip(keys, model.get_weights(), strict=True):
            arrays[f"{name}.{key}"] = value
        arrays[name] = model.predict(images, verbose=0)
    np.savez(FOLDER / "convlstm2d.npz", **arrays)


MODELS = {
    "trained": lambda: layers.CfC(
        4, mode="no_gate", activation="silu", backbone_units=6, backbone_layers=2,
        backbone_dropout=0.2, return_sequences=True,
    ),
    "wired_first_two": lambda: layers.CfC(
        FullyConnected(6, 2, erev_init_seed=4), mode="pure", return_sequences=True
    ),
    "ltc_auto": lambda: layers.LTC(AutoNCP(9, 2, 0.3, 5), ode_unfolds=4, return_sequences=True),
    "ltc_random": lambda: layers.LTC(
        Random(6, 2, sparsity_level=0.4, random_seed=4), input_mapping="linear",
        output_mapping=None, ode_unfolds=3, epsilon=0.01, return_sequences=True,
    ),
    "ltc_no_seed": lambda: layers.LTC(NCP(4, 3, 2, 2, 2, 3, 2, seed=7), return_sequences=True),
    "memory": lambda: keras.layers.RNN(
        layers.MixedMemoryRNN(layers.CfCCell(4, backbone_units=6), forget_gate_bias=0.5),
        return_sequences=True,
    ),
}  # fmt: skip


def write_models(rng: np.random.Generator) -> None:
    """Write whole models as .keras, with what no file of weights tells, and their outputs."""
    frames = rng.normal(0, 1, (2, STEPS, INPUT)).astype(np.float32)
    outputs = {"frames": frames}
    for name, make in MODELS.items():
        dropout = [keras.layers.Dropout(0.1)] if name == "trained" else []
        model = keras.Sequential([keras.Input((STEPS, INPUT)), make(), *dropout])
        model.set_weights([w + 0.1 * np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
        if name == "trained":
            model.compile("sgd", "mse")
            model.fit(frames, model.predict(frames, verbose=0) + 1, epochs=3, verbose=0)
        model.save(FOLDER / f"{name}.keras")
        outputs[name] = model.predict(frames, verbose=0)
    np.savez(FOLDER / "models.npz", **outputs)


def main() -> None:
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    write_images(np.random.default_rng(4))
    frames = rng.normal(0, 1, (2, STEPS, INPUT)).astype(np.float32)
    outputs = {"frames": frames}
    for name, make in CELLS.items():
        inputs = keras.Input((STEPS, INPUT))
        model = keras.Model(inputs, make()(inputs))
        weights = model.get_weights()  # only larger ones: an LTC's conductances stay positive
        model.set_weights([w + 0.1 * np.abs(rng.normal(size=w.shape)) for w in weights])
        model.save_weights(FOLDER / f"{name}.weights.h5")
        outputs[name] = model.predict(frames, verbose=0)
    np.savez(FOLDER / "outputs.npz", **outputs)
    built = wiring()
    built.build(INPUT)
    document = {
        "adjacency_matrix": built.adjacency_matrix.tolist(),
        "sensory_adjacency_matrix": built.sensory_adjacency_matrix.tolist(),
        "layers": [built.get_neurons_of_layer(i) for i in range(built.num_layers)],
        "output_dim": built.output_dim,
    }
    (FOLDER / "wiring.json").write_text(json.dumps(document))
    write_models(np.random.default_rng(5))


if __name__ == "__main__":
    main()
