"""The table of a graph: formats of every operator, and what integers are worth against forward."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lnn_edge as le
from lnn_edge.graph.qgraph import QGraph
from tests.support.modules import make_module
from tests.support.signals import sines

X = sines(6, 96, 6, 1)


class TwoLayers(nn.Module):
    """What the first layer gives is an output of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        with torch.no_grad():
            self.first.weight.mul_(3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = torch.relu(self.first(x))
        return {"inner": z, "gait": self.second(z)}


def row_of(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
    return line.split()


@pytest.fixture(scope="module")
def graph() -> QGraph:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return le.quantize(TwoLayers(), X, name="net", rate_hz=50)


def test_errors_are_those_of_the_integers_against_forward(graph: QGraph) -> None:
    assert graph.reference is not None
    pairs = zip(graph.reference.frames, graph.reference.outputs, strict=True)
    parts = [(le.simulate(graph, x)[0], y) for x, y in pairs]
    got, wanted = (np.concatenate(part) for part in zip(*parts, strict=True))
    for output in graph.outputs:
        error = output.part(got) - output.part(wanted)
        known = graph.reference.tensors[output.name]
        assert known.rmse == pytest.approx(np.sqrt(np.mean(error**2)))
        assert known.span == pytest.approx(np.ptp(output.part(wanted)))
        assert f"output {output.name}: {output.size} values" in graph.summary()
        assert f"RMSE {known.rmse:.3g} of a span of {known.span:.3g}" in graph.summary()


def test_operators_tell_format_rate_and_error(graph: QGraph) -> None:
    text = graph.summary()
    assert "step: every frame, 50 Hz; the first after 1 frame" in text
    _, kind, dtype, size, *_, saturated, rmse, share = row_of(text, "first_op")
    assert (kind, dtype, size) == ("linear", "int16", "8")
    assert saturated.endswith("%")
    assert 0 < float(rmse) < 0.1
    assert 0 < float(share.rstrip("%")) < 1


def test_stages_tell_their_pace() -> None:
    text = le.quantize(make_module("conv_wired"), X, name="net", rate_hz=50).summary()
    assert "make_relu: every 2 frames, 25 Hz; the first after 5 frames" in text
    assert "step: every 4 frames, 12.5 Hz; the first after 9 frames" in text
    assert text.splitlines()[-1].startswith("output output: 4 values, scale")
    assert len(row_of(text, "rnn_0_layer2_mix")) == len(row_of(text, "rnn_0_layer1_mix")) + 3


def test_values_beyond_a_format_are_counted() -> None:
    rare = X.copy()
    rare[0, 40] *= 6  # one frame in 576: its range is left out of the calibration
    text = le.quantize(make_module("gelu"), rare, name="net").summary()
    assert float(row_of(text, "gelu_act")[-3].rstrip("%")) > 0
    calm = le.quantize(make_module("gelu"), np.tile(X[:1], (6, 1, 1)), name="net").summary()
    assert float(row_of(calm, "gelu_act")[-3].rstrip("%")) < 0.5


def test_facts_travel_with_the_graph(graph: QGraph, tmp_path: Path) -> None:
    graph.save(tmp_path / "net.qgraph")
    assert le.load(tmp_path / "net.qgraph").summary() == graph.summary()


def test_a_graph_without_facts_tells_its_formats() -> None:
    text = replace(le.load("ecg-beats-cfc"), reference=None).summary()
    assert "at every event" in text
    assert "%" not in text
    assert "RMSE" not in text.split("\n", 2)[2]
    assert sum(line.startswith("  ") for line in text.splitlines()[2:]) == len(
        le.load("ecg-beats-cfc").ops
    )
