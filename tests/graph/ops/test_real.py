"""Integers against float64: every operator stays within its documented bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.linear import Linear
from tests.graph.ops.cases import MAKERS, kind_of, make_linear, stress_inputs
from tests.graph.ops.formulas import FORMULAS, bound

SLACK = 1e-6  # of a step: float64 has its own rounding


class Drawn:
    """Draws from hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def real(self, low: float, high: float) -> float:
        return float(self.data.draw(st.floats(low, high)))


QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_every_operator_has_a_maker_and_a_formula() -> None:
    assert set(map(kind_of, MAKERS)) == OPERATORS.keys() == FORMULAS.keys() | set(RULES)


def inputs_without_empty_states(op: AbstractOp, seed: int) -> tuple[np.ndarray, ...]:
    """The real formulas know no empty state."""
    inputs = stress_inputs(op, 8, seed)
    return tuple(x[:-2] for x in inputs) if op.kind in EMPTY_KINDS else inputs


EMPTY_KINDS = ("biquads", "leaky_average", "template_distance")


RULES = ("r_peaks",)  # no formula: rules on integers, whose behaviour is in test_detector.py


@pytest.mark.parametrize("name", [n for n in MAKERS if kind_of(n) not in RULES])
@QUICK
@given(data=st.data())
def test_integers_stay_within_the_bound(name: str, data: st.DataObject) -> None:
    op = MAKERS[name](Drawn(data))
    inputs = inputs_without_empty_states(op, data.draw(st.integers(0, 1000)))
    reals = tuple(t.dequantize(x) for t, x in zip(op.inputs, inputs, strict=True))
    wanted = FORMULAS[op.kind](op, *reals)
    for y, got, real, limit in zip(
        op.outputs, op.reference(*inputs), wanted, bound(op), strict=True
    ):
        low, high = (y.dequantize(np.full(y.shape, q)) for q in (y.qmin, y.qmax))
        error = np.abs(y.dequantize(got) - np.clip(real, low, high)) / np.asarray(y.scales)
        assert got.min() >= y.qmin
        assert got.max() <= y.qmax
        assert error.max() <= limit + SLACK


@QUICK
@given(data=st.data())
def test_quantized_rows_stay_near_the_real_weights(data: st.DataObject) -> None:
    """Half a step per weight and bias, and half one of the output."""
    draw = Drawn(data)
    x, y = make_linear(draw).inputs[0], make_linear(draw).outputs[0]
    rng = np.random.default_rng(draw.integer(0, 1000))
    weight, bias = rng.normal(0, 1, (y.size, x.size)), rng.normal(0, 0.1, y.size)
    wide = x.magnitude * max(x.scales) * np.abs(weight).sum(axis=1).max() + 1
    y = type(y)("y", y.shape, "int16", wide / 32767)
    op = Linear.quantize("linear", x, y, weight, bias)
    (inputs,) = stress_inputs(op, 8, 0)
    error = np.abs(y.dequantize(op.reference(inputs)[0]) - (x.dequantize(inputs) @ weight.T + bias))
    unit = op.multiplier * 2.0 ** (op.shift.astype(float) - 32) * y.scales[0]
    centred = np.abs(inputs - np.asarray(x.zero_points)).sum(axis=-1)[:, None]
    assert (error <= unit * (centred + 1) / 2 + y.scales[0] / 2 * (1 + SLACK)).all()
