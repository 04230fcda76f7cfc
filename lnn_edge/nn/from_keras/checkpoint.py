"""Checkpoints of TensorFlow -> arrays and the tree of objects that hold them, without TensorFlow.

variables.index is a table of sorted keys (LevelDB's format, uncompressed), its values are messages
BundleEntryProto; variables.data-00000-of-00001 holds the numbers. Source: tensor_bundle.h and
trackable_object_graph.proto of TensorFlow 2.21.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lnn_edge.nn.from_keras.wire import fields, numbers, texts, varint

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER, _TRAILER = 48, 5
_LONGEST_KEY = 4096  # bytes: each key may repeat the one before, so a small file could hold many
_STRING = 7
_FLOATS = {1: "<f4", 2: "<f8", 19: "<f2"}
"""Types of tensors by number, those of weights."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies.

    Attributes:
        dtype: Number of its type.
        shape: Sizes.
        offset: In the data.
        size: Bytes.
    """

    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int


class Checkpoint:
    """The tensors of a checkpoint of one data file, by name.

    Raises:
        ValueError: The files are damaged, or of another form.
    """

    def __init__(self, index: bytes, data: bytes) -> None:
        if index[-len(_MAGIC) :] != _MAGIC or len(index) < _FOOTER:
            raise ValueError("variables.index does not end as an index does")
        self._data = data
        self.entries = dict(_entries(index))

    def array(self, name: str) -> np.ndarray | None:
        """Return a tensor as float64; None of one that holds no floats."""
        entry = self.entries[name]
        if entry.dtype not in _FLOATS:
            return None
        kind = _FLOATS[entry.dtype]
        if entry.size != math.prod(entry.shape) * np.dtype(kind).itemsize:
            raise ValueError(f"{name} has {entry.size} bytes and the shape {entry.shape}")
        flat: np.ndarray = np.frombuffer(self._part(entry), kind).astype(np.float64)
        return flat.reshape(entry.shape)

    def text(self, name: str) -> bytes:
        """Return the one string of a tensor: its length, four bytes of a sum, and itself."""
        entry = self.entries[name]
        if entry.dtype != _STRING:
            raise ValueError(f"{name} is not a string")
        raw = self._part(entry)
        size, at = varint(raw, 0)
        return raw[at + 4 : at + 4 + size]

    def _part(self, entry: Entry) -> bytes:
        part = self._data[entry.offset : entry.offset + entry.size]
        if len(part) != entry.size:
            raise ValueError("variables.data is cut off")
        return part


def _entries(index: bytes) -> Iterator[tuple[str, Entry]]:
    footer = index[-_FOOTER:]
    at = 0
    for _ in range(2):  # the place of what is left out here
        _, at = varint(footer, at)
    left = len(index)
    for _, place in _block(index, footer[at:]):
        left -= varint(place, varint(place, 0)[1])[0]
        if left < 0:
            raise ValueError("blocks of variables.index lie in each other")
        for key, value in _block(index, place):
            if key:  # the empty one is the header
                yield key.decode(), _entry(value)


def _block(index: bytes, place: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block; a key shares its beginning with the one before."""
    start, at = varint(place, 0)
    size, _ = varint(place, at)
    block = index[start : start + size + _TRAILER]
    if len(block) != size + _TRAILER or block[size] != 0:
        raise ValueError("a block of variables.index is cut off or compressed")
    end = size - 4 * (int.from_bytes(block[size - 4 : size], "little") + 1)
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared + own > _LONGEST_KEY:
            raise ValueError(f"a name of variables.index has more than {_LONGEST_KEY} bytes")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _entry(value: bytes) -> Entry:
    known = dict(fields(value))
    if known.get(3, 0) != 0:
        raise ValueError("the variables lie in several files")
    shape = known.get(2, b"")
    sizes = texts(shape, 2) if isinstance(shape, bytes) else []
    told = [known.get(n, 0) for n in (1, 4, 5)]
    dtype, offset, size = (v if isinstance(v, int) else 0 for v in told)
    return Entry(dtype, tuple(sum(numbers(s, 1)) for s in sizes), offset, size)


@dataclass(frozen=True)
class Node:
    """An object of a model.

    Attributes:
        children: Numbers of other objects, by name.
        keys: Names of its tensors.
    """

    children: Mapping[str, int]
    keys: tuple[str, ...]


def nodes_of(graph: bytes) -> list[Node]:
    """Return the objects of a TrackableObjectGraph; the first is the model."""
    found = []
    for node in texts(graph, 1):
        children = [(texts(child, 2), numbers(child, 1)) for child in texts(node, 1)]
        keys = [key.decode() for told in texts(node, 2) for key in texts(told, 3)]
        named = {n[0].decode(): (i[0] if i else 0) for n, i in children if n}
        found.append(Node(named, tuple(keys)))
    return found
