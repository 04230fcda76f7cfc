"""Wirings and wired CfC cells are the library's, and their integers follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.cells.cfc import CfcConfig
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import (
    NcpConfig,
    Wiring,
    auto_ncp,
    fully_connected,
    ncp,
    random_wiring,
)
from lnn_edge.nn.threads import one_thread

STEPS, BATCH = 2000, 3
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080, "input")
FORMS = [
    CfcConfig("default", 0),
    CfcConfig("no_gate", 0),
    CfcConfig("pure", 0, head="linear"),
]
WIDE = NcpConfig(3, 9, 8, 1, 2, 7, 1, 5)  # leaves command neurons out at both sides
WIRINGS: list[tuple[Wiring, Callable[[Any], Any]]] = [
    (fully_connected(4, 6, 2), lambda w: w.FullyConnected(6, 2)),
    (
        fully_connected(4, 6, seed=3, self_connections=False),
        lambda w: w.FullyConnected(6, None, 3, self_connections=False),
    ),
    (random_wiring(4, 8, 3, 0.6), lambda w: w.Random(8, 3, 0.6)),
    (random_wiring(1, 5), lambda w: w.Random(5)),
    (ncp(75, auto_ncp(20, 6)), lambda w: w.AutoNCP(20, 6)),
    (ncp(3, auto_ncp(28, 4, 0.9, 7)), lambda w: w.AutoNCP(28, 4, 0.9, 7)),
    (ncp(2, WIDE), lambda w: w.NCP(3, 9, 8, 1, 2, 7, 1, 5)),
]


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize(("wiring", "make"), WIRINGS)
def test_synapses_are_the_librarys(wiring: Wiring, make: Callable[[Any], Any]) -> None:
    theirs = make(pytest.importorskip("ncps.wirings"))
    theirs.build(wiring.input_size)
    np.testing.assert_array_equal(wiring.adjacency, theirs.adjacency_matrix)
    np.testing.assert_array_equal(wiring.sensory, theirs.sensory_adjacency_matrix)
    layers = [list(theirs.get_neurons_of_layer(i)) for i in range(theirs.num_layers)]
    assert [list(neurons) for neurons in wiring.layers] == layers
    assert (wiring.units, wiring.output_size) == (theirs.units, theirs.output_dim)


def make_cell(wiring: Wiring, form: CfcConfig, outputs: int | None = None) -> WiredCfc:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        cell = WiredCfc(wiring, form, outputs).double()
        for name, parameter in cell.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.uniform_(parameter, -0.3, 0.3)
    return cell.eval()


def sequences(inputs: int, steps: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (BATCH, steps, inputs)))
    return x, torch.from_numpy(rng.uniform(0.1, 3.0, (BATCH, steps, 1)))


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.mode)
@pytest.mark.parametrize(("wiring", "make"), WIRINGS)
def test_the_cell_is_the_librarys(
    wiring: Wiring, make: Callable[[Any], Any], form: CfcConfig
) -> None:
    torch_cells = pytest.importorskip("ncps.torch")
    theirs = torch_cells.WiredCfCCell(
        wiring.input_size, make(pytest.importorskip("ncps.wirings")), form.mode
    ).double()
    cell, (x, dt) = make_cell(wiring, form), sequences(wiring.input_size, 40)
    theirs.load_state_dict(cell.state_dict(), strict=True)
    h = state = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, last = cell(x, dt, h)
        for t in range(x.shape[1]):
            wanted, h = theirs(x[:, t], h, dt[:, t])
            output, state = cell.step(x[:, t], state, dt[:, t])
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-5
            assert torch.allclose(output, outputs[:, t], rtol=0, atol=1e-12)
    assert torch.allclose(last, state, rtol=0, atol=1e-12)
    assert float((last - h).abs().max()) < 1e-5


@pytest.mark.parametrize("constant", [False, True], ids=["dt_input", "dt_constant"])
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.mode)
def test_integers_follow_the_real_cell(form: CfcConfig, constant: bool) -> None:
    outputs = 3 if form.mode == "no_gate" else None  # of four motor neurons
    cell, x = make_cell(ncp(6, auto_ncp(16, 4)), form, outputs), symmetric("x", (6,), "int8", 4.0)
    rng = np.random.default_rng(7)
    q = rng.integers(-127, 127, (STEPS, 6), endpoint=True)
    dt = rng.integers(DT.qmin, DT.qmax, (STEPS, 1), endpoint=True)
    seconds = np.full((STEPS, 1), 0.8) if constant else DT.dequantize(dt)
    seen: dict[str, list[Tensor]] = {}

    def tap(name: str, value: Tensor) -> Tensor:
        seen.setdefault(name, []).append(value)
        return value

    real = (torch.from_numpy(v)[None] for v in (x.dequantize(q), seconds))
    with torch.no_grad():
        wanted = cell(*real, cell.initial_state(1), tap)[0][0].numpy()
    ranges = {n: (float(torch.cat(v).min()), float(torch.cat(v).max())) for n, v in seen.items()}
    lowered = cell.lower((x,), 0.8 if constant else DT, ranges)
    trigger = InputTrigger(QTensor("x", (6,), "int8"), "r")
    stage = Stage("cell", trigger, lowered.ops, lowered.states, (lowered.output,))
    name, values = lowered.output.name, {"x": q, "dt": dt}
    states, _ = interpreter.run_sequence(stage, values, interpreter.initial_state(stage), (name,))
    again, _ = interpreter.run_sequence(
        stage, {k: v[:40] for k, v in values.items()}, interpreter.initial_state(stage), (name,)
    )
    error = lowered.output.dequantize(states[name]) - wanted
    assert np.sqrt((error**2).mean()) <= 0.01 * (wanted.max() - wanted.min())
    np.testing.assert_array_equal(again[name], states[name][:40])
    assert [s.tensor.size for s in lowered.states] == cell.sizes
    assert lowered.output.size == (outputs or 4)


def test_impossible_wirings_are_named() -> None:
    for make, message in (
        (lambda: auto_ncp(8, 6), "AutoNCP of 8 units must have 1 to 5 outputs, not 6"),
        (lambda: auto_ncp(8, 2, 0.05), "AutoNCP sparsity_level must be 0.1 to 1, not 0.05"),
        (lambda: NcpConfig(3, 2, 1, 1, 1, 1, 3), "motor_fanin must be 1 to 2, not 3"),
        (lambda: NcpConfig(3, 2, 1, 4, 1, 1, 1), "sensory_fanout must be 1 to 3, not 4"),
        (lambda: NcpConfig(3, 2, 1, 1, 3, 1, 1), "inter_fanout must be 1 to 2, not 3"),
        (lambda: NcpConfig(0, 2, 1, 1, 1, 1, 1), "at least 1 neuron of each kind, not 0"),
        (lambda: ncp(0, auto_ncp(8, 2)), "NCP must have at least 1 input, not 0"),
        (lambda: random_wiring(2, 3, sparsity_level=1.0), "sparsity_level must be .* not 1.0"),
        (lambda: fully_connected(2, 3, 4), "no more outputs than units"),
        (lambda: WiredCfc(fully_connected(2, 3), CfcConfig()), "0 backbone layers, not 1"),
        (lambda: WiredCfc(fully_connected(2, 3), FORMS[0], 4), "must have 1 to 3 outputs, not 4"),
    ):
        with pytest.raises(UsageError, match=message):
            make()
