"""A network in floating point in ONNX, its state explicit: onnxruntime gives what torch gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lnn_edge as le
from lnn_edge.codegen.player.script import load_player
from lnn_edge.errors import LayerError, UsageError
from lnn_edge.files.shipped import shipped_folder
from lnn_edge.graph.file import graph_bytes, load_graph
from lnn_edge.nn.imported import Imported, save_imported
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize.float_step import FloatStep
from lnn_edge.quantize.imported import graph_of
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import (
    ModelCard,
    Trained,
    float_scores,
    load_trained,
    prepare,
    save_trained,
)
from lnn_edge.train.recipe import load_recipe
from scripts import cell_table
from tests.support.recordings import motion
from tests.support.signals import sines

pytest.importorskip("onnxruntime")
SUBJECTS = {f"{s.cell} {s.mode}": s for s in cell_table.subjects()}
QUICK = ("CfC default", "LTC softplus")
BOUND = 1e-5


def exported(model: Imported, folder: Path) -> Path:
    """Save an imported model with its graph, export its floats."""
    graph = graph_of(model, cell_table.frames_for(model, 4, 200, 2))
    card = save_imported(folder / "model", model)
    graph.metadata["weights_sha256"] = card.weights_sha256
    (folder / "model" / "model.qgraph").write_bytes(graph_bytes(graph))
    return Path(le.export(folder / "model", format="onnx-float", to=folder / "onnx"))


def assert_follows(model: Imported, folder: Path, steps: int) -> None:
    played = load_player(exported(model, folder))
    frame = load_graph(folder / "model" / "model.qgraph").frame
    samples = frame.quantize(cell_table.frames_for(model, 1, steps, 3)[0]).astype(np.int16)
    stamps, outputs = played.run(samples)
    wanted = model.run(frame.dequantize(samples)[None])[0]
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(stamps, np.arange(steps))
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=BOUND)


@pytest.mark.parametrize("dt", [1.0, None])
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SUBJECTS],
)
def test_every_cell_gives_what_torch_gives(name: str, dt: float | None, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, _ = cell_table.imported(SUBJECTS[name], dt, tmp_path)
    assert_follows(model, tmp_path, 200 if name in QUICK else 1000)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_cells_of_torch_too(name: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, _ = cell_table.baseline(name, tmp_path)
    assert_follows(model, tmp_path, 200)


def test_a_shipped_model_gives_what_torch_gives(tmp_path: Path) -> None:
    (recording,) = load_labelled("excerpts", records=["200_1490"])
    played = load_player(Path(le.export("ecg-beats-cfc", format="onnx-float", to=tmp_path)))
    stamps, outputs = played.run(recording.frames, recording.events)
    trained = load_trained(shipped_folder("ecg-beats-cfc"))
    assert_scores(trained, recording, stamps, outputs)


def assert_scores(
    trained: Trained, recording: object, stamps: np.ndarray, outputs: np.ndarray
) -> None:
    sequences = prepare(trained.network, [recording])  # type: ignore[list-item]
    np.testing.assert_array_equal(stamps, sequences[0].stamps)
    wanted = float_scores(trained.network, sequences)[0]
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=BOUND)


def untrained(name: str, folder: Path) -> Trained:
    recipe = load_recipe(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model)
    save_trained(folder, network, ModelCard("0", 0, "", ("a", "b"), (), recipe))
    return load_trained(folder)


@pytest.mark.parametrize("name", ["har-demo", "har-convlstm-cfc", "har-spectrum-cfc"])
def test_a_model_of_activity_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    trained = untrained(name, tmp_path / "model")
    graph = quantize(trained, [motion(1, 60)])
    graph.save(tmp_path / "model" / "model.qgraph")
    played = load_player(
        Path(le.export(tmp_path / "model", format="onnx-float", to=tmp_path / "o"))
    )
    stamps, outputs = played.run(motion(2, 60).frames)
    assert_scores(trained, motion(2, 60), stamps, outputs)


def test_without_weights_the_float_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model\.safetensors beside .*; the float form"):
        le.export("ccfc", format="onnx-float", to=tmp_path)
    with pytest.raises(UsageError, match="is a graph alone; give the folder of its float model"):
        le.export(le.load("ecg-beats-cfc"), format="onnx-float", to=tmp_path)
    assert not list(tmp_path.iterdir())


class OverTime(torch.nn.Module):
    """A convolution over frames."""

    def __init__(self) -> None:
        super().__init__()
        self.smooth = torch.nn.Conv1d(3, 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.smooth(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


def test_a_layer_over_several_frames_is_refused_by_name() -> None:
    x = torch.from_numpy(sines(1, 20, 3, 0))
    with pytest.raises(LayerError, match=r"^smooth reads several steps of time; the float form"):
        FloatStep(make_plan(trace(OverTime(), [x]), [x]))
