"""A causal network of dilated residual blocks on the virtual board: its bits, and what it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import Core
from lnn_edge.device.board import load_board
from lnn_edge.device.link import Link
from lnn_edge.device.runners import Image, VirtualRunner
from lnn_edge.graph.sim.stream import Stream
from tests.firmware.programs import compile_board, needs_arm_gcc, write_model
from tests.support.causal import Net

TIMEOUT_S = 20.0  # emulators on a busy machine
TCN = Net(6, 16, 3, (1, 2, 4, 8, 16, 32), skip=1)


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(("dtype", "most"), [("int8", 9401), ("int16", 8757)])
def test_six_residual_blocks_take_so_many_instructions_a_frame(
    dtype: str, most: int, tmp_path: Path
) -> None:
    """4,768 multiply-accumulates; 41,141 instructions with a copy for each tap."""
    graph = replace(TCN, dtype=dtype).graph("tcn")
    assert sum(op.macs for op in graph.ops) == 4768
    frames = np.random.default_rng(1).integers(-4000, 4001, (300, 6)).astype(np.int16)
    model = write_model(graph, tmp_path, Core("cortex-m7", True))
    elf = compile_board(model, "stm32f746", tmp_path)
    with VirtualRunner(load_board("stm32f746")) as runner:
        runner.flash(Image(elf, elf))
        with Link(runner.serial_url(), timeout_s=TIMEOUT_S) as link:
            link.hello()
            link.reset(detail=True)
            results = list(link.stream(frames, []))
    for result, decision in zip(results, Stream(graph).run(frames), strict=True):
        assert result.stamp == decision.stamp
        assert np.array_equal(result.outputs, decision.outputs)
        assert result.probes == decision.probes
        assert result.state == decision.state
    assert len(results) == len(frames)
    assert max(result.cycles for result in results) <= most
