"""Models of Keras, built by Keras on its torch backend, with weights that are not those of a start.

The witness of `lnn-edge import`: what Keras saves, and what it computes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STEPS = 40
Layers = Callable[[Any], list[Any]]


def keras_library() -> Any:
    """Return Keras, on the backend that is here; skip without it."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


@dataclass(frozen=True)
class Case:
    """Layers one behind the other.

    Attributes:
        shape: Of the input; None for any number of frames.
        layers: Makes them of keras.layers.
        hop: Of the windows, where they read one.
    """

    shape: tuple[int | None, ...]
    layers: Layers
    hop: int | None = None

    def build(self, seed: int = 0) -> Any:
        """Return the model, its weights away from where Keras starts them."""
        keras = keras_library()
        model = keras.Sequential([keras.Input(self.shape), *self.layers(keras.layers)])
        return shaken(model, seed)


def shaken(model: Any, seed: int = 0) -> Any:
    """Return a model whose weights are random, variances above 0."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.asarray(variable.value.detach().cpu())
        if "seed" in variable.path or value.dtype.kind != "f":
            continue
        if "variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, value.shape))
        else:
            fan = max(int(np.prod(value.shape[:-1])), 1)
            variable.assign(rng.normal(0, 1 / np.sqrt(fan), value.shape))
    return model


def frames_of(shape: tuple[int | None, ...], seed: int = 1, steps: int = STEPS) -> np.ndarray:
    """Return sequences (2, T, C) for an input shape."""
    size = int(np.prod([n for n in (shape[1:] if len(shape) > 1 else shape) if n]))
    return np.random.default_rng(seed).normal(0, 1, (2, steps, size)).astype(np.float32)


def outputs_of(model: Any, frames: np.ndarray, hop: int | None) -> list[np.ndarray]:
    """Return what Keras gives for sequences, (2, D, K) or (2, K), one array an output."""
    shape = model.input_shape[1:]
    if hop is not None:
        length = shape[0]
        starts = range(0, frames.shape[1] - length + 1, hop)
        x = np.stack([frames[:, s : s + length] for s in starts], 1).reshape(-1, *shape)
    elif len(shape) == 1:
        x = frames.reshape(-1, *shape)
    else:
        x = frames.reshape(len(frames), -1, *shape[1:])
    given = model(x)
    found = given if isinstance(given, list | tuple) else [given]
    arrays = [np.asarray(y.detach().cpu()) for y in found]
    if hop is not None or len(shape) == 1:
        return [y.reshape(len(frames), -1, int(np.prod(y.shape[1:]))) for y in arrays]
    return [y.reshape(*y.shape[:2], -1) if y.ndim > 3 else y for y in arrays]


def saved(model: Any, path: Path) -> Path:
    """Save a model and return its path."""
    model.save(path)
    return path
