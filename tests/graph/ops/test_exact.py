"""Generated C of every operator and kernel equals the reference: host, Cortex-M7, Cortex-M4."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_edge.codegen.kernels import KERNELS, Core, Kernel
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops import OPERATORS
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.graph.ops.cases import (
    MAKERS,
    Seeded,
    edges,
    operators_on_channels,
    stress_inputs,
    walking_operators,
    wide_operators,
)
from tests.support import arm_core

SEEDS = range(16)
DSP = Core("cortex-m7", dsp=True)


def fitting(op: AbstractOp) -> list[Kernel]:
    return [k for k in KERNELS[op.kind] if k.fits(op, DSP)]


@pytest.fixture(scope="module")
def batch() -> Batch:
    wide = [*operators_on_channels(), *walking_operators()]
    wide += [op for ops in wide_operators().values() for op in ops]
    cases = [Case(op, k, stress_inputs(op, 4, 0)) for op in wide for k in fitting(op)]
    cases += [Case(op, k, inputs) for op, inputs in edges().values() for k in fitting(op)]
    for make in MAKERS.values():
        for seed in SEEDS:
            op = make(Seeded(seed))
            inputs = stress_inputs(op, 12, seed)
            cases += [Case(op, k, inputs) for k in fitting(op)]
    return Batch(tuple(cases))


def test_every_kernel_of_every_operator_is_in_the_batch(batch: Batch) -> None:
    used = {(case.op.kind, case.kernel.name) for case in batch.cases}
    assert used == {(kind, k.name) for kind in OPERATORS for k in KERNELS[kind]}


def test_host_c_is_bit_exact_and_clean_under_sanitizers(batch: Batch, tmp_path: Path) -> None:
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_arm_code_is_bit_exact(batch: Batch, core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()))
    assert batch.first_difference(done.output) == ""


def test_no_operator_waits_for_the_slow_tests() -> None:
    tests = (test_host_c_is_bit_exact_and_clean_under_sanitizers, test_arm_code_is_bit_exact)
    marks = [mark.name for test in tests for mark in getattr(test, "pytestmark", [])]
    assert "slow" not in marks
    assert "pytestmark" not in globals()


def test_a_wrong_byte_is_located(batch: Batch) -> None:
    wrong = bytearray(batch.expected())
    wrong[-1] ^= 1
    assert "unfold" in batch.first_difference(bytes(wrong))
    assert "bytes" in batch.first_difference(batch.expected() + b"x")
