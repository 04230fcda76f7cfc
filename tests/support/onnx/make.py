"""Writes models in this folder by exporters that the tests do not install.

The second exporter of torch, and Keras on its torch backend, both by onnxscript:
pip install onnxscript==0.7.2 torch==2.13.0 keras==3.15.1
KERAS_BACKEND=torch python -m tests.support.onnx.make
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from tests.support.onnx_cases import CASES

FOLDER = Path(__file__).parent
DYNAMO = {"lstm": "lstm of two layers", "causal": "causal", "image": "window: image"}


def write_torch() -> None:
    """Write cases by torch.onnx.export(dynamo=True)."""
    for name, case_name in DYNAMO.items():
        case = CASES[case_name]
        names = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
        shapes: Any = ((names,),) if case.free else None
        x = torch.zeros(2 if case.free else 1, *case.shape[1:])
        torch.onnx.export(
            case.module(),
            (x,),
            str(FOLDER / f"dynamo_{name}.onnx"),
            input_names=["x"],
            dynamo=True,
            external_data=False,
            dynamic_shapes=shapes[0] if shapes else None,
        )


def write_keras() -> None:
    """Write models of Keras by Model.export(format="onnx")."""
    import keras
    import numpy as np

    k = keras.layers
    layers = [
        keras.Input((32, 3), batch_size=1, name="x"),
        k.Conv1D(4, 3, activation="relu"),
        k.BatchNormalization(),
        k.MaxPooling1D(2),
        k.Flatten(),
        k.Dense(2, activation="softmax"),
    ]
    models = {"window": keras.Sequential(layers), "residual": residual(k, keras)}
    for name, model in models.items():
        rng = np.random.default_rng(0)
        for variable in model.weights:
            low, high = (0.1, 0.6) if name == "window" else (-0.2, 0.3)
            low = 0.1 if "variance" in variable.path else low
            variable.assign(rng.uniform(low, high, variable.shape))
        model(np.zeros((1, 32, 3), np.float32))  # Keras exports no model that was never called
        model.export(str(FOLDER / f"keras_{name}.onnx"), format="onnx", verbose=False)


def residual(k: Any, keras: Any) -> Any:
    """Return a network whose convolutions pad, join, and are added."""
    x = keras.Input((32, 3), batch_size=1, name="x")
    a = k.Conv1D(6, 5, 2, padding="same", activation="relu")(x)
    b = k.ReLU()(k.Add()([a, k.BatchNormalization()(k.Conv1D(6, 3, padding="same")(a))]))
    c = k.Conv1D(4, 3)(k.Concatenate()([a, b]))
    pooled = [k.GlobalAveragePooling1D()(c), k.GlobalMaxPooling1D()(c)]
    y = k.Dense(3, activation="softmax")(k.Concatenate()(pooled))
    return keras.Model(x, y)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_keras()
        write_torch()
