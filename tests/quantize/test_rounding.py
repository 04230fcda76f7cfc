"""Weights rounded together: other integers in the same places, nearer to the floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.quantize.assemble import lower_behind
from lnn_edge.quantize.observe import observe
from lnn_edge.quantize.rounding import rounded_rows, rounded_together
from lnn_edge.quantize.trained import plan_of, quantize, sequences_of
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import ModelCard, Trained, float_scores, prepare
from lnn_edge.train.recipe import load_recipe
from tests.support.recordings import invented

RECORDINGS = [invented("a", 40, 1), invented("b", 60, 2)]
RNG = np.random.default_rng(0)


def mean_square(error: np.ndarray, covariance: np.ndarray) -> float:
    return float(np.einsum("oi,ij,oj->", error, covariance, error))


def smooth_columns(count: int) -> np.ndarray:
    """Return the covariance of frames that vary together, as those of a signal."""
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    return 900 * np.exp(-((apart / 4.0) ** 2))


def test_of_columns_that_vary_together_the_errors_make_up_for_each_other() -> None:
    weight, covariance = RNG.uniform(-127, 127, (50, 24)), smooth_columns(24)
    rows = rounded_rows(weight, covariance)
    assert np.array_equal(rows, np.rint(rows))
    assert np.abs(rows).max() <= 127
    nearest = mean_square(weight - np.rint(weight), covariance)
    assert mean_square(weight - rows, covariance) < 0.2 * nearest


def test_of_columns_that_vary_apart_each_is_rounded_to_the_nearest() -> None:
    weight = RNG.uniform(-127, 127, (50, 24))
    for covariance in (np.diag(RNG.uniform(1, 1000, 24)), np.zeros((24, 24))):
        np.testing.assert_array_equal(rounded_rows(weight, covariance), np.floor(weight + 0.5))


def test_a_weight_that_is_0_stays_so() -> None:
    weight = RNG.uniform(-127, 127, (50, 24)) * (RNG.random((50, 24)) < 0.5)
    rows = rounded_rows(weight, smooth_columns(24))
    assert not rows[weight == 0].any()
    left = mean_square(weight - rows, smooth_columns(24))
    assert left < 0.7 * mean_square(weight - np.rint(weight), smooth_columns(24))


@pytest.fixture(scope="module")
def network() -> AbstractStreamNet:
    recipe = load_recipe("ecg-beats-demo")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model)
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def one_matrix() -> tuple[Stage, Linear, list[Values]]:
    """Return a stage of one matrix, its operator, and inputs that vary together about 300."""
    x = QTensor("x", (24,), "int16", 0.01, role="input")
    y = QTensor("y", (40,), "int16", 0.001)
    op = Linear.quantize("fc", x, y, RNG.normal(0, 0.2, (40, 24)), RNG.normal(0, 1, 40))
    drawn = RNG.multivariate_normal(np.full(24, 300), smooth_columns(24), (3, 100))
    read = [{"x": np.rint(sequence).astype(np.int64)} for sequence in drawn]
    return Stage("step", InputTrigger(x, "frames"), (op,)), op, read


def test_of_what_is_read_the_mean_is_right_and_the_rest_nearer() -> None:
    stage, op, read = one_matrix()
    (anew,) = rounded_together(stage, read).ops
    assert isinstance(anew, Linear)
    assert op.exact is not None
    x = np.concatenate([sequence["x"] for sequence in read])
    exact = x @ op.exact[0].T + op.exact[1]
    apart, together = (x @ o.weight.T.astype(int) + o.bias - exact for o in (op, anew))
    assert np.abs(together.mean(0)).max() <= 0.5  # a bias is rounded
    assert np.abs(apart.mean(0)).max() > 100
    assert (together.std(0) ** 2).mean() < 0.2 * (apart.std(0) ** 2).mean()


def test_all_but_weight_and_bias_stays() -> None:
    stage, op, read = one_matrix()
    (anew,) = rounded_together(stage, read).ops
    assert isinstance(anew, Linear)
    assert anew.exact is None
    assert not np.array_equal(anew.weight, op.weight)
    for name in ("name", "inputs", "outputs", "multiplier", "shift"):
        assert np.array_equal(getattr(anew, name), getattr(op, name))
    (again,) = rounded_together(replace(stage, ops=(anew,)), read).ops
    assert again is anew  # it does not know what it was rounded from
    assert rounded_together(stage, []) is stage


def test_steps_that_a_sequence_does_not_have_do_not_count() -> None:
    stage, _, read = one_matrix()
    short = [{"x": x["x"][:n]} for x, n in zip(read, (100, 3, 7), strict=True)]
    (padded,) = rounded_together(stage, short).ops
    (joined,) = rounded_together(stage, [{"x": np.concatenate([s["x"] for s in short])}]).ops
    assert isinstance(padded, Linear)
    assert isinstance(joined, Linear)
    np.testing.assert_array_equal(padded.weight, joined.weight)
    np.testing.assert_array_equal(padded.bias, joined.bias)


def errors(network: AbstractStreamNet, graph: QGraph) -> np.ndarray:
    """Return integers minus floats of all scores, on recordings of a third."""
    held_out = [invented("c", 200, 3)]
    (decided,) = run_decisions(graph, held_out, (graph.output.name,))
    (floats,) = float_scores(network, prepare(network, held_out))
    made: np.ndarray = graph.output.dequantize(decided.values[graph.output.name]) - floats
    return made


def test_a_quantized_network_is_nearer_to_its_floats(network: AbstractStreamNet) -> None:
    recipe = load_recipe("ecg-beats-demo")
    aware = replace(recipe, training=replace(recipe.training, aware_epochs=2))
    cards = [ModelCard("0", 0, "", ("a", "b"), (), r) for r in (recipe, aware)]
    together, nearest = (quantize(Trained(network, card), RECORDINGS) for card in cards)
    apart, at_once = errors(network, nearest), errors(network, together)
    assert np.sqrt((at_once**2).mean()) < 0.8 * np.sqrt((apart**2).mean())


def test_a_network_that_learned_from_its_integers_keeps_them(network: AbstractStreamNet) -> None:
    recipe = load_recipe("ecg-beats-demo")
    aware = replace(recipe, training=replace(recipe.training, aware_epochs=2))
    graph = quantize(Trained(network, ModelCard("0", 0, "", ("a", "b"), (), aware)), RECORDINGS)
    plan = plan_of(network)
    ranges = observe(plan, list(sequences_of(network, prepare(network, RECORDINGS))))
    plain, _ = lower_behind(plan, ranges, network.front, graph.name, graph.metadata)
    assert graph_sha256(plain) == graph_sha256(graph)
