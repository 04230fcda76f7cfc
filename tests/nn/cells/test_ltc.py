"""The LTC cell is the library's on every wiring, and its integers follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wirings import (
    NcpConfig,
    Wiring,
    auto_ncp,
    fully_connected,
    ncp,
    random_wiring,
)
from lnn_edge.nn.threads import one_thread

BATCH = 3
PUBLISHED = LtcConfig()
WIRINGS: dict[str, tuple[Wiring, Callable[[Any], Any]]] = {
    "full": (fully_connected(4, 6, 2), lambda w: w.FullyConnected(6, 2)),
    "random": (random_wiring(3, 8, 3, 0.6), lambda w: w.Random(8, 3, 0.6)),
    "ncp": (
        ncp(2, NcpConfig(3, 9, 4, 1, 2, 7, 1, 5)),
        lambda w: w.NCP(3, 9, 4, 1, 2, 7, 1, 5),
    ),
    "auto_ncp": (ncp(5, auto_ncp(20, 6)), lambda w: w.AutoNCP(20, 6)),
}
ELAPSED: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "1.0": lambda rng, steps: np.ones((BATCH, steps, 1)),
    "0.01": lambda rng, steps: np.full((BATCH, steps, 1), 0.01),
    "irregular": lambda rng, steps: rng.uniform(0.001, 3.0, (BATCH, steps, 1)),
}


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


def make_cell(name: str, config: LtcConfig = PUBLISHED, seed: int = 3) -> Ltc:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cell = Ltc(WIRINGS[name][0], config).double()
        for parameter in (cell.input_b, cell.output_b):
            torch.nn.init.uniform_(parameter, -0.3, 0.3)
        for parameter in (cell.input_w, cell.output_w):
            torch.nn.init.uniform_(parameter, -1.5, 1.5)
        for parameter in (cell.erev, cell.sensory_erev):
            torch.nn.init.uniform_(parameter, -1.5, 1.5)
    return cell.eval()


def sequences(inputs: int, steps: int, elapsed: str = "irregular") -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (BATCH, steps, inputs)))
    return x, torch.from_numpy(ELAPSED[elapsed](rng, steps))


def published(name: str, cell: Ltc) -> torch.nn.Module:
    """The cell of its authors' library with the same weights."""
    theirs = (
        pytest.importorskip("ncps.torch")
        .LTCCell(
            WIRINGS[name][1](pytest.importorskip("ncps.wirings")),
            cell.input_size,
            ode_unfolds=cell.config.unfolds,
            epsilon=cell.config.epsilon,
            implicit_param_constraints=cell.config.positivity == "softplus",
        )
        .double()
    )
    theirs.load_state_dict(cell.state_dict(), strict=True)
    return theirs


@pytest.mark.parametrize("elapsed", ELAPSED)
@pytest.mark.parametrize("unfolds", [1, 3, 6])
@pytest.mark.parametrize("positivity", ["softplus", "clip"])
@pytest.mark.parametrize("name", WIRINGS)
def test_the_cell_is_the_librarys(name: str, positivity: Any, unfolds: int, elapsed: str) -> None:
    cell = make_cell(name, LtcConfig(unfolds, positivity))
    theirs, (x, dt) = published(name, cell), sequences(cell.input_size, 60, elapsed)
    v = state = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, last = cell(x, dt, v)
        for t in range(x.shape[1]):
            wanted, v = theirs(x[:, t], v, dt[:, t])  # (B, 1): its sequences drop that axis
            output, state = cell.step(x[:, t], state, dt[:, t])
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-10
            assert torch.allclose(output, outputs[:, t], rtol=0, atol=1e-12)
    assert torch.allclose(last, state, rtol=0, atol=1e-12)
    assert float((last - v).abs().max()) < 1e-10
    assert float(outputs.std()) > 0.01


def test_single_precision_stays_within_1e_5() -> None:
    cell = make_cell("auto_ncp").float()
    theirs, (x, dt) = published("auto_ncp", cell).float(), sequences(5, 300)
    v = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, _ = cell(x.float(), dt.float(), v)
        for t in range(x.shape[1]):
            wanted, v = theirs(x[:, t].float(), v, dt[:, t].float())
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-5


