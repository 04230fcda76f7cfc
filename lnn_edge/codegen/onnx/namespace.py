"""The functions of the array API that operators use, on traced arrays (traced.py)."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from onnx import TensorProto

from lnn_edge.codegen.onnx.traced import (
    DOUBLE,
    FLOAT,
    INT64,
    Traced,
    as_traced,
    constant,
    name_in,
    record,
    together,
    trace_of,
)

int64, float64 = INT64, DOUBLE
_TYPES = {INT64: TensorProto.INT64, DOUBLE: TensorProto.DOUBLE, FLOAT: TensorProto.FLOAT}


def _known(function: Callable[..., Traced]) -> Callable[..., Traced]:
    """Return a function that leaves arrays of which all is known to its twin in numpy."""
    twin = getattr(np, function.__name__)

    @wraps(function)
    def call(*inputs: Any, **options: Any) -> Traced:
        values = [_value(x) for x in inputs]
        if builtins.any(v is None for v in values):
            return function(*inputs, **options)
        return constant(twin(*values, **options))

    return call


def _value(x: Any) -> Any:
    """Return what is known: the values of a constant, None of an array that only a run knows."""
    if isinstance(x, (list, tuple)):
        values = [_value(part) for part in x]
        return None if builtins.any(v is None for v in values) else values
    return x.value if isinstance(x, Traced) else x


def asarray(value: Any) -> Traced:
    """Return an array of numpy as a constant."""
    return as_traced(value)


def arange(count: int) -> Traced:
    """Return 0 .. count - 1."""
    return constant(np.arange(count))


def zeros(shape: Sequence[int], dtype: np.dtype[Any]) -> Traced:
    """Return zeros."""
    return constant(np.zeros(tuple(shape), dtype))


def full_like(x: Traced, value: float) -> Traced:
    """Return an array of the shape of x with one value."""
    return constant(np.full(x.shape, value, x.dtype))


def astype(x: Traced, dtype: np.dtype[Any], copy: bool = True) -> Traced:
    """Return x in another type; integers that became floats are still known as integers."""
    if x.dtype == dtype:
        return x
    if dtype == INT64 and x.whole is not None:
        return x.whole
    if x.value is not None:
        return constant(x.value.astype(dtype))
    trace = trace_of(x)
    name = trace.add("Cast", x.name, to=_TYPES[dtype])
    return Traced(x.shape, dtype, trace, name, whole=x if x.dtype == INT64 else None)


@_known
def matmul(a: Traced, b: Traced) -> Traced:
    """Return a @ b of whole numbers, in int64: references take float64 because BLAS is fast."""
    whole = [_whole(x) for x in (a, b)]
    shape = (*a.shape[:-1], *b.shape[1:])
    return astype(record("MatMul", shape, INT64, *whole), a.dtype)


def _whole(x: Traced) -> Traced:
    if x.whole is not None:
        return x.whole
    if x.value is None or (x.value != np.floor(x.value)).any():
        raise TypeError("a product of matrices that are not whole numbers")
    return constant(x.value.astype(np.int64))


@_known
def where(condition: Any, a: Any, b: Any) -> Traced:
    """Return a where the condition holds, else b."""
    chosen = as_traced(condition)
    dtype = next((v.dtype for v in (a, b) if isinstance(v, Traced)), INT64)
    left, right = as_traced(a, dtype), as_traced(b, dtype)
    shape = np.broadcast_shapes(chosen.shape, left.shape, right.shape)
    return record("Where", shape, left.dtype, chosen, left, right)


def maximum(a: Any, b: Any) -> Traced:
    """Return the larger of each pair."""
    return together("Max", np.maximum, a, b)


@_known
def concat(arrays: Sequence[Traced], axis: int) -> Traced:
    """Return arrays joined along an axis."""
    parts = [as_traced(x) for x in arrays]
    outlines = [np.broadcast_to(np.int8(0), x.shape) for x in parts]
    shape = np.concatenate(outlines, axis=axis).shape
    return record("Concat", shape, parts[0].dtype, *parts, axis=axis)


@_known
def flip(x: Traced, axis: int) -> Traced:
    """Return an array with the elements of an axis in reverse."""
    place = axis % x.ndim
    backwards = constant(np.arange(x.shape[place])[::-1])
    return record("Gather", x.shape, x.dtype, x, backwards, axis=place)


@_known
def stack(arrays: Sequence[Traced], axis: int) -> Traced:
    """Return arrays of one shape side by side along a new axis, counted from the last."""
    place = arrays[0].ndim + 1 + axis
    shape = arrays[0].shape
    parts = [x.reshape(*shape[:place], 1, *shape[place:]) for x in arrays]
    return concat(parts, place)


@_known
def sum(x: Traced, axis: int) -> Traced:
    """Return sums along an axis."""
    return _reduced("ReduceSum", x, axis)


@_known
def max(x: Traced, axis: int) -> Traced:
    """Return the largest along an axis."""
    return _reduced("ReduceMax", x, axis)


def _reduced(kind: str, x: Traced, axis: int) -> Traced:
    place = axis % x.ndim
    trace = trace_of(x)
    name = trace.add(kind, name_in(trace, x), trace.index(place), keepdims=0)
    return Traced(x.shape[:place] + x.shape[place + 1 :], x.dtype, trace, name)


@_known
def argmax(x: Traced, axis: int) -> Traced:
    """Return the place of the largest along an axis, the first of equal ones."""
    place = axis % x.ndim
    shape = x.shape[:place] + x.shape[place + 1 :]
    return record("ArgMax", shape, INT64, x, axis=place, keepdims=0)


def any(x: Traced) -> bool:
    """Return True: operators ask in order to spare work where no element of a batch needs it."""
    return True


@_known
def take_along_axis(x: Traced, index: Traced, axis: int) -> Traced:
    """Return the elements of x at an index along an axis."""
    return record("GatherElements", index.shape, x.dtype, x, index, axis=axis % x.ndim)


@_known
def floor(x: Traced) -> Traced:
    """Return the largest whole numbers not above x."""
    return record("Floor", x.shape, x.dtype, x)


@_known
def sqrt(x: Traced) -> Traced:
    """Return square roots, rounded as IEEE 754 asks."""
    return record("Sqrt", x.shape, x.dtype, x)


@_known
def log2(x: Traced) -> Traced:
    """Return binary logarithms, within a few units in the last place."""
    return record("Log", x.shape, x.dtype, x) * (1 / math.log(2))


@_known
def tanh(x: Traced) -> Traced:
    """Return hyperbolic tangents."""
    return record("Tanh", x.shape, x.dtype, x)


@_known
def exp(x: Traced) -> Traced:
    """Return powers of e."""
    return record("Exp", x.shape, x.dtype, x)


def expm1(x: Traced) -> Traced:
    """Return exp(x) - 1; ONNX has nothing nearer at 0."""
    return exp(x) - 1


def log1p(x: Traced) -> Traced:
    """Return log(1 + x); ONNX has nothing nearer at 0."""
    return record("Log", x.shape, x.dtype, x + 1)
