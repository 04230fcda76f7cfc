"""Liquid layers for one's own networks: they compute what ncps computes, train, and are lowered."""

from __future__ import annotations

from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lnn_edge as le
from lnn_edge.errors import UsageError
from lnn_edge.nn.layers import with_cells
from tests.support.signals import sines

X = sines(4, 60, 6, 1)
DT = np.random.default_rng(0).uniform(0.5, 1.5, (4, 60, 1)).astype(np.float32)
PAIRS: dict[str, tuple[nn.Module, le.nn.Recurrent]] = {
    "cfc": (ncps.torch.CfC(6, 8, backbone_units=12), le.nn.CfC(6, 8, backbone_units=12)),
    "no_gate": (
        ncps.torch.CfC(6, 8, mode="no_gate", activation="silu", backbone_layers=2),
        le.nn.CfC(6, 8, mode="no_gate", activation="silu", backbone_layers=2),
    ),
    "pure": (ncps.torch.CfC(6, 8, mode="pure"), le.nn.CfC(6, 8, mode="pure")),
    "projected": (ncps.torch.CfC(6, 8, proj_size=3), le.nn.CfC(6, 8, proj_size=3)),
    "last": (
        ncps.torch.CfC(6, 8, return_sequences=False),
        le.nn.CfC(6, 8, return_sequences=False),
    ),
    "memory": (
        ncps.torch.CfC(6, 8, mixed_memory=True, backbone_units=12),
        le.nn.CfC(6, 8, mixed_memory=True, backbone_units=12),
    ),
    "wired": (
        ncps.torch.CfC(6, ncps.wirings.AutoNCP(16, 4, seed=3)),
        le.nn.CfC(6, le.nn.auto_ncp(16, 4, seed=3)),
    ),
    "ltc": (ncps.torch.LTC(6, 8, ode_unfolds=4), le.nn.LTC(6, 8, ode_unfolds=4)),
    "wired_ltc": (
        ncps.torch.LTC(6, ncps.wirings.AutoNCP(16, 4, seed=3)),
        le.nn.LTC(6, le.nn.ncp(6, le.nn.auto_ncp(16, 4, seed=3))),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_arguments_make_what_ncps_makes(name: str) -> None:
    theirs, ours = PAIRS[name]
    read: Any = with_cells(theirs)  # what import makes of the layer of ncps
    ours.load_state_dict(read.state_dict())
    x, dt = torch.from_numpy(X[:1]), torch.from_numpy(DT[:1])  # ncps knows dt of one sequence only
    with torch.no_grad():
        for spans in (None, dt):
            wanted, _ = theirs(x, timespans=spans)
            torch.testing.assert_close(ours(x, timespans=spans)[0], wanted, rtol=0, atol=2e-6)


class Net(nn.Module):
    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        self.rnn, self.head = layer, nn.Linear(size, 3)

    def forward(self, x: Tensor, dt: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x, timespans=dt)[0])
        return y


@pytest.mark.parametrize(
    "make",
    [
        lambda: le.nn.CfC(6, 8, backbone_units=12),
        lambda: le.nn.CfC(6, le.nn.auto_ncp(16, 8, seed=3)),
        lambda: le.nn.LTC(6, le.nn.auto_ncp(16, 8, seed=3)),
    ],
)
def test_they_train_and_their_integers_follow(make: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net(make(), 8)
    x, dt = torch.from_numpy(X), torch.from_numpy(DT)
    wanted = x.cumsum(1)[..., :3] / 8
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = (module(x, dt) - wanted).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    graph = le.quantize(module, (X, DT), name="net", dt="input")
    got = le.simulate(graph, np.concatenate((X[1], DT[1]), -1))[0]
    with torch.no_grad():
        real = module(x, dt).double().numpy()
    assert np.sqrt(np.mean((got - real[1]) ** 2)) < 0.01 * np.ptp(real)


def test_a_constant_step_is_that_of_the_layer() -> None:
    layer = le.nn.CfC(6, 8, backbone_units=12, dt=0.25)
    x = torch.from_numpy(X)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], layer(x, timespans=0.25)[0])
        assert (layer(x)[0] - layer(x, timespans=1.0)[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: le.nn.CfC(6, 8, dt=0), "dt is 0 s; it must be positive"),
        (lambda: le.nn.CfC(5, le.nn.fully_connected(6, 8)), "6 inputs, input_size is 5"),
        (lambda: le.nn.CfC(6, le.nn.auto_ncp(16, 4), backbone_units=8), "neither a backbone nor"),
        (lambda: le.nn.CfC(6, le.nn.auto_ncp(16, 4), mixed_memory=True), "neither a backbone nor"),
        (lambda: le.nn.CfC(6, 8, mode="gated"), "mode must be one of .* not 'gated'"),
        (lambda: le.nn.LTC(6, 8, ode_unfolds=0), "unfolds must be at least 1, not 0"),
    ],
)
def test_arguments_that_exclude_each_other_are_named(make: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make()


def test_names_are_there_without_torch_at_the_start() -> None:
    assert {name for name in le.nn.__all__ if getattr(le.nn, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'Transformer'"):
        le.nn.Transformer  # noqa: B018
