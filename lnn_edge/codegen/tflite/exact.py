"""Operators without a kernel of 16 bits: their references, traced, in TFLite's 64-bit integers.

The trace is the one of the exact form in ONNX; its nodes become operators of TFLite here, with the
same bits. TFLite has no division of 64 bits: powers of two are taken by words, others bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from lnn_edge.codegen.onnx.stage_model import results_of
from lnn_edge.codegen.onnx.traced import INT64, Trace, Traced, name_in
from lnn_edge.codegen.tflite.flat import Flat, Stored, stored_as
from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp, QTensor

WORD = 32
WHOLE = "int64"
_BITS = 31  # of a quotient or a root, whose square then fits 63

_ALIKE = {
    "Add": "ADD",
    "And": "LOGICAL_AND",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Max": "MAXIMUM",
    "Mod": "FLOOR_MOD",
    "Mul": "MUL",
    "Or": "LOGICAL_OR",
    "Sub": "SUB",
}
_TO_BOOL = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or"}


def exact_model(
    ops: Sequence[AbstractOp],
    given: Sequence[QTensor],
    kept: Sequence[QTensor],
    name: str,
    about: dict[str, str],
) -> tuple[bytes, tuple[str, ...]]:
    """Return the file of operators, and its codes.

    Args:
        ops: In order.
        given: What they read that none of them writes.
        kept: What the file gives.
        name: Of the model.
        about: Put into the file as its metadata.

    Raises:
        GraphError: An operator does what TFLite cannot carry in 64 bits; names it.
    """
    flat = Flat({})
    exact, values = Exact(flat), dict[str, Traced]()
    inputs = {t.name: flat.end(t) for t in given}
    for tensor in given:
        values[tensor.name] = exact.given(inputs[tensor.name], tensor)
    for op in ops:
        results = exact.results(op, tuple(values[t.name] for t in op.inputs))
        values.update(zip((t.name for t in op.outputs), results, strict=True))
    outputs = {t.name: exact.end(values[t.name], t) for t in kept}
    return flat.file(inputs, outputs, name, about)


class Exact:
    """Traced operators, and what they are in a file."""

    def __init__(self, flat: Flat) -> None:
        self._flat, self._trace, self._done = flat, Trace(), 0
        self._made: dict[str, Stored | np.ndarray] = {}
        self._masked: dict[str, tuple[str, np.ndarray]] = {}

    def given(self, x: Stored, tensor: QTensor) -> Traced:
        """Return an input as a traced array, int64."""
        whole = self._flat.add("CAST", [x], x.shape, WHOLE) if x.dtype != WHOLE else x
        name = f"given_{x.index}"
        self._made[name] = self._in_shape(whole, tensor.shape)
        return Traced(tensor.shape, INT64, self._trace, name)

    def end(self, value: Traced, tensor: QTensor) -> Stored:
        """Return a traced array as an output."""
        made = self._in_shape(self.stored(value), (1, *tensor.shape))
        scale, point = tensor.scales[0], tensor.zero_points[0]
        return self._flat.add("CAST", [made], made.shape, stored_as(tensor), scale, point)

    def _in_shape(self, x: Stored, shape: tuple[int, ...]) -> Stored:
        told = self._flat.constant(np.array(shape, np.int32))
        return self._flat.add("RESHAPE", [x, told], shape, x.dtype, newShape=shape)

    def results(self, op: AbstractOp, inputs: tuple[Traced, ...]) -> tuple[Traced, ...]:
        """Return what an operator's reference gives.

        Raises:
            GraphError: It does what neither ONNX nor TFLite can carry; names the operator.
        """
        self._trace.scope = op.name
        results = results_of(op, inputs)
        try:
            for result in results:
                self.stored(result)
        except KeyError as error:
            raise GraphError(
                f"{op.kind} {op.name}: TFLite has no {error.args[0]} of 64-bit integers"
            ) from None
        return results

    def stored(self, value: Traced) -> Stored:
        """Return a traced array as a tensor of the file, int64."""
        name = name_in(self._trace, value)
        nodes, self._done = self._trace.nodes[self._done :], len(self._trace.nodes)
        for node in nodes:
            self._made[node.output[0]] = self._translated(node)
        return self._stored(name)

    def _of(self, name: str) -> Stored | np.ndarray:
        if name not in self._made:
            self._made[name] = _whole(numpy_helper.to_array(self._trace.stored[name]))
        return self._made[name]

    def _stored(self, name: str) -> Stored:
        value = self._of(name)
        return self._flat.constant(value) if isinstance(value, np.ndarray) else value

    def _value(self, name: str) -> np.ndarray:
        """Return a constant; a KeyError where only a run knows it."""
        value = self._of(name)
        if not isinstance(value, np.ndarray):
            raise KeyError("argument that depends on values")
        return value

    def _translated(self, node: NodeProto) -> Stored | np.ndarray:
        kind, names = node.op_type, list(node.input)
        if kind in ("Cast", "Floor"):
            return self._cast(node)
        if kind in _ALIKE:
            a, b = (self._stored(n) for n in names)
            shape = np.broadcast_shapes(a.shape, b.shape)
            return self._flat.add(_ALIKE[kind], [a, b], shape, _type(kind))
        if kind not in _OTHERS:
            raise KeyError(kind)
        attributes = {a.name: a for a in node.attribute}
        return _OTHERS[kind](self, node.output[0], names, attributes)

    def _cast(self, node: NodeProto) -> Stored | np.ndarray:
        """Return integers as they are: floats in references hold whole numbers."""
        value = self._of(node.input[0])
        if any(a.i == TensorProto.FLOAT for a in node.attribute):
            raise KeyError("Cast to float32")
        if isinstance(value, np.ndarray) or value.dtype == WHOLE:
            return value
        return self._flat.add("CAST", [value], value.shape, WHOLE)

    # --- what stands for itself ---

    def _number(self, value: int | np.ndarray) -> Stored:
        return self._flat.constant(np.asarray(value, np.int64))

    def _pair(
        self, code: str, a: Stored, b: Stored | int | np.ndarray, dtype: str = WHOLE
    ) -> Stored:
        other = b if isinstance(b, Stored) else self._number(b)
        shape = np.broadcast_shapes(a.shape, other.shape)
        return self._flat.add(code, [a, other], shape, dtype)

    def _size(self, x: Stored) -> Stored:
        return self._pair("MAXIMUM", x, self._flat.add("NEG", [x], x.shape, WHOLE))

    def _high_word(self, x: Stored) -> Stored:
        """Return x >> 32."""
        words = self._flat.add("BITCAST", [x], (*x.shape, 2), "int32")
        one = self._flat.constant(np.array(1, np.int32))
        high = self._flat.add("GATHER", [words, one], x.shape, "int32", axis=len(x.shape))
        return self._flat.add("CAST", [high], x.shape, WHOLE)

    def _shifted(self, x: Stored, bits: np.ndarray) -> Stored:
        """Return x >> bits of any x: the high word, and what remains of the low one."""
        first = bits.clip(0, WORD)
        if not first.any():
            return x
        high = self._high_word(x)
        made = high
        if (first < WORD).any():
            low = self._pair("SUB", x, self._pair("MUL", high, 1 << WORD))
            up = np.int64(1) << WORD - first.clip(1)
            rest = self._high_word(self._pair("MUL", low, up))
            made = self._pair("ADD", self._pair("MUL", high, up), rest)
        if not first.all():
            stays = self._flat.constant(first == 0)
            made = self._flat.add("SELECT_V2", [stays, x, made], made.shape, WHOLE)
        return self._shifted(made, bits - first)

    def _largest(self, shape: tuple[int, ...], fits: Callable[[Stored], Stored]) -> Stored:
        """Return the largest number of _BITS that fits, found from the highest bit on."""
        found = self._flat.constant(np.zeros(shape, np.int64))
        for bit in reversed(range(_BITS)):
            tried = self._pair("ADD", found, 1 << bit)
            found = self._flat.add("SELECT_V2", [fits(tried), tried, found], shape, WHOLE)
        return found

    # --- nodes ---

    def _divided(self, name: str, names: list[str], attributes: Any) -> Stored:
        bits = self._power(names[1])
        if bits is not None:
            masked = self._masked.get(names[0])
            is_same = masked is not None and np.array_equal(masked[1], bits)
            return self._shifted(self._stored(masked[0] if masked and is_same else names[0]), bits)
        a, b = (self._stored(n) for n in names)
        shape = np.broadcast_shapes(a.shape, b.shape)
        size = self._size(a)
        found = self._largest(
            shape, lambda q: self._pair("LESS_EQUAL", self._pair("MUL", q, b), size, "bool")
        )
        negative = self._pair("LESS", a, 0, "bool")
        minus = self._flat.add("NEG", [found], shape, WHOLE)
        return self._flat.add("SELECT_V2", [negative, minus, found], shape, WHOLE)

    def _power(self, name: str) -> np.ndarray | None:
        """Return k of constants 2**k, one if they are alike; None of anything else."""
        value = self._of(name)
        if not isinstance(value, np.ndarray) or (value < 1).any() or (value & value - 1).any():
            return None
        bits = np.asarray(np.log2(value.astype(float)), np.int64)
        return bits if len(set(bits.ravel().tolist())) > 1 else bits.ravel()[:1].reshape(())

    def _masked_by(self, name: str, names: list[str], attributes: Any) -> Stored:
        x, mask = self._stored(names[0]), self._value(names[1])
        power = -mask if (mask < 0).all() else mask + 1
        if (power < 1).any() or (power & power - 1).any():
            raise KeyError("BitwiseAnd but with 2**k - 1 or -2**k")
        low = self._pair("FLOOR_MOD", x, power)
        if (mask >= 0).all():
            return low
        self._made[f"{name}/power"] = power
        bits = self._power(f"{name}/power")
        if bits is not None:
            self._masked[name] = names[0], bits
        return self._pair("SUB", x, low)

    def _root(self, name: str, names: list[str], attributes: Any) -> Stored:
        """Return the square root rounded down, which is all that references take of it."""
        x = self._stored(names[0])
        return self._largest(
            x.shape, lambda r: self._pair("LESS_EQUAL", self._pair("MUL", r, r), x, "bool")
        )

    def _clipped(self, name: str, names: list[str], attributes: Any) -> Stored:
        made = self._stored(names[0])
        for code, limit in zip(("MAXIMUM", "MINIMUM"), names[1:], strict=False):
            made = self._pair(code, made, self._stored(limit)) if limit else made
        return made

    def _alone(self, name: str, names: list[str], attributes: Any) -> Stored:
        x = self._stored(names[0])
        return self._flat.add("NEG", [x], x.shape, WHOLE)

    def _absolute(self, name: str, names: list[str], attributes: Any) -> Stored:
        return self._size(self._stored(names[0]))

    def _not(self, name: str, names: list[str], attributes: Any) -> Stored:
        x = self._stored(names[0])
        return self._flat.add("LOGICAL_NOT", [x], x.shape, "bool")

    def _chosen(self, name: str, names: list[str], attributes: Any) -> Stored:
        parts = [self._stored(n) for n in names]
        shape = np.broadcast_shapes(*(p.shape for p in parts))
        return self._flat.add("SELECT_V2", parts, shape, parts[1].dtype)

    def _gathered(self, name: str, names: list[str], attributes: Any) -> Stored:
        x, index, axis = *(self._stored(n) for n in names), attributes["axis"].i
        shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
        return self._flat.add("GATHER", [x, index], shape, x.dtype, axis=axis)

    def _cut(self, name: str, names: list[str], attributes: Any) -> Stored:
        x, (starts, ends, axes, steps) = (
            self._stored(names[0]),
            (self._value(n).tolist() for n in names[1:]),
        )
        parts = [slice(0, n, 1) for n in x.shape]
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            parts[axis] = slice(*slice(start, end, step).indices(x.shape[axis]))
        told = (np.array([getattr(p, w) for p in parts]) for w in ("start", "stop", "step"))
        places = [self._flat.constant(v.astype(np.int32)) for v in told]
        shape = np.broadcast_to(np.int8(0), x.shape)[tuple(parts)].shape
        return self._flat.add("STRIDED_SLICE", [x, *places], shape, x.dtype)

    def _reshaped(self, name: str, names: list[str], attributes: Any) -> Stored:
        return self._in_shape(self._stored(names[0]), tuple(self._value(names[1]).tolist()))

    def _turned(self, name: str, names: list[str], attributes: Any) -> Stored:
        x, order = self._stored(names[0]), list(attributes["perm"].ints)
        told = self._flat.constant(np.array(order, np.int32))
        shape = [x.shape[axis] for axis in order]
        return self._flat.add("TRANSPOSE", [x, told], shape, x.dtype)

    def _joined(self, name: str, names: list[str], attributes: Any) -> Stored:
        parts, axis = [self._stored(n) for n in names], attributes["axis"].i
        outlines = [np.broadcast_to(np.int8(0), p.shape) for p in parts]
        shape = np.concatenate(outlines, axis=axis).shape
        return self._flat.add("CONCATENATION", parts, shape, parts[0].dtype, axis=axis)

    def _product(self, name: str, names: list[str], attributes: Any) -> Stored:
        """Return a matrix product as sums of products: TFLite has none of these types."""
        a = self._stored(names[0])
        turned = self._value(names[1]).T
        rows = self._flat.constant(np.ascontiguousarray(turned))
        beside = self._in_shape(a, (*a.shape[:-1], 1, a.shape[-1]))
        terms = self._pair("MUL", beside, rows)
        return self._summed("SUM", terms, len(terms.shape) - 1)

    def _summed(self, code: str, x: Stored, axis: int) -> Stored:
        told = self._flat.constant(np.array([axis], np.int32))
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        return self._flat.add(code, [x, told], shape, WHOLE)

    def _sum(self, name: str, names: list[str], attributes: Any) -> Stored:
        return self._summed("SUM", self._stored(names[0]), int(self._value(names[1])[0]))

    def _highest(self, name: str, names: list[str], attributes: Any) -> Stored:
        return self._summed("REDUCE_MAX", self._stored(names[0]), int(self._value(names[1])[0]))


def _whole(value: np.ndarray) -> np.ndarray:
    """Return a constant of references as int64."""
    if value.dtype == bool:
        return value
    whole = value.astype(np.int64)
    if (whole != value).any():
        raise KeyError("fraction")
    return whole


def _type(kind: str) -> str:
    return "bool" if kind in _TO_BOOL else WHOLE


_OTHERS: dict[str, Callable[[Exact, str, list[str], Any], Stored]] = {
    "Abs": Exact._absolute,
    "BitwiseAnd": Exact._masked_by,
    "Clip": Exact._clipped,
    "Concat": Exact._joined,
    "Div": Exact._divided,
    "Gather": Exact._gathered,
    "MatMul": Exact._product,
    "Neg": Exact._alone,
    "Not": Exact._not,
    "ReduceMax": Exact._highest,
    "ReduceSum": Exact._sum,
    "Reshape": Exact._reshaped,
    "Slice": Exact._cut,
    "Sqrt": Exact._root,
    "Transpose": Exact._turned,
    "Where": Exact._chosen,
}
