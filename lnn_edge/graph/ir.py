"""Integer tensors, and operators on them: what a quantized graph computes with. No torch."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_name
from lnn_edge.graph.fixed import INT32_LIMIT, ITEM_BYTES, RANGES, Array

Role = Literal["input", "scratch", "state"]
LARGEST_BYTES = 1 << 26  # of a tensor or a ring: no microcontroller has more


@dataclass(frozen=True)
class QTensor:
    """An integer tensor. real = scale * (q - zero_point).

    Attributes:
        name: C identifier, unique in its graph.
        shape: Static shape, without a batch axis.
        dtype: int8, int16, uint16, int32 or uint32.
        scale: Real value of one step; a tuple is per element of the last axis.
        zero_point: Integer that means 0.0; a tuple is per element of the last axis.
        qmin: Smallest value ever stored (proved or saturated); dtype's minimum if None is given.
        qmax: Largest value ever stored.
        role: input (written by the run time), scratch (arena) or state (kept between steps).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | tuple[float, ...] = 1.0
    zero_point: int | tuple[int, ...] = 0
    qmin: int = field(default=None)  # type: ignore[assignment]
    qmax: int = field(default=None)  # type: ignore[assignment]
    role: Role = "scratch"

    def __post_init__(self) -> None:
        check_name("tensor", self.name)
        if self.dtype not in RANGES:
            raise GraphError(
                f"{self.name}: dtype must be one of {sorted(RANGES)}, not {self.dtype!r}"
            )
        low, high = RANGES[self.dtype]
        object.__setattr__(self, "qmin", low if self.qmin is None else self.qmin)
        object.__setattr__(self, "qmax", high if self.qmax is None else self.qmax)
        if not low <= self.qmin <= self.qmax <= high:
            raise GraphError(
                f"{self.name}: range [{self.qmin}, {self.qmax}] is empty or outside {self.dtype}"
            )
        if self.role not in get_args(Role):
            raise GraphError(
                f"{self.name}: role must be one of {get_args(Role)}, not {self.role!r}"
            )
        if not self.shape or min(self.shape) < 1 or self.bytes > LARGEST_BYTES:
            raise GraphError(
                f"{self.name}: shape must have positive sizes and take at most "
                f"{LARGEST_BYTES} bytes, not {self.shape}"
            )
        scales, points = self.scales, self.zero_points
        if not all(math.isfinite(s) and s > 0 for s in scales):
            raise GraphError(f"{self.name}: scale {self.scale} must be positive and finite")
        if not all(low <= z <= high for z in points):
            raise GraphError(f"{self.name}: zero point {self.zero_point} is outside {self.dtype}")
        for values in (scales, points):
            if len(values) not in (1, self.shape[-1]):
                raise GraphError(
                    f"{self.name}: {len(values)} scales or zero points, {self.shape[-1]} channels"
                )

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the last axis, or one."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)

    @property
    def zero_points(self) -> tuple[int, ...]:
        """Zero points of the last axis, or one."""
        return self.zero_point if isinstance(self.zero_point, tuple) else (self.zero_point,)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.size * ITEM_BYTES[self.dtype]

    @property
    def magnitude(self) -> int:
        """Largest |q - zero_point| that can be stored."""
        return max(max(abs(self.qmin - z), abs(self.qmax - z)) for z in self.zero_points)

    def dequantize(self, q: Array) -> Array:
        """Return real values of integers."""
        return (q - np.asarray(self.zero_points)) * np.asarray(self.scales)

    def quantize(self, real: Array) -> Array:
        """Return the nearest integers of real values (ties up), saturated to [qmin, qmax]."""
        q = np.floor(np.asarray(real) / np.asarray(self.scales) + 0.5) + np.asarray(
            self.zero_points
        )
        return np.clip(q, self.qmin, self.qmax).astype(np.int64)


