"""Arrays whose values are not known yet: what is done with them is noted as ONNX nodes.

An operator's `reference` is written for any array library. Given these arrays it writes its own
ONNX form, so that no operator has a second definition (docs/adr/0022). All shapes are static;
values are int64, bool where they are compared, and double where the reference takes a root.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

INT64, BOOL = np.dtype(np.int64), np.dtype(bool)
DOUBLE, FLOAT = np.dtype(np.float64), np.dtype(np.float32)
_STORED = (np.int8, np.int16, np.int32)
_FEW = 4  # elements: a Cast takes more bytes than it saves
_POWERS = np.int64(1) << np.arange(63, dtype=np.int64)


@dataclass
class Trace:
    """The nodes of one ONNX graph, in order.

    Attributes:
        scope: What the names of new nodes begin with: the operator that is traced.
        nodes: In order of computation.
        stored: Constants of the file by name.
    """

    scope: str = ""
    nodes: list[NodeProto] = field(default_factory=list)
    stored: dict[str, TensorProto] = field(default_factory=dict)
    _constants: dict[tuple[bytes, str, tuple[int, ...]], str] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Note a node; return the name of its result."""
        name = f"{self.scope}/{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        """Return the name of a constant; integers lie in the file in few bytes."""
        key = value.tobytes(), value.dtype.str, value.shape
        if key not in self._constants:
            wide = value.dtype == INT64 and value.size > _FEW
            small = next((t for t in _STORED if wide and _fits(value, t)), value.dtype)
            name = self.store(value.astype(small))
            if small != value.dtype:
                name = self.add("Cast", name, to=TensorProto.INT64)
            self._constants[key] = name
        return self._constants[key]

    def store(self, value: np.ndarray) -> str:
        """Return the name of a constant in its own type."""
        name = f"constant_{len(self.stored)}"
        self.stored[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def index(self, *values: int) -> str:
        """Return the name of a vector of int64 that is an argument of a node, and stays one."""
        name = f"index_{'_'.join(map(str, values))}"
        self.stored[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def used(self, outputs: Sequence[str]) -> tuple[list[NodeProto], list[TensorProto]]:
        """Return the nodes and constants that lead to the outputs."""
        wanted, nodes = set(outputs), list[NodeProto]()
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                nodes.append(node)
        return nodes[::-1], [t for name, t in self.stored.items() if name in wanted]


def _fits(value: np.ndarray, dtype: type[np.signedinteger[Any]]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= value.min() and value.max() <= limits.max)


@dataclass(frozen=True, eq=False)
class Traced:
    """An array of static shape: a result of a trace, or a constant of which numpy knows all.

    Attributes:
        shape: Sizes.
        dtype: int64, bool, float64 or float32.
        trace: Where its node is; None of a constant.
        name: Of the node's result.
        value: Of a constant.
        whole: Of a float64 array that integers were converted to: those.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    trace: Trace | None = None
    name: str = ""
    value: np.ndarray | None = None
    whole: Traced | None = None

    __array_ufunc__ = None  # an operation with an array of numpy is ours
    __hash__ = None  # type: ignore[assignment]

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """Return the functions on such arrays."""
        from lnn_edge.codegen.onnx import namespace

        return namespace

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Traced:
        """The matrix on its side."""
        return self.swapaxes(-1, -2)

    def __bool__(self) -> bool:
        raise TypeError("the reference asks for a value that only a run knows")

    def __getitem__(self, key: Any) -> Traced:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(p, Traced) and p.value is None for p in parts):
            return self._looked_up(*parts)
        parts = tuple(p.value if isinstance(p, Traced) else p for p in parts)
        if self.value is not None:
            return constant(self.value[parts])
        shape = _outline(self.shape)[parts].shape
        return (self._gathered(parts) if _arrays(parts) else self._sliced(parts)).reshape(shape)

    def _looked_up(self, index: Any) -> Traced:
        """Return elements of a table at places that only a run knows."""
        if self.ndim != 1:
            raise TypeError("only a vector can be read at places that depend on values")
        return record("Gather", index.shape, self.dtype, self, index, axis=0)

    def _sliced(self, parts: tuple[Any, ...]) -> Traced:
        """Return a part between borders, all axes still there."""
        places = _places(parts, self.ndim)
        cuts = [
            (axis, *_borders(part, size))
            for axis, (part, size) in enumerate(zip(places, self.shape, strict=True))
            if part != slice(None)
        ]
        if not cuts:
            return self
        axes, starts, ends, steps = zip(*cuts, strict=True)
        shape = _outline(self.shape)[tuple(_kept(p) for p in places)].shape
        trace = trace_of(self)
        arguments = (trace.index(*v) for v in (starts, ends, axes, steps))
        return Traced(
            shape, self.dtype, trace, trace.add("Slice", name_in(trace, self), *arguments)
        )

    def _gathered(self, parts: tuple[Any, ...]) -> Traced:
        """Return elements at constant places of axes side by side."""
        places = _places(parts, self.ndim)
        axes = [axis for axis, part in enumerate(places) if isinstance(part, np.ndarray)]
        first, last = axes[0], axes[-1] + 1
        rest = places[:first] + places[last:]
        if len(axes) != last - first or any(part != slice(None) for part in rest):
            raise TypeError("places must be given of axes side by side, and of no others")
        index = np.ravel_multi_index(
            np.broadcast_arrays(*places[first:last]), self.shape[first:last]
        )
        flat = self.reshape(*self.shape[:first], -1, *self.shape[last:])
        shape = self.shape[:first] + index.shape + self.shape[last:]
        return record("Gather", shape, self.dtype, flat, constant(index), axis=first)

    def reshape(self, *shape: Any) -> Traced:
        """Return the same elements in another shape."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        if self.value is not None:
            return constant(self.value.reshape(sizes))
        made = _outline(self.shape).reshape(sizes).shape
        if made == self.shape:
            return self
        trace = trace_of(self)
        name = trace.add("Reshape", name_in(trace, self), trace.index(*made))
        return Traced(made, self.dtype, trace, name)

    def swapaxes(self, a: int, b: int) -> Traced:
        """Return the array with two axes exchanged."""
        if self.value is not None:
            return constant(self.value.swapaxes(a, b))
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        shape = tuple(self.shape[axis] for axis in order)
        return record("Transpose", shape, self.dtype, self, perm=order)

    def clip(self, low: float | None, high: float | None) -> Traced:
        """Return the elements limited to [low, high]; None is no limit."""
        if self.value is not None:
            return constant(np.clip(self.value, low, high))
        trace = trace_of(self)
        limits = ("" if v is None else trace.constant(np.array(v, self.dtype)) for v in (low, high))
        name = trace.add("Clip", name_in(trace, self), *limits)
        return Traced(self.shape, self.dtype, trace, name)

    def erf(self) -> Traced:
        """Return the error function, of floats that are no constants."""
        return record("Erf", self.shape, self.dtype, self)

    def __abs__(self) -> Traced:
        return self._alone("Abs", np.abs)

    def __neg__(self) -> Traced:
        return self._alone("Neg", np.negative)

    def __invert__(self) -> Traced:
        return self._alone("Not" if self.dtype == BOOL else "BitwiseNot", np.invert)

    def _alone(self, kind: str, function: Callable[..., Any]) -> Traced:
        if self.value is not None:
            return constant(function(self.value))
        return record(kind, self.shape, self.dtype, self)

    def __add__(self, other: Any) -> Traced:
        return together("Add", operator.add, self, other)

    def __radd__(self, other: Any) -> Traced:
        return together("Add", operator.add, other, self)

    def __sub__(self, other: Any) -> Traced:
        return together("Sub", operator.sub, self, other)

    def __rsub__(self, other: Any) -> Traced:
        return together("Sub", operator.sub, other, self)

    def __mul__(self, other: Any) -> Traced:
        return together("Mul", operator.mul, self, other)

    def __rmul__(self, other: Any) -> Traced:
        return together("Mul", operator.mul, other, self)

    def __truediv__(self, other: Any) -> Traced:
        return together("Div", operator.truediv, self, other)

    def __mod__(self, other: Any) -> Traced:
        return together("Mod", operator.mod, self, other)  # like Python's: of the divisor's sign

    def __floordiv__(self, other: Any) -> Traced:
        # Div cuts off towards 0; without the remainder nothing is cut off
        return together("Div", operator.floordiv, self - self % other, other)

    def __rfloordiv__(self, other: Any) -> Traced:
        return as_traced(other).__floordiv__(self)

    def __lshift__(self, other: Any) -> Traced:
        return self if _is_zero(other) else self * power_of_two(other)

    def __rlshift__(self, other: Any) -> Traced:
        return as_traced(other) * power_of_two(self)

    def __rshift__(self, other: Any) -> Traced:
        # down to a multiple of the power first: BitShift knows no sign, Div cuts off towards 0
        power = power_of_two(other)
        return self if _is_zero(other) else together("Div", operator.floordiv, self & -power, power)

    def __and__(self, other: Any) -> Traced:
        kind = "And" if self.dtype == BOOL else "BitwiseAnd"
        return together(kind, operator.and_, self, other)

    def __rand__(self, other: Any) -> Traced:
        return self.__and__(other)

    def __or__(self, other: Any) -> Traced:
        kind = "Or" if self.dtype == BOOL else "BitwiseOr"
        return together(kind, operator.or_, self, other)

    def __ror__(self, other: Any) -> Traced:
        return self.__or__(other)

    def __eq__(self, other: Any) -> Traced:  # type: ignore[override]
        return together("Equal", operator.eq, self, other, BOOL)

    def __ne__(self, other: Any) -> Traced:  # type: ignore[override]
        return (self.__eq__(other)).__invert__()

    def __lt__(self, other: Any) -> Traced:
        return together("Less", operator.lt, self, other, BOOL)

    def __le__(self, other: Any) -> Traced:
        return together("LessOrEqual", operator.le, self, other, BOOL)

    def __gt__(self, other: Any) -> Traced:
        return together("Greater", operator.gt, self, other, BOOL)

    def __ge__(self, other: Any) -> Traced:
        return together("GreaterOrEqual", operator.ge, self, other, BOOL)


def constant(value: Any, dtype: Any = None) -> Traced:
    """Return an array of which all is known."""
    array = np.asarray(value, dtype)
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)
    return Traced(array.shape, array.dtype, value=array)


def as_traced(value: Any, dtype: Any = None) -> Traced:
    """Return a traced array as it is, and anything else as a constant."""
    return value if isinstance(value, Traced) else constant(value, dtype)


def trace_of(*arrays: Traced) -> Trace:
    """Return the trace of the first array that has one."""
    return next(a.trace for a in arrays if a.trace is not None)


def name_in(trace: Trace, array: Traced) -> str:
    """Return the name under which a node of a trace reads an array."""
    return array.name if array.value is None else trace.constant(array.value)


def record(
    kind: str, shape: Sequence[int], dtype: np.dtype[Any], *inputs: Traced, **attributes: Any
) -> Traced:
    """Note a node of arrays, not all of them constants; return its result."""
    trace = trace_of(*inputs)
    name = trace.add(kind, *(name_in(trace, x) for x in inputs), **attributes)
    return Traced(tuple(shape), dtype, trace, name)


def together(
    kind: str,
    function: Callable[[Any, Any], Any],
    a: Any,
    b: Any,
    dtype: np.dtype[Any] | None = None,
) -> Traced:
    """Return what a node makes of each pair of elements; numpy's function knows constants."""
    left, right = (as_traced(v, None if isinstance(v, np.ndarray) else _like(a, b)) for v in (a, b))
    if left.value is not None and right.value is not None:
        return constant(function(left.value, right.value))
    shape = np.broadcast_shapes(left.shape, right.shape)
    return record(kind, shape, dtype or left.dtype, left, right)


