"""Integer arithmetic shared by the simulator and the generated C.

Every function has a twin of the same name in firmware/runtime/lnn_fixed.h. Arrays are int64, of
numpy or torch alike; torch is not imported here. What a step of a stream calls most has a short way
for numpy: array_api_compat looks for an array's library anew in each call.

There is one rounding rule, `requantize` (docs/adr/0004-one-rounding-rule.md):

    y = saturate(((acc << shift) * multiplier + 2**31) >> 32)

that is round-half-up of acc * M with M = multiplier * 2**(shift - 32), rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.errors import QuantizationError

Array = Any
"""An int64 array of numpy or torch; inside an operator float64 too."""

INT32_LIMIT = 1 << 31
RANGES = {
    "int8": (-128, 127),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
}
ITEM_BYTES = {"int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4}


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Split a real factor into (multiplier, shift) with the smallest shift.

    shift = max(0, floor(log2 real) + 2), multiplier = round(real * 2**(32 - shift)) < 2**31.
    The multiplier's own error is at most 2**-33 of the shifted accumulator's range: 0.25 LSB.

    Raises:
        QuantizationError: real is not positive and finite, rounds to zero, or needs a shift
            above 30.
    """
    if not (math.isfinite(real) and real > 0):
        raise QuantizationError(f"multiplier must be positive and finite, got {real}")
    shift = max(0, math.frexp(real)[1] + 1)
    multiplier = round(math.ldexp(real, 32 - shift))
    if multiplier == INT32_LIMIT:
        shift += 1
        multiplier = round(math.ldexp(real, 32 - shift))
    if multiplier == 0 or shift > 30:
        raise QuantizationError(
            f"factor {real} does not fit a 31-bit multiplier with a shift of 0 to 30; "
            "choose scales closer to each other"
        )
    return multiplier, shift


def real_multiplier(multiplier: Array, shift: Array) -> Array:
    """Return M = multiplier * 2**(shift - 32), the factor that the integers mean."""
    return multiplier * 2.0 ** (shift - 32.0)


def saturate(x: Array, low: int, high: int) -> Array:
    """Return x limited to [low, high]."""
    if isinstance(x, np.ndarray):  # of its own type: numpy looks up what an int may be each time
        return x.clip(x.dtype.type(low), x.dtype.type(high))
    return x.clip(low, high)


def requantize(acc: Array, multiplier: Array, shift: Array) -> Array:
    """Return round-half-up(acc * multiplier * 2**(shift - 32)), not saturated.

    Args:
        acc: Accumulator; |acc| << shift must stay below 2**31 (proved by the operator).
        multiplier: In [1, 2**31), per tensor or per channel (last axis).
        shift: Left shift in [0, 30], same shape.
    """
    return ((acc << shift) * multiplier + (1 << 31)) >> 32


def requantize_sum(*terms: tuple[Array, Array, Array]) -> Array:
    """Return round-half-up of the sum of acc_i * M_i, rounded once, not saturated.

    Args:
        terms: (acc, multiplier, shift) each; the operator proves that the 64-bit sum holds.
    """
    total: Array = 1 << 31
    for acc, multiplier, shift in terms:
        total = total + (acc << shift) * multiplier
    return total >> 32


def divide(numerator: Array, denominator: Array) -> Array:
    """Return floor((2 n + d) / (2 d)): n / d rounded half up, for d > 0."""
    return (2 * numerator + denominator) // (2 * denominator)


def leading_zeros(x: Array) -> Array:
    """Return the number of zero bits above the highest one, of x in [1, 2**32)."""
    xp = array_namespace(x)
    # half a step up: a logarithm of a power of two may come out too small
    return 31 - to_int(xp.floor(xp.log2(to_float(x) + 0.5)))


def reciprocal(d: Array) -> tuple[Array, Array]:
    """Return (r, z) with r * 2**(z - 47) at most 1 / d, and less than 2**-14 of it below.

    z = leading_zeros(d), r = floor(2**31 / (((d << z) >> 16) + 1)), in [2**15, 2**16)

    Args:
        d: In [1, 2**32).
    """
    zeros = leading_zeros(d)
    return (1 << 31) // (((d << zeros) >> 16) + 1), zeros


