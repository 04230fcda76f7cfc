"""A cell by itself goes down the whole road: its integers follow it, its C gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.errors import LnnEdgeError
from lnn_edge.graph.fidelity import channel_resolutions
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_values
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify_signals
from tests.support.cells import (
    CELLS,
    HIDDEN,
    INPUT,
    CellNet,
    frames_for,
    make_net,
    quantized,
)
from tests.support.places import SUPPORT
from tests.support.trials import is_alike, meaning

STEPS = 2000
RECORDED = (
    SUPPORT / "imported"
)  # by the lowering that only cells had; its arguments of tables are whole now
QUICK = ("default_dt_head", "gru_head", "lstm", "pure_dt", "wired_dt", "ltc_dt")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
        for path in sorted(RECORDED.glob("*.qgraph"))
    ],
)
def test_a_cell_has_the_operators_that_its_own_lowering_gave(case: str) -> None:
    """But for the scale of a head, which has a margin now, and the order of operators."""
    name, has_head, has_time = case.split("_dt")[0], case.endswith("_head"), "_dt" in case
    name = name.removesuffix("_head")
    net = make_net(name, None if has_time else 1.0, has_head)
    graph = quantized(net, frames_for(net, 40 if name == "default" else 2, 500))
    recorded = load_graph(RECORDED / f"{case}.qgraph")
    got, wanted = ([meaning(op) for op in g.ops] for g in (graph, recorded))
    last = len(wanted) - has_head
    assert len(got) == len(wanted)
    left = got[:last]
    for each in wanted[:last]:
        left.pop(next(i for i, one in enumerate(left) if is_alike(one, each)))
    assert [op.kind for op in graph.ops[last:]] == [op.kind for op in recorded.ops[last:]]


def integers(graph: QGraph, frames: np.ndarray) -> np.ndarray:
    """Outputs of the simulator in real units, (T, O)."""
    return run_values(graph, frames)[0]


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
    model = make_net(name, dt, readout)
    graph = quantized(model, frames_for(model, 4, 500))
    frames = frames_for(model, 1, STEPS, seed=9)
    wanted = model.run(frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.01 * np.ptp(wanted)


HOUR = 3600.0


def quickened(model: CellNet) -> CellNet:
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
    model = quickened(make_net(name, None))
    frames = frames_for(model, 1, 500)
    frames[..., -1] = times(kind, frames.shape[:2])
    graph = quantized(model, frames)
    wanted = model.run(frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.02 * np.ptp(wanted)
    (dt,) = (r for r in channel_resolutions(graph, frames) if r.name == "dt")
    assert dt.lost <= 0.01
    assert dt.clipped <= np.mean(frames[..., -1] > 1)


@pytest.mark.parametrize("name", ["default", "wired", "ltc"])
def test_spikes_in_a_channel_leave_the_others_their_resolution(name: str) -> None:
    model = make_net(name, 1.0)
    frames = frames_for(model, 1, 500)
    frames[0, [100, 300], 2] = 1e6
    graph = quantized(model, frames)
    wanted = model.run(frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.02 * np.ptp(wanted)
    for index, found in enumerate(channel_resolutions(graph, frames)):
        assert found.clipped == (2 / 500 if index == 2 else 0)
        assert found.bits is not None
        assert found.bits > 3


def test_a_channel_that_never_moves_erases_no_other() -> None:
    model = make_net("default", 1.0)
    frames = frames_for(model, 1, 500)
    frames[..., 0] = 0.0
    frames[..., 1:] *= 1e-4
    with torch.no_grad():
        model.cell.backbone.weight[:, :INPUT] *= 1e4
    graph = quantized(model, frames)
    wanted = model.run(frames)[0]
    rmse = np.sqrt(np.mean((integers(graph, frames[0]) - wanted) ** 2))
    assert rmse <= 0.01 * np.ptp(wanted)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_step_or_two_are_enough_to_calibrate_on(steps: int) -> None:
    model = make_net("default", None)
    frames = frames_for(model, 1, steps)
    got = integers(quantized(model, frames), frames[0])
    assert np.abs(got - model.run(frames)[0]).max() <= 0.02


@pytest.mark.parametrize("name", CELLS)
def test_c_gives_the_simulators_bits(name: str, tmp_path: Path) -> None:
    model = make_net(name, None)
    graph = quantized(model, frames_for(model, 4, 200))
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    frames = graph.frame.quantize(2 * frames_for(model, 1, 300, seed=9)[0]).astype(np.int16)
    result = verify_signals(open_project(tmp_path / "firmware"), "host", [Signal("noise", frames)])
    assert (result.steps, result.mismatches) == (300, 0)


def test_time_that_was_never_seen_is_limited_to_what_was() -> None:
    model = make_net("pure", None)
    frames = frames_for(model, 4, 200)
    graph = quantized(model, frames)
    beyond, limit = frames[0].copy(), frames[0].copy()
    beyond[:, -1], limit[:, -1] = 0.0, frames[..., -1].min()
    assert np.array_equal(integers(graph, beyond), integers(graph, limit))


def test_the_header_tells_of_values_and_their_scales(tmp_path: Path) -> None:
    model = make_net("default", 1.0)
    graph = quantized(model, frames_for(model, 4, 200))
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    header = (tmp_path / "firmware" / "model" / "cell.h").read_text()
    assert f"{HIDDEN} int16 values, real = value * {graph.output.scales[0]}" in header
    assert f"sample * {graph.frame.scales[2]}" in header


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], "must "),
        (lambda x: x[..., :-1], "5 and 6|shapes cannot be multiplied"),
        (lambda x: x[:0], "no sequence"),
        (lambda x: np.where(x > 3, np.nan, x), "NaN"),
        (lambda x: np.where(x > 3, np.inf, x), "NaN or infinite"),
        (lambda x: np.where(x > 3, 1e39, x), "NaN or infinite"),
        (lambda x: x * ([1] * INPUT + [-1]), "negative"),
        (lambda x: x * ([1] * INPUT + [0]), "0 throughout"),
    ],
)
def test_bad_calibration_data_is_named(
    change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    model = make_net("default", None)
    with pytest.raises(LnnEdgeError, match=message):
        quantized(model, change(frames_for(model, 2, 50)))
