"""Human activity, the second task, down the whole line on generated motion."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.data.synthetic_activity import names_of
from lnn_edge.data.uci_har import CLASSES, RATE_HZ, STEPS
from lnn_edge.device.board import load_board
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.quantize.trained import quantize
from lnn_edge.report import write_report
from lnn_edge.report.drawings.timeline import draw_timeline
from lnn_edge.report.predictions import Prediction
from lnn_edge.report.timelines import timeline_of
from lnn_edge.tasks.activity.augmentation import MotionAugmentation
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.single_label import evaluate_scores, integer_scores
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import Trained, float_scores, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import Recipe, load_recipe, recipe_of
from lnn_edge.verify.verify import verify_project
from tests.support.projects import needs_arm_gcc
from tests.support.recordings import motion

RUNS = [motion(person, 60) for person in (1, 2, 3)]


@pytest.fixture(scope="module", params=["har-demo", "har-convlstm-cfc", "har-spectrum-cfc"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """A recipe in miniature."""
    plan = load_recipe(request.param)
    training = replace(plan.training, epochs=2, batch_size=8, sequence_length=20)
    own = {
        "har-cfc": {"filters": [4, 4, 4]},
        "har-convlstm-cfc": {"filters": 4},
        "har-spectrum-cfc": {"bands": [1, 2, 5, 33]},
    }
    small = {**plan.model, "window": 64, "hop": 16, **own[plan.network]}
    small |= {"embedding_size": 8, "hidden_size": 6}
    return replace(plan, training=training, model=small)


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(recipe, RUNS[:2], RUNS[2:], tmp_path_factory.mktemp("har"), seed=0)


@pytest.fixture(scope="module")
def graph(trained: Trained) -> QGraph:
    return quantize(trained, RUNS[:2])


def test_the_integers_decide_as_the_network_does(trained: Trained, graph: QGraph) -> None:
    sequences = prepare(trained.network, RUNS)
    real = float_scores(trained.network, sequences)
    found, integer = integer_scores(graph, RUNS)
    assert [s.stamps.tolist() for s in sequences] == [s.stamps.tolist() for s in found]
    for wanted, got in zip(real, integer, strict=True):
        error = graph.output.dequantize(got) - wanted
        assert np.sqrt(np.mean(error**2)) < 0.02 * np.ptp(wanted)
    assert evaluate_scores(found, integer, graph.classes).n == sum(
        len(r.record.marks) for r in RUNS
    )


def test_decisions_come_at_the_stated_rate(graph: QGraph) -> None:
    (first, *_), _ = integer_scores(graph, RUNS)
    assert first.stamps[0] == 63  # the first whole window
    assert set(np.diff(first.stamps)) == {16}
    assert graph.metadata["sample_rate_hz"] == RATE_HZ


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(
    ("link", "board"), [("host", "stm32f746"), ("virtual", "stm32f746"), ("qemu", "stm32f405")]
)
def test_every_link_decides_bit_by_bit_alike(
    link: str, board: str, graph: QGraph, tmp_path: Path
) -> None:
    export(graph, load_board(board), tmp_path / "firmware")
    run = motion(4, 12)
    result = verify_project(open_project(tmp_path / "firmware"), link, [run])
    assert (result.steps, result.mismatches) == ((600 - 64) // 16 + 1, 0)
    assert result.judged is not None
    assert result.judged.n == len(run.record.marks)


@pytest.mark.target
@needs_arm_gcc
def test_a_state_larger_than_a_usual_frame_is_compared_whole(tmp_path: Path) -> None:
    plan = load_recipe("har-convlstm-cfc")
    plan = replace(plan, training=replace(plan.training, epochs=1, sequence_length=5, burn_in=1))
    graph = quantize(train(plan, RUNS[:1], (), tmp_path / "model", seed=0), RUNS[:1])
    assert sum(s.tensor.bytes for s in graph.deciding_stage.states) > 2000
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    result = verify_project(open_project(tmp_path / "firmware"), "virtual", [motion(4, 8)])
    assert (result.steps, result.mismatches) == ((400 - 128) // 32 + 1, 0)


def test_a_report_shows_motion(graph: QGraph, tmp_path: Path) -> None:
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    page = write_report(tmp_path / "firmware", tmp_path / "report.html").read_text()
    assert "windows right" in page
    assert "Record p09" in page
    assert "motion shown is synthetic" in page


def drawn(run: Labelled, decided: dict[int, int]) -> str:
    stamps = np.array(list(decided))
    scores = 9.0 * np.eye(len(CLASSES))[list(decided.values())]
    prediction = Prediction(run, stamps, run.labels_at(stamps), scores)
    return "".join(strip.drawing for strip in draw_timeline(timeline_of(prediction, ())))


def test_a_strip_shades_where_the_model_is_wrong_and_nothing_else() -> None:
    run = motion(5, 60)
    stamps = range(0, len(run.frames), 16)
    right = {t: int(run.labels[t]) for t in stamps if run.labels[t] >= 0}
    inside = run.record.marks[4].sample - 63
    wrong = {**right, inside // 16 * 16: (int(run.labels[inside]) + 1) % len(CLASSES)}
    pattern = r'class="wrong-band"[^>]*? width="([\d.]+)"'
    pages = [drawn(run, decided) for decided in (right, wrong)]
    widths = [sum(map(float, re.findall(pattern, page))) for page in pages]
    sixteen = 16 / RATE_HZ * (1160 - 82) / 60
    assert widths[1] - widths[0] == pytest.approx(sixteen, abs=0.5)


def test_a_model_is_not_judged_by_labels_of_another_task(graph: QGraph) -> None:
    with pytest.raises(DataError, match=r"labelled N, S, V, F and the model tells walking"):
        integer_scores(graph, load_labelled("excerpts"))
    with pytest.raises(DataError, match=r"labelled walking.*and the model tells N, S, V, F"):
        integer_scores(load_graph(shipped_graph()), RUNS)


@pytest.mark.parametrize("variant", ["state_reset", "encoder_only"])
def test_an_ablation_is_trained_and_quantized(variant: str, recipe: Recipe, tmp_path: Path) -> None:
    plan = replace(recipe, model={**recipe.model, "variant": variant})
    made = train(plan, RUNS[:1], (), tmp_path, seed=0)
    graph = quantize(made, RUNS[:1])
    assert not any(s.tensor.name.startswith("cell") for s in graph.deciding_stage.states)
    (real,), (_, (integer,)) = (
        float_scores(made.network, prepare(made.network, RUNS[:1])),
        integer_scores(graph, RUNS[:1]),
    )
    error = graph.output.dequantize(integer) - real
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.ptp(real)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 8}, "does not fit"),
        ({"hop": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout must be 0 to below 1, not 1.0"),
        ({"filters": [3]}, "one entry per layer"),
    ],
)
def test_impossible_sizes_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_network("har-cfc", {**load_recipe("har-cfc").model, **change})


def test_a_beats_augmentation_is_none_of_motion() -> None:
    values = {
        "name": "x",
        "network": "har-cfc",
        "dataset": "uci_har",
        "model": {},
        "training": vars(load_recipe("har-cfc").training),
        "augmentation": {"rhythm": 0.1},
    }
    with pytest.raises(UsageError, match="augmentation: unknown key 'rhythm'"):
        recipe_of(values, "mine")


def test_a_turned_phone_feels_the_same_strength() -> None:
    window = torch.from_numpy(RUNS[0].frames[:640].reshape(2, 5, 64, 6) / np.array(STEPS)).float()
    plan = MotionAugmentation(rotation=0.5, amplitude=0.0, offset=0.0, noise=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        turned = plan.apply({"window": window})["window"]
    for sensor in (slice(0, 3), slice(3, 6)):
        before, after = window[..., sensor].norm(dim=-1), turned[..., sensor].norm(dim=-1)
        assert torch.allclose(before, after, atol=1e-5)
    assert not torch.allclose(window, turned, atol=0.05)


def test_what_is_measured_changes_as_a_phone_would_change_it() -> None:
    torch.manual_seed(0)
    measured = {"mean": torch.randn(4, 5, 6), "spectrum": torch.rand(4, 5, 6, 8)}
    plan = MotionAugmentation(rotation=0.5, amplitude=0.0, offset=0.0, noise=0.0)
    turned = plan.apply(measured)
    assert torch.equal(turned["spectrum"], measured["spectrum"])
    for sensor in (slice(0, 3), slice(3, 6)):
        before, after = (m["mean"][..., sensor].norm(dim=-1) for m in (measured, turned))
        assert torch.allclose(before, after, atol=1e-5)
    assert not torch.allclose(turned["mean"], measured["mean"], atol=0.05)
    shifted = replace(plan, rotation=0.0, amplitude=1.0, offset=1.0).apply(measured)
    for name, before in measured.items():
        moved = shifted[name] - before
        assert torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-5)  # a whole sequence
        assert float(moved[:, 0].std()) > 0.5
    noisy = replace(plan, rotation=0.0, noise=1.0).apply(measured)
    assert all(float((noisy[n] - x).diff(dim=1).std()) > 1 for n, x in measured.items())


def test_generated_motion_is_the_same_each_time_and_has_every_class() -> None:
    (first,) = load_labelled("synthetic-activity", records=["p01"])
    assert np.array_equal(first.frames, motion(1).frames)
    assert {m.symbol for m in first.record.marks} == set(CLASSES)
    gravity = np.linalg.norm(first.frames[:, :3] / STEPS[0], axis=1)
    assert np.median(gravity) == pytest.approx(1, abs=0.05)
    assert not set(names_of("test")) & set(names_of("develop"))
