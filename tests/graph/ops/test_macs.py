"""How many products an operator makes, counted by its outputs and by torch."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.ops.synapse import Synapses
from lnn_edge.graph.ops.unfold import Unfold
from tests.graph.ops.cases import MAKERS, Seeded

SEEDS = range(6)
WITHOUT = ("add", "concat", "lut", "mix", "requantize", "max_pool")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["linear", "conv1d", "conv2d"])
def test_each_output_of_rows_takes_a_row(name: str, seed: int) -> None:
    op = MAKERS[name](Seeded(seed))
    assert isinstance(op, Linear | Conv1d | Conv2d)
    assert op.macs == op.outputs[0].size * op.weight[0].size
    assert op.rounds == 1


def test_those_of_a_matrix_are_those_of_torch() -> None:
    op = MAKERS["linear"](Seeded(1))
    assert isinstance(op, Linear)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.linear(torch.zeros(1, op.weight.shape[1]), torch.zeros(op.weight.shape))
    assert op.macs == counter.get_total_flops() // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_loop_makes_those_of_its_body_in_every_round(seed: int) -> None:
    op = MAKERS["loop"](Seeded(seed))
    assert isinstance(op, Loop)
    row = next(inner for inner in op.body if isinstance(inner, Linear))
    assert op.macs == op.count * row.weight.size
    assert op.rounds == op.count


@pytest.mark.parametrize("seed", SEEDS)
def test_a_synapse_makes_three_in_each_unfolding(seed: int) -> None:
    synapses, unfold = MAKERS["synapses"](Seeded(seed)), MAKERS["unfold"](Seeded(seed))
    assert isinstance(synapses, Synapses)
    assert isinstance(unfold, Unfold)
    assert synapses.macs == 3 * len(synapses.source)
    assert unfold.macs == 3 * len(unfold.source) * unfold.unfolds


@pytest.mark.parametrize("name", WITHOUT)
def test_others_count_none(name: str) -> None:
    assert MAKERS[name](Seeded(0)).macs == 0
