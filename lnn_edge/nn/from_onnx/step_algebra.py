"""One step of a cell in basic operators, as what it is: functions of sums, and their products.

A vector is a sum of matrices times parts, plus a constant; a part is the frame, the state, or a
function of such a sum. What multiplies parts number by number is a polynomial of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Build
from lnn_edge.nn.from_onnx.constants import axes_of, fold, split_sizes
from lnn_edge.nn.from_onnx.file import Graph, Node

FUNCTIONS = {"Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Gelu": "gelu", "Erf": "erf"}
VIEWS = ("Identity", "Dropout", "Cast", "Flatten")
LARGEST = 4096  # numbers of a vector
NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Part:
    """A vector that others are made of; each is only equal to itself.

    Attributes:
        kind: "frame", "state", "linear" or a function.
        size: Numbers.
        of: What the function is of.
    """

    kind: str
    size: int
    of: Sum | None = None


@dataclass(frozen=True, eq=False)
class Sum:
    """y = W_1 part_1 + W_2 part_2 + ... + c.

    Attributes:
        terms: (size, size of the part) by part.
        shift: (size,).
    """

    terms: dict[Part, np.ndarray]
    shift: np.ndarray

    @classmethod
    def of(cls, part: Part) -> Sum:
        """Return a part itself."""
        return cls({part: np.eye(part.size)}, np.zeros(part.size))

    @property
    def size(self) -> int:
        """Numbers."""
        return len(self.shift)

    def mapped(self, matrix: np.ndarray) -> Sum:
        """Return a matrix times this."""
        return Sum({p: matrix @ w for p, w in self.terms.items()}, matrix @ self.shift)

    def scaled(self, factor: np.ndarray) -> Sum:
        """Return this times one number, or one for each of its own."""
        each = np.broadcast_to(factor.ravel(), (self.size,))
        return Sum({p: each[:, None] * w for p, w in self.terms.items()}, each * self.shift)

    def plus(self, other: Sum) -> Sum:
        """Return the sum of both."""
        terms = dict(self.terms)
        for part, matrix in other.terms.items():
            terms[part] = terms[part] + matrix if part in terms else matrix
        return Sum(terms, self.shift + other.shift)

    def shifted(self, by: np.ndarray) -> Sum:
        """Return this plus one number, or one for each of its own."""
        return Sum(self.terms, self.shift + np.broadcast_to(by.ravel(), (self.size,)))

    def rows(self, first: int, size: int) -> Sum:
        """Return some of its numbers."""
        cut = slice(first, first + size)
        return Sum({p: w[cut] for p, w in self.terms.items()}, self.shift[cut])


Monomial = frozenset[Part]


@dataclass(frozen=True, eq=False)
class Products:
    """A sum of products of parts, number by number: factors by the parts that are multiplied."""

    factors: dict[Monomial, np.ndarray]

    def plus(self, other: Products, sign: float = 1.0) -> Products:
        """Return the sum or difference of both."""
        found = dict(self.factors)
        for key, factor in other.factors.items():
            found[key] = found.get(key, 0 * factor) + sign * factor
        return Products(found)

    def scaled(self, factor: np.ndarray) -> Products:
        """Return this times one number, or one for each of its own."""
        return Products({k: v * factor.ravel() for k, v in self.factors.items()})

    def kept(self) -> dict[Monomial, np.ndarray]:
        """Return the products whose factors are not 0."""
        return {k: v for k, v in self.factors.items() if np.abs(v).max() > NEAR}


@dataclass
class StepAlgebra:
    """What the nodes of a step make of a frame and a state.

    Attributes:
        build: The table, for limits and messages.
        values: By name: sums, products, constants.
    """

    build: Build
    values: dict[str, Any]
    _functions: dict[tuple[str, int], Sum] = field(default_factory=dict)
    _held: list[Any] = field(default_factory=list)

    def run(self, graph: Graph) -> None:
        """Add what all nodes of a body give.

        Raises:
            DataError: One has no place in a step; names it.
        """
        self.values |= graph.constants
        for node in graph.nodes:
            missing = [n for n in node.inputs if n and n not in self.values]
            if missing or node.domain:
                raise self.build.refuse(node, f"reads {missing or node.domain}, unknown in a loop")
            given = [self.values[n] if n else None for n in node.inputs]
            if all(v is None or isinstance(v, np.ndarray) for v in given):
                made: Sequence[Any] = fold(self.build, node, given)
            else:
                made = self._made(node, given)
            self.values |= dict(zip(node.outputs, made, strict=False))

    def _made(self, node: Node, x: Sequence[Any]) -> Sequence[Any]:
        op = node.op
        if op in VIEWS:
            return [x[0]]
        if op in FUNCTIONS and isinstance(x[0], Sum):
            return [self.function(FUNCTIONS[op], x[0])]
        if op in ("MatMul", "Gemm"):
            return [self._mapped(node, x)]
        if op in ("Add", "Sub"):
            return [self._added(node, x[0], x[1], 1.0 if op == "Add" else -1.0)]
        if op == "Neg":
            return [self._times(node, x[0], np.array([-1.0]))]
        if op == "Mul":
            return [self._multiplied(node, *x)]
        if op == "Div" and isinstance(x[1], np.ndarray) and np.all(x[1]):
            return [self._times(node, x[0], 1 / self._vector(node, x[1]))]
        if op == "Concat" and all(isinstance(v, Sum) for v in x):
            return [_joined(x)]
        if op in ("Split", "Slice") and isinstance(x[0], Sum):
            return self._cut(node, x)
        raise self.build.refuse(node, "has no place in a loop over time around a CfC step")

    def function(self, kind: str, value: Sum) -> Sum:
        """Return a function of a sum; of the same sum the same part."""
        key = kind, id(value)
        if key not in self._functions:
            self._held.append(value)  # so that its id stays its own
            self._functions[key] = Sum.of(Part(kind, value.size, value))
        return self._functions[key]

    def _vector(self, node: Node, value: np.ndarray) -> np.ndarray:
        """Return a constant as a vector over the last axis."""
        if value.size > LARGEST or (value.size > 1 and value.shape[-1] != value.size):
            raise self.build.refuse(node, f"has a constant of shape {value.shape}")
        return value.astype(np.float64).ravel()

    def _mapped(self, node: Node, x: Sequence[Any]) -> Sum:
        value, weight, *rest = x
        bias = rest[0] if rest and rest[0] is not None else np.zeros(1)
        is_known = isinstance(weight, np.ndarray) and isinstance(bias, np.ndarray)
        value = self._as_sum(node, value)
        if not is_known or weight.ndim != 2 or node.attributes.get("transA"):
            raise self.build.refuse(node, "must multiply a value with a constant matrix")
        given = node.attributes
        matrix = weight if given.get("transB") else weight.T
        if matrix.shape[1] != value.size or max(matrix.shape) > LARGEST:
            raise self.build.refuse(node, f"has a matrix {matrix.shape} for {value.size} numbers")
        numbers = sum(w.size for w in value.terms.values())
        self.build.spend(node, numbers * len(matrix) // 64)
        made = value.mapped(float(given.get("alpha", 1.0)) * matrix.astype(np.float64))
        return made.shifted(float(given.get("beta", 1.0)) * self._vector(node, bias))

    def _as_sum(self, node: Node, value: Any) -> Sum:
        """Return a value that a matrix reads, GELU in basic operators as one part."""
        if isinstance(value, Sum):
            return value
        found = self._gelu(value) if isinstance(value, Products) else None
        if found is None:
            raise self.build.refuse(
                node, "reads a product of values; known is GELU in basic operators"
            )
        return found

    def _gelu(self, value: Products) -> Sum | None:
        """Return x (1 + erf(x / sqrt 2)) / 2 as a part."""
        kept = value.kept()
        erfs = [p for key in kept for p in key if p.kind == "erf"]
        if len(kept) != 2 or len(erfs) != 1 or erfs[0].of is None:
            return None
        lines = [p for key in kept for p in key if p is not erfs[0]]
        if len(set(lines)) != 1 or not all(np.allclose(v, 0.5) for v in kept.values()):
            return None
        inner = lines[0].of if lines[0].kind == "linear" else Sum.of(lines[0])
        assert inner is not None
        if not _alike(inner.scaled(np.array([1 / sqrt(2)])), erfs[0].of):
            return None
        return self.function("gelu", inner)

    def products(self, value: Sum) -> Products:
        """Return a sum as products of one part each: itself where it is no scaled parts."""
        diagonals = {p: np.diagonal(w) for p, w in value.terms.items()}
        is_plain = all(
            w.shape[0] == w.shape[1] and np.array_equal(w, np.diag(diagonals[p]))
            for p, w in value.terms.items()
        )
        if not is_plain:
            return self.products(self.function("linear", value))
        found: dict[Monomial, np.ndarray] = {frozenset((p,)): d for p, d in diagonals.items()}
        found[frozenset()] = value.shift
        return Products(found)

    def _added(self, node: Node, first: Any, second: Any, sign: float) -> Sum | Products:
        if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
            value, constant = (second, first) if isinstance(first, np.ndarray) else (first, second)
            by = self._vector(node, constant)
            if isinstance(first, np.ndarray):  # c - x
                value = value.scaled(np.array([sign]))
            else:
                by = sign * by
            if isinstance(value, Sum):
                return value.shifted(by)
            key: Monomial = frozenset()
            ones = np.ones(len(next(iter(value.factors.values()))))
            made: Products = value.plus(Products({key: by * ones}))
            return made
        if isinstance(first, Sum) and isinstance(second, Sum):
            if first.size != second.size:
                raise self.build.refuse(node, f"adds {first.size} and {second.size} numbers")
            return first.plus(second.scaled(np.array([sign])))
        a, b = (self.products(v) if isinstance(v, Sum) else v for v in (first, second))
        both: Products = a.plus(b, sign)
        return both

    def _times(self, node: Node, value: Any, factor: np.ndarray) -> Any:
        return value.scaled(factor)

    def _multiplied(self, node: Node, first: Any, second: Any) -> Any:
        for constant, value in ((first, second), (second, first)):
            if isinstance(constant, np.ndarray):
                return self._times(node, value, self._vector(node, constant))
        for value, gate in ((first, second), (second, first)):
            if isinstance(value, Sum) and gate is self._functions.get(("sigmoid", id(value))):
                return self.function("silu", value)
        a, b = (self.products(v) if isinstance(v, Sum) else v for v in (first, second))
        found: dict[Monomial, np.ndarray] = {}
        if len(a.factors) * len(b.factors) > 64:
            raise self.build.refuse(node, "multiplies more than a CfC step does")
        for one, f in a.factors.items():
            for two, g in b.factors.items():
                if one & two:
                    raise self.build.refuse(node, "multiplies a vector by itself")
                found[one | two] = found.get(one | two, 0 * f) + f * g
        return Products(found)

    def _cut(self, node: Node, x: Sequence[Any]) -> list[Sum]:
        value: Sum = x[0]
        if node.op == "Split":
            sizes = split_sizes(self.build, node, value.size, x[1] if len(x) > 1 else None)
            starts = np.cumsum([0, *sizes[:-1]])
            return [value.rows(int(s), n) for s, n in zip(starts, sizes, strict=True)]
        _, starts, ends, *_ = x
        axes = axes_of(self.build, node, x[3] if len(x) > 3 else None) or [0]
        steps = x[4] if len(x) > 4 and x[4] is not None else np.ones(1)
        if len(starts) != 1 or axes[0] not in (-1, 1) or steps[0] != 1:
            raise self.build.refuse(node, "cuts something else than numbers side by side")
        first, last, _ = slice(int(starts[0]), int(ends[0])).indices(value.size)
        return [value.rows(first, last - first)]


def _joined(x: Sequence[Sum]) -> Sum:
    parts = dict.fromkeys(p for v in x for p in v.terms)
    terms = {
        p: np.concatenate([v.terms.get(p, np.zeros((v.size, p.size))) for v in x]) for p in parts
    }
    return Sum(terms, np.concatenate([v.shift for v in x]))


def _alike(first: Sum, second: Sum) -> bool:
    if set(first.terms) != set(second.terms):
        return False
    pairs = [(first.shift, second.shift)]
    pairs += [(w, second.terms[p]) for p, w in first.terms.items()]
    return all(np.allclose(a, b, 1e-5, NEAR) for a, b in pairs)
