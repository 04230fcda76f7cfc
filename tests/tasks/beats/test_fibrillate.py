"""Copies that fibrillate: intervals as drawn, the rhythm that the front end makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.data.record import Mark
from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.beats.fibrillate import (
    FASTER,
    RANGE_S,
    SETTLING,
    SHORTEST,
    SPREAD,
    draw,
    fibrillating,
)
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.batches import make_examples
from lnn_edge.train.checkpoint import prepare
from lnn_edge.train.mixture import make_mixture
from lnn_edge.train.recipe import Recipe, load_recipe
from tests.support.recordings import invented, labelled_beats

LONG = load_recipe("ecg-beats-16k")
RECORDINGS = [invented("a", 700, 1), invented("b", 150, 2)]
CLASSES = ("N", "S", "V", "F")


def network_of(recipe: Recipe = LONG) -> AbstractStreamNet:
    return make_network(recipe.network, recipe.model)


def prepared(network: AbstractStreamNet, recordings: Sequence[LabelledSignal] = RECORDINGS):
    return [(s.labels, s.values) for s in prepare(network, recordings)]


def moved(sequence: DecisionSequence, dt: np.ndarray) -> LabelledSignal:
    """Return a recording without a signal, whose beats lie dt samples apart."""
    stamps = 400 + np.cumsum(dt)
    adc = np.full((stamps[-1] + 800, 2), 1024, np.int16)
    return labelled_beats(sequence.name, adc, tuple(Mark(int(t), "N") for t in stamps))


@pytest.mark.parametrize("wait", [540, 0])
def test_the_rhythm_is_the_front_ends_own(wait: int) -> None:
    """A recording with the copy's intervals, run whole, has the copy's rhythm bit by bit."""
    network = network_of(replace(LONG, model={**LONG.model, "wait": wait}))
    copies = fibrillating(network.front, CLASSES, prepared(network), 7)
    for (_, values), own in zip(copies, prepare(network, RECORDINGS), strict=True):
        (found,) = prepare(network, [moved(own, values["dt"][:, 0].astype(np.int64))])
        assert not np.array_equal(values["dt"], own.values["dt"])
        for name, x in values.items():
            assert x.dtype == own.values[name].dtype
            assert np.array_equal(x, found.values[name]), name


def test_labels_are_unknown_where_they_would_lie() -> None:
    network = network_of()
    recordings = prepared(network)
    for seed in range(4):
        copies = fibrillating(network.front, CLASSES, recordings, seed)
        rng = np.random.default_rng(seed)
        for (labels, values), (told, new) in zip(recordings, copies, strict=True):
            since = draw(values["dt"][:, 0] / 360, rng).since
            assert set(new) == {"dt", "rhythm"}
            assert (told[(since > 0) & (labels == 1)] == -1).all()
            begin = (since > 0) & (since <= SETTLING) & (labels == 0)
            assert (told[begin] == -1).all()
            kept = ~begin & ~((since > 0) & (labels == 1))
            assert np.array_equal(told[kept], labels[kept])
            assert np.array_equal(new["dt"][since == 0], values["dt"][since == 0])


def test_stretches_are_as_drawn() -> None:
    dt = np.full(20000, 0.8)
    rhythm = draw(dt, np.random.default_rng(3))
    since, on = rhythm.since, rhythm.since > 0
    assert rhythm.dt[0] == 0.8
    assert 0.5 < on.mean() < 0.9
    assert (rhythm.dt[~on] == 0.8).all()
    assert RANGE_S[0] <= rhythm.dt.min() < rhythm.dt.max() <= RANGE_S[1]
    ends = np.flatnonzero((since[:-1] > 0) & (since[1:] == 0))
    assert since[ends].min() >= SHORTEST
    for end in ends[since[ends] > 200]:
        octaves = np.log2(rhythm.dt[end - since[end] + 2 : end + 1] / 0.8)
        assert np.log2(FASTER[0]) - 0.2 < np.median(octaves) < np.log2(FASTER[1]) + 0.2
        assert SPREAD[0] - 0.1 < octaves.std() < SPREAD[1] + 0.1


def test_copies_end_every_batch_and_a_seed_gives_the_same(tmp_path: Path) -> None:
    plan = replace(LONG.training, batch_size=3, sequence_length=40)
    many = replace(LONG.augmentation, fibrillating=4)  # type: ignore[type-var]
    recipe = replace(LONG, training=plan, augmentation=many)
    network = network_of(recipe)
    own = make_examples(network, RECORDINGS, recipe, tmp_path)
    batches = []
    for _ in range(2):
        torch.manual_seed(5)
        mixture = make_mixture(network, own, (), recipe, tmp_path)
        batches.append(mixture.batch())
    (inputs, labels), (again, told) = batches
    assert len(labels) == 7
    assert labels.equal(told)
    assert all(x.equal(again[name]) for name, x in inputs.items())
    spread = inputs["dt"].log2().std(1).flatten()
    assert spread[3:].mean() > spread[:3].mean()


def test_other_classes_cannot_fibrillate() -> None:
    network = network_of()
    with pytest.raises(UsageError, match="fibrillating needs beats of the classes N and S, not of"):
        fibrillating(network.front, ("A", "O"), prepared(network), 0)


@pytest.mark.parametrize("count", [-1, 65_537])
def test_copies_of_a_batch_are_bounded(count: int) -> None:
    said = f"augmentation: fibrillating must be 0 to 65536, not {count}"
    with pytest.raises(UsageError, match=said):
        load_recipe("ecg-beats-16k", [f"augmentation.fibrillating={count}"])
