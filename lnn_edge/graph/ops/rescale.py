"""What operators share that only change the format of elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

SAME_FACTOR = 1e-9  # relative: scales that should differ by one factor were each rounded
Factors = tuple[int, int] | tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class AbstractRescale(AbstractOp):
    """y_i = saturate(requantize(x_(first + i) - zx, multiplier, shift) + zy).

    x and y are read as the vectors that they are in memory (last axis fastest). Zero points and
    factors may differ from element to element; they repeat after `period` elements.

    Attributes:
        multiplier: Of the factor x.scale / y.scale, see fixed.requantize; int32 (P,) where factors
            differ, P a divisor of y.size.
        shift: Of the factor, int8 (P,) where factors differ.
    """

    channel_scales: ClassVar[tuple[str, ...]] = ("x0", "y0")
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x0", "y0")
    multiplier: int | np.ndarray
    shift: int | np.ndarray

    @property
    def start(self) -> int:
        """Index of the first element of x that is read."""
        return 0

    @cached_property
    def zero_points_of_x(self) -> np.ndarray:
        """Zero point of x, (y.size,) int64."""
        return each(self.inputs[0], "zero_points", self.start, self.outputs[0].size)

    @cached_property
    def zero_points_of_y(self) -> np.ndarray:
        """Zero point of y, (y.size,) int64."""
        return each(self.outputs[0], "zero_points", 0, self.outputs[0].size)

    @cached_property
    def multipliers(self) -> np.ndarray:
        """Multiplier of each element, (y.size,) int64."""
        return np.resize(self.multiplier, self.outputs[0].size).astype(np.int64)

    @cached_property
    def shifts(self) -> np.ndarray:
        """Shift of each element, (y.size,) int64."""
        return np.resize(self.shift, self.outputs[0].size).astype(np.int64)

    @cached_property
    def period(self) -> int:
        """Elements after which zero points and factors repeat; 1 where all are alike."""
        return shortest_period(
            (self.zero_points_of_x, self.zero_points_of_y, self.multipliers, self.shifts),
            (self.outputs[0].shape[-1], self.inputs[0].shape[-1]),
        )

    def check_factors(self) -> None:
        """Check the factors, and prove the range of the shifted value."""
        x, y = self.inputs[0], self.outputs[0]
        if isinstance(self.multiplier, int) and isinstance(self.shift, int):
            self.require_factor(self.multiplier, self.shift)
        else:
            self._check_arrays(y.size)
        away = np.maximum(x.qmax - self.zero_points_of_x, self.zero_points_of_x - x.qmin)
        self.require_bound(int((away << self.shifts).max()), "shifted input")

    def _check_arrays(self, size: int) -> None:
        multiplier, shift = np.asarray(self.multiplier), np.asarray(self.shift)
        self.require(
            multiplier.shape == shift.shape
            and len(multiplier.shape) == 1
            and multiplier.size >= 1
            and size % multiplier.size == 0
            and [multiplier.dtype, shift.dtype] == [np.int32, np.int8],
            "multipliers must be int32 and shifts int8, as many of each, a divisor of "
            f"{size}; they are {multiplier.dtype} {multiplier.shape} and {shift.dtype} "
            f"{shift.shape}",
        )
        for pair in ((multiplier.min(), shift.min()), (multiplier.max(), shift.max())):
            self.require_factor(int(pair[0]), int(pair[1]))

    def check_in_step(self) -> None:
        """Check that the factors are those of the scales."""
        x, y = self.inputs[0], self.outputs[0]
        factors = factors_of(x, y, self.start)
        step = 2.0 ** (self.shifts - 32)  # of a factor; it is rounded to half of that
        off = np.abs(factors - fixed.real_multiplier(self.multipliers, self.shifts))
        self.require(
            bool((off <= step / 2 + SAME_FACTOR * factors).all()),
            f"the factors are not those of the scales of {x.name} and {y.name}",
        )

    def _elements(self, x: Array) -> Array:
        axes, size = len(self.inputs[0].shape), self.outputs[0].size
        flat = x.reshape(*x.shape[: x.ndim - axes], -1)
        return flat[..., self.start : self.start + size]

    def _shaped(self, x: Array, flat: Array) -> Array:
        batch = x.shape[: x.ndim - len(self.inputs[0].shape)]
        return flat.reshape(*batch, *self.outputs[0].shape)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the elements in the format of y, exactly."""
        (x,), y = inputs, self.outputs[0]
        zero_x, zero_y, multiplier, shift = (
            fixed.like(x, v)
            for v in (self.zero_points_of_x, self.zero_points_of_y, self.multipliers, self.shifts)
        )
        q = fixed.requantize(self._elements(x) - zero_x, multiplier, shift) + zero_y
        return (self._shaped(x, fixed.saturate(q, y.qmin, y.qmax)),)


def each(tensor: QTensor, what: str, first: int, count: int) -> np.ndarray:
    """Return scales or zero points of elements [first, first + count) in memory."""
    values = np.broadcast_to(getattr(tensor, what), tensor.shape).reshape(-1)
    return values[first : first + count].copy()


def factors_of(x: QTensor, y: QTensor, first: int = 0) -> np.ndarray:
    """Return x.scale / y.scale of each element of y."""
    scales = each(x, "scales", first, y.size)
    factors: np.ndarray = scales / each(y, "scales", 0, len(scales))
    return factors


def shortest_period(arrays: tuple[np.ndarray, ...], candidates: tuple[int, ...]) -> int:
    """Return the smallest of 1, the candidates and the size after which all arrays repeat."""
    size = arrays[0].size
    whole = (p for p in sorted({1, *candidates}) if size % p == 0)
    return next(
        (p for p in whole if all((a == np.resize(a[:p], size)).all() for a in arrays)), size
    )


def quantize_factors(x: QTensor, y: QTensor, first: int = 0) -> Factors:
    """Return multiplier and shift: two integers, or arrays where the scales need several factors.

    Args:
        x: What is read.
        y: What it becomes.
        first: Index of the first element of x.
    """
    factors = factors_of(x, y, first)
    if factors.size < y.size:
        return 1 << 30, 0  # of elements that do not exist: the operator's check names them
    if np.ptp(factors) <= SAME_FACTOR * factors[0]:
        return fixed.quantize_multiplier(float(factors[0]))
    period = shortest_period((factors,), (y.shape[-1], x.shape[-1]))
    pairs = [fixed.quantize_multiplier(f) for f in factors[:period].tolist()]
    multiplier, shift = np.array(pairs, np.int64).T
    return multiplier.astype(np.int32), shift.astype(np.int8)
