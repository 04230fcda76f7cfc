"""A cell by itself goes down the whole road: its integers follow it, its C gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lnn_edge.build.project import open_project
from lnn_edge.codegen.render import export
from lnn_edge.device.board import load_board
from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.fidelity import channel_resolutions
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.cell_model import CellInput, CellModel, run_real
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from lnn_edge.quantize.cell import quantize_cell
from lnn_edge.verify.verify import Signal, verify_signals

INPUT, HIDDEN, STEPS = 5, 8, 2000
WIDTHS = np.array([1.0, 0.01, 2.0, 1.0, 0.5])  # channels of different units
WIRING = ncp(INPUT, auto_ncp(12, 3))
CELLS: dict[str, Callable[[], nn.Module]] = {
    "default": lambda: Cfc(INPUT, HIDDEN, 16),
    "no_gate": lambda: Cfc(INPUT, HIDDEN, 16, CfcConfig("no_gate")),
    "pure": lambda: Cfc(INPUT, HIDDEN, 16, CfcConfig("pure", head="linear")),
    "wired": lambda: WiredCfc(WIRING),
    "mixed": lambda: MixedMemory(INPUT, HIDDEN, 16, "state"),
    "lstm": lambda: LstmCell(INPUT, HIDDEN),
    "gru": lambda: Gru(INPUT, HIDDEN),
    "ltc": lambda: Ltc(WIRING),
    "ltc_slow": lambda: Ltc(WIRING, LtcConfig(positivity="clip")),  # its potentials need 32 bits
}


def make_model(name: str, dt: float | None, readout: bool = False) -> CellModel:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        cell = CELLS[name]()
        head = nn.Linear(HIDDEN, 2) if readout else None
        dtype = "int16" if isinstance(cell, Ltc) else "int8"
        return CellModel(cell, CellInput(INPUT, dt, dtype), head).eval()


def frames_for(model: CellModel, batch: int, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, WIDTHS, (batch, steps, INPUT))
    if model.frame.dt is not None:
        return x
    return np.concatenate((x, rng.uniform(0.1, 3.0, (batch, steps, 1))), axis=-1)


def integers(graph: QGraph, frames: np.ndarray) -> np.ndarray:
    """Outputs of the simulator in real units, (T, O)."""
    outputs = [d.outputs for d in Stream(graph).run(graph.frame.quantize(frames).astype(np.int16))]
    return graph.output.dequantize(np.stack(outputs))


@pytest.mark.parametrize(
    ("name", "dt", "readout"),
    [
        pytest.param(name, dt, readout, marks=pytest.mark.slow if dt and readout else [])
        for name in CELLS
        for dt in (1.0, None)
        for readout in (False, True)
    ],
)
def test_integers_follow_the_cell(name: str, dt: float | None, readout: bool) -> None:
    if readout and name in ("wired", "ltc", "ltc_slow"):
        pytest.skip("its output is a projection of its own")
    model = make_model(name, dt, readout)
    graph = quantize_cell(model, "cell", frames_for(model, 4, 500), {})
    frames = frames_for(model, 1, STEPS, seed=9)
    with torch.no_grad():
        wanted = model(torch.from_numpy(frames).float())[0].numpy()
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.01 * np.ptp(wanted)


HOUR = 3600.0


def quickened(model: CellModel) -> CellModel:
    """Let the gates of a CfC depend on hundredths of a second."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "time_a" in name:
                parameter.mul_(20)
    return model


