"""Passes run after every lowering, refuse nothing and change no bit of random graphs."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.passes.run_all import PASSES
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.nn.recurrent import Recurrent, afresh
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize import assemble
from lnn_edge.quantize.observe import observe

BINS = 4


class Columns(nn.Module):
    """Random layers on windows (B, T, columns, leads, bins), kept or begun anew at each."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.leads, k, self.stride = rng.choice([1, 2, 3]), rng.choice([2, 3]), rng.choice([1, 2])
        self.length = k + self.stride * rng.choice([0, 2, 5])
        self.hop = self.stride * rng.choice([1, 2, 3]) + rng.choice([0, 0, 1])
        self.kind = rng.choice(["conv", "kept", "afresh"])
        shape, filters = (self.length, self.leads, BINS), rng.choice([2, 4])
        self.gain = nn.Parameter(torch.linspace(0.5, 2.0, BINS))
        way = (k, self.leads), (self.stride, 1)
        self.convs = nn.ModuleList(nn.Conv2d(BINS, filters, *way) for _ in range(2))
        form = ConvLstm2dConfig(filters, *way, "valid", rng.choice(["tanh", "relu"]))
        self.convlstm = Recurrent([ConvLstm2d(shape, form)], result="outputs")
        places = (self.length - k) // self.stride + 1
        self.dense = nn.Linear(places * filters, 5)
        self.cell = Recurrent([Cfc(5, 3, 4)], result="outputs")
        self.last = rng.choice([afresh, lambda cell, x: cell(x)])

    def forward(self, window: Tensor) -> Tensor:
        x = window * self.gain
        if self.kind == "conv":
            y = x.flatten(0, 1).movedim(-1, 1)
            a, b = (conv(y).movedim(1, -1) for conv in self.convs)
            s = (torch.tanh(a) * b - a).reshape(*window.shape[:2], -1)
        elif self.kind == "kept":
            s = self.convlstm(x).flatten(2)
        else:
            s = afresh(self.convlstm, x)
        return self.last(self.cell, torch.tanh(self.dense(s)))  # type: ignore[no-any-return]


def plain(seed: int) -> QGraph:
    """Return a random graph that no pass has seen."""
    rng = Random(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Columns(rng).eval()
        inputs = (torch.randn(1, 20, module.length, module.leads, BINS),)
    plan = make_plan(trace(module, inputs), inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "run_all", lambda graph: graph)
        front = front_of(module.length, module.hop, module.leads)
        return assemble.lower_behind(plan, observe(plan, [inputs]), front, "net", {})[0]


def front_of(length: int, hop: int, leads: int) -> Pipeline:
    """Return frames that become columns (leads, bins), and windows of them."""
    frame = QTensor("frame", (leads * BINS,), "int16", 2.0**-12, role="input")
    column = QTensor("column", (leads, BINS), "int8", 2.0**-5)
    window = QTensor("window", (length, leads, BINS), "int8", 2.0**-5, role="input")
    take = Requantize.quantize("to_column", frame, column)
    stages = (
        Stage("take", InputTrigger(frame, "columns"), (take,), (), (column,)),
        Stage("decide", EveryTrigger("columns", window, hop, length)),
    )
    return Pipeline(stages, (Ring("columns", column, length),))


def decided(graph: QGraph) -> list[tuple[int, list[int]]]:
    """Return stamps and outputs on random frames."""
    stream, rng = Stream(graph), np.random.default_rng(1)
    found = []
    for frame in rng.integers(-9000, 9000, (40, *graph.frame.shape)):
        stream.push_frame(frame.astype(np.int16))
        found += [(d.stamp, d.values[graph.output.name].tolist()) for d in stream.decisions()]
    return found


def test_no_pass_changes_a_bit_of_random_graphs() -> None:
    """Every pass finds graphs to change and others to leave; none may refuse one."""
    changed = {rewrite: set[bool]() for rewrite in PASSES}
    for seed in range(12):
        graph = plain(seed)
        wanted = decided(graph)
        assert len({tuple(row) for _, row in wanted}) > 1
        for rewrite in PASSES:
            after = rewrite(graph)
            assert decided(after) == wanted
            changed[rewrite].add([op.macs for op in after.ops] != [op.macs for op in graph.ops])
            graph = after
    assert all(found == {False, True} for found in changed.values()), changed
