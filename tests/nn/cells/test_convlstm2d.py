"""ConvLSTM2D: what Keras computes, and integers that follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.cell import Tap, from_rest, no_tap
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.observe import Calibration
from tests.support.places import SUPPORT

KERAS = SUPPORT / "keras" / "convlstm2d.npz"
SHAPE, STEPS = (4, 5, 2), 2000
SECOND = torch.ones(1, 1, 1)  # no time passes in the cell, whatever dt is
SMALL = ConvLstm2dConfig(3, (2, 3))
PUBLISHED = {  # as tests/support/keras/make.py has them
    "valid": replace(SMALL, padding="valid"),
    "same": ConvLstm2dConfig(3, (3, 2), padding="same", recurrent_activation="hard_sigmoid"),
    "strided": ConvLstm2dConfig(3, (3, 3), (2, 3), "same", activation="relu"),
    "strided_valid": ConvLstm2dConfig(3, (2, 2), (2, 2), "valid"),
}
FORMS = {
    "tanh": SMALL,
    "hard": replace(SMALL, padding="same", recurrent_activation="hard_sigmoid"),
    "steep": replace(SMALL, strides=(2, 2), recurrent_activation="steep_hard_sigmoid"),
    "relu": replace(SMALL, padding="same", activation="relu"),
}


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_cell_is_that_of_keras(name: str) -> None:
    with np.load(KERAS) as saved:
        images, wanted = saved["images"], saved[name]
        weights = {k: saved[f"{name}.{k}"] for k in ("kernel", "recurrent_kernel", "bias")}
    cell = ConvLstm2d(images.shape[2:], PUBLISHED[name])
    cell.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    with torch.no_grad():
        got, (last, _) = cell(torch.from_numpy(images), SECOND, cell.initial_state(len(images)))
    assert got.shape == wanted.shape
    assert np.abs(got.numpy() - wanted).max() < 1e-5
    assert torch.equal(got[:, -1], last)


def make_cell(config: ConvLstm2dConfig) -> ConvLstm2d:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        cell = ConvLstm2d(SHAPE, config).double().eval()
        cell.kernel.data *= 1.5
        if config.activation == "relu":  # nothing else keeps the recurrence from growing
            cell.recurrent_kernel.data *= 0.5
            cell.bias.data[3:6] = -1.0
    return cell


def images(steps: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (1, steps, *SHAPE)))


@pytest.mark.parametrize("is_fresh", [False, True], ids=["kept", "fresh"])
@pytest.mark.parametrize("name", FORMS)
def test_integers_follow_the_cell(name: str, is_fresh: bool) -> None:
    """Carried on over a sequence, and begun anew at every step."""
    cell, calibration = make_cell(FORMS[name]), Calibration()

    def run(x: torch.Tensor, tap: Tap = no_tap) -> torch.Tensor:
        x = x.transpose(0, 1) if is_fresh else x
        y, _ = cell(x, SECOND, cell.initial_state(len(x)), tap)
        return y.transpose(0, 1) if is_fresh else y

    with torch.no_grad():
        run(images(500, 2), calibration.tap)
        x8 = symmetric("x", SHAPE, "int8", 4.0)
        x8 = replace(x8, role="input")
        lowered = cell.lower((x8,), 1.0, calibration.ranges())
        lowered = from_rest(lowered) if is_fresh else lowered
        x = images(STEPS, 3)
        wanted = run(x).numpy()
    stage = Stage("step", InputTrigger(x8, "r"), lowered.ops, lowered.states, (lowered.output,))
    inputs = {"x": x8.quantize(x[0].numpy())[:, None]}
    values, _ = interpreter.run_sequence(
        stage, inputs, interpreter.initial_state(stage, (1,)), (lowered.output.name,)
    )
    got = lowered.output.dequantize(values[lowered.output.name][:, 0])
    rmse = float(np.sqrt(np.mean((got - wanted[0]) ** 2)))
    assert rmse <= 0.01 * np.ptp(wanted)
    assert bool(lowered.states) != is_fresh


def test_a_slowly_forgetting_memory_goes_on() -> None:
    """Forget gate at 0.9997, new values far below what 16 bits would keep."""
    config = ConvLstm2dConfig(1, (1, 1))
    cell = ConvLstm2d((1, 1, 1), config).double().eval()
    with torch.no_grad():
        cell.kernel.zero_()
        cell.recurrent_kernel.zero_()
        cell.bias.copy_(torch.tensor([-7.0, 8.0, 0.3, 2.0]))
        calibration = Calibration()
        x = torch.zeros(1, 10_000, 1, 1, 1, dtype=torch.float64)
        wanted = cell(x, SECOND, cell.initial_state(1), calibration.tap)[0].numpy()[0].ravel()
    ranges = {k: (lo - 1e-3, hi + 1e-3) for k, (lo, hi) in calibration.ranges().items()}
    x8: QTensor = replace(symmetric("x", (1, 1, 1), "int8", 1.0), role="input")
    lowered = cell.lower((x8,), 1.0, ranges)
    stage = Stage("step", InputTrigger(x8, "r"), lowered.ops, lowered.states, (lowered.output,))
    inputs = {"x": np.zeros((10_000, 1, 1, 1, 1), np.int64)}
    values, _ = interpreter.run_sequence(
        stage, inputs, interpreter.initial_state(stage, (1,)), (lowered.output.name,)
    )
    got = lowered.output.dequantize(values[lowered.output.name]).ravel()
    assert abs(got[-1] - wanted[-1]) < 0.01 * wanted[-1]
    assert got[-1] > got[5000] > got[100]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": 0}, "at least 1"),
        ({"padding": "full"}, "padding must be one of .* not 'full'"),
        ({"activation": "gelu"}, "activation must be one of .* not 'gelu'"),
        ({"recurrent_activation": "tanh"}, "recurrent_activation must be one of .* not 'tanh'"),
    ],
)
def test_unknown_forms_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_a_kernel_larger_than_the_input_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit an input of 4 rows and 5 columns"):
        ConvLstm2d(SHAPE, ConvLstm2dConfig(2, (5, 1)))
