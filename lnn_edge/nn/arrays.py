"""Weights of another library's model, read."""

from __future__ import annotations

import numpy as np

from lnn_edge.errors import DataError

MOST_WEIGHTS, MOST_ARRAYS = 1 << 22, 10_000  # of a model: no board holds as many
Arrays = dict[str, np.ndarray]
"""By name, float64, finite; matrices are (out, in)."""
AGAIN = "train it again, or save it before it diverged"


def check_size(where: str, arrays: int, weights: int) -> None:
    """See that a model is none that no board could hold, before it is unpacked.

    Args:
        where: The file, for messages.
        arrays: How many it has.
        weights: Numbers in all of them together.

    Raises:
        DataError: There are too many.
    """
    if weights > MOST_WEIGHTS or arrays > MOST_ARRAYS:
        raise DataError(
            f"{where} holds {weights:,} weights in {arrays:,} arrays, and no board more than "
            f"{MOST_WEIGHTS:,} in {MOST_ARRAYS:,}; make the model smaller"
        )