def power_of_two(exponent: Any) -> Traced:
    """Return 2 to the power of integers from 0 to 62."""
    places = as_traced(exponent)
    return constant(_POWERS)[places]


def _like(a: Any, b: Any) -> np.dtype[Any]:
    """Return the type that a number takes beside an array."""
    return next(v.dtype for v in (a, b) if isinstance(v, Traced))


def _is_zero(shift: Any) -> bool:
    return isinstance(shift, int) and shift == 0


def _outline(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of a shape that takes no memory."""
    return np.broadcast_to(np.int8(0), shape)


def _arrays(parts: tuple[Any, ...]) -> bool:
    return any(isinstance(part, np.ndarray) for part in parts)


def _places(parts: tuple[Any, ...], ndim: int) -> list[Any]:
    """Return what is read of each axis; new axes are left out."""
    read = [part for part in parts if part is not None]
    at = next((i for i, part in enumerate(read) if part is Ellipsis), len(read))
    before, after = read[:at], read[at + 1 :]
    return before + [slice(None)] * (ndim - len(before) - len(after)) + after


def _borders(part: Any, size: int) -> tuple[int, int, int]:
    first, end, step = _kept(part).indices(size)
    if step < 0:
        raise TypeError("a part must be read forwards")
    return first, end, step


def _kept(part: Any) -> slice:
    """Return a place as a slice of one element, whose axis stays."""
    if isinstance(part, slice):
        return part
    return slice(part, part + 1 or None)
