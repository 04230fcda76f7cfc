"""Whole models in ONNX: the player that is exported gives the simulator's decisions, bit by bit."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lnn_edge as le
from lnn_edge.codegen.player.script import load_player, player_script
from lnn_edge.errors import MissingToolError
from lnn_edge.files import packages
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import initial_state
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import ModelCard, load_trained, save_trained
from lnn_edge.train.recipe import load_recipe
from tests.support import toy
from tests.support.places import SUPPORT
from tests.support.recordings import motion

onnxruntime = pytest.importorskip("onnxruntime")
TOYS = {
    "events": toy.toy_graph,
    "events, no wait": lambda: toy.toy_graph(wait=0),
    "every": toy.toy_every_graph,
    "heads": toy.toy_heads_graph,
    "staged": toy.toy_staged_graph,
    "source": toy.toy_source_graph,
}
CELLS = sorted((SUPPORT / "imported").glob("*.qgraph"))
QUICK_CELLS = ("default_dt_head", "gru_head", "lstm", "ltc_slow_dt", "pure_dt", "wired_dt")
MOST_LINES = 150


def assert_alike(graph: QGraph, frames: np.ndarray, events: np.ndarray, folder: Path) -> None:
    """See that player and simulator decide alike, and are in one state in the end."""
    played = load_player(Path(le.export(graph, format="onnx", to=folder)))
    stamps, outputs = played.run(frames, events)
    stream = Stream(graph)
    wanted = list(stream.run(frames, events))
    assert wanted
    np.testing.assert_array_equal(stamps, [d.stamp for d in wanted])
    np.testing.assert_array_equal(outputs, [d.outputs for d in wanted])
    for state in graph.states:
        np.testing.assert_array_equal(
            played.state[state.tensor.name], stream._state[state.tensor.name]
        )


def noise(graph: QGraph, count: int) -> np.ndarray:
    """Return frames of all heights."""
    rng = np.random.default_rng(count)
    shape = count, graph.frame.size
    return rng.integers(-32768, 32767, shape, endpoint=True).astype(np.int16)


@pytest.mark.parametrize("name", TOYS)
def test_every_trigger_plays_alike(name: str, tmp_path: Path) -> None:
    graph = TOYS[name]()
    events = np.concatenate([np.arange(0, 300, 45), np.arange(300, 600, 7)])
    assert_alike(graph, noise(graph, 600), events if graph.takes_events else events[:0], tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=[] if p.stem in QUICK_CELLS else pytest.mark.slow, id=p.stem)
        for p in CELLS
    ],
)
def test_every_cell_plays_alike(path: Path, tmp_path: Path) -> None:
    graph = load_graph(path)
    frames = noise(graph, 100 if path.stem in QUICK_CELLS else 1000)
    assert_alike(graph, frames, np.zeros(0, np.int64), tmp_path / "onnx")


@pytest.mark.parametrize("name", ["100_0830", pytest.param("213_0500", marks=pytest.mark.slow)])
def test_the_model_of_beats_plays_a_recording_alike(name: str, tmp_path: Path) -> None:
    (recording,) = load_labelled("excerpts", records=[name])
    graph = le.load("ecg-beats-cfc")
    assert_alike(graph, recording.frames, recording.events, tmp_path)


@pytest.mark.parametrize("count", [3000, pytest.param(None, marks=pytest.mark.slow)])
def test_the_detector_of_beats_plays_alike(count: int | None, tmp_path: Path) -> None:
    (recording,) = load_labelled("excerpts", records=["200_1490"])
    graph = find_beats(le.load("ecg-beats-cfc"))
    assert_alike(graph, recording.frames[:count], np.zeros(0, np.int64), tmp_path)


@pytest.mark.parametrize("name", ["ccfc", pytest.param("cltc", marks=pytest.mark.slow)])
def test_models_of_twelve_leads_play_alike(name: str, tmp_path: Path) -> None:
    steps = np.random.default_rng(1).normal(0, 20, (8000, 12))
    frames = np.cumsum(steps, axis=0).astype(np.int16)
    assert_alike(le.load(name), frames, np.zeros(0, np.int64), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "har-demo",
        "har-spectrum-cfc",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("har-cfc", "har-convlstm-cfc")),
    ],
)
def test_models_of_activity_play_alike(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model)
    save_trained(tmp_path / "model", network, ModelCard("0", 0, "", ("a", "b"), (), recipe))
    graph = quantize(load_trained(tmp_path / "model"), [motion(1, 60)])
    assert_alike(graph, motion(2, 60).frames, np.zeros(0, np.int64), tmp_path / "onnx")


# --- the export ---------------------------------------------------------------------------------


def test_the_player_runs_by_itself(tmp_path: Path) -> None:
    graph = toy.toy_graph()
    folder = Path(le.export(graph, format="onnx", to=tmp_path / "onnx"))
    frames, events = noise(graph, 300), np.arange(40, 300, 45)
    np.save(tmp_path / "x.npy", frames)
    np.save(tmp_path / "t.npy", events)
    command = [sys.executable, "onnx/run.py", "x.npy", "y.npz", "t.npy"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    wanted = list(Stream(graph).run(frames, events))
    assert done.stdout == f"{len(wanted)} decisions: y.npz\n"
    with np.load(tmp_path / "y.npz") as read:
        np.testing.assert_array_equal(read["outputs"], [d.outputs for d in wanted])
    assert json.loads((folder / "pipeline.json").read_text())["model"] == "toy"


@pytest.mark.parametrize("name", ["default_dt_head", "lstm"])
def test_the_loop_over_time_gives_the_simulators_bits(name: str, tmp_path: Path) -> None:
    graph = load_graph(SUPPORT / "imported" / f"{name}.qgraph")
    folder = Path(le.export(graph, format="onnx", to=tmp_path / "onnx"))
    stage, frames = graph.deciding_stage, noise(graph, 50)
    session = onnxruntime.InferenceSession(folder / f"{stage.name}.scan.onnx")
    start = {t: v.astype(graph_type(graph, t)) for t, v in initial_state(stage).items()}
    names = [y.name for y in session.get_outputs()]
    results = dict(zip(names, session.run(names, {"frames": frames, **start}), strict=True))
    stream = Stream(graph)
    wanted = [d.outputs for d in stream.run(frames)]
    np.testing.assert_array_equal(results["outputs"], wanted)
    for state in stage.states:
        np.testing.assert_array_equal(results[state.update.name], stream._state[state.tensor.name])


def graph_type(graph: QGraph, tensor: str) -> str:
    return next(s.tensor.dtype for s in graph.states if s.tensor.name == tensor)


def test_only_a_model_of_one_step_a_frame_gets_a_loop(tmp_path: Path) -> None:
    le.export(toy.toy_every_graph(), format="onnx", to=tmp_path)
    assert {p.name for p in tmp_path.glob("*.onnx")} == {"step.onnx"}


@pytest.mark.parametrize(
    ("runtime", "package"), [("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")]
)
def test_the_player_is_short_and_needs_two_packages(runtime: str, package: str) -> None:
    source = player_script(runtime)
    assert source.count("\n") <= MOST_LINES
    assert imported(ast.parse(source)) - sys.stdlib_module_names == {"numpy", package}


def imported(tree: ast.Module) -> set[str]:
    """Return the packages that a module imports."""
    named = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    plain = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    names = [n.module or "" for n in named] + [a.name for n in plain for a in n.names]
    return {name.split(".")[0] for name in names}


def test_without_onnx_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"needs onnx, .* `pip install 'lnn-edge\[onnx\]'`"):
        le.export(toy.toy_graph(), format="onnx", to=tmp_path)
    assert not list(tmp_path.iterdir())
