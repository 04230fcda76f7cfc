"""Which integer format a tensor of known range gets. No torch here."""

from __future__ import annotations

from collections.abc import Mapping

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import QTensor

Q15 = 2.0**-15
Ranges = Mapping[str, tuple[float, float]]
"""Calibrated (low, high) of tensors by name, in real units."""


def range_of(ranges: Ranges, name: str) -> tuple[float, float]:
    """Return the calibrated range of a tensor.

    Raises:
        QuantizationError: It was never observed or is empty.
    """
    low, high = ranges.get(name, (0.0, 0.0))
    if not low < high:
        raise QuantizationError(
            f"{name}: no range was observed; calibrate with data that reaches it"
        )
    return low, high


def symmetric(name: str, shape: tuple[int, ...], dtype: str, bound: float) -> QTensor:
    """Return an int8 or int16 tensor for [-bound, bound], zero point 0, without the lowest."""
    top = 127 if dtype == "int8" else 32767
    return QTensor(name, shape, dtype, bound / top, 0, -top, top)


def symmetric_of(name: str, shape: tuple[int, ...], dtype: str, ranges: Ranges) -> QTensor:
    """Return a symmetric tensor for a calibrated range."""
    low, high = range_of(ranges, name)
    return symmetric(name, shape, dtype, max(-low, high))


def whole(name: str, shape: tuple[int, ...], bound: float) -> QTensor:
    """Return an int16 tensor for [-bound, bound), zero point 0: all 65,536 values.

    What only a table or a sum reads: a core saturates to the whole type in one instruction.
    """
    return QTensor(name, shape, "int16", bound / 32768)


def whole_of(name: str, shape: tuple[int, ...], ranges: Ranges) -> QTensor:
    """Return the same for a calibrated range."""
    low, high = range_of(ranges, name)
    return whole(name, shape, max(-low, high))


def rectified(name: str, shape: tuple[int, ...], high: float) -> QTensor:
    """Return an int8 tensor for [0, high]: all 256 values, the zero point at the bottom (ReLU)."""
    return QTensor(name, shape, "int8", high / 255, -128)


def q15(name: str, size: int) -> QTensor:
    """Return an int16 vector for (-1, 1)."""
    return QTensor(name, (size,), "int16", Q15, 0, -32767, 32767)


def q15_gate(name: str, size: int) -> QTensor:
    """Return a uint16 vector for [0, 1]: 0 to 32768, so that products fit 32 bits."""
    return QTensor(name, (size,), "uint16", Q15, 0, 0, 1 << 15)


STANDSTILL = 2.0**-11  # of the range


def integrating_dtype(slowest: float) -> str:
    """Return int16, or int32 where an int16 state would stand still too early.

    A state that closes a share a of its distance in each step stops 0.5 / a steps short of its
    target: int16 where that is at most STANDSTILL of its range (docs/numerics.md).

    Args:
        slowest: The smallest a that occurs.
    """
    return "int16" if 0.5 / 32767 <= STANDSTILL * slowest else "int32"
