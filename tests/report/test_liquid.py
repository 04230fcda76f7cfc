"""Time constants and wiring of the liquid part, against the cells of ncps in floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ncps.torch import LTC, CfC
from ncps.wirings import AutoNCP
from torch.nn import functional

import lnn_edge as le
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.report.liquid import (
    OF_CFC,
    OF_ECHO,
    OF_GATE,
    OF_LTC,
    TimeConstants,
    Values,
    activity,
    layers_of,
    time_constants,
)
from lnn_edge.report.played import play
from lnn_edge.report.sections.neurons import _groups
from lnn_edge.report.wiring import wiring_of
from tests.support.modules import Net, TimedCfc
from tests.support.signals import sines
from tests.support.toy import toy_every_graph, toy_graph


def constants_of(graph: QGraph) -> tuple[TimeConstants, Values]:
    """Return the time constants of the only layer, on the first reference sequence."""
    (layer,), values = layers_of(graph), play(graph)[0].values
    found = time_constants(graph, layer, values)
    assert found is not None
    return found, values


@pytest.fixture(scope="module")
def ltc() -> tuple[LTC, AutoNCP, QGraph]:
    torch.manual_seed(1)
    wiring = AutoNCP(16, 3)
    rnn = LTC(4, wiring, batch_first=True).eval()
    graph = le.quantize(Net(lambda s, x: s.rnn(x)[0], rnn=rnn), sines(2, 60, 4, 1), name="ltc")
    return rnn, wiring, graph


def test_a_membrane_is_as_quick_as_its_open_conductances(
    ltc: tuple[LTC, AutoNCP, QGraph],
) -> None:
    rnn, _, graph = ltc
    found, values = constants_of(graph)
    assert found.formula == OF_LTC
    (layer,), cell = layers_of(graph), rnn.rnn_cell
    p = {n: functional.softplus(getattr(cell, n)) for n in ("w", "sensory_w", "cm", "gleak")}
    real = layer.tensor.dequantize(values[layer.tensor.name])
    v = torch.from_numpy(real).float()
    frames = torch.from_numpy(play(graph)[0].frames[: len(v)]).float()
    x = frames * cell.input_w + cell.input_b

    def opened(source: torch.Tensor, prefix: str) -> torch.Tensor:
        mu, sigma = getattr(cell, f"{prefix}mu"), getattr(cell, f"{prefix}sigma")
        gate = torch.sigmoid(sigma * (source[..., None] - mu))
        return (gate * p[f"{prefix}w"] * getattr(cell, f"{prefix}sparsity_mask")).sum(-2)

    conductance = p["gleak"] + opened(x, "sensory_") + opened(v, "")
    wanted = (p["cm"] / conductance).detach().numpy()
    assert found.seconds == pytest.approx(wanted, rel=0.02)


def test_the_wiring_is_that_of_the_cell_with_its_signs(ltc: tuple[LTC, AutoNCP, QGraph]) -> None:
    _, wiring, graph = ltc
    (layer,) = layers_of(graph)
    found = wiring_of(graph, (layer,))
    assert found is not None
    assert found.is_signed
    shares = {(b.source == layer.tensor.name, b.target == layer.tensor.name): b.shares
              for b in found.bundles}  # fmt: skip
    assert (np.sign(shares[True, True]) == np.sign(wiring.adjacency_matrix.T)).all()
    assert (np.sign(shares[False, True]) == np.sign(wiring.sensory_adjacency_matrix.T)).all()
    assert (shares[True, False] != 0).any(0).tolist() == [True] * 3 + [False] * 13
    whole = np.abs(shares[True, True]).sum(1) + np.abs(shares[False, True]).sum(1)
    assert whole == pytest.approx(np.ones(16), abs=1e-3)
    groups = {head.split()[1]: members for head, members in _groups(layer, found)}
    for kind, members in groups.items():
        assert {wiring.get_type_of_neuron(i) for i in members} == {kind}
    assert sum(map(len, groups.values())) == 16


def test_a_gate_opens_at_the_rate_that_the_cell_computes() -> None:
    torch.manual_seed(2)
    module = TimedCfc()
    x, dt = sines(2, 60, 3, 1), np.full((2, 60, 1), 0.5, np.float32) + sines(2, 60, 1, 2) * 0.1
    graph = le.quantize(module, (x, dt), name="timed", dt="input")
    found, _ = constants_of(graph)
    assert found.formula == OF_CFC
    rates, h = [], torch.zeros(1, 16)
    cell = module.rnn.rnn_cell
    with torch.no_grad():
        for frame in torch.from_numpy(play(graph)[0].frames).float():
            b = cell.backbone(torch.cat([frame[None, :3], h], 1))
            rates.append(cell.time_a(b)[0].abs().numpy())
            h, _ = cell(frame[None, :3], h, frame[None, 3:])
    wanted = np.array(rates)[: len(found.seconds)]
    assert np.abs(1 / found.seconds - wanted).max() < 0.03 * wanted.max()


def test_with_a_constant_dt_an_echo_of_the_state_is_the_derivative_of_the_cell() -> None:
    torch.manual_seed(2)
    rnn = CfC(4, 6, backbone_units=12).eval()
    for p in rnn.parameters():
        p.data *= 1.5
    graph = le.quantize(Net(lambda s, x: s.rnn(x)[0], rnn=rnn), sines(2, 60, 4, 1), name="cfc")
    found, values = constants_of(graph)
    assert found.formula == OF_ECHO
    (layer,) = layers_of(graph)
    states = layer.tensor.dequantize(values[layer.tensor.name])
    kept = np.exp(-1 / found.seconds)  # of one step, dt = 1
    for step in (5, 20, 40):
        x = torch.from_numpy(play(graph)[0].frames[step][None]).float()
        h = torch.from_numpy(states[step - 1][None]).float()
        whole = torch.autograd.functional.jacobian(
            lambda old, x=x: rnn.rnn_cell(x, old, torch.ones(1, 1))[0][0], h
        )
        wanted = whole[:, 0].diagonal().abs().numpy()
        assert np.abs(kept[step] - wanted).mean() < 0.03  # weights are int8


def test_a_neuron_that_keeps_a_part_of_its_state_is_as_slow_as_that_part() -> None:
    graph = toy_every_graph()
    (layer,) = layers_of(graph)
    gate = layer.op.inputs[2]
    values = {n: np.full((3, 5), 7) for n in layer.needs}
    values[gate.name] = np.array([[0, 1 << 14, 1 << 15, 1 << 15, 1 << 13]] * 3)
    found = time_constants(graph, layer, values)
    assert found is not None
    assert found.formula == OF_GATE
    elapsed = graph.stage_pace(graph.deciding_stage)[1] / (graph.contract.sample_rate_hz or 1)
    kept = np.array([1.0, 0.5, 1e-9, 1e-9, 0.75])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(found.seconds[0], np.abs(elapsed / np.log(kept)))


def test_activity_is_a_part_of_the_largest_state() -> None:
    (layer,) = layers_of(toy_graph())
    q = np.array([[0, 10, -20, 0, 5, 1]])
    assert activity(layer, {layer.tensor.name: q}).tolist() == [[0, 0.5, -1, 0, 0.25, 0.05]]


def test_a_model_without_liquid_neurons_has_none() -> None:
    rnn = torch.nn.LSTM(4, 6, batch_first=True).eval()
    graph = le.quantize(Net(lambda s, x: s.rnn(x)[0], rnn=rnn), sines(2, 40, 4, 1), name="lstm")
    assert layers_of(graph) == ()
    assert wiring_of(graph, ()) is None
