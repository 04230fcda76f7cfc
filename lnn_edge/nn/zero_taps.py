"""Kernels with taps of zero, which stand for another number of zeros before than behind."""

from __future__ import annotations

import numpy as np


def balanced(
    kernel: np.ndarray, axis: int, before: int, after: int, dilation: int
) -> tuple[np.ndarray, int]:
    """Return a kernel that needs the same number of zeros on both sides, and this number.

    Args:
        kernel: Taps along `axis`.
        axis: Along which it moves.
        before: Zeros before what it reads.
        after: Zeros behind.
        dilation: From one tap to the next.

    Raises:
        ValueError: No whole number of taps makes up for the difference.
    """
    more, rest = divmod(abs(before - after), dilation)
    if rest:
        raise ValueError(f"{before} zeros before and {after} behind")
    sides = [(0, 0)] * kernel.ndim
    sides[axis] = (more, 0) if before < after else (0, more)
    return np.pad(kernel, sides), max(before, after)
