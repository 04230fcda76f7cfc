"""The networks of the tasks, written as plain modules, give the operators of their own lowering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.data.registry import load_dataset
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import Range
from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.conv_encoder import ConvEncoder
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.timing import Plan, make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize.assemble import lower, lower_behind
from lnn_edge.quantize.observe import Sequences, observe
from lnn_edge.quantize.trained import calibrate
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import load_trained, prepare, real_inputs
from lnn_edge.train.recipe import load_recipe


def encoder_of(theirs: ConvEncoder) -> nn.Sequential:
    layers: list[nn.Module] = []
    for conv, norm in zip(theirs.convolutions, theirs.norms, strict=True):
        layers += [conv, norm, nn.ReLU()]
    return nn.Sequential(*layers)


class PlainHar(nn.Module):
    """har-cfc as a user writes it, with the weights of a network."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.config, self.encoder = net.config, encoder_of(net.encoder)
        self.embed, self.head = net.encoder.embedding, net.head
        self.rnn = Recurrent([net.cell], dt=net.dt)

    def forward(self, x: Tensor) -> Tensor:
        w = x.unfold(1, self.config.window, self.config.hop)
        z = self.encoder(w.flatten(0, 1)).transpose(1, 2).flatten(1)
        e = functional.relu(self.embed(z)).reshape(*w.shape[:2], -1)
        return self.head(torch.cat((e, self.rnn(e)[0]), -1))  # type: ignore[no-any-return]


class PlainBeats(nn.Module):
    """ecg-beats-cfc behind its front end."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.encoder = encoder_of(net.encoder)
        self.embed, self.mixed, self.head = net.encoder.embedding, net.mixed, net.head
        self.rnn = Recurrent([net.cell])

    def forward(self, window: Tensor, rhythm: Tensor, shape: Tensor, dt: Tensor) -> Tensor:
        z = self.encoder(window.flatten(0, 1).transpose(1, 2)).transpose(1, 2).flatten(1)
        e = functional.relu(self.embed(z)).reshape(*window.shape[:2], -1)
        h, _ = self.rnn(rhythm, timespans=dt)
        m = functional.relu(self.mixed(torch.cat((e, rhythm, shape), -1)))
        return self.head(torch.cat((m, h), -1))  # type: ignore[no-any-return]


def meanings(graph: QGraph) -> Iterator[tuple[object, ...]]:
    """Yield operators without their names: kind, constants, attributes, formats."""
    for op in graph.ops:
        tensors = [
            (t.shape, t.dtype, t.scale, t.zero_point, t.qmin, t.qmax)
            for t in (*op.inputs, *op.outputs)
        ]
        attributes = {
            name: value.tobytes() if isinstance(value, np.ndarray) else value
            for name, value in vars(op).items()
            if name not in ("name", "inputs", "outputs") and not name.startswith("_")
        }
        yield op.kind, tensors, sorted(attributes.items(), key=lambda item: item[0])


def same_ranges(wanted: Ranges, plan: Plan, sequences: Sequences) -> dict[str, Range]:
    """Return the module's ranges by the network's names, equal but for the order of float sums."""
    seen = observe(plan, sequences)
    found = {}
    for name, values in wanted.items():
        close = [r for r in seen.values() if np.allclose(r, values, rtol=1e-4, atol=1e-6)]
        assert close, f"{name} is nowhere in the module"
        found[name] = min(close, key=lambda r: np.abs(np.subtract(r, values)).sum())
    return found


def planned(module: nn.Module, sequences: Sequences) -> Plan:
    return make_plan(trace(module, sequences[0]), sequences[0])


def test_beats_are_equal_in_every_number() -> None:
    network: Any = load_trained(Path(resources.path("models")) / "ecg-beats-cfc").network.eval()
    prepared = prepare(network, load_dataset("excerpts"))
    names = ("window", "rhythm", "shape", "dt")
    inputs = [real_inputs(network, p) for p in prepared]
    sequences = [tuple(x[name].float()[None] for name in names) for x in inputs]
    plan = planned(PlainBeats(network), sequences)
    ranges = same_ranges(calibrate(network, prepared), plan, sequences)
    wanted = network.lower("beats", ranges, {})
    got = lower_behind(plan, observe(plan, sequences), network.front, "beats", {})
    assert len(wanted.ops) == 39
    assert list(meanings(got)) == list(meanings(wanted))


@pytest.mark.parametrize("recipe", ["har-demo", "har-cfc"])
def test_activities_are_equal_in_every_number(recipe: str) -> None:
    config = load_recipe(recipe)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        network: Any = make_network(config.network, config.model).eval()
        for norm in network.encoder.norms:
            norm.running_mean.uniform_(-0.3, 0.3)
            norm.running_var.uniform_(0.5, 2.0)
    recordings = load_dataset("synthetic-activity")[:3]
    frame = network.front.frame
    real = [frame.dequantize(r.frames.astype(np.int64)) for r in recordings]
    sequences = [(torch.from_numpy(x).float()[None],) for x in real]
    plan = planned(PlainHar(network), sequences)
    ranges = same_ranges(calibrate(network, prepare(network, recordings)), plan, sequences)
    wanted = network.lower("har", ranges, {})
    got = lower(plan, observe(plan, sequences), frame, "har", {})
    assert list(meanings(got)) == list(meanings(wanted))
