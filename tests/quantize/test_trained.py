"""Calibration sees what the network computes, and the graph tells where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.graph.ranges import TAIL
from lnn_edge.quantize.observe import MARGIN, Calibration, observe
from lnn_edge.quantize.trained import (
    calibration_records,
    plan_of,
    quantize_folder,
    sequences_of,
)
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import ModelCard, Trained, load_trained, prepare, save_trained
from lnn_edge.train.recipe import load_recipe
from tests.support.recordings import invented

RECORDINGS = [invented("b", 40, 2), invented("a", 40, 1)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, recipe = tmp_path_factory.mktemp("model"), load_recipe("ecg-beats-demo")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model)
    save_trained(folder, network, ModelCard("0", 0, "", ("a", "b"), (), recipe))
    return load_trained(folder)


def observed(name: str, values: torch.Tensor) -> tuple[float, float]:
    calibration = Calibration(frozenset({"scores"}))
    for part in values.split(1000):
        assert calibration.tap(name, part) is part
    return calibration.ranges()[name]


def test_a_range_leaves_the_same_part_out_at_both_ends() -> None:
    count = 50_000
    values = torch.arange(float(count))[torch.randperm(count)]
    cut = count * TAIL
    assert observed("mixed", values) == (cut, count - 1 - cut)
    assert observed("mixed", torch.tensor([-2.0, 3.0])) == (-2.0, 3.0)


def test_outputs_keep_their_extremes_and_a_margin() -> None:
    values = torch.cat([torch.zeros(100_000), torch.tensor([-4.0, 8.0])])
    assert observed("scores", values) == pytest.approx((-4.0 * MARGIN, 8.0 * MARGIN))
    assert observed("mixed", values) == (0.0, 0.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(bad: float) -> None:
    with pytest.raises(QuantizationError, match="mixed is not finite on the calibration data"):
        observed("mixed", torch.tensor([0.0, bad]))


def test_every_tensor_with_a_range_of_its_own_is_observed(trained: Trained) -> None:
    prepared = prepare(trained.network, RECORDINGS)
    ranges = observe(plan_of(trained.network), list(sequences_of(trained.network, prepared)))
    rectified = {"relu", "relu_1", "relu_2", "relu_3", "relu_4"}
    assert rectified | {"cell_0_time_a", "cell_0_time_b", "head"} <= ranges.keys()
    assert all(low < high for low, high in ranges.values())
    assert all(ranges[name][0] == 0.0 for name in rectified)


def test_the_graph_tells_its_origin_and_is_the_same_each_time(
    trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "model.qgraph"
    graph = quantize_folder(trained, RECORDINGS, path)
    assert graph_sha256(load_graph(path)) == graph_sha256(graph)
    again = quantize_folder(trained, RECORDINGS[::-1], tmp_path / "again.qgraph")
    assert graph_sha256(again) == graph_sha256(graph)
    card = trained.card
    assert graph.metadata["calibration_records"] == ["a", "b"]
    assert graph.metadata["weights_sha256"] == card.weights_sha256
    assert (graph.name, graph.metadata["dataset"]) == (card.recipe.name, card.recipe.dataset)
    assert graph.classes == ("N", "S", "V", "F")


def test_what_the_integers_hold_is_written_beside_the_graph(
    trained: Trained, tmp_path: Path
) -> None:
    graph = quantize_folder(trained, RECORDINGS, tmp_path / "model.qgraph")
    found = json.loads((tmp_path / "quantize.json").read_text())
    assert (found["model_sha256"], found["float_error"]) == (graph_sha256(graph), None)
    rows = {row["name"]: row for row in found["resolution"]}
    elapsed = np.concatenate([np.diff(r.events) for r in RECORDINGS]) / 360
    assert (rows["dt"]["low"], rows["dt"]["high"]) == (0.1, 3.0)
    assert rows["dt"]["clipped"] == np.mean((elapsed < 0.1) | (elapsed > 3))
    assert (rows["dt"]["lost"], rows["dt"]["bits"]) == (0, None)  # whole samples
    for name in ("relu", "relu_4", "cell_0_time_a", "head"):
        assert rows[name]["clipped"] <= 2 * TAIL
        assert rows[name]["bits"] > 4


def test_one_value_far_out_does_not_decide() -> None:
    values = torch.linspace(-1, 1, 2000)
    values[77] = 1e6
    assert observed("mixed", values)[1] == 1.0


def test_of_many_recordings_some_are_enough() -> None:
    names = [f"r{i}" for i in range(5001)]
    chosen = calibration_records(names)
    assert len(chosen) == len(set(chosen)) == 2000
    assert (chosen[0], chosen[1000], chosen[-1]) == ("r0", "r2500", "r4998")
    assert calibration_records(names[:2000]) == tuple(names[:2000])
