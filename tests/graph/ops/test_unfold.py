"""Constants of membranes: where their limits lie, and every step in integers without limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.synapse import SHARE, RealSynapses
from lnn_edge.graph.ops.unfold import ONE, VIEW_SHIFT, Membranes, Unfold

NONE = np.zeros((1, 1))
UNCONNECTED = RealSynapses(NONE > 0, NONE, NONE, NONE, NONE)


def unfold(
    capacity: float, dtype: str = "int32", num: int = 1 << 20, den: tuple[int, int] = (0, 1 << 20)
) -> Unfold:
    """Return one membrane without synapses, and so with steps that its currents decide."""
    one = ONE[dtype]
    v, y = (QTensor(n, (1,), dtype, 1 / one, 0, -one, one) for n in ("v", "y"))
    inputs = (
        v,
        QTensor("num", (1,), "int32", SHARE, 0, -num, num),
        QTensor("den", (1,), "int32", SHARE, 0, *den),
    )
    membranes = Membranes(np.full(1, capacity), np.ones(1), 1)
    return Unfold.quantize("op", inputs, y, UNCONNECTED, membranes)


def step(op: Unfold, v: int, num: int, den: int) -> int:
    """Return v' as the docstring of Unfold says, in unlimited integers."""
    gap = (num * op.one - den * v + (1 << (op.gap_bits - 1))) >> op.gap_bits
    denominator = int(op.capacity[0]) + (den >> op.time_bits) + 1
    zeros = 32 - denominator.bit_length()
    shift = 47 + op.time_bits - op.gap_bits - zeros
    r = (1 << 31) // (((denominator << zeros) >> 16) + 1)
    moved = v + ((gap * r + (1 << (shift - 1))) >> shift)
    return min(max(moved, -op.one), op.one)


@pytest.mark.parametrize("dtype", sorted(VIEW_SHIFT))
@pytest.mark.parametrize("capacity", [0.0, 1e-4, 0.02])
def test_every_step_is_that_of_the_formula(dtype: str, capacity: float) -> None:
    op, rng = unfold(capacity, dtype, den=(1 << 16, 1 << 20)), np.random.default_rng(1)
    v = rng.integers(-op.one, op.one, 2000, endpoint=True)
    den = rng.integers(1 << 16, 1 << 20, 2000, endpoint=True)
    num = rng.integers(-den, den, endpoint=True)
    (got,) = op.reference(v[:, None], num[:, None], den[:, None])
    triples = zip(v.tolist(), num.tolist(), den.tolist(), strict=True)
    assert got[:, 0].tolist() == [step(op, *values) for values in triples]


@pytest.mark.parametrize(("num", "den"), [(1 << 24, 1 << 20), (1 << 20, 1 << 24)])
def test_the_distance_to_the_target_keeps_as_many_bits_as_fit(num: int, den: int) -> None:
    op = unfold(0.1, num=num, den=(0, den))
    widest = (num + den) * op.one
    assert 1 << 29 <= widest >> op.gap_bits < 1 << 30
    with pytest.raises(GraphError, match="distance to the target"):
        replace(op, gap_bits=op.gap_bits - 1)


def test_a_membrane_without_capacity_gets_the_least_with_which_it_can_be_computed() -> None:
    op = unfold(0.0, num=1 << 28, den=(0, 1 << 28))
    assert op.shifts[0] >= 1
    assert int(op.capacity[0]) * SHARE < 2.0**-13
    with pytest.raises(GraphError, match=r"shifts must be in \[1, 62\]"):
        replace(op, capacity=np.array([1], np.uint32))


def test_the_largest_denominator_fits_32_bits() -> None:
    op = unfold(0.1, num=1 << 10, den=(0, 0))
    most = replace(op, capacity=np.array([(1 << 32) - 2], np.uint32))
    assert most.denominators[1] == (1 << 32) - 1
    with pytest.raises(GraphError, match="denominators must be in"):
        replace(op, capacity=np.array([(1 << 32) - 1], np.uint32))