def interpolate(x: Array, table: Array, low: int, step_bits: int) -> Array:
    """Read a table with linear interpolation, rounded once (half up).

    With u = x - low, i = u >> n, f = u & (2**n - 1), n = step_bits:
    y = ((t[i] << n) + (t[i + 1] - t[i]) * f + 2**(n - 1)) >> n, and y = t[i] for n = 0.

    Args:
        x: Values in [low, low + (len(table) - 1) << n) (upper end exclusive when n > 0).
        table: int64 array of the function's values at low + (i << n).
        low: Smallest value of x.
        step_bits: n, the distance between table entries is 2**n.
    """
    if step_bits == 0:
        return table[x - low]
    return (blend(x, table, low, step_bits) + (1 << (step_bits - 1))) >> step_bits


def blend(x: Array, table: Array, low: int, step_bits: int) -> Array:
    """Read a table with linear interpolation, 2**step_bits times as fine as its entries; exact.

    With u, i, f and n as in `interpolate`, n > 0: y = (t[i] << n) + (t[i + 1] - t[i]) * f.
    """
    u = x - low
    index = u >> step_bits
    fraction = u & ((1 << step_bits) - 1)
    left = table[index]
    return (left << step_bits) + (table[index + 1] - left) * fraction


def rotate(a: Array, cosine: Array, b: Array, sine: Array) -> Array:
    """Return (a cosine + b sine + 2**29) >> 30: one part of a complex product, rounded half up.

    Args:
        a: |a|, |b| < 2**31.
        cosine: |cosine|, |sine| <= 2**30, which means 1.
        b: The other part of the factor.
        sine: Of the same angle.
    """
    return (a * cosine + b * sine + (1 << 29)) >> 30


def isqrt(x: Array) -> Array:
    """Return floor(sqrt(x)) of x in [0, 2**32)."""
    return to_int(array_namespace(x).floor(array_namespace(x).sqrt(to_float(x))))


def quantize_square(real: float) -> tuple[int, int]:
    """Split a real factor G into (multiplier, shift) for `magnitude`: G**2 as 31 bits.

    4 G**2 = multiplier * 2**-(32 + shift), multiplier in [2**30, 2**31): G errs 2**-32 of itself.

    Raises:
        QuantizationError: G is not positive and finite, or needs a shift outside [0, 62].
    """
    if not (math.isfinite(real) and real > 0):
        raise QuantizationError(f"factor must be positive and finite, got {real}")
    mantissa, exponent = math.frexp(real)
    square, more = math.frexp(mantissa * mantissa)
    multiplier, shift = round(math.ldexp(square, 31)), -(2 * exponent + more) - 3
    if multiplier == INT32_LIMIT:
        multiplier, shift = multiplier >> 1, shift - 1
    if not 0 <= shift <= 62:
        raise QuantizationError(
            f"factor {real} of a magnitude needs a shift of {shift}, possible are 0 to 62; choose "
            "scales closer to each other"
        )
    return multiplier, shift


def magnitude(re: Array, im: Array, multiplier: Array, shift: Array, limit: int) -> Array:
    """Return floor(G sqrt(re**2 + im**2) + 1/2), at most limit, rounded once.

    G**2 = multiplier * 2**-(34 + shift); with the exact p = floor((2 G)**2 (re**2 + im**2)) it is
    (isqrt(p) + 1) >> 1.

    Args:
        re: re**2 + im**2 < 2**62.
        im: Imaginary part.
        multiplier: In [2**30, 2**31), see quantize_square.
        shift: In [0, 62].
        limit: In [1, 32767].
    """
    square = re * re + im * im
    low = ((square & 0xFFFFFFFF) * multiplier) >> 32
    scaled = ((square >> 32) * multiplier + low) >> shift
    return (isqrt(scaled.clip(None, 4 * limit * limit)) + 1) >> 1


def like(x: Array, constant: Array) -> Array:
    """Return a constant as an array of the same library as x."""
    return constant if type(constant) is type(x) else array_namespace(x).asarray(constant)


def to_int(x: Array) -> Array:
    """Return x as int64."""
    if isinstance(x, np.ndarray):
        return x.astype(np.int64)
    xp = array_namespace(x)
    return xp.astype(x, xp.int64)


def to_float(x: Array) -> Array:
    """Return x as float64."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64)
    xp = array_namespace(x)
    return xp.astype(x, xp.float64)


def dot(x: Array, weight: Array) -> Array:
    """Return x @ weight.T exactly, computed in float64.

    Args:
        x: (..., K) int64.
        weight: (O, K) integers; the operator proves that every sum stays below 2**53.
    """
    real = like(x, weight)
    if isinstance(x, np.ndarray):
        return to_int(to_float(x) @ real.astype(np.float64, copy=False).T)
    xp = array_namespace(x)
    real = xp.astype(real, xp.float64, copy=False)
    return to_int(xp.matmul(to_float(x), real.T))
