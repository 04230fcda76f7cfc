"""Pointwise functions by table, exact by construction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

RealFunction = Callable[[Array], Array]


def tanh(x: Array) -> Array:
    """Return tanh(x)."""
    return array_namespace(x).tanh(x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + tanh(0.5 * x))


def hard_sigmoid(x: Array) -> Array:
    """Return x / 6 + 1 / 2, limited to [0, 1] (Keras 3)."""
    return (x / 6 + 0.5).clip(0, 1)


def steep_hard_sigmoid(x: Array) -> Array:
    """Return x / 5 + 1 / 2, limited to [0, 1] (Keras 2)."""
    return (x / 5 + 0.5).clip(0, 1)


def lecun_tanh(x: Array) -> Array:
    """Return 1.7159 tanh(0.666 x) (LeCun et al. 1998; constants as in ncps)."""
    return 1.7159 * tanh(0.666 * x)


def log2(x: Array) -> Array:
    """Return the binary logarithm."""
    return array_namespace(x).log2(x)


def exp(x: Array) -> Array:
    """Return exp(x)."""
    return array_namespace(x).exp(x)


def silu(x: Array) -> Array:
    """Return x sigmoid(x)."""
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """Return x (1 + erf(x / sqrt 2)) / 2, the exact form."""
    scaled = x * math.sqrt(0.5)
    # numpy has no error function
    error = np.vectorize(math.erf)(scaled) if isinstance(x, np.ndarray) else scaled.erf()
    return 0.5 * x * (1.0 + error)


def relu6(x: Array) -> Array:
    """Return x limited to [0, 6]."""
    return x.clip(0, 6)


def leaky_relu(x: Array) -> Array:
    """Return x above 0, x / 100 below (the slope of torch)."""
    return x.clip(0, None) + 0.01 * x.clip(None, 0)


def elu(x: Array) -> Array:
    """Return x above 0, exp(x) - 1 below."""
    return x.clip(0, None) + array_namespace(x).expm1(x.clip(None, 0))


def hardswish(x: Array) -> Array:
    """Return x hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)), without overflow."""
    xp = array_namespace(x)
    return x.clip(0, None) + xp.log1p(xp.exp(-abs(x)))


FUNCTIONS: dict[str, RealFunction] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hard_sigmoid": hard_sigmoid,
    "steep_hard_sigmoid": steep_hard_sigmoid,
    "lecun_tanh": lecun_tanh,
    "log2": log2,
    "exp": exp,
    "silu": silu,
    "gelu": gelu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "hardswish": hardswish,
    "softplus": softplus,
}


HARD_BOUNDS = {"hard_sigmoid": 3.0, "steep_hard_sigmoid": 2.5}
"""Where functions that are straight inside are limited: a table up to there is exact."""


@dataclass(frozen=True, eq=False)
class Lut(AbstractOp):
    """y = f(x) by a table with linear interpolation between entries 2**step_bits apart.

    y = saturate(interpolate(x, table, x.qmin, step_bits), qmin, qmax); see fixed.interpolate.
    step_bits = 0 holds every value (int8: 256 entries) and is exact to half an LSB; otherwise the
    error against f is at most 1 LSB + (2**step_bits * x.scale)**2 * max|f''| / (8 * y.scale) LSB.
    Where f bends sharply by b (its slope left and right, say of leaky_relu at 0) between two
    entries, 2**step_bits * x.scale * |b| / (4 * y.scale) LSB join; on an entry none do. So straight
    pieces that meet on entries are exact to 1 LSB: choose x.qmin, or x.scale, for that.

    Attributes:
        table: In the output's dtype, ((x.qmax - x.qmin) >> step_bits) + 2 entries (one less without
            interpolation), in units of the output, its zero point included.
        function: Name in FUNCTIONS, for readers; the table is the meaning.
    """

    kind: ClassVar[str] = "lut"
    table: np.ndarray
    step_bits: int
    function: str

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, function: str, step_bits: int = 0) -> Lut:
        """Make the table from the exact function in double precision."""
        count = ((x.qmax - x.qmin) >> step_bits) + (2 if step_bits else 1)
        real = (x.qmin + (np.arange(count) << step_bits) - x.zero_points[0]) * x.scales[0]
        values = FUNCTIONS[function](real) / y.scales[0] + y.zero_points[0]
        table = np.clip(np.floor(values + 0.5), y.qmin, y.qmax)
        return cls(name, (x,), (y,), table.astype(y.dtype), step_bits, function)

    def check(self) -> None:
        """Check shapes and table length."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(x.shape == y.shape, f"shapes {x.shape} and {y.shape} differ")
        self.require(0 <= self.step_bits <= 12, f"step_bits must be 0 to 12, not {self.step_bits}")
        count = ((x.qmax - x.qmin) >> self.step_bits) + (2 if self.step_bits else 1)
        self.require(
            self.table.shape == (count,), f"table must have {count} entries, not {self.table.shape}"
        )
        self.require(
            self.table.dtype == y.dtype, f"table must be {y.dtype}, not {self.table.dtype}"
        )
        low, high = int(self.table.min()), int(self.table.max())
        self.require(
            y.qmin <= low and high <= y.qmax,
            f"table values must be in [{y.qmin}, {y.qmax}], not [{low}, {high}]",
        )
        self.require(self.function in FUNCTIONS, f"unknown function {self.function!r}")
        spread = int(np.abs(self.table.astype(np.int64)).max()) * 3 << self.step_bits
        self.require_bound(spread + (1 << self.step_bits), "interpolation")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return f(x), exactly as the table says."""
        (x,), y = inputs, self.outputs[0]
        table = fixed.like(x, self.table.astype(np.int64))
        q = fixed.interpolate(x, table, self.inputs[0].qmin, self.step_bits)
        return (fixed.saturate(q, y.qmin, y.qmax),)
