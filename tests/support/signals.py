"""Generated signals for networks that learned nothing."""

from __future__ import annotations

import numpy as np


def sines(sequences: int, frames: int, channels: int, seed: int) -> np.ndarray:
    """Return (N, T, C) float32: a sine in each channel, of its own frequency and height."""
    rng = np.random.default_rng(seed)
    shape = (sequences, 1, channels)
    t = np.arange(frames)[None, :, None] / 20
    frequency, phase = rng.uniform(0.2, 3, shape), rng.uniform(0, 6, shape)
    x: np.ndarray = rng.uniform(0.3, 2, shape) * np.sin(2 * np.pi * frequency * t + phase)
    return x.astype(np.float32)
