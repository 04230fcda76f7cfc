"""Membranes whose synapses are known need no limit; without that the limit stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import KERNELS, Core
from lnn_edge.codegen.kernels.reach import is_convex
from lnn_edge.graph.ir import QTensor, makers_of
from lnn_edge.graph.ops.synapse import Synapses
from lnn_edge.graph.ops.unfold import ONE, Membranes, Unfold
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.graph.ops.cases import Seeded, make_synapses, real_synapses
from tests.support import arm_core

M7 = Core("cortex-m7", dsp=True)
SEEDS = range(12)


def cell(seed: int, dtype: str = "int32", open_leak: bool = False) -> tuple[Synapses, Unfold]:
    """Return synapses and the membranes that they drive.

    Args:
        seed: Of everything.
        dtype: Of the state.
        open_leak: Whether leaks pull to the largest potential with all their conductance.
    """
    draw = Seeded(seed)
    made = make_synapses(draw)
    if open_leak:
        made = replace(made, leak=np.stack([made.leak[1]] * 2))
    neurons, one = made.outputs[0].size, ONE[dtype]
    v, y = (QTensor(n, (neurons,), dtype, 1 / one, 0, -one, one) for n in ("v", "y"))
    dt = (QTensor("dt", (1,), "uint16", 1 / 360, 0, 1, 20000),) if seed % 2 else ()
    membranes = Membranes(np.full(neurons, 10.0 ** (seed % 5 - 2)), np.full(neurons, 4.0), 3)
    own = real_synapses(draw, neurons, neurons, 1 / 32767)
    return made, Unfold.quantize("unfold", (v, *made.outputs, *dt), y, own, membranes)


def inputs_of(made: Synapses, op: Unfold, trials: int = 20) -> tuple[np.ndarray, ...]:
    """Return potentials at and near both ends, and what synapses give on their rails."""
    rng, one = np.random.default_rng(op.outputs[0].size), op.one
    x = rng.integers(-32767, 32767, (trials, made.inputs[0].size), endpoint=True)
    x[0], x[1], x[2] = made.inputs[0].qmin, made.inputs[0].qmax, 0
    v = rng.integers(-one, one, (trials, op.outputs[0].size), endpoint=True)
    v[::4], v[1::4] = one - v[::4] % 9, v[1::4] % 9 - one
    num, den = made.reference(x)
    elapsed = [rng.integers(t.qmin, t.qmax, (trials, 1), endpoint=True) for t in op.inputs[3:]]
    for dt in elapsed:
        dt[:8:2], dt[1:8:2] = op.inputs[3].qmax, op.inputs[3].qmin
    return (v, num, den, *elapsed)


def test_membranes_of_known_synapses_stay_within_their_range_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = [cell(seed) for seed in SEEDS]
    proved = [pair for pair in cells if is_convex(pair[1], makers_of(pair))]
    assert len(proved) > len(SEEDS) // 2
    monkeypatch.setattr("lnn_edge.graph.fixed.saturate", limit_arguments_only)
    for made, op in proved:
        (y,) = op.reference(*inputs_of(made, op, 400))
        assert np.abs(y).max() <= op.one


def limit_arguments_only(x: np.ndarray, low: int, high: int) -> np.ndarray:
    """Leave potentials as they come; gates still need their arguments within a table."""
    return x.clip(low, high) if high == 32767 and low == -32768 else x


def test_the_limit_stays_without_the_proof() -> None:
    made, op = next(c for c in map(cell, SEEDS) if is_convex(c[1], makers_of(c)))
    assert not is_convex(op, {})
    assert not is_convex(op, {t.name: op for t in made.outputs})
    assert not is_convex(made, makers_of((made, op)))
    pulled = [cell(seed, open_leak=True) for seed in SEEDS]
    assert not all(is_convex(op, makers_of((made, op))) for made, op in pulled)


@pytest.fixture(scope="module")
def batch() -> Batch:
    pairs = [cell(seed, dtype) for seed in SEEDS for dtype in ("int32", "int16")]
    assert {is_convex(op, makers_of((made, op))) for made, op in pairs} == {False, True}
    return Batch(
        tuple(
            Case(op, kernel, inputs_of(made, op), makers_of((made,)))
            for made, op in pairs
            for kernel in KERNELS["unfold"]
            if kernel.fits(op, M7)
        )
    )


def test_both_forms_are_bit_exact_on_the_host(batch: Batch, tmp_path: Path) -> None:
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_both_forms_are_bit_exact_on_arm(batch: Batch, core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()))
    assert batch.first_difference(done.output) == ""
