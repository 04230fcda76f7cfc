"""The proof of a 32-bit sum is exact: the widest input that is accepted fits, the next does not.

The worst case is found by trying the ends of every range, in integers that have no limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.elementwise import Add, GatedSum, Mix, Requantize, Subtract, TimeGate
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.pool import AveragePool
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.signal_quality import SignalQuality
from lnn_edge.graph.ops.window import Center, Decimate, MeanAbs, MeanPool

LIMIT = 1 << 31
TOP = LIMIT - 1
Ends = tuple[int, int]
DT = QTensor("dt", (1,), "uint16", 0.5)


def wide(name: str, low: int, high: int, shape: tuple[int, ...] = (3,), **more: object) -> QTensor:
    return QTensor(name, shape, "int32", qmin=low, qmax=high, **more)  # type: ignore[arg-type]


def q15(name: str, most: int = 1 << 15) -> QTensor:
    return QTensor(name, (3,), "uint16", 2.0**-15, qmin=0, qmax=most)


def narrow(name: str, shape: tuple[int, ...] = (3,), **more: object) -> QTensor:
    return QTensor(name, shape, "int16", **more)  # type: ignore[arg-type]


Y = narrow("y")


def worst(formula: Callable[..., int], *ends: Ends) -> int:
    """Return the largest magnitude of a formula that is monotonic in each of its values."""
    return max(abs(formula(*values)) for values in product(*ends))


def frames(kind: type[Decimate | Center | MeanAbs | MeanPool], n: int) -> AbstractOp:
    """Return a mean over four frames, of sums that are shifted by two."""
    x = wide("x", -n, n - 1, (4, 2))
    y = {Decimate: (1, 2), Center: (4, 2)}.get(kind, (2,))
    more = (4,) if kind is Decimate else ()
    return kind("op", (x,), (wide("y", -TOP, TOP, y),), 1 << 30, 2, *more)


def pool(n: int) -> AbstractOp:
    x, y = wide("x", -n, 0, (1, 9, 2), zero_point=5), wide("y", -TOP, TOP, (1, 5, 2))
    return AveragePool("op", (x,), (y,), (1, 3), (1, 2), (0, 1), 1 << 30, 1)


def quality(n: int, most: int) -> AbstractOp:
    x, y = wide("x", -n, n, (9, 2)), wide("y", 0, 7)
    return SignalQuality("op", (x,), (y,), 0, -1, 1, 3, 6, most)


def linear(n: int) -> AbstractOp:
    x = narrow("x", qmin=-300, qmax=300)
    weight, vector = np.array([[3, -127, 20]], np.int8), np.ones(1, np.int32)
    shift = np.full(1, 4, np.int8)
    return Linear("op", (x,), (narrow("y", (1,)),), weight, vector * n, vector, shift)


def lut(n: int) -> AbstractOp:
    x, y = narrow("x", (1,)), wide("y", -n, n, (1,))
    return Lut("op", (x,), (y,), np.full((65535 >> 11) + 2, -n, np.int32), 11, "tanh")


def scale(n: int, zero: int = 0) -> AbstractOp:
    x, one = narrow("x", qmin=-300, qmax=300, zero_point=zero), np.ones(3, np.int32)
    weight = np.array([3, -127, 20], np.int16)
    return Scale("op", (x,), (Y,), weight, one * n, one, (one * 4).astype(np.int8))


def multiply(n: int) -> AbstractOp:
    a, b = wide("a", -n, 0, zero_point=7), QTensor("b", (3,), "int8", zero_point=3)
    return Multiply("op", (a, b), (Y,), 1, 1)


def normalize(n: int, floor: int) -> AbstractOp:
    x, a = wide("x", -n, n, (2, 3)), wide("a", 0, 1000)
    return Normalize("op", (x, a), (narrow("y", (2, 3), scale=1 / 7),), 7, floor)


def decay(n: int) -> AbstractOp:
    return Decay("op", (wide("x", 0, n), DT), (Y,), np.array([0, 10, 3], np.int32), 1, 2)


def relax(n: int) -> AbstractOp:
    one = np.ones(3, np.int32)
    return Relax("op", (q15("e"), wide("f", -n, 0)), (Y,), one, one)


def remember(n: int) -> AbstractOp:
    c = wide("c", -TOP, TOP, scale=2.0**-15)
    return Remember(
        "op", (c, q15("f"), wide("i", -n, n), q15("g", 999)), (replace(c, name="y"),), 30
    )


A, B, X = wide("a", -9, 9), wide("b", -9, 9), wide("x", -9, 9)
EDGES: dict[str, tuple[Callable[[int], AbstractOp], Callable[[int], int]]] = {
    "add a": (
        lambda n: Add("op", (wide("a", -n, 0), B), (Y,), (1, 1), (3, 0)),
        lambda n: n << 3,
    ),
    "subtract b": (
        lambda n: Subtract("op", (A, wide("b", 0, n)), (Y,), (1, 1), (0, 5)),
        lambda n: n << 5,
    ),
    "time_gate a dt": (
        lambda n: TimeGate("op", (wide("a", 0, n), B, DT), (Y,), (1, 1), (1, 0)),
        lambda n: n * 65535 << 1,
    ),
    "time_gate b": (
        lambda n: TimeGate("op", (A, wide("b", -n, 0), DT), (Y,), (1, 1), (0, 5)),
        lambda n: n << 5,
    ),
    "mix of a above b": (
        lambda n: Mix("op", (wide("a", -3, n), wide("b", -7, 5), q15("g")), (Y,), 1, 0),
        lambda n: worst(lambda a, b, g: g * (b - a), (-3, n), (-7, 5), (0, 1 << 15)),
    ),
    "mix of a below b": (
        lambda n: Mix("op", (wide("a", -n, 3), wide("b", -7, 5), q15("g")), (Y,), 1, 0),
        lambda n: worst(lambda a, b, g: g * (b - a), (-n, 3), (-7, 5), (0, 1 << 15)),
    ),
    "mix with the gate of b": (
        lambda n: Mix("op", (A, wide("b", -n, 3), q15("g", 1 << 15)), (Y,), 1, 1),
        lambda n: worst(
            lambda a, b, g: ((a << 15) + g * (b - a)) << 1, (-9, 9), (-n, 3), (0, 1 << 15)
        ),
    ),
    "mix with the gate of a": (
        lambda n: Mix("op", (wide("a", -3, n), B, q15("g", 1)), (Y,), 1, 2),
        lambda n: worst(lambda a, b, g: ((a << 15) + g * (b - a)) << 2, (-3, n), (-9, 9), (0, 1)),
    ),
    "gated_sum": (
        lambda n: GatedSum("op", (wide("a", -n, n), B, q15("g", 5000)), (Y,), 1, 1),
        lambda n: worst(lambda a, b, g: ((a << 15) + g * b) << 1, (-n, n), (-9, 9), (0, 5000)),
    ),
    "gate": (
        lambda n: Gate("op", (wide("x", -n, 0), q15("g", 999)), (Y,), 1, 2),
        lambda n: n * 999 << 2,
    ),
    "multiply": (
        multiply,
        lambda n: worst(lambda a, b: (a - 7) * (b - 3) << 1, (-n, 0), (-128, 127)),
    ),
    "requantize": (
        lambda n: Requantize.quantize("op", wide("x", 0, n, scale=8.0, zero_point=-2), Y),
        lambda n: (n + 2) << 5,
    ),
    "decimate": (lambda n: frames(Decimate, n), lambda n: 4 * n << 2),
    "center": (lambda n: frames(Center, n), lambda n: 4 * n << 2),
    "mean_abs": (lambda n: frames(MeanAbs, n), lambda n: 4 * n << 2),
    "mean_pool": (lambda n: frames(MeanPool, n), lambda n: 4 * n << 2),
    "signal_quality by the sum": (lambda n: quality(n, 1), lambda n: 2 * 2 * n * 9),
    "signal_quality by the product": (lambda n: quality(n, 999), lambda n: 999 * 2 * n),
    "average_pool": (pool, lambda n: 3 * (n + 5) << 1),
    "linear": (linear, lambda n: (150 * 300 + n) << 4),
    "lut": (lut, lambda n: (3 * n + 1) << 11),
    "scale": (scale, lambda n: (127 * 300 + n) << 4),
    "scale around a zero point": (
        lambda n: scale(n, -100),
        lambda n: max(127 * 300 + n - 12_700, 20 * 300 + n + 2_000) << 4,
    ),
    "normalize by amplitude": (lambda n: normalize(n, 1), lambda n: 2 * 7 * n + 1000),
    "normalize by floor": (lambda n: normalize(n, 2000), lambda n: 2 * 7 * n + 2000),
    "decay": (decay, lambda n: (n + 10) * 65535 << 2),
    "relax": (relax, lambda n: n << 15),
    "remember": (remember, lambda n: n * 999),
}


def is_accepted(make: Callable[[int], AbstractOp], n: int) -> bool:
    try:
        make(n)
    except GraphError as error:
        if "can reach" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("name", EDGES)
def test_the_widest_input_fits_and_the_next_does_not(name: str) -> None:
    make, reach = EDGES[name]
    low, high = 10, TOP
    assert is_accepted(make, low)
    assert not is_accepted(make, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_accepted(make, middle) else (low, middle)
    assert reach(low) < LIMIT <= reach(low + 1)


def exact(terms: list[int], y: QTensor) -> int:
    """Return a sum of products rounded half up by 2**32, saturated, in unlimited integers."""
    return min(max((sum(terms) + LIMIT) >> 32, y.qmin), y.qmax)


@pytest.mark.parametrize("signs", list(product((-1, 1), repeat=4)))
def test_no_64_bit_sum_overflows_where_its_products_fit_32_bits(signs: tuple[int, ...]) -> None:
    """Factors, offsets and shifted inputs at the ends of what 32 bits hold."""
    y = wide("y", -LIMIT, TOP, (1,))
    full = wide("a", -TOP, TOP, (1,))
    a, b, m, o = (s * TOP for s in signs)
    ends = tuple(np.array([v]) for v in (a, b))
    for kind in (Add, Subtract):
        op = kind("op", (full, full), (y,), (TOP, TOP), (0, 0))
        (got,) = op.reference(*ends)
        assert got.tolist() == [exact([a * TOP, op.sign * b * TOP], y)]
    one = QTensor("dt", (1,), "uint16", qmin=1, qmax=1)
    gate = TimeGate("op", (full, full, one), (y,), (TOP, TOP), (0, 0))
    (got,) = gate.reference(*ends, np.array([1]))
    assert got.tolist() == [exact([a * TOP, b * TOP], y)]
    factor, offset = (np.array([v - np.sign(v)], np.int32) for v in (m, o))  # inside their range
    e, f = QTensor("e", (1,), "uint16", 2.0**-15, qmin=0, qmax=1), full
    (got,) = Relax("op", (e, f), (y,), factor, offset).reference(np.array([1]), np.array([b]))
    assert got.tolist() == [exact([b * int(factor[0]), int(offset[0]) << 16], y)]
