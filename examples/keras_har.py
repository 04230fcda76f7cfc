"""A convolutional LSTM network of Keras: read from a .keras file, decisions on a stream."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from torch import nn

import lnn_edge as le
from examples.motion import RATE_HZ, sequences
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported


def save(path: Path) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    x = keras.Input((None, 6))
    z = layers.Conv1D(24, 5, strides=2, activation="relu")(x)
    z = layers.BatchNormalization()(z)
    z = layers.MaxPooling1D(2)(z)
    z = layers.LSTM(48, return_sequences=True)(z)
    z = layers.Dense(24, activation="relu")(layers.Dropout(0.3)(z))
    keras.Model(x, layers.Dense(6, activation="softmax")(z)).save(path)


def make() -> tuple[nn.Module, le.QGraph]:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "har.keras")
        net = import_model(Path(folder) / "har.keras", ImportOptions()).module
    return net, le.quantize(net, sequences(), name="keras_har", rate_hz=RATE_HZ)
