"""Operators on constants: sizes that are computed, and weights that are turned or scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from lnn_edge.nn.arrays import MOST_WEIGHTS
from lnn_edge.nn.from_onnx.build import Build
from lnn_edge.nn.from_onnx.file import DTYPES, Node

FOLD_COSTS = 8
"""What a constant that is kept counts more than a number that is only computed with."""
Arrays = Sequence[Any]
"""Inputs of a node, None for one that is left out."""


def axes_of(build: Build, node: Node, given: Any) -> list[int] | None:
    """Return the axes that an attribute names, or a constant input in later versions.

    Args:
        build: The table.
        node: Whose axes.
        given: The input; None without one.
    """
    if given is None:
        found = node.attributes.get("axes")
        return None if found is None else [int(n) for n in found]
    if not isinstance(given, np.ndarray):
        raise build.refuse(node, "takes its axes from a value; they must be a constant")
    return [int(n) for n in given.ravel()]


def _check_size(build: Build, node: Node, shape: Sequence[int]) -> list[int]:
    """See that an array is no larger than what a board holds, before it is made."""
    sizes = [int(n) for n in shape]
    if any(n < 0 for n in sizes) or len(sizes) > 8 or prod(sizes) > MOST_WEIGHTS:
        raise build.refuse(node, f"makes a constant of shape {sizes}, larger than any board holds")
    return sizes


def _constant(build: Build, node: Node, x: Arrays) -> np.ndarray:
    given = {k: v for k, v in node.attributes.items() if k.startswith("value")}
    if len(given) != 1:
        raise build.refuse(node, "must have one value")
    name, value = next(iter(given.items()))
    if name == "value":
        return np.asarray(value)
    if name in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    if name in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    raise build.refuse(node, "holds texts, which no device can read")


def _filled(build: Build, node: Node, x: Arrays) -> np.ndarray:
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(_check_size(build, node, x[0]), value.ravel()[0])


def _expand(build: Build, node: Node, x: Arrays) -> np.ndarray:
    shape = np.broadcast_shapes(x[0].shape, tuple(int(n) for n in x[1]))
    _check_size(build, node, shape)
    return np.broadcast_to(x[0], shape).copy()


def _range(build: Build, node: Node, x: Arrays) -> np.ndarray:
    first, last, step = (v.ravel()[0] for v in x)
    _check_size(build, node, [max(0, -int(-(float(last) - float(first)) // float(step)))])
    return np.arange(first, last, step)


def _concat(build: Build, node: Node, x: Arrays) -> np.ndarray:
    _check_size(build, node, [sum(v.size for v in x)])
    return np.concatenate(x, int(node.attributes["axis"]))


def _slice(build: Build, node: Node, x: Arrays) -> np.ndarray:
    data, starts, ends, *rest = x
    axes = rest[0] if rest and rest[0] is not None else range(len(starts))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else [1] * len(starts)
    key = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -data.shape[axis] else int(end)
        key[int(axis)] = slice(int(start), stop, int(step))
    return np.asarray(data[tuple(key)])


def _gather(build: Build, node: Node, x: Arrays) -> np.ndarray:
    axis = int(node.attributes.get("axis", 0))
    shape = (*x[0].shape[:axis], *x[1].shape, *x[0].shape[axis + 1 :])
    _check_size(build, node, shape if axis >= 0 else x[1].shape)
    return np.asarray(np.take(x[0], x[1], axis))


def _reshape(build: Build, node: Node, x: Arrays) -> np.ndarray:
    shape = [x[0].shape[i] if n == 0 else int(n) for i, n in enumerate(x[1])]
    return np.asarray(x[0].reshape(shape))


def _squeeze(build: Build, node: Node, x: Arrays) -> np.ndarray:
    axes = axes_of(build, node, x[1] if len(x) > 1 else None)
    return np.asarray(np.squeeze(x[0], None if axes is None else tuple(axes)))


def _unsqueeze(build: Build, node: Node, x: Arrays) -> np.ndarray:
    axes = axes_of(build, node, x[1] if len(x) > 1 else None) or []
    return np.expand_dims(x[0], tuple(axes))


def _transpose(build: Build, node: Node, x: Arrays) -> np.ndarray:
    return np.transpose(x[0], node.attributes.get("perm"))


def _cast(build: Build, node: Node, x: Arrays) -> np.ndarray:
    dtype = DTYPES.get(node.attributes["to"])
    if dtype is None:
        raise build.refuse(node, f"makes numbers of type {node.attributes['to']} of a constant")
    return np.asarray(x[0].astype(dtype))


def _div(build: Build, node: Node, x: Arrays) -> np.ndarray:
    if x[0].dtype.kind not in "iu":
        return np.asarray(x[0] / x[1])
    return np.asarray(np.trunc(x[0] / x[1]).astype(x[0].dtype))


def _split(build: Build, node: Node, x: Arrays) -> list[np.ndarray]:
    axis = int(node.attributes.get("axis", 0))
    sizes = split_sizes(build, node, x[0].shape[axis], x[1] if len(x) > 1 else None)
    return list(np.split(x[0], np.cumsum(sizes)[:-1], axis))


def split_sizes(build: Build, node: Node, size: int, given: Any) -> list[int]:
    """Return the sizes of the parts that Split makes."""
    found = node.attributes.get("split") if given is None else given
    if found is not None and not isinstance(found, list | np.ndarray):
        raise build.refuse(node, "takes the sizes of its parts from a value")
    count = len(node.outputs)
    each = -(-size // count)
    sizes = [int(n) for n in found] if found is not None else [each] * (count - 1)
    sizes = sizes if found is not None else [*sizes, size - sum(sizes)]
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise build.refuse(node, f"cannot split {size} numbers into {sizes}")
    return sizes


def _dequantized(build: Build, node: Node, x: Arrays) -> np.ndarray:
    """Return y = (x - zero point) scale, per number of an axis or alike for all."""
    scale, zero = _steps(build, node, x)
    return np.asarray((x[0].astype(np.float64) - zero) * scale)


def _quantized(build: Build, node: Node, x: Arrays) -> np.ndarray:
    """Return y = saturate(round(x / scale) + zero point), ties to even."""
    scale, zero = _steps(build, node, x)
    dtype = np.dtype(np.uint8) if len(x) < 3 or x[2] is None else x[2].dtype
    if dtype.kind not in "iu":
        raise build.refuse(node, f"makes numbers of type {dtype} of a constant; take integers")
    limits = np.iinfo(dtype)
    q = np.rint(x[0].astype(np.float64) / scale) + zero
    return np.asarray(q.clip(limits.min, limits.max).astype(dtype))


def _steps(build: Build, node: Node, x: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point of integers, to be broadcast."""
    values, scale, *rest = x
    zero = rest[0] if rest and rest[0] is not None else np.zeros(1)
    if node.attributes.get("block_size"):
        raise build.refuse(node, "quantizes in blocks; take one scale for a channel")
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[int(node.attributes.get("axis", 1))] = scale.size
        zero = np.broadcast_to(zero.ravel(), scale.size)
    return scale.astype(np.float64).reshape(shape), zero.astype(np.float64).reshape(shape)


