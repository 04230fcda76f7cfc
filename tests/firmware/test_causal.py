"""A causal network of dilated residual blocks on the virtual board: its bits, and what it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lnn_edge as le
from lnn_edge.codegen.kernels import Core
from lnn_edge.device.board import load_board
from lnn_edge.device.link import Link
from lnn_edge.device.runners import Image, VirtualRunner
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from tests.firmware.programs import compile_board, needs_arm_gcc, write_model
from tests.support.causal import Net
from tests.support.signals import sines

TIMEOUT_S = 20.0  # emulators on a busy machine
TCN = Net(6, 16, 3, (1, 2, 4, 8, 16, 32), skip=1)


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(("dtype", "most"), [("int8", 9401), ("int16", 8757)])
def test_six_residual_blocks_take_so_many_instructions_a_frame(
    dtype: str, most: int, tmp_path: Path
) -> None:
    """4,768 multiply-accumulates; 41,141 instructions with a copy for each tap."""
    frames = np.random.default_rng(1).integers(-4000, 4001, (300, 6)).astype(np.int16)
    assert largest(replace(TCN, dtype=dtype).graph("tcn"), frames, tmp_path) <= most


class Block(nn.Module):
    """One of the six, as a user writes it."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.past, self.conv = 2 * dilation, nn.Conv1d(16, 16, 3, dilation=dilation)

    def forward(self, z: Tensor) -> Tensor:
        return functional.relu(self.conv(functional.pad(z, (self.past, 0)))) + z


@pytest.mark.target
@needs_arm_gcc
def test_a_module_stays_near_the_network_by_hand(tmp_path: Path) -> None:
    """Its sums are int16 throughout, those by hand int8 in 16 bits; once 11,695."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = nn.Sequential(*(Block(2**i) for i in range(6)))
        module = Stack(nn.Linear(6, 16), blocks, nn.Linear(16, 4))
    x = sines(4, 300, 6, 1)
    graph = le.quantize(module, x, name="tcn")
    frames = graph.frame.quantize(x[0, :150]).astype(np.int16)
    assert largest(graph, frames, tmp_path) <= 8874


class Stack(nn.Module):
    """A matrix, blocks over time, a matrix."""

    def __init__(self, enter: nn.Module, blocks: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.enter, self.blocks, self.head = enter, blocks, head

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.blocks(self.enter(x).mT).mT)
        return y


def largest(graph: QGraph, frames: np.ndarray, folder: Path) -> int:
    """Return the most instructions of a decision, every one of which is right in each bit."""
    assert sum(op.macs for op in graph.ops) == 4768
    model = write_model(graph, folder, Core("cortex-m7", True))
    elf = compile_board(model, "stm32f746", folder)
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
    return max(result.cycles for result in results)
