"""States stay inside the limits that their operator declares, and come close to each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.biquad import EMPTY, Biquads, biquad_state
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.leaky import LeakyAverage
from lnn_edge.graph.ops.r_peak_rules import NEW
from lnn_edge.graph.ops.r_peaks import RPeaks
from tests.graph.ops.cases import MAKERS, Seeded


def limits(op: AbstractOp) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest value of each element of the first output."""
    update, runs = op.outputs[0], op.limits_of(op.outputs[0])
    counts = [run.count for run in runs]
    ends = ([run.low for run in runs], [run.high for run in runs])
    low, high = (np.resize(np.repeat(e, counts), update.shape) for e in ends)
    return low, high


def biquads() -> Biquads:
    """Return sections that ring beyond the limit of their signals."""
    x = QTensor("x", (2,), "int16", 1.0, qmin=-30000, qmax=32767)
    state, update = biquad_state("s", x, 2)
    real = np.array([[3.9, 0.1, 0.2, 0.5, -0.1], [2.0, -0.1, 0.3, 0.3, 0.1]])
    coefficients = (real * 2.0**29).astype(np.int32)
    y = QTensor("y", (2,), "int16", 1.0)
    return Biquads("op", (x, state), (update, y), coefficients, coefficients[:, 0], 1 << 20, 0)


def leaky() -> LeakyAverage:
    x = QTensor("x", (2,), "int16", 1.0, qmin=-30000, qmax=32767)
    state = QTensor("s", (2,), "int32", 2.0**-14, role="state")
    update = QTensor("u", (2,), "int32", 2.0**-14)
    y = QTensor("y", (2,), "int16", 1.0)
    return LeakyAverage.quantize("op", x, state, update, y, 0.2)


@pytest.mark.parametrize("make", [biquads, leaky])
def test_states_fill_their_limits_and_never_leave_them(
    make: Callable[[], Biquads | LeakyAverage],
) -> None:
    op, rng = make(), np.random.default_rng(1)
    x = op.inputs[0]
    low, high = limits(op)
    state, seen = np.full(op.inputs[1].shape, EMPTY, np.int64), []
    for step in range(1500):
        frame = rng.integers(x.qmin, x.qmax, 2, endpoint=True)
        if step % 100 < 40:
            frame[:] = x.qmin if step % 100 < 20 else x.qmax
        state, _ = op.reference(frame, state)
        seen.append(state)
    least, most = np.min(seen, axis=0), np.max(seen, axis=0)
    assert (low <= least).all()
    assert (most <= high).all()
    margin = (high - low) // 16
    assert (least <= low + margin).all()
    assert (most >= high - margin).all()


def test_the_largest_residue_of_a_filter_is_kept() -> None:
    op, most = biquads(), (1 << 29) - 1
    state = np.zeros(op.inputs[1].shape, np.int64)
    state[:, 1:, 2] = most
    update, _ = op.reference(np.zeros(2, np.int64), state)
    np.testing.assert_array_equal(update, state)
    assert limits(op)[1][:, 1:, 2].tolist() == [[most, most]] * 2


@pytest.mark.parametrize("seed", range(2))
def test_the_detector_never_leaves_its_limits(seed: int) -> None:
    op, rng = MAKERS["r_peaks"](Seeded(seed)), np.random.default_rng(seed)
    low, high = limits(op)
    state = np.full(op.inputs[2].shape, NEW, np.int64)
    for step in range(600):
        most = (100, 32767, 3)[step // 200]
        x, z = (rng.integers(-most, most, t.shape) * (step % 17 < 3) for t in op.inputs[:2])
        state, _ = op.reference(x, z, state)
        assert ((low <= state) & (state <= high)).all(), step


@pytest.mark.parametrize("seed", range(2))
def test_of_a_detector_only_samples_can_be_negative(seed: int) -> None:
    """A lower limit below what can be lets a forged state in."""
    op = MAKERS["r_peaks"](Seeded(seed))
    assert isinstance(op, RPeaks)
    low, _ = limits(op)
    samples = op.layout["x_ring"]
    assert set(low[samples].tolist()) == {op.inputs[0].qmin}
    assert not np.delete(low, np.r_[samples]).any()


def test_joined_parts_have_the_widest_range_of_them() -> None:
    narrow, low = (
        QTensor(n, (2,), "int8", 1.0, 0, *q) for n, q in (("a", (-5, 9)), ("b", (-9, 5)))
    )
    (y,) = Concat.join("op", (narrow, low), "y").outputs
    assert (y.qmin, y.qmax) == (-9, 9)
