"""Numbers from a file must be numbers: no NaN, nothing that float32 cannot hold."""

from __future__ import annotations

import numpy as np

from lnn_edge.errors import DataError, LnnEdgeError


def check_finite(
    what: str, values: np.ndarray, remedy: str, error: type[LnnEdgeError] = DataError
) -> None:
    """Refuse an array that holds anything but finite float32 numbers.

    Args:
        what: What holds them, a file and the name of an array in it, for the message.
        values: Real numbers of any shape.
        remedy: What to do about it.
        error: Class of error to raise.

    Raises:
        LnnEdgeError: Of class `error`; says how many there are, and where the first is.
    """
    with np.errstate(over="ignore"):
        bad = np.argwhere(~np.isfinite(np.asarray(values, np.float32)))
    if len(bad):
        place = f", the first at {bad[0].tolist()}" if values.ndim else ""
        raise error(f"{what} holds {len(bad)} NaN or infinite values{place}; {remedy}")