def times(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(7)
    usual = rng.uniform(0.01, 0.05, shape)
    if kind == "gap":
        usual.flat[shape[1] // 2] = HOUR
    elif kind == "gaps":
        usual[:, 3::40] = HOUR
    elif kind == "tails":
        usual *= np.exp(rng.normal(0, 2, shape))
    return usual


@pytest.mark.parametrize("kind", ["gap", "gaps", "tails"])
@pytest.mark.parametrize("name", ["default", "no_gate", "pure", "wired", "ltc"])
def test_gaps_in_time_leave_the_other_times_their_resolution(name: str, kind: str) -> None:
    model = quickened(make_model(name, None))
    frames = frames_for(model, 1, 500)
    frames[..., -1] = times(kind, frames.shape[:2])
    graph = quantize_cell(model, "cell", frames, {})
    wanted = run_real(model, frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.02 * np.ptp(wanted)
    (dt,) = (r for r in channel_resolutions(graph, frames) if r.name == "dt")
    assert dt.lost <= 0.01
    assert dt.clipped <= np.mean(frames[..., -1] > 1)


@pytest.mark.parametrize("name", ["default", "wired", "ltc"])
def test_spikes_in_a_channel_leave_the_others_their_resolution(name: str) -> None:
    model = make_model(name, 1.0)
    frames = frames_for(model, 1, 500)
    frames[0, [100, 300], 2] = 1e6
    graph = quantize_cell(model, "cell", frames, {})
    wanted = run_real(model, frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.02 * np.ptp(wanted)
    for index, found in enumerate(channel_resolutions(graph, frames)):
        assert found.clipped == (2 / 500 if index == 2 else 0)
        assert found.bits is not None
        assert found.bits > 3


def test_a_channel_that_never_moves_erases_no_other() -> None:
    model = make_model("default", 1.0)
    frames = frames_for(model, 1, 500)
    frames[..., 0] = 0.0
    frames[..., 1:] *= 1e-4
    with torch.no_grad():
        model.cell.backbone.weight[:, :INPUT] *= 1e4
    graph = quantize_cell(model, "cell", frames, {})
    wanted = run_real(model, frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.01 * np.ptp(wanted)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_step_or_two_are_enough_to_calibrate_on(steps: int) -> None:
    model = make_model("default", None)
    frames = frames_for(model, 1, steps)
    got = integers(quantize_cell(model, "cell", frames, {}), frames[0])
    assert np.abs(got - run_real(model, frames)[0]).max() <= 0.02


@pytest.mark.parametrize("name", CELLS)
def test_c_gives_the_simulators_bits(name: str, tmp_path: Path) -> None:
    model = make_model(name, None)
    graph = quantize_cell(model, "cell", frames_for(model, 4, 200), {})
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    frames = graph.frame.quantize(2 * frames_for(model, 1, 300, seed=9)[0]).astype(np.int16)
    result = verify_signals(open_project(tmp_path / "firmware"), "host", [Signal("noise", frames)])
    assert (result.steps, result.mismatches) == (300, 0)


def test_time_that_was_never_seen_is_limited_to_what_was() -> None:
    model = make_model("pure", None)
    frames = frames_for(model, 4, 200)
    graph = quantize_cell(model, "cell", frames, {})
    beyond, limit = frames[0].copy(), frames[0].copy()
    beyond[:, -1], limit[:, -1] = 0.0, frames[..., -1].min()
    assert np.array_equal(integers(graph, beyond), integers(graph, limit))


def test_the_header_tells_of_values_and_their_scales(tmp_path: Path) -> None:
    model = make_model("default", 1.0)
    graph = quantize_cell(model, "cell", frames_for(model, 4, 200), {})
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    header = (tmp_path / "firmware" / "model" / "cell.h").read_text()
    assert f"{HIDDEN} int16 values, real = value * {graph.output.scales[0]}" in header
    assert f"sample * {graph.frame.scales[2]}" in header


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], "shape"),
        (lambda x: x[..., :-1], "the last of them dt"),
        (lambda x: x[:0], "shape"),
        (lambda x: np.where(x > 3, np.nan, x), "NaN"),
        (lambda x: np.where(x > 3, np.inf, x), "NaN or infinite"),
        (lambda x: np.where(x > 3, 1e39, x), r"holds 1e\+39, more than the model can take"),
        (lambda x: x * ([1] * INPUT + [-1]), "negative"),
        (lambda x: x * ([1] * INPUT + [0]), "0 throughout"),
    ],
)
def test_bad_calibration_data_is_named(
    change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    model = make_model("default", None)
    with pytest.raises(QuantizationError, match=message):
        quantize_cell(model, "cell", change(frames_for(model, 2, 50)), {})


def test_frames_of_another_width_are_refused() -> None:
    with pytest.raises(UsageError, match="6 channels, needed are 5"):
        make_model("default", 1.0)(torch.zeros(1, 3, 6))
