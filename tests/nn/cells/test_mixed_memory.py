"""Mixed memory in both published definitions, and its integers."""

from __future__ import annotations

from collections.abc import Iterator

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
from lnn_edge.nn.cells.mixed_memory import PUBLISHED, MixedMemory, Place
from lnn_edge.nn.threads import one_thread

INPUT, HIDDEN, UNITS, BATCH, STEPS = 5, 7, 16, 3, 2000
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080, "input")
PLACES: tuple[Place, Place] = ("state", "input")


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


def make_cell(place: Place, config: CfcConfig = PUBLISHED) -> MixedMemory:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return MixedMemory(INPUT, HIDDEN, UNITS, place, config).double().eval()


def sequences() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (BATCH, 60, INPUT)))
    return x, torch.from_numpy(rng.uniform(0.1, 3.0, (BATCH, 60, 1)))


def test_memory_in_place_of_the_state_is_the_librarys() -> None:
    ncps = pytest.importorskip("ncps.torch")
    theirs = ncps.CfC(INPUT, HIDDEN, mixed_memory=True, backbone_units=UNITS).double()
    cell, (x, dt) = make_cell("state"), sequences()
    names = {k: k.replace("backbone.", "backbone.0.") for k in cell.state_dict()}
    theirs.load_state_dict({names[k]: v for k, v in cell.state_dict().items()}, strict=True)
    h, c = cell.initial_state(BATCH)
    with torch.no_grad():
        states, last = cell(x, dt, (h, c))
        for t in range(x.shape[1]):  # their loop over time squeezes dt wrongly
            h, c = theirs.lstm(x[:, t], (h, c))
            _, h = theirs.rnn_cell(x[:, t], h, dt[:, t])
            assert float((states[:, t] - h).abs().max()) < 1e-5
    assert float((last[1] - c).abs().max()) < 1e-5


def test_memory_in_place_of_the_input_is_its_formula() -> None:
    cell, (x, dt) = make_cell("input", CfcConfig(head="linear", gate_sign=-1)), sequences()
    p = {k: v.numpy() for k, v in cell.state_dict().items()}

    def sigmoid(v: np.ndarray) -> np.ndarray:
        y: np.ndarray = 1 / (1 + np.exp(-v))
        return y

    def dense(name: str, v: np.ndarray) -> np.ndarray:
        y: np.ndarray = v @ p[f"{name}.weight"].T + p[f"{name}.bias"]
        return y

    h = c = np.zeros((BATCH, HIDDEN))
    with torch.no_grad():
        states, _ = cell(x, dt, cell.initial_state(BATCH))
    for t in range(x.shape[1]):
        z = dense("lstm.input_map", x[:, t].numpy()) + h @ p["lstm.recurrent_map.weight"].T
        i, ig, fg, og = np.split(z, 4, axis=1)
        c = c * sigmoid(fg + 1) + np.tanh(i) * sigmoid(ig)
        joined = np.concatenate((np.tanh(c) * sigmoid(og), h), axis=1)
        b = 1.7159 * np.tanh(0.666 * dense("rnn_cell.backbone", joined))
        gate = sigmoid(
            -dense("rnn_cell.time_a", b) * dt[:, t].numpy() + dense("rnn_cell.time_b", b)
        )
        h = dense("rnn_cell.ff1", b) * (1 - gate) + gate * dense("rnn_cell.ff2", b)
        assert np.abs(states[:, t].numpy() - h).max() < 1e-5


@pytest.mark.parametrize("place", PLACES)
def test_forward_is_step_after_step(place: Place) -> None:
    cell, (x, dt) = make_cell(place), sequences()
    state = cell.initial_state(BATCH)
    with torch.no_grad():
        states, last = cell(x, dt, state)
        for t in range(x.shape[1]):
            state = cell.step(x[:, t], state, dt[:, t])
            assert torch.equal(states[:, t], state[0])
    assert torch.equal(last[1], state[1])


@pytest.mark.parametrize("constant", [False, True], ids=["dt_input", "dt_constant"])
@pytest.mark.parametrize("place", PLACES)
def test_integers_follow_the_real_cell(place: Place, constant: bool) -> None:
    cell, x = make_cell(place), symmetric("x", (INPUT,), "int8", 4.0)
    rng = np.random.default_rng(7)
    q = rng.integers(-127, 127, (STEPS, INPUT), endpoint=True)
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
    trigger = InputTrigger(QTensor("x", (INPUT,), "int8"), "r")
    stage = Stage("cell", trigger, lowered.ops, lowered.states, (lowered.output,))
    name, values = lowered.output.name, {"x": q, "dt": dt}
    states, _ = interpreter.run_sequence(stage, values, interpreter.initial_state(stage), (name,))
    again, _ = interpreter.run_sequence(
        stage, {k: v[:40] for k, v in values.items()}, interpreter.initial_state(stage), (name,)
    )
    error = lowered.output.dequantize(states[name]) - wanted
    assert np.sqrt((error**2).mean()) <= 0.01 * (wanted.max() - wanted.min())
    np.testing.assert_array_equal(again[name], states[name][:40])
    assert [s.tensor.dtype for s in lowered.states] == ["int16", "int32"]


def test_an_unknown_place_is_named() -> None:
    with pytest.raises(UsageError, match=r"place must be one of .*, not 'output'"):
        MixedMemory(2, 3, 4, "output")  # type: ignore[arg-type]
