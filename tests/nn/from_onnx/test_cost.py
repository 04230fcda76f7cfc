"""Files of at most 10 MB that would cost their reader the most."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.reader_cost import ENDLESS_S, MEGABYTES, cost_of

onnx = pytest.importorskip("onnx")
MOST = 10 << 20


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    size, head = len(content), []
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *head, size]) + content


def model(graph: bytes) -> bytes:
    """Return a file around a graph, of opset 18."""
    return b"\x08\x09" + field(7, graph) + field(8, b"\x10\x12")


def port(number: int, name: bytes) -> bytes:
    sizes = b"".join(field(1, size) for size in (b"\x08\x01", b"\x08\x10", b"\x08\x03"))
    return field(number, field(1, name) + field(2, field(1, b"\x08\x01" + field(2, sizes))))


def node(op: bytes, inputs: list[bytes], output: bytes, more: bytes = b"") -> bytes:
    names = b"".join(field(1, name) for name in inputs)
    return field(1, names + field(2, output) + field(4, op) + more)


def chain(op: bytes, count: int) -> bytes:
    nodes = [node(op, [b"x" if i == 0 else b"t%d" % i], b"t%d" % (i + 1)) for i in range(count)]
    nodes.append(node(b"Identity", [b"t%d" % count], b"y"))
    return model(b"".join(nodes) + port(11, b"x") + port(12, b"y"))


def constant(sizes: list[int], code: int, raw: bytes, name: bytes = b"w") -> bytes:
    tensor = onnx.TensorProto(dims=sizes, data_type=code)
    return field(5, tensor.SerializeToString() + field(8, name) + (field(9, raw) if raw else b""))


def with_weights(tensor: bytes) -> bytes:
    return model(node(b"MatMul", [b"x", b"w"], b"y") + tensor + port(11, b"x") + port(12, b"y"))


def again(op: bytes, others: list[bytes], size: int) -> bytes:
    """Return thousands of products with a large constant."""
    nodes = [
        node(op, [b"w" if i == 0 else b"t%d" % i, *others], b"t%d" % (i + 1)) for i in range(8_000)
    ]
    nodes.append(node(b"Add", [b"x", b"t8000"], b"y"))
    tensor = constant([size], 1, bytes(4 * size))
    return model(b"".join(nodes) + tensor + port(11, b"x") + port(12, b"y"))


def scaled_again(size: int) -> bytes:
    """Return a large matrix, and thousands of biases that it takes in."""
    nodes = [node(b"MatMul", [b"x", b"w"], b"t0")]
    nodes += [node(b"Add", [b"t%d" % i, b"f"], b"t%d" % (i + 1)) for i in range(8_000)]
    nodes.append(node(b"Identity", [b"t8000"], b"y"))
    tensors = constant([3, size], 1, bytes(12 * size)) + constant([], 1, b"\0\0\0@", b"f")
    return model(b"".join(nodes) + tensors + port(11, b"x") + port(12, b"y"))


def cells() -> bytes:
    """Return thousands of cells with the same large weights."""
    size = 800
    nodes, given = [], b"x"
    batch_first = field(5, field(1, b"layout") + b"\x18\x01")
    for i in range(2_000):
        nodes.append(node(b"GRU", [given, b"w" if i else b"v", b"w"], b"a%d" % i, batch_first))
        nodes.append(node(b"Squeeze", [b"a%d" % i, b"s"], b"b%d" % i))
        given = b"b%d" % i
    nodes.append(node(b"Identity", [given], b"y"))
    held = constant([1, 3 * size, size], 1, bytes(12 * size * size))
    held += constant([1, 3 * size, 3], 1, bytes(36 * size), b"v")
    held += constant([1], 7, b"\2" + bytes(7), b"s")
    return model(b"".join(nodes) + held + port(11, b"x") + port(12, b"y"))


FILES: dict[str, Callable[[], bytes]] = {
    "empty nodes": lambda: model(b"\x0a\x00" * (MOST // 2 - 50)),
    "empty constants": lambda: model(b"\x2a\x00" * (MOST // 2 - 50)),
    "a constant of many axes": lambda: model(field(5, b"\x08\x01" * (MOST // 2 - 50))),
    "an attribute of many numbers": lambda: model(
        field(1, field(5, field(1, b"a") + field(8, b"\x01" * (MOST - 200))))
    ),
    "unknown fields": lambda: b"\x78\x00" * (MOST // 2),
    "a text": lambda: model(field(2, b"a" * (MOST - 200)) + field(1, field(3, b"b" * 200))),
    "weights of one byte": lambda: with_weights(constant([3, 3_400_000], 3, bytes(10_200_000))),
    "weights that fit": lambda: with_weights(constant([3, 800_000], 1, bytes(9_600_000))),
    "more weights than are there": lambda: with_weights(constant([3, 1 << 40], 1, b"")),
    "a constant again and again": lambda: again(b"Mul", [b"w"], 2_000_000),
    "a matrix again and again": lambda: scaled_again(700_000),
    "a cell again and again": cells,
    "a long chain": lambda: chain(b"Tanh", 16_000),
    "a long chain of names alike": lambda: chain(b"Transpose", 16_000),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", FILES)
def test_a_file_takes_little(name: str, tmp_path: Path) -> None:
    raw = FILES[name]()
    assert len(raw) <= MOST + 100
    path = tmp_path / "net.onnx"
    path.write_bytes(raw)
    cost = cost_of("import", path)
    assert cost.megabytes <= MEGABYTES, cost
    assert cost.seconds <= ENDLESS_S, cost


def test_the_files_are_what_they_seem() -> None:
    """The package onnx reads them, so it is the limits that refuse them."""
    for name in ("weights that fit", "a matrix again and again", "a cell again and again"):
        assert len(onnx.load_model_from_string(FILES[name]()).graph.node) > 0
