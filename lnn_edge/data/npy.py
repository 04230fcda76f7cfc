"""Arrays of a NumPy file: sequences of real frames, and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.files.arrays import array_of
from lnn_edge.files.finite import check_finite
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole


def load_array(path: Path) -> np.ndarray:
    """Read the numbers of a .npy file, of any shape and type.

    Raises:
        DataError: It cannot be read, or is none.
    """
    try:
        return array_of(read_whole(path, LARGEST_ARRAYS))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a .npy file") from None
    except ValueError as error:
        raise DataError(
            f"{path} is no .npy file of numbers ({error}); write one with numpy.save"
        ) from None


def load_sequences(path: Path, channels: int | None = None) -> np.ndarray:
    """Read sequences of frames, float64 (N, T, channels).

    Args:
        path: .npy file of (N, T, channels), or of one sequence (T, channels).
        channels: Channels of a frame; None takes those of the file.

    Raises:
        DataError: The file cannot be read, has another shape, or holds a number that is not finite.
    """
    array = load_array(path)
    whole = array[None] if array.ndim == 2 else array
    size = channels or "channels"
    if whole.ndim != 3 or whole.shape[2] != (channels or whole.shape[2]) or whole.size == 0:
        raise DataError(f"{path} must be (N, T, {size}) or (T, {size}), not {array.shape}")
    check_finite(str(path), array, "remove or fill them")
    frames: np.ndarray = whole.astype(np.float64)
    return frames
