"""Saturation is left out exactly where no value of the inputs needs it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lnn_edge.codegen.kernels.reach import stays_inside
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Mix
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.ops.rescale import AbstractRescale
from tests.graph.ops.cases import MAKERS, Seeded

ONE = 1 << 15
RESCALES = ("requantize", "requantize.elements", "slice", "slice.elements")


def rounded(value: int, multiplier: int, shift: int) -> int:
    return ((value << shift) * multiplier + (1 << 31)) >> 32


def values_of(op: AbstractOp) -> list[int]:
    """Return what ends of inputs become before they are saturated: each map is monotone."""
    ends = [(t.qmin, t.qmax) for t in op.inputs]
    if isinstance(op, AbstractRescale):
        each = zip(
            op.zero_points_of_x.tolist(), op.zero_points_of_y.tolist(),
            op.multipliers.tolist(), op.shifts.tolist(), strict=True,
        )  # fmt: skip
        return [rounded(x - zx, m, s) + zy for zx, zy, m, s in each for x in ends[0]]
    if isinstance(op, Gate):
        return [rounded(x * g, op.multiplier, op.shift) for x, g in product(*ends)]
    assert isinstance(op, Mix)
    sums = (a * (ONE - g) + b * g for a, b, g in product(*ends[:2], (0, ONE)))
    return [rounded(total, op.multiplier, op.shift) for total in sums]


@pytest.mark.parametrize("name", [*RESCALES, "gate", "mix"])
def test_an_output_holds_what_its_inputs_make_of_it(name: str) -> None:
    seen = set()
    for seed in range(60):
        op = MAKERS[name](Seeded(seed))
        y, values = op.outputs[0], values_of(op)
        for low, high in ((0, 0), (1, 0), (0, -1)):
            limits = RANGES[y.dtype]
            qmin, qmax = min(values) + low, max(values) + high
            if not limits[0] <= qmin < qmax <= limits[1]:
                continue
            tight = replace(op, outputs=(replace(y, qmin=qmin, qmax=qmax), *op.outputs[1:]))
            assert stays_inside(tight) == (low == high == 0)
            seen.add(stays_inside(tight))
    assert seen == {True, False}


def test_what_comes_from_outside_may_have_any_value() -> None:
    x = QTensor("x", (1,), "int16", 1.0, 0, -5, 5)
    y = QTensor("y", (1,), "int16", 1.0, 0, -5, 5)
    gate = QTensor("g", (1,), "uint16", 2.0**-15, 0, 0, ONE)
    for is_inside, role in ((True, x.role), (False, "input")):
        op = Gate("op", (replace(x, role=role), gate), (y,), 1 << 17, 0)
        assert stays_inside(op) == is_inside


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1, 0), (0, 1)])
def test_a_table_is_inside_with_all_of_its_entries(low: int, high: int) -> None:
    x = QTensor("x", (1,), "int8", 1.0)
    y = QTensor("y", (1,), "int8", 1.0, 0, -90, 80)
    table = np.linspace(-90, 80, 256).astype(np.int8)
    op = Lut("op", (x,), (y,), table, 0, "tanh")
    assert stays_inside(op)
    narrow = replace(y, qmin=-90 - low, qmax=80 - high)
    object.__setattr__(op, "outputs", (narrow,))  # which its own check would refuse
    assert stays_inside(op) == (low == high == 0)


def test_of_other_operators_nothing_is_proved() -> None:
    assert not stays_inside(MAKERS["linear"](Seeded(0)))
