"""Calibration data of the examples: two ECG leads of six embedded recordings, 90 Hz, in mV."""

from __future__ import annotations

import numpy as np

from lnn_edge.tasks.recordings import load_labelled

RATE_HZ = 90


def sequences(frames: int = 300) -> np.ndarray:
    """Return (N, frames, 2) float32, two sequences of each recording."""
    found = []
    for recording in load_labelled("excerpts"):
        mv = recording.frames[: 8 * frames].reshape(2, frames, 4, 2).mean(2) / 200
        found.append(mv)
    return np.concatenate(found).astype(np.float32)