def test_weights_below_zero_are_clipped_as_the_librarys_constraints_do() -> None:
    cell = make_cell("full", LtcConfig(positivity="clip"))
    with torch.no_grad():
        for parameter in (cell.w, cell.sensory_w, cell.gleak):
            parameter -= 0.5
    theirs, (x, dt) = published("full", cell), sequences(4, 30)
    theirs.apply_weight_constraints()
    v = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, _ = cell(x, dt, v)
        for t in range(30):
            wanted, v = theirs(x[:, t], v, dt[:, t])
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-10


def test_weights_below_zero_learn_what_the_librarys_learn_at_zero_if_it_is_to_rise() -> None:
    cell = make_cell("full", LtcConfig(positivity="clip"))
    with torch.no_grad():
        for parameter in (cell.w, cell.sensory_w):
            parameter -= 0.5
    theirs, (x, dt) = published("full", cell), sequences(4, 30)
    theirs.apply_weight_constraints()
    outputs, _ = cell(x, dt, cell.initial_state(BATCH))
    outputs.square().sum().backward()
    v, wanted = cell.initial_state(BATCH), torch.zeros(())
    for t in range(30):
        output, v = theirs(x[:, t], v, dt[:, t])
        wanted = wanted + output.square().sum()
    wanted.backward()
    rises = 0
    for name in ("w", "sensory_w"):
        ours, gradient = getattr(cell, name), getattr(theirs, name).grad
        stuck = (ours < 0) & (gradient > 0)
        assert stuck.any()
        assert not ours.grad[stuck].any()
        assert torch.allclose(ours.grad[~stuck], gradient[~stuck], rtol=1e-9, atol=1e-12)
        rises += int(((ours < 0) & (gradient < 0)).sum())
    assert rises > 5


def test_as_many_sequences_as_neurons_keep_their_own_elapsed_time() -> None:
    """ncps LTC and CfC mix them up there without a word: (B,) elapsed times meet (B, N) states."""
    cell = make_cell("full")
    rng = np.random.default_rng(4)
    x, dt = (torch.from_numpy(rng.uniform(0.1, 3.0, (cell.units, 20, n))) for n in (4, 1))
    with torch.no_grad():
        together, _ = cell(x, dt, cell.initial_state(cell.units))
        alone = [cell(x[i : i + 1], dt[i : i + 1], cell.initial_state(1))[0] for i in range(6)]
    assert float((together - torch.cat(alone)).abs().max()) < 1e-14


def test_no_time_leaves_the_state_exactly() -> None:
    cell, (x, dt) = make_cell("full"), sequences(4, 1)
    v = torch.from_numpy(np.random.default_rng(2).normal(0, 0.3, (BATCH, 6)))
    with torch.no_grad():
        still = cell.step(x[:, 0], v, 0 * dt[:, 0])[1]
        moved = cell.step(x[:, 0], v, dt[:, 0])[1]
    assert float((still - v).abs().max()) < 1e-15
    assert float((moved - v).abs().max()) > 0.01


@pytest.mark.parametrize("name", WIRINGS)
def test_every_parameter_of_a_synapse_that_exists_is_trained(name: str) -> None:
    cell = make_cell(name)
    x, dt = sequences(cell.input_size, 12)
    outputs, state = cell(x, dt, cell.initial_state(BATCH))
    (outputs.square().sum() + state.square().sum()).backward()
    for prefix in ("", "sensory_"):
        mask = getattr(cell, f"{prefix}sparsity_mask") > 0
        for parameter in ("w", "erev", "sigma", "mu"):
            gradient = getattr(cell, prefix + parameter).grad
            assert ((gradient != 0) == mask).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LtcConfig(unfolds=0), "unfolds must be at least 1, not 0"),
        (lambda: LtcConfig(positivity="relu"), "positivity must be one of .*, not 'relu'"),
        (lambda: LtcConfig(epsilon=-1.0), "epsilon must be 0 to below 1, not -1.0"),
    ],
)
def test_impossible_configurations_are_named(make: Callable[[], LtcConfig], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


STEPS = 2000
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 0, 1080, "input")


