"""Saturation is left out exactly where no value can reach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.codegen.kernels.reach import stays_inside
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Mix, Requantize
from tests.graph.ops.cases import MAKERS, Seeded, stress_inputs


def unlimited(op: AbstractOp) -> AbstractOp:
    """Return the operator with an output that holds everything."""
    y = replace(op.outputs[0], dtype="int32", qmin=-(1 << 31), qmax=(1 << 31) - 1)
    return replace(op, outputs=(y,))


def reached(op: AbstractOp) -> tuple[int, int]:
    """Return what random and extreme inputs give before they are saturated."""
    (values,) = unlimited(op).reference(*stress_inputs(op, 200, 1))
    return int(values.min()), int(values.max())


@pytest.mark.parametrize("kind", ["requantize", "requantize.elements", "slice", "gate", "mix"])
def test_ends_tell_what_is_reached(kind: str) -> None:
    told = []
    for seed in range(40):
        op = MAKERS[kind](Seeded(seed))
        y, (low, high) = op.outputs[0], reached(op)
        told.append(stays_inside(op))
        if told[-1]:
            assert y.qmin <= low
            assert high <= y.qmax
    assert any(told)


def requantized(x: QTensor, scale: float) -> Requantize:
    return Requantize.quantize("r", x, QTensor("y", (3,), "int8", scale))


def test_a_finer_output_saturates() -> None:
    x = QTensor("x", (3,), "int16", 1 / 32768)
    assert stays_inside(requantized(x, 1 / 127))
    assert not stays_inside(requantized(x, 1 / 129))
    assert reached(requantized(x, 1 / 129)) == (-129, 129)


def test_what_comes_from_outside_is_not_trusted() -> None:
    x = QTensor("x", (3,), "int16", 1 / 128, qmin=-100, qmax=100)
    assert stays_inside(requantized(x, 1 / 128))
    assert not stays_inside(requantized(replace(x, role="input"), 1 / 128))


def test_a_mix_goes_no_further_than_its_ends() -> None:
    a, b, y = (QTensor(n, (2,), "int16", 1 / 32768, qmin=-9000, qmax=9000) for n in "aby")
    gate = QTensor("g", (2,), "uint16", 1 / 32768, qmin=0, qmax=32768)
    op = Mix.quantize("m", a, b, gate, y)
    assert stays_inside(op)
    assert reached(op) == (-9000, 9000)
    assert not stays_inside(Mix.quantize("m", a, replace(b, qmax=9001), gate, y))


def test_other_operators_are_saturated() -> None:
    assert not stays_inside(MAKERS["linear"](Seeded(0)))
    assert np.any([stays_inside(MAKERS["lut"](Seeded(seed))) for seed in range(4)])
