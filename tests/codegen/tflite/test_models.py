"""Whole models in TFLite: they decide as their integers do, or are refused with the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert")

import lnn_edge as le
from lnn_edge.codegen.player.script import load_player
from lnn_edge.codegen.tflite import agreement as compared
from lnn_edge.codegen.tflite import kernels
from lnn_edge.codegen.tflite.stage_model import stage_models
from lnn_edge.errors import GraphError, MissingToolError, UsageError
from lnn_edge.files import packages
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.sim.interpreter import initial_state
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.recordings import load_labelled
from tests.codegen.onnx.test_player import CELLS, noise
from tests.codegen.tflite.interpreter import step_of
from tests.support import toy
from tests.support.modules import CHANNELS, MODULES, make_module
from tests.support.places import SUPPORT

QUICK_CELLS = ("default_dt_head",)
TOYS = {
    "events": toy.toy_graph,
    "every": toy.toy_every_graph,
    "heads": toy.toy_heads_graph,
    "staged": toy.toy_staged_graph,
}


def agreement(folder: Path) -> dict[str, dict[str, float]]:
    read: dict[str, dict[str, float]] = json.loads((folder / "agreement.json").read_text())
    return read


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=[] if p.stem in QUICK_CELLS else pytest.mark.slow, id=p.stem)
        for p in CELLS
    ],
)
def test_every_cell_stays_near_its_integers(path: Path, tmp_path: Path) -> None:
    folder = Path(le.export(load_graph(path), format="tflite", to=tmp_path / "tflite"))
    told = agreement(folder)["steps"]
    assert told["decisions"] == 10_000
    assert told["error_of_span"] < 0.002
    assert (folder / "step_model.cc").exists()


@pytest.mark.parametrize(
    "name", ["events", *(pytest.param(n, marks=pytest.mark.slow) for n in TOYS if n != "events")]
)
def test_every_trigger_plays(name: str, tmp_path: Path) -> None:
    graph = TOYS[name]()
    folder = Path(le.export(graph, format="tflite", to=tmp_path / "tflite"))
    events = np.arange(0, 600, 45) if graph.takes_events else np.zeros(0, np.int64)
    frames = noise(graph, 600)
    stamps, outputs = load_player(folder).run(frames, events)
    wanted = list(Stream(graph).run(frames, events))
    np.testing.assert_array_equal(stamps, [d.stamp for d in wanted])
    apart = outputs.astype(int) - np.array([d.outputs for d in wanted])
    assert np.abs(apart).max() < 0.01 * (graph.output.qmax - graph.output.qmin)


def test_the_model_of_beats_decides_alike_on_a_recording(tmp_path: Path) -> None:
    (recording,) = load_labelled("excerpts", records=["200_1490"])
    folder = Path(le.export("ecg-beats-cfc", format="tflite", to=tmp_path / "tflite"))
    _, outputs = load_player(folder).run(recording.frames, recording.events)
    stream = Stream(le.load("ecg-beats-cfc"))
    wanted = np.array([d.outputs for d in stream.run(recording.frames, recording.events)])
    assert (outputs.argmax(1) == wanted.argmax(1)).mean() > 0.99
    assert agreement(folder)["steps"]["alike"] >= 0.99
    # the front end is apart, in 64 bits, and has no array for TFLite Micro
    names = {p.name for p in folder.glob("*.tflite")}
    assert names == {"beat.front.tflite", "beat.tflite", "beat.stateful.tflite"}
    assert {p.name for p in folder.glob("*.cc")} == {"beat_model.cc"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ccfc", "cltc"])
def test_models_of_twelve_leads_agree(name: str, tmp_path: Path) -> None:
    folder = Path(le.export(name, format="tflite", to=tmp_path / "tflite"))
    assert agreement(folder)["steps"]["alike"] >= 0.99
    assert agreement(folder)["records"]["error_of_span"] < 0.005
    assert {p.name for p in folder.glob("*.cc")} == {"decide_model.cc", "decide_columns_model.cc"}


def test_states_and_their_types_are_told(tmp_path: Path) -> None:
    graph = load_graph(SUPPORT / "imported" / "lstm.qgraph")
    folder = Path(le.export(graph, format="tflite", to=tmp_path / "tflite"))
    document = json.loads((folder / "pipeline.json").read_text())
    states = {s["tensor"]: s["update"] for s in document["stages"][-1]["states"]}
    assert states == {s.tensor.name: s.update.name for s in graph.states}
    assert {document["tensors"][name]["dtype"] for name in states} == {"int16", "int32"}


@pytest.mark.parametrize(
    "name",
    ["lstm", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gru_head", "ltc_slow_dt"))],
)
def test_a_file_that_keeps_its_states_gives_the_same(name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    stage = load_graph(SUPPORT / "imported" / f"{name}.qgraph").deciding_stage
    (model,) = stage_models(stage, {}, {})
    assert model.stateful is not None
    keeping = Interpreter(model_content=model.stateful).get_signature_runner("step")
    assert set(keeping.get_input_details()) == {stage.inputs[0].name}
    step, state = step_of(model), initial_state(stage)
    (output,), (window,), rng = stage.outputs, stage.inputs, np.random.default_rng(0)
    for _ in range(50):
        x = rng.integers(window.qmin, window.qmax, window.shape, endpoint=True)
        made = step({window.name: x, **state})
        state = {s.tensor.name: made[s.update.name] for s in stage.states}
        kept = keeping(**{window.name: x[None].astype(window.dtype)})
        np.testing.assert_array_equal(kept[output.name][0], made[output.name])


# --- the export ---------------------------------------------------------------------------------


def test_the_player_runs_by_itself(tmp_path: Path) -> None:
    graph = toy.toy_graph()
    le.export(graph, format="tflite", to=tmp_path / "tflite")
    np.save(tmp_path / "x.npy", noise(graph, 300))
    np.save(tmp_path / "t.npy", np.arange(40, 300, 45))
    command = [sys.executable, "tflite/run.py", "x.npy", "y.npz", "t.npy"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.endswith(" decisions: y.npz\n")
    assert int(done.stdout.split()[0]) == len(np.load(tmp_path / "y.npz")["outputs"]) > 0


def test_a_model_that_decides_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kernels.FUNCTIONS, "sigmoid", kernels.FUNCTIONS["tanh"])
    graph = load_graph(SUPPORT / "imported" / "default_head.qgraph")
    told = (
        r"^cell in TFLite decides as its integers do in \d+\.\d\d% of 10000 steps and is off by "
        r"\d+\.\d\d% of the outputs' span, where 99% and 2% are asked for; export it as onnx"
    )
    with pytest.raises(GraphError, match=told):
        le.export(graph, format="tflite", to=tmp_path / "tflite")
    assert not list((tmp_path / "tflite").glob("*.tflite"))


def test_the_detector_of_beats_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"^r_peaks \w+: TFLite has no \w+ of 64-bit integers"):
        le.export("ecg-beats-cfc", format="tflite", find_beats=True, to=tmp_path / "tflite")


def test_without_litert_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"`pip install 'lnn-edge\[tflite\]'`"):
        le.export(toy.toy_graph(), format="tflite", to=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_board_is_refused(tmp_path: Path) -> None:
    from lnn_edge.codegen.exporters import export_model

    with pytest.raises(UsageError, match="TFLite is for no board; leave --board out"):
        export_model(toy.toy_graph(), "stm32f746", tmp_path, form="tflite")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODULES)[::3])
def test_layers_of_every_family_stay_near_their_integers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compared, "STEPS", 300)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        graph = le.quantize(make_module(name), torch.randn(4, 64, CHANNELS), name="m", rate_hz=50)
    folder = Path(le.export(graph, format="tflite", to=tmp_path / "tflite"))
    assert agreement(folder)["steps"]["error_of_span"] < 0.01