def run_integers(
    cell: Ltc, x: QTensor, dt: QTensor | float, values: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and states in real units, (T, O) and (T, N)."""
    lowered = cell.lower((x,), dt, {})
    stage = Stage("cell", InputTrigger(x, "r"), lowered.ops, lowered.states, (lowered.output,))
    tensors = (lowered.output, lowered.states[0].update)
    names = tuple(t.name for t in tensors)
    seen, _ = interpreter.run_sequence(stage, values, interpreter.initial_state(stage), names)
    for tensor in tensors:
        assert tensor.qmin <= seen[tensor.name].min() <= seen[tensor.name].max() <= tensor.qmax
    output, state = (t.dequantize(seen[t.name]) for t in tensors)
    return output, state


def run_real(cell: Ltc, x: np.ndarray, dt: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        pair = (torch.from_numpy(v)[None] for v in (x, dt))
        outputs: np.ndarray = cell(*pair, cell.initial_state(1))[0][0].numpy()
    return outputs


FORMS = [(None, "softplus"), (None, "clip"), (1.0, "softplus"), (0.01, "clip")]


@pytest.mark.parametrize(
    ("name", "elapsed", "positivity"),
    [
        pytest.param(name, *form, marks=[] if i == j else pytest.mark.slow)
        for i, name in enumerate(WIRINGS)
        for j, form in enumerate(FORMS)  # each wiring and each form is met once, quickly
    ],
)
def test_integers_follow_the_real_cell(name: str, elapsed: float | None, positivity: Any) -> None:
    """The contract is 1 % of the range; they are ten times better."""
    cell = make_cell(name, LtcConfig(positivity=positivity))
    x = symmetric("x", (cell.input_size,), "int16", 4.0)
    rng = np.random.default_rng(7)
    q = rng.integers(x.qmin, x.qmax, (STEPS, x.size), endpoint=True)
    dt = rng.integers(DT.qmin, DT.qmax, (STEPS, 1), endpoint=True)
    seconds = DT.dequantize(dt) if elapsed is None else np.full((STEPS, 1), elapsed)
    got, _ = run_integers(cell, x, DT if elapsed is None else elapsed, {"x": q, "dt": dt})
    wanted = run_real(cell, x.dequantize(q), seconds)
    error = got - wanted
    assert np.sqrt((error**2).mean()) <= 0.001 * np.ptp(wanted)
    quarters = np.sqrt((error.reshape(4, -1) ** 2).mean(axis=1))
    assert quarters[-1] < 1.5 * quarters[1]


def leaky_cell(seconds: float) -> Ltc:
    """One neuron that leaks towards 0.5, its synapses as good as closed."""
    cell = Ltc(fully_connected(1, 1), LtcConfig(positivity="clip")).double()
    values = {"cm": seconds, "gleak": 1.0, "vleak": 0.5, "w": 1e-9, "sensory_w": 1e-9}
    with torch.no_grad():
        for name, value in values.items():
            getattr(cell, name).fill_(value)
    return cell


@pytest.mark.parametrize("constant", [False, True], ids=["dt_input", "dt_constant"])
def test_a_leaky_neuron_of_10_s_does_not_stand_still_at_360_hz(constant: bool) -> None:
    """0.05 short of its target int16 would never move again."""
    cell, x, steps = leaky_cell(10.0), symmetric("x", (1,), "int16", 1.0), 1500
    lowered = cell.lower((x,), 1 / 360 if constant else DT, {})
    stage = Stage("cell", InputTrigger(x, "r"), lowered.ops, lowered.states, (lowered.output,))
    (state,) = lowered.states
    assert state.tensor.dtype == "int32"
    start = {"v": state.tensor.quantize([0.45])}
    values = {"x": np.zeros((steps, 1), np.int64), "dt": np.ones((steps, 1), np.int64)}
    seen, _ = interpreter.run_sequence(stage, values, start, ("v_next",))
    got = state.tensor.dequantize(seen["v_next"][:, 0])
    wanted = 0.5 - 0.05 * (1 + 1 / 360 / 60) ** (-6.0 * np.arange(1, steps + 1))
    assert np.abs(got - wanted).max() < 1e-6
    assert got[-1] > 0.466


@pytest.mark.parametrize(
    ("seconds", "dtype"), [(0.01, "int16"), (0.1, "int16"), (10.0, "int32"), (1000.0, "int32")]
)
def test_the_state_is_as_wide_as_its_slowest_neuron_needs(seconds: float, dtype: str) -> None:
    x = symmetric("x", (1,), "int16", 1.0)
    (state,) = leaky_cell(seconds).lower((x,), 0.1, {}).states
    assert state.tensor.dtype == dtype


def test_no_time_leaves_the_integers_exactly() -> None:
    cell, x = make_cell("full"), symmetric("x", (4,), "int16", 4.0)
    lowered = cell.lower((x,), DT, {})
    stage = Stage("cell", InputTrigger(x, "r"), lowered.ops, lowered.states, (lowered.output,))
    rng, tensor = np.random.default_rng(3), lowered.states[0].tensor
    v = rng.integers(tensor.qmin, tensor.qmax, (50, 6), endpoint=True)
    inputs = {"x": rng.integers(-32767, 32767, (50, 4)), "dt": np.zeros((50, 1), np.int64)}
    np.testing.assert_array_equal(interpreter.run_stage(stage, inputs, {"v": v})["v_next"], v)


def test_parts_are_joined_in_the_order_of_x_and_names_carry_the_prefix() -> None:
    cell, rng = make_cell("full"), np.random.default_rng(3)
    q = rng.integers(-32767, 32767, (40, 4))
    whole = run_integers(cell, symmetric("x", (4,), "int16", 4.0), 1.0, {"x": q})[0]
    parts = tuple(symmetric(n, (k,), "int16", 4.0) for n, k in (("a", 1), ("b", 3)))
    lowered = cell.lower(parts, 1.0, {}, "my_")
    stage = Stage(
        "cell", InputTrigger(parts[0], "r"), lowered.ops, lowered.states, (lowered.output,)
    )
    values = {"a": q[:, :1], "b": q[:, 1:]}
    seen, _ = interpreter.run_sequence(
        stage, values, interpreter.initial_state(stage), ("my_output",)
    )
    np.testing.assert_array_equal(lowered.output.dequantize(seen["my_output"]), whole)
    assert all(t.name.startswith("my_") for op in lowered.ops for t in op.outputs)


def changed(**values: float) -> Ltc:
    cell = make_cell("full", LtcConfig(positivity="clip"))
    with torch.no_grad():
        for name, value in values.items():
            getattr(cell, name).fill_(value)
    return cell


@pytest.mark.parametrize(
    ("values", "dt", "error", "message"),
    [
        ({}, 0.0, QuantizationError, "constant dt must be positive and finite, not 0.0 s"),
        ({}, float("inf"), QuantizationError, "constant dt must be positive and finite, not inf s"),
        ({"sigma": 1e6}, 1.0, QuantizationError, "argument can reach .*; reduce sigma"),
        ({"input_w": 1e6}, 1.0, QuantizationError, "argument can reach .*; reduce sigma"),
        (
            {"erev": 0.0, "sensory_erev": 0.0, "vleak": 0.0},
            1.0,
            QuantizationError,
            "vleak and every erev are 0",
        ),
    ],
)
def test_what_integers_cannot_hold_is_named(
    values: dict[str, float], dt: QTensor | float, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        changed(**values).lower((symmetric("x", (4,), "int16", 4.0),), dt, {})


def test_membranes_without_capacity_and_crowded_neurons_have_integers() -> None:
    """One neuron without inertia, one that only inputs drive, one that only neurons do."""
    cell = changed()
    with torch.no_grad():
        cell.cm[0] = -1.0 if cell.config.positivity == "clip" else -40.0
        cell.gleak.fill_(1e-6)
        cell.sensory_w[:, 1] = 50.0
        cell.w[:, 1] = 1e-6
        cell.sensory_w[:, 2] = 1e-6
        cell.w[:, 2] = 50.0
    x = symmetric("x", (4,), "int16", 4.0)
    lowered = cell.lower((x,), 1.0, {})
    (state,) = lowered.states
    rng = np.random.default_rng(0)
    v, real = np.full(state.tensor.shape, state.initial, np.int64), cell.initial_state(1).double()
    for _ in range(30):
        values = {"x": rng.integers(-32767, 32768, 4), state.tensor.name: v}
        for op in lowered.ops:
            results = op.reference(*(values[t.name] for t in op.inputs))
            values.update(zip((t.name for t in op.outputs), results, strict=True))
        v = values[state.update.name]
        with torch.no_grad():
            given = torch.from_numpy(x.dequantize(values["x"]))[None].to(cell.cm.dtype)
            y, real = cell.step(
                given, real.to(cell.cm.dtype), torch.ones(1, 1, dtype=cell.cm.dtype)
            )
    error = np.abs(lowered.output.dequantize(values[lowered.output.name]) - y[0].numpy())
    assert error.max() <= 0.01 * state.tensor.scales[0] * state.tensor.qmax
