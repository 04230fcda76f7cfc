"""Cross-validates a recipe by patient: float and integer figures, and the ablations.

Example: python scripts/cross_validate.py ecg-beats-cfc --data-dir DIR --seeds 0 1 2 -o cv.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from lnn_edge.data.registry import folds, load_dataset
from lnn_edge.evaluate import Evaluation, evaluate_scores, integer_scores
from lnn_edge.quantize import quantize
from lnn_edge.recipe import Recipe, load_recipe
from lnn_edge.train import train
from lnn_edge.trained import float_scores, prepare

ABLATIONS = ("none", "encoder_only", "state_reset", "lstm", "shuffle_dt", "no_wait")


def ablate(recipe: Recipe, ablation: str) -> Recipe:
    """Return the recipe with one thing taken away."""
    if ablation == "none":
        return recipe
    if ablation == "shuffle_dt":
        return replace(recipe, augmentation=replace(recipe.augmentation, shuffle_dt=True))
    changed = {"wait": 0} if ablation == "no_wait" else {"variant": ablation}
    return replace(recipe, model={**recipe.model, **changed})


def run_seed(recipe: Recipe, data_dir: str, seed: int, has_integers: bool) -> dict[str, Evaluation]:
    """Train each fold; judge all held-out patients together."""
    held_out, floats, integers = [], [], []
    for fold in range(len(folds(recipe.dataset))):
        training = load_dataset(recipe.dataset, data_dir, "train", fold=fold)
        validation = load_dataset(recipe.dataset, data_dir, "validation", fold=fold)
        with tempfile.TemporaryDirectory() as folder:
            trained = train(recipe, training, (), Path(folder), seed=seed)
        sequences = prepare(trained.network, validation)
        if recipe.augmentation.shuffle_dt:
            sequences = [shuffled(s, seed) for s in sequences]
        held_out += sequences
        floats += float_scores(trained.network, sequences)
        if has_integers:
            integers += integer_scores(quantize(trained, training), validation)[1]
        classes = trained.network.classes
    judged = {"float": evaluate_scores(held_out, floats, classes)}
    if has_integers:
        judged["integer"] = evaluate_scores(held_out, integers, classes)
    return judged


def shuffled(sequence, seed):  # type: ignore[no-untyped-def]
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
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    recipe = ablate(load_recipe(given.recipe), given.ablation)
    has_integers = given.ablation in ("none", "no_wait")
    results = []
    for seed in given.seeds:
        judged = run_seed(recipe, given.data_dir, seed, has_integers)
        results.append({"seed": seed, **{k: v.to_json() for k, v in judged.items()}})
        figures = {k: round(v.main_f1, 4) for k, v in judged.items()}
        print(given.ablation, seed, figures, flush=True)
        document = {"recipe": given.recipe, "ablation": given.ablation, "seeds": results}
        given.output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
