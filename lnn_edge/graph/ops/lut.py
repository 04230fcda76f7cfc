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


def log1p(x: Array) -> Array:
    """Return log(1 + x)."""
    return array_namespace(x).log1p(x)


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
    "log1p": log1p,
    "exp": exp,
    "silu": silu,
    "gelu": gelu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "hardswish": hardswish,
    "softplus": softplus,
}


TANH_FORMS = {
    "tanh": (1.0, 1.0, 0.0),
    "sigmoid": (0.5, 0.5, 0.5),
    "lecun_tanh": (0.666, 1.7159, 0.0),
}
"""(a, b, c) of functions that are b tanh(a x) + c."""
TANH_BITS = 15  # entries of a table of tanh are in steps of 2**-15

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

    A table of another function, of which f is a multiple plus a constant, is read by a factor:

    y = saturate(requantize(blend(x, table, x.qmin, step_bits), multiplier, shift) + offset)

    see fixed.blend; the line between two entries is then rounded once, in units of the output. The
    error is that of the table, half an LSB of its int16 times the factor, in place of 1 / 2 LSB.

    Attributes:
        table: In the output's dtype, ((x.qmax - x.qmin) >> step_bits) + 2 entries (one less without
            interpolation), in units of the output, its zero point included. With a factor int16, in
            units of its own.
        function: Name in FUNCTIONS, for readers; the table is the meaning.
        multiplier: 0: the table is in units of the output, and so is its line.
        shift: Of the multiplier.
        offset: Added behind the factor, the zero point included.
    """

    kind: ClassVar[str] = "lut"
    table: np.ndarray
    step_bits: int
    function: str
    multiplier: int = 0
    shift: int = 0
    offset: int = 0

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, function: str, step_bits: int = 0) -> Lut:
        """Make the table from the exact function in double precision."""
        count = ((x.qmax - x.qmin) >> step_bits) + (2 if step_bits else 1)
        real = (x.qmin + (np.arange(count) << step_bits) - x.zero_points[0]) * x.scales[0]
        values = FUNCTIONS[function](real) / y.scales[0] + y.zero_points[0]
        table = np.clip(np.floor(values + 0.5), y.qmin, y.qmax)
        return cls(name, (x,), (y,), table.astype(y.dtype), step_bits, function)

    @classmethod
    def of_tanh(cls, name: str, x: QTensor, y: QTensor, function: str, step_bits: int) -> Lut:
        """Read a table of tanh: all functions whose argument ends where that of tanh does share it.

        Args:
            name: Of the operator.
            x: Zero point 0.
            y: Takes the function's constant as a whole number.
            function: One of TANH_FORMS.
            step_bits: At least 1.
        """
        inner, outer, constant = TANH_FORMS[function]
        places = x.qmin + (np.arange(((x.qmax - x.qmin) >> step_bits) + 2) << step_bits)
        exact = np.tanh(places * (inner * x.scales[0])) * (1 << TANH_BITS)
        table = np.clip(np.floor(exact + 0.5), 1 - (1 << TANH_BITS), (1 << TANH_BITS) - 1)
        factor = math.ldexp(outer / y.scales[0], -TANH_BITS - step_bits)
        offset = round(constant / y.scales[0]) + y.zero_points[0]
        pair = fixed.quantize_multiplier(factor)
        return cls(name, (x,), (y,), table.astype(np.int16), step_bits, function, *pair, offset)

    def check(self) -> None:
        """Check shapes, table length and, of one that is read by a factor, the product."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(x.shape == y.shape, f"shapes {x.shape} and {y.shape} differ")
        self.require(0 <= self.step_bits <= 12, f"step_bits must be 0 to 12, not {self.step_bits}")
        count = ((x.qmax - x.qmin) >> self.step_bits) + (2 if self.step_bits else 1)
        self.require(
            self.table.shape == (count,), f"table must have {count} entries, not {self.table.shape}"
        )
        dtype = "int16" if self.has_factor else y.dtype
        self.require(self.table.dtype == dtype, f"table must be {dtype}, not {self.table.dtype}")
        self.require(self.function in FUNCTIONS, f"unknown function {self.function!r}")
        most = int(np.abs(self.table.astype(np.int64)).max())
        self.require_bound((3 * most << self.step_bits) + (1 << self.step_bits), "interpolation")
        if self.has_factor:
            self.require(self.step_bits > 0, "a table of every value needs no factor")
            self.require_factor(self.multiplier, self.shift)
            self.require_bound(most << self.step_bits << self.shift, "shifted interpolation")
            self.require(abs(self.offset) < 1 << 16, f"offset {self.offset} exceeds 16 bits")
            return
        self.require(self.shift == self.offset == 0, "shift and offset need a multiplier")
        low, high = int(self.table.min()), int(self.table.max())
        self.require(
            y.qmin <= low and high <= y.qmax,
            f"table values must be in [{y.qmin}, {y.qmax}], not [{low}, {high}]",
        )

    @property
    def has_factor(self) -> bool:
        """Whether the table is in units of its own."""
        return self.multiplier != 0

    @property
    def right_shift(self) -> int:
        """k where the factor is 2**-k and 31 bits hold what is shifted; else 0."""
        bits = self.multiplier.bit_length() - 1
        if self.multiplier != 1 << max(bits, 0):
            return 0
        k = 32 - bits - self.shift
        most = int(np.abs(self.table.astype(np.int64)).max()) << self.step_bits
        return k if k > 0 and most + (abs(self.offset) + 1 << k) < fixed.INT32_LIMIT else 0

    @property
    def start(self) -> int:
        """What is added to the line before it is shifted right: the offset, and a half."""
        return (self.offset << self.right_shift) + (1 << self.right_shift - 1)

    def finished(self, wide: Array) -> Array:
        """Return what a factor makes of the exact line between two entries, not saturated."""
        return fixed.requantize(wide, self.multiplier, self.shift) + self.offset

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return f(x), exactly as the table says."""
        (x,), y, low = inputs, self.outputs[0], self.inputs[0].qmin
        table = fixed.like(x, self.table.astype(np.int64))
        if self.has_factor:
            q = self.finished(fixed.blend(x, table, low, self.step_bits))
        else:
            q = fixed.interpolate(x, table, low, self.step_bits)
        return (fixed.saturate(q, y.qmin, y.qmax),)
