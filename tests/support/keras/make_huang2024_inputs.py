"""Inputs and weights that both sides of the comparison draw alike."""

from __future__ import annotations

import numpy as np

SHAPE = (12, 33, 129)  # leads, columns, bins
SEED = 7


def draw_input() -> np.ndarray:
    """Return magnitudes in mV that fall with frequency, (5, 1, 12, 33, 129)."""
    rng = np.random.default_rng(SEED)
    fall = 2 * np.exp(-np.arange(SHAPE[2]) / 12)
    loud = rng.uniform(0, 2, (5, 1, *SHAPE[:2], 1))  # of every lead and column
    return (np.abs(rng.normal(0, 1, (5, 1, *SHAPE))) * fall * loud).astype(np.float32)


def draw_weights(names: list[str], shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Return weights of these names and shapes; synapses steep and strong enough to matter."""
    rng = np.random.default_rng(SEED + 1)
    drawn = []
    for path, shape in zip(names, shapes, strict=True):
        name, fan_in = path.rsplit("/", 1)[-1], max(np.prod(shape[:-1]), 40)
        value = rng.normal(0, 2 / np.sqrt(fan_in), shape)
        if name in ("gleak", "cm", "w", "sensory_w"):
            value = np.abs(value)
        if name in ("sigma", "sensory_sigma"):
            value = 4 + value
        if name in ("w", "sensory_w", "input_w", "erev", "sensory_erev"):
            value = 4 * value
        drawn.append(value.astype(np.float32))
    return drawn
