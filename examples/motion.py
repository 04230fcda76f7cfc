"""Calibration data of an example: motion of people, 50 Hz, 3 axes in g and 3 in units of 4 rad/s.

Smartphones of UCI HAR where LNN_EDGE_DATA has it; else generated walks, which teach as much here.
"""

from __future__ import annotations

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.tasks.recordings import load_labelled

RATE_HZ = 50


def sequences(frames: int = 200) -> np.ndarray:
    """Return (N, frames, 6) float32, one sequence of each run."""
    try:
        runs = load_labelled("uci_har", records=[f"run{n:02d}" for n in range(1, 13)])
    except DataError:
        runs = load_labelled("synthetic-activity")
    found = [r.frames[len(r.frames) // 2 :][:frames] for r in runs]
    return (np.stack(found) / 4096).astype(np.float32)
