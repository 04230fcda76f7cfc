"""Kernels of short-time Fourier transforms."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import Constants, Kernel, always
from lnn_edge.graph.ops.stft import StftMagnitude, reversed_bits


def pack(op: StftMagnitude) -> Constants:
    """Return the tables, and where each four of the complex inputs goes."""
    return {
        "window": op.window,
        "turn": op.turn.ravel(),
        "positions": reversed_bits(op.size // 8).astype(np.uint16),
        "multiplier": op.multiplier,
        "shift": op.shift,
    }


def spectrum_bytes(op: StftMagnitude) -> int:
    """Return the bytes of one channel's spectrum, bins 0 to N / 2."""
    return 4 * (op.size + 2)


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "stft_magnitude": (Kernel("portable", "stft_magnitude.c.j2", always, pack, spectrum_bytes),),
}