def _matmul(build: Build, node: Node, x: Arrays) -> np.ndarray:
    _check_size(build, node, (*x[0].shape[:-1], *x[1].shape[1:]))
    return np.asarray(np.matmul(*x))


def _of_numpy(function: Callable[..., Any]) -> Callable[[Build, Node, Arrays], np.ndarray]:
    return lambda build, node, x: np.asarray(function(*x))


FOLDED: dict[str, Callable[[Build, Node, Arrays], Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Range": _range,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Cast": _cast,
    "Div": _div,
    "Split": _split,
    "DequantizeLinear": _dequantized,
    "QuantizeLinear": _quantized,
    "MatMul": _matmul,
    "Shape": lambda build, node, x: np.asarray(x[0].shape, np.int64),
    "Identity": _of_numpy(lambda a: a),
    "Add": _of_numpy(np.add),
    "Sub": _of_numpy(np.subtract),
    "Mul": _of_numpy(np.multiply),
    "Neg": _of_numpy(np.negative),
    "Sqrt": _of_numpy(np.sqrt),
    "Reciprocal": _of_numpy(np.reciprocal),
    "Exp": _of_numpy(np.exp),
    "Abs": _of_numpy(np.abs),
    "Equal": _of_numpy(np.equal),
    "Where": _of_numpy(np.where),
}
"""What a node makes of constants alone."""


def fold(build: Build, node: Node, x: Arrays) -> list[np.ndarray]:
    """Return the constants that a node makes of constants.

    Raises:
        DataError: Its operator has no place here, or makes too much.
    """
    if node.op not in FOLDED:
        raise build.refuse(node, "of constants alone has no place in a model; simplify the file")
    if node.op not in ("Constant", "ConstantOfShape", "Expand", "Range", "Concat", "Split"):
        shapes = [v.shape for v in x if v is not None]
        if node.op in ("Add", "Sub", "Mul", "Div", "Equal", "Where"):
            _check_size(build, node, np.broadcast_shapes(*shapes))
    with np.errstate(all="ignore"):
        made = FOLDED[node.op](build, node, x)
    found = made if isinstance(made, list) else [made]
    build.spend(node, FOLD_COSTS * sum(array.size for array in found))
    return found
