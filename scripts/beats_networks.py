"""Puts networks of beats side by side: accuracy in the folds, weights, flash and instructions.

Example: python scripts/beats_networks.py cv/*.json
Each file is one of scripts/cross_validate.py. What a network takes is measured on one that has seen
a few generated ECGs: neither flash nor instructions depend on what was learned but by a per mille.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

import lnn_edge as le
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import Recipe, load_recipe
from lnn_edge.verify.verify import verify_project
from scripts.cross_validate import ablate

BOARD = "stm32f746"
HEAD = (
    "| recipe | network | weights, bytes | flash | RAM | instructions a beat | mean F1 of N, S, V "
    "(seeds) | F1 of S | F1 of V |"
)


@dataclass(frozen=True)
class Cost:
    """What a network takes on BOARD.

    Attributes:
        weights: Bytes of all constants in its graph, tables too.
        flash: Of the whole firmware.
        ram: Without the stack.
        instructions: Of a decision, exact, mean of two excerpts.
    """

    weights: int
    flash: int
    ram: int
    instructions: int


def cost_of(recipe: Recipe) -> Cost:
    """Train for one epoch on generated ECGs, build, and count."""
    recordings = load_labelled("synthetic")
    once = replace(recipe, training=replace(recipe.training, epochs=1))
    with tempfile.TemporaryDirectory() as place:
        trained = train(once, recordings, (), Path(place) / "model", seed=0)
        graph = quantize(trained, recordings)
        project = le.export(graph, board=BOARD, to=Path(place) / "firmware")
        size = le.build(project).size
        found = verify_project(
            project, "virtual", load_labelled("excerpts")[:2], dataset="excerpts"
        )
    if found.mismatches or found.decision_cost is None or size is None:
        raise SystemExit(f"{recipe.name}: {found.mismatches} mismatches; it is not measured")
    cost = round(found.decision_cost.decision)
    return Cost(constant_bytes(graph), size.flash_bytes, size.ram_bytes, cost)


def constant_bytes(graph: QGraph) -> int:
    """Return the bytes of all arrays in a graph's operators."""
    values = (getattr(op, f.name) for op in graph.ops for f in fields(op))
    return sum(v.nbytes for v in values if isinstance(v, np.ndarray))


def row_of(document: Mapping[str, Any], cost: Cost) -> str:
    """Return a line of the table."""
    kind = "integer" if "integer" in document["seeds"][0] else "float"
    runs = [seed[kind] for seed in document["seeds"]]
    main = [run["main_f1"] for run in runs]
    s, v = (np.mean([run["classes"][c]["f1"] for run in runs]) for c in "SV")
    network = {"none": "as it is"}.get(document["ablation"], f"`{document['ablation']}`")
    each = ", ".join(f"{m:.3f}" for m in main)
    taken = " | ".join(f"{getattr(cost, f.name):,}" for f in fields(cost))
    told = f"{np.mean(main):.3f} ({each}) | {s:.3f} | {v:.3f}"
    return f"| `{document['recipe']}` | {network} | {taken} | {told} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    print(HEAD)
    print("|---" * HEAD.count(" | ") + "|---|")
    for path in parser.parse_args().files:
        document = json.loads(path.read_text())
        recipe = ablate(load_recipe(document["recipe"], document["settings"]), document["ablation"])
        print(row_of(document, cost_of(recipe)), flush=True)


if __name__ == "__main__":
    main()