@dataclass(frozen=True)
class Run:
    """`count` consecutive elements, each in [low, high]."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Total:
    """Element `index` is the sum of `count` elements from `first` on."""

    index: int
    first: int
    count: int


NO_TOTAL = Total(0, 0, 0)


@dataclass(frozen=True, eq=False)
class AbstractOp(abc.ABC):
    """One integer operator and its exact meaning; its docstring gives the formula.

    Fields of type numpy array are constants of the graph; everything else is an attribute. Both are
    stored by graphio without further code.

    Attributes:
        channel_scales: Tensors that may have a scale per channel: "x0" is the first input, "y0" the
            first output, "x" and "y" all of them. Others have one scale for all channels.
        channel_zero_points: The same of zero points.
    """

    kind: ClassVar[str]
    channel_scales: ClassVar[tuple[str, ...]] = ()
    channel_zero_points: ClassVar[tuple[str, ...]] = ()
    name: str
    inputs: tuple[QTensor, ...]
    outputs: tuple[QTensor, ...]

    def __post_init__(self) -> None:
        check_name("operator", self.name)
        for letter, tensors in (("x", self.inputs), ("y", self.outputs)):
            for index, tensor in enumerate(tensors):
                places = {letter, f"{letter}{index}"}
                self._require_one(tensor.name, "scale", tensor.scales, places)
                self._require_one(tensor.name, "zero point", tensor.zero_points, places)
        self.check()

    def _require_one(
        self, tensor: str, what: str, values: tuple[float, ...], places: set[str]
    ) -> None:
        """Refuse a scale or zero point per channel where the formula knows one."""
        declared = self.channel_scales if what == "scale" else self.channel_zero_points
        self.require(
            len(set(values)) == 1 or not places.isdisjoint(declared),
            f"{tensor} must have one {what} for all channels, not one per channel; "
            "requantize it, or let a matrix read it",
        )

    @abc.abstractmethod
    def check(self) -> None:
        """Raise GraphError unless shapes, formats and accumulator bounds are sound."""

    @abc.abstractmethod
    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the exact integer outputs: the definition of the operator.

        Args:
            inputs: int64 arrays of numpy or torch, shapes (..., *tensor.shape) with any leading
                batch axes.
        """

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return 0

    @property
    def nested(self) -> tuple[AbstractOp, ...]:
        """Operators that it runs."""
        return ()

    @property
    def rounds(self) -> int:
        """How often it runs them."""
        return 1

    @property
    def own_tensors(self) -> tuple[QTensor, ...]:
        """Tensors inside, that nothing else sees."""
        return ()

    def limits_of(self, update: QTensor) -> tuple[Run, ...]:
        """Return the values that a state can have once this operator has written it.

        Narrower than the tensor's range where the operator proves less, or differs by element. The
        runs follow one another and repeat.
        """
        return (Run(update.qmin, update.qmax, update.size),)

    def total_of(self, update: QTensor) -> Total:
        """Return the sum that this operator carries on in a state, right only if it was before."""
        return NO_TOTAL

    def require(self, condition: bool, problem: str) -> None:
        """Raise GraphError naming this operator unless condition holds."""
        if not condition:
            raise GraphError(f"{self.kind} {self.name}: {problem}")

    def require_factor(self, multiplier: int, shift: int) -> None:
        """Check that a requantization's factor is one that C can hold."""
        self.require(
            1 <= multiplier < INT32_LIMIT and 0 <= shift <= 30,
            f"multiplier must be 1 to 2**31 - 1 and shift 0 to 30, not {multiplier} and {shift}",
        )

    def require_bound(self, bound: int, what: str = "accumulator") -> None:
        """Prove that a 32-bit quantity cannot overflow."""
        self.require(
            bound < INT32_LIMIT,
            f"{what} can reach {bound} and must stay below {INT32_LIMIT}; reduce the "
            "input range or the number of terms",
        )


def makers_of(ops: Sequence[AbstractOp]) -> dict[str, AbstractOp]:
    """Return what makes each tensor, by the tensor's name."""
    return {tensor.name: op for op in ops for tensor in op.outputs}
