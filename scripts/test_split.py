"""Judges a frozen recipe on its test split: several seeds, trained on all that is no test.

Run once, after everything is chosen by cross_validate.py; what it prints is reported, good or bad.

Example: python scripts/test_split.py ecg-beats-cfc --data-dir DIR --seeds 0 1 2 3 4 -o test.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from cross_validate import ABLATIONS, ablate

from lnn_edge.data.registry import load_dataset
from lnn_edge.evaluate import Evaluation, evaluate_scores, integer_scores
from lnn_edge.quantize import quantize
from lnn_edge.recipe import Recipe, load_recipe
from lnn_edge.train import train
from lnn_edge.trained import float_scores, prepare

RESAMPLES = 1000


def run_seed(recipe: Recipe, data_dir: str, seed: int) -> dict[str, Evaluation]:
    """Train on the development records; judge the float and the integer model on the test ones."""
    training = load_dataset(recipe.dataset, data_dir, "develop")
    test = load_dataset(recipe.dataset, data_dir, "test")
    with tempfile.TemporaryDirectory() as folder:
        trained = train(recipe, training, (), Path(folder), seed=seed)
    classes = trained.network.classes
    sequences = prepare(trained.network, test)
    floats = float_scores(trained.network, sequences)
    graph = quantize(trained, training)
    return {
        "float": evaluate_scores(sequences, floats, classes, RESAMPLES),
        "integer": evaluate_scores(*integer_scores(graph, test), classes, RESAMPLES),
    }


def main() -> None:
    """Run and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--ablation", choices=ABLATIONS, default="none")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    recipe = ablate(load_recipe(given.recipe), given.ablation)
    results = []
    for seed in given.seeds:
        judged = run_seed(recipe, given.data_dir, seed)
        results.append({"seed": seed, **{k: v.to_json() for k, v in judged.items()}})
        figures = {k: round(v.main_f1, 4) for k, v in judged.items()}
        print(given.ablation, seed, figures, flush=True)
        document = {"recipe": given.recipe, "ablation": given.ablation, "seeds": results}
        given.output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
