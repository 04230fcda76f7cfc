"""Bytes of an ONNX file -> its graph: nodes, constants, inputs and outputs. No layers here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.files.names import shown
from lnn_edge.files.read import check_file
from lnn_edge.nn.arrays import MOST_ARRAYS, MOST_WEIGHTS, check_size
from lnn_edge.nn.from_onnx.wire import Budget, Damaged, fields, integers, message, signed, text

OPSETS = range(11, 27)
"""Versions of ONNX' operators that are known."""
STANDARD = ("", "ai.onnx")
"""Names of the set of operators that ONNX defines."""
MOST_NODES, DEEPEST, MOST_AXES = 1 << 14, 4, 8
LARGEST_WEIGHTS = 1 << 30
"""Bytes of a file of weights beside the model, of which only those of the model are read."""
AGAIN = "export the model again"
FLOAT, STRING, BFLOAT16 = 1, 8, 16
DTYPES: dict[int, str] = {
    **{FLOAT: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?"},
    **{10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"},
}
"""Types of numbers by their code."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: Of its tensor.
        type: Code of its numbers; 0 where it is no tensor.
        shape: A size, the name of a free one, or None; None where the file does not tell it.
    """

    name: str
    type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Node:
    """An operator where it is applied.

    Attributes:
        name: Of the node.
        op: Of the operator.
        domain: Whose operator it is; "" is ONNX' own.
        inputs: Names of tensors; "" for one that is left out.
        outputs: Likewise.
        attributes: Floats, integers, texts, arrays, graphs, and lists of the first three.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the file.

    Attributes:
        nodes: See Node.
        constants: Arrays by name.
        inputs: Those that no constant stands for.
        outputs: What leaves it.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class OnnxModel:
    """A graph and the version of its operators."""

    opset: int
    graph: Graph


def read_onnx(path: Path, raw: bytes) -> OnnxModel:
    """Return the model in a file.

    Args:
        path: Of the file; weights beside it are read from its folder alone.
        raw: Its bytes.

    Raises:
        DataError: It is damaged, too large, of an unknown version, or lies in parts elsewhere.
    """
    try:
        return _Reader(path).model(memoryview(raw))
    except Damaged as error:
        raise DataError(f"{path} is damaged or no ONNX file ({error}); {AGAIN}") from None


@dataclass
class _Reader:
    path: Path
    budget: Budget = field(default_factory=Budget)
    weights: int = 0
    arrays: int = 0
    nodes: int = 0

    def model(self, raw: memoryview) -> OnnxModel:
        opset, graph = 0, None
        for number, value in fields(raw, self.budget):
            if number == 7:
                if graph is not None:
                    raise Damaged("it holds two graphs")
                graph = self._graph(message(value), 0)
            elif number == 8:
                domain, version = self._opset(message(value))
                opset = version if domain in STANDARD else opset
            elif number == 25:
                raise DataError(
                    f"{self.path} holds functions of its own; put their nodes in their place with "
                    "onnx.inliner.inline_local_functions and save it again"
                )
        if graph is None:
            raise Damaged("it holds no graph")
        if opset not in OPSETS:
            raise DataError(
                f"{self.path} is of opset {opset}; known are {OPSETS[0]} to {OPSETS[-1]}: export "
                "it with opset_version=18"
            )
        return OnnxModel(opset, graph)

    def _opset(self, raw: memoryview) -> tuple[str, int]:
        domain, version = "", 0
        for number, value in fields(raw, self.budget):
            if number == 1:
                domain = text(value)
            elif number == 2:
                version = signed(value)
        return domain, version

    def _graph(self, raw: memoryview, depth: int) -> Graph:
        if depth > DEEPEST:
            raise Damaged("graphs lie in each other too deeply")
        nodes, inputs, outputs = list[Node](), list[Port](), list[Port]()
        constants: dict[str, np.ndarray] = {}
        for number, value in fields(raw, self.budget):
            if number == 1:
                nodes.append(self._node(message(value), depth))
            elif number == 5:
                name, array = self._tensor(message(value))
                constants[name] = array
            elif number == 11:
                inputs.append(self._port(message(value)))
            elif number == 12:
                outputs.append(self._port(message(value)))
            elif number == 15:
                raise DataError(f"{self.path} holds sparse weights; {AGAIN} with plain ones")
        free = tuple(port for port in inputs if port.name not in constants)
        return Graph(tuple(nodes), constants, free, tuple(outputs))

    def _node(self, raw: memoryview, depth: int) -> Node:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise DataError(
                f"{self.path} has more than {MOST_NODES:,} nodes: a loop over time is written out "
                "step by step; export a layer that keeps it (LSTM, GRU, Scan)"
            )
        texts = {3: "", 4: "", 7: ""}
        inputs, outputs = list[str](), list[str]()
        attributes = {}
        for number, value in fields(raw, self.budget):
            if number == 1:
                inputs.append(text(value))
            elif number == 2:
                outputs.append(text(value))
            elif number == 5:
                name, given = self._attribute(message(value), depth)
                attributes[name] = given
            elif number in texts:
                texts[number] = text(value)
        domain = "" if texts[7] in STANDARD else texts[7]
        return Node(texts[3], texts[4], domain, tuple(inputs), tuple(outputs), attributes)

    def _attribute(self, raw: memoryview, depth: int) -> tuple[str, Any]:
        name, found = "", list[Any]()
        lists: dict[int, list[Any]] = {}
        for number, value in fields(raw, self.budget):
            if number == 1:
                name = text(value)
            elif number == 2 and isinstance(value, float):
                found.append(value)
            elif number == 3:
                found.append(signed(value))
            elif number == 4:
                found.append(text(value))
            elif number == 5:
                found.append(self._tensor(message(value))[1])
            elif number == 6:
                found.append(self._graph(message(value), depth + 1))
            elif number == 7:
                lists.setdefault(7, []).extend(self._floats(value))
            elif number == 8:
                lists.setdefault(8, []).extend(integers(value, self.budget))
            elif number == 9:
                lists.setdefault(9, []).append(text(value))
        if len(found) + len(lists) > 1:
            raise Damaged(f"attribute {shown(name)} has several values")
        return name, found[0] if found else next(iter(lists.values()), [])

    def _floats(self, value: Any) -> Iterator[float]:
        if isinstance(value, float):
            return iter((value,))
        packed = message(value)
        self.budget.take(len(packed) // 4)
        return iter(_numbers(packed, "<f4").tolist())

    def _tensor(self, raw: memoryview) -> tuple[str, np.ndarray]:
        """Return name and numbers of a constant."""
        sizes, code, name = list[int](), 0, ""
        parts: dict[int, list[Any]] = {}
        outside: dict[str, str] = {}
        is_outside = False
        for number, value in fields(raw, self.budget):
            if number == 1:
                sizes += integers(value, self.budget)
            elif number == 2:
                code = signed(value)
            elif number == 8:
                name = text(value)
            elif number == 13:
                pair = {n: text(v) for n, v in fields(message(value), self.budget) if n in (1, 2)}
                outside[pair.get(1, "")] = pair.get(2, "")
            elif number == 14:
                is_outside = signed(value) == 1
            elif number in (4, 5, 7, 9, 10, 11):
                parts.setdefault(number, []).append(value)
        what = f"{self.path}: constant {shown(name)}"
        dtype = DTYPES.get(code)
        if dtype is None:
            kind = "texts" if code == STRING else f"numbers of type {code}"
            raise DataError(f"{what} holds {kind}, which no device can read; {AGAIN} in float32")
        size = self._count(what, sizes)
        if is_outside:
            array = self._from_outside(what, outside, size, dtype)
        else:
            array = self._numbers(parts, dtype)
        if len(array) != size:
            raise Damaged(f"constant {shown(name)} has {len(array)} numbers, not {size}")
        return name, array.reshape(sizes)

    def _count(self, what: str, sizes: list[int]) -> int:
        """Return how many numbers a constant has, before any of them is read."""
        if len(sizes) > MOST_AXES or any(n < 0 for n in sizes):
            raise DataError(f"{what} has the shape {shown(str(sizes))}; {AGAIN}")
        size = math.prod(sizes)
        self.weights, self.arrays = self.weights + size, self.arrays + 1
        if size > MOST_WEIGHTS or self.weights > MOST_WEIGHTS or self.arrays > MOST_ARRAYS:
            check_size(str(self.path), self.arrays, self.weights)
        return size

    def _numbers(self, parts: Mapping[int, list[Any]], dtype: str) -> np.ndarray:
        """Return the numbers of a constant, in bytes or in a list of their type."""
        if 9 in parts:
            return _numbers(message(parts[9][-1]), dtype)
        floats, doubles = parts.get(4, []), parts.get(10, [])
        whole = [*parts.get(5, []), *parts.get(7, []), *parts.get(11, [])]
        if floats:
            return np.array([n for value in floats for n in self._floats(value)], dtype)
        if doubles:
            return np.concatenate([_numbers(message(value), "<f8") for value in doubles])
        found = [n for value in whole for n in integers(value, self.budget)]
        if dtype == "<f2":  # their bits
            return np.array(found, "<i8").astype("<u2").view("<f2")
        return np.array(found, "<i8").astype(dtype)

    def _from_outside(
        self, what: str, outside: Mapping[str, str], size: int, dtype: str
    ) -> np.ndarray:
        """Return numbers that lie in another file of the folder."""
        given = outside.get("location", "")
        place = self._place(what, given)
        length = size * np.dtype(dtype).itemsize
        try:
            first = int(outside.get("offset", "0"))
            if first < 0 or int(outside.get("length", str(length))) != length:
                raise ValueError("its length does not fit its shape")
            check_file(place, LARGEST_WEIGHTS)
            with place.open("rb") as file:
                file.seek(first)
                raw = file.read(length)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DataError(
                f"{what} cannot be read from {shown(given)} ({reason}); put the file of weights "
                "beside the model"
            ) from None
        if len(raw) != length:
            raise DataError(f"{what} ends behind {shown(given)}; copy the file of weights again")
        return np.frombuffer(raw, dtype)

    def _place(self, what: str, given: str) -> Path:
        """Return the file of weights, in the folder of the model whatever links say."""
        folder = self.path.parent.resolve()
        try:
            place = (folder / given).resolve() if given else folder
        except ValueError:
            place = folder
        if place == folder or not place.is_relative_to(folder):
            raise DataError(
                f"{what} lies in {shown(given) or 'no file'}, outside the model's folder; put the "
                "file of weights beside the model and export it again"
            )
        return place

    def _port(self, raw: memoryview) -> Port:
        name, kind, shape = "", 0, None
        for number, value in fields(raw, self.budget):
            if number == 1:
                name = text(value)
            elif number == 2:
                kind, shape = self._type(message(value))
        return Port(name, kind, shape)

    def _type(self, raw: memoryview) -> tuple[int, tuple[int | str | None, ...] | None]:
        kind, shape = 0, None
        for number, value in fields(raw, self.budget):
            if number != 1:
                continue
            for inner, what in fields(message(value), self.budget):
                if inner == 1:
                    kind = signed(what)
                elif inner == 2:
                    dims = fields(message(what), self.budget)
                    shape = tuple(self._size(message(v)) for n, v in dims if n == 1)
        return kind, shape

    def _size(self, raw: memoryview) -> int | str | None:
        found: int | str | None = None
        for number, value in fields(raw, self.budget):
            if number == 1:
                found = signed(value)
            elif number == 2:
                found = text(value)
        return found or None  # a free size is written as 0 or "", too


def _numbers(raw: memoryview, dtype: str) -> np.ndarray:
    """Return the numbers in bytes.

    Raises:
        Damaged: A part of a number is left.
    """
    if len(raw) % np.dtype(dtype).itemsize:
        raise Damaged("the bytes of a constant end within a number")
    return np.frombuffer(raw, dtype)
