"""Judges a recipe by patient, with its ablations: on the folds, and once, at the end, on the test.

Example: python scripts/cross_validate.py ecg-beats-cfc --data-dir DIR --seeds 0 1 2 -o cv.json
An ablation is the network without one thing, or with another one in its place; --set changes the
recipe as `lnn-edge train --set` does.
With --test each seed is trained on all development records and judged on the test split: only
after everything is chosen, and what comes out is reported, good or bad.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lnn_edge.build.decide import Engine
from lnn_edge.data.registry import find_dataset
from lnn_edge.files.write import write_whole
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.beats.augmentation import BeatAugmentation
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.single_label import decided_scores
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.train.checkpoint import float_scores, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import Recipe, load_recipe

RESAMPLES = 1000
Records = Sequence[Labelled]
CHANGED: dict[str, dict[str, object]] = {
    "none": {},
    "no_wait": {"wait": 0},
    "cnn": {"variant": "encoder_only", "context_size": 0, "by_window": ()},
    **{
        name: {"variant": name}
        for name in ("encoder_only", "state_reset", "ltc", "lstm", "gru", "linear")
    },
}
"""What an ablation sets in [model]."""
ABLATIONS = (*CHANGED, "shuffle_dt")


@dataclass(frozen=True)
class Judged:
    """What came of a seed.

    Attributes:
        figures: By form: "float", "integer".
        engines: What ran the integers of the folds; both give the same bits.
    """

    figures: dict[str, Figures]
    engines: tuple[Engine, ...]


def ablate(recipe: Recipe, ablation: str) -> Recipe:
    """Return the recipe with one thing taken away."""
    if ablation == "shuffle_dt":
        return replace(recipe, augmentation=replace(recipe.augmentation, shuffle_dt=True))
    return replace(recipe, model={**recipe.model, **CHANGED[ablation]})


def splits(recipe: Recipe, data_dir: str, has_test: bool) -> Iterator[tuple[Records, Records]]:
    """Give pairs of recordings to train on and to judge."""
    load = partial(load_labelled, recipe.dataset, data_dir, lead=recipe.lead or None)
    if has_test:
        develop, test = (load(split) for split in ("develop", "test"))
        yield develop, test
        return
    for fold in range(find_dataset(recipe.dataset).fold_count):
        parts = ("train", "validation")
        training, held_out = (load(split, fold=fold) for split in parts)
        yield training, held_out


def run_seed(
    recipe: Recipe, pairs: Iterable[tuple[Records, Records]], seed: int, has_integers: bool
) -> Judged:
    """Train on each pair; judge all held-out patients together."""
    held_out, floats, integers, engines = [], [], [], set[Engine]()
    for training, judged in pairs:
        with tempfile.TemporaryDirectory() as folder:
            trained = train(recipe, training, (), Path(folder), seed=seed)
        sequences = prepare(trained.network, judged)
        if is_shuffled(recipe):
            sequences = [shuffled(s, seed) for s in sequences]
        held_out += sequences
        floats += float_scores(trained.network, sequences)
        if has_integers:
            decided, scores = decided_scores(quantize(trained, training), judged)
            integers += scores
            engines.add(decided.engine)
        classes = trained.network.classes
    figures = {"float": judge(held_out, floats, classes, trained.task, RESAMPLES)}
    if has_integers:
        figures["integer"] = judge(held_out, integers, classes, trained.task, RESAMPLES)
    return Judged(figures, tuple(sorted(engines)))


def is_shuffled(recipe: Recipe) -> bool:
    """Return whether the elapsed times are dealt out, which only beats have."""
    plan = recipe.augmentation
    return isinstance(plan, BeatAugmentation) and plan.shuffle_dt


def shuffled(sequence: DecisionSequence, seed: int) -> DecisionSequence:
    """Deal the elapsed times out among the beats of a recording."""
    order = np.random.default_rng(seed).permutation(len(sequence.labels))
    return replace(sequence, values={**sequence.values, "dt": sequence.values["dt"][order]})


def main() -> None:
    """Run and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ablation", choices=ABLATIONS, default="none")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--test", action="store_true", help="the test split, once")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    recipe = ablate(load_recipe(given.recipe, given.settings), given.ablation)
    if not recipe.dataset or find_dataset(recipe.dataset).fold_count == 0:
        parser.error(f"{given.recipe} names no data set with folds; give a recipe that does")
    has_integers = given.ablation != "shuffle_dt"
    results = []
    for seed in given.seeds:
        pairs = splits(recipe, given.data_dir, given.test)
        judged = run_seed(recipe, pairs, seed, has_integers)
        told = {k: v.to_json() for k, v in judged.figures.items()}
        results.append({"seed": seed, "engines": judged.engines, **told})
        figures = {k: round(v.main_f1, 4) for k, v in judged.figures.items()}
        by = " and ".join(judged.engines)
        print(given.ablation, seed, figures, f"integers by: {by}" if by else "", flush=True)
        asked = {k: getattr(given, k) for k in ("recipe", "ablation", "settings")}
        document = {**asked, "seeds": results}
        write_whole(given.output, json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
