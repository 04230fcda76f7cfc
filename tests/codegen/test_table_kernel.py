"""The table kernel of DSP cores on every input there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST, KERNELS, Core, select
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.lut import Lut
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.support import arm_core

M7 = Core("cortex-m7", dsp=True)
LIMITS = ((-32768, 32767), (-32767, 32767), (-129, 3000), (700, 4095))
OUTPUTS = (("int16", "tanh", -32768, 32767), ("uint16", "sigmoid", 0, 32768))


def table(low: int, high: int, dtype: str, function: str, qmin: int, qmax: int) -> Lut:
    """Return an operator whose input vector holds every value."""
    x = QTensor("x", (high - low + 1,), "int16", 8 / 32768, qmin=low, qmax=high)
    y = QTensor("y", x.shape, dtype, 1 / 32768, qmin=qmin, qmax=qmax)
    return Lut.quantize(f"{function}_{high}", x, y, function, 8)


@pytest.fixture(scope="module")
def batch() -> Batch:
    ops = [table(*limits, *output) for limits in LIMITS for output in OUTPUTS]
    steep = table(*LIMITS[0], *OUTPUTS[0])
    steep.table[::2], steep.table[1::2] = -32768, 32767  # the largest interpolation
    ops.append(steep)
    every = [np.arange(op.inputs[0].qmin, op.inputs[0].qmax + 1)[None] for op in ops]
    return Batch(tuple(Case(op, select(op, M7), (x,)) for op, x in zip(ops, every, strict=True)))


def test_the_host_gives_every_entry(batch: Batch, tmp_path: Path) -> None:
    assert {case.kernel.name for case in batch.cases} == {"dsp_pairs"}
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_arm_gives_every_entry_in_few_instructions(batch: Batch, core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()), count=True)
    assert batch.first_difference(done.output) == ""
    for i, case in enumerate(batch.cases):
        assert done.instructions[f"case_{i}"] <= 13 * case.op.outputs[0].size + 20


def test_other_tables_stay_plain() -> None:
    assert select(table(*LIMITS[0], *OUTPUTS[0]), HOST).name == "portable"
    bytes_ = table(*LIMITS[0], "int8", "tanh", -128, 127)
    assert select(bytes_, M7).name == "portable"
    whole = table(*LIMITS[0], "uint16", "sigmoid", 0, 65535)
    assert KERNELS["lut"][0].fits(whole, M7)
    whole.table[5] = 49152  # 2**15 more than int16 holds, less what is taken off
    assert select(whole, M7).name == "portable"
