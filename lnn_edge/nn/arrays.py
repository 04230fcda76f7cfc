"""Weights of another library's model, read."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]
"""By name, float64, finite; matrices are (out, in)."""
AGAIN = "train it again, or save it before it diverged"
