"""Training through integers: forward is the graph, backward the network about its integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.quantize.aware import ThroughIntegers
from lnn_edge.quantize.trained import quantize, sequences_of
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import (
    ModelCard,
    Trained,
    load_trained,
    prepare,
    real_inputs,
    save_trained,
)
from lnn_edge.train.loop import EpochReport, train
from lnn_edge.train.recipe import Recipe, builtin_recipes, load_recipe
from tests.support.recordings import invented

RECORDINGS = [invented("a", 40, 1), invented("b", 40, 2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, recipe = tmp_path_factory.mktemp("model"), short_recipe(3, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model)
        assert isinstance(network, AbstractRecallNet)
        torch.nn.init.normal_(network.head.weight, std=0.3)  # of what the cell recalls it is zero
    save_trained(folder, network, ModelCard("0", 0, "", ("a", "b"), (), recipe))
    return load_trained(folder)


def through(trained: Trained) -> ThroughIntegers:
    prepared = prepare(trained.network, RECORDINGS)
    return ThroughIntegers(trained.network, list(sequences_of(trained.network, prepared)))


def held_out(trained: Trained) -> dict[str, torch.Tensor]:
    (sequence,) = prepare(trained.network, [invented("c", 40, 3)])
    return {name: x[None] for name, x in real_inputs(trained.network, sequence).items()}


def test_forward_gives_the_scores_of_the_graph_bit_by_bit(trained: Trained) -> None:
    graph = quantize(trained, RECORDINGS)
    name = graph.output.name
    (decided,) = run_decisions(graph, [invented("c", 40, 3)], (name,))
    wanted = graph.output.dequantize(decided.values[name]).astype(np.float32)
    scores, alone = through(trained)(**held_out(trained))
    np.testing.assert_array_equal(scores[0].detach().numpy(), wanted)
    assert alone is scores
    floats = trained.network(**held_out(trained))
    assert not torch.equal(scores, floats)  # or nothing would be learned about integers


def test_the_gradient_of_a_layer_is_of_what_the_device_reads(trained: Trained) -> None:
    """Head: scores = W x + b, so dL/dW = g' x with the integers' x, and dL/db the sum of g."""
    network, graph = trained.network, quantize(trained, RECORDINGS)
    assert isinstance(network, AbstractRecallNet)
    op = next(op for op in graph.deciding_stage.ops if graph.output in op.outputs)
    (x,) = op.inputs
    (decided,) = run_decisions(graph, [invented("c", 40, 3)], (x.name,))
    read = x.dequantize(decided.values[x.name])
    scores, _ = through(trained)(**held_out(trained))
    g = np.random.default_rng(0).normal(size=scores.shape)
    network.zero_grad()
    (scores * torch.from_numpy(g)).sum().backward()
    weight, bias = network.head.weight.grad, network.head.bias.grad
    assert weight is not None
    assert bias is not None
    np.testing.assert_allclose(weight.numpy(), g[0].T @ read, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), g[0].sum(0), rtol=1e-4, atol=1e-5)
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def short_recipe(epochs: int, aware_epochs: int) -> Recipe:
    recipe = load_recipe("ecg-beats-demo")
    plan = replace(recipe.training, epochs=epochs, batch_size=4, aware_epochs=aware_epochs)
    return replace(recipe, training=plan)


def test_an_interrupted_training_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    class Interrupt(Exception):
        pass

    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            raise Interrupt

    recipe, records = short_recipe(3, 2), [invented("a", 120, 1)]
    train(recipe, records, (), tmp_path / "whole", seed=5, through=ThroughIntegers)
    with pytest.raises(Interrupt):
        train(
            recipe,
            records,
            (),
            tmp_path / "parts",
            seed=5,
            on_epoch=stop,
            through=ThroughIntegers,
        )
    train(recipe, records, (), tmp_path / "parts", seed=5, through=ThroughIntegers)
    train(short_recipe(3, 0), records, (), tmp_path / "unaware", seed=5)
    whole, parts, unaware = (
        (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("whole", "parts", "unaware")
    )
    assert whole == parts != unaware


def test_what_cannot_learn_so_is_refused(tmp_path: Path) -> None:
    recipe = short_recipe(3, 2)
    with pytest.raises(UsageError, match="a recipe with aware_epochs needs through="):
        train(recipe, RECORDINGS, (), tmp_path, seed=0)
    with pytest.raises(UsageError, match="run on the CPU, not on 'meta'; leave --device out"):
        train(recipe, RECORDINGS, (), tmp_path, seed=0, device="meta", through=ThroughIntegers)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="aware_epochs must be at most epochs, which is 3, not 4"):
        load_recipe("ecg-beats-demo", ("training.epochs=3", "training.aware_epochs=4"))


@pytest.mark.parametrize("variant", ["lstm", "gru"])
def test_a_cell_that_cannot_learn_so_is_refused_before_the_first_epoch(
    variant: str, tmp_path: Path
) -> None:
    recipe = short_recipe(3, 1)
    recipe = replace(recipe, model={**recipe.model, "variant": variant})
    with pytest.raises(UsageError, match="has other weights in integers than in training"):
        train(recipe, [invented("a", 120, 1)], (), tmp_path, seed=0, through=ThroughIntegers)
    assert not list(tmp_path.iterdir())


def test_weights_that_training_would_not_reach_are_named(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = trained.network
    monkeypatch.setattr(type(network), "named_parameters", lambda _: iter(()))
    with pytest.raises(UsageError, match="has other weights in integers than in training"):
        through(trained)


RECIPES = [name for name in builtin_recipes() if not name.endswith("-demo")]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_through_its_integers(name: str) -> None:
    """On noise as inputs; the scores and all gradients are like those of the network."""
    recipe = load_recipe(name)
    torch.manual_seed(0)
    network = make_network(recipe.network, recipe.model).eval()
    rng = np.random.default_rng(0)
    noise = {t.name: t.dequantize(rng.integers(0, 100, (2, 4, *t.shape))) for t in network.inputs}
    inputs = {name: torch.from_numpy(x).float() for name, x in noise.items()}
    floats = network(**inputs)
    wanted = gradients(network, floats)
    scores, _ = ThroughIntegers(network, [tuple(inputs.values())])(**inputs)
    assert (scores - floats).abs().max() < 0.2 * (floats.max() - floats.min())
    found = gradients(network, scores)
    likeness = {n: float(cosine_similarity(found[n], g, 0)) for n, g in wanted.items() if g.any()}
    assert len(likeness) > 4
    assert min(likeness.values()) > 0.9, likeness


def gradients(network: nn.Module, scores: torch.Tensor) -> dict[str, torch.Tensor]:
    network.zero_grad()
    scores.square().sum().backward()
    return {
        n: p.grad.flatten().clone() for n, p in network.named_parameters() if p.grad is not None
    }
