"""Judges models of beats, one a seed, on a split: the figures of a card as Markdown.

Example: python scripts/beats_card.py runs/seed*/model.qgraph --data-dir DIR --without 232
Every figure is a mean over the models, in integers; intervals are 95 % over patients, means of the
models' bounds. A record that decides by itself what the figures are is left out a second time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnn_edge.graph.file import load_graph
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.single_label import (
    RESAMPLES,
    Evaluation,
    evaluate_scores,
    integer_scores,
)
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import task_of

Judged = tuple[list[DecisionSequence], list[np.ndarray], Sequence[str], tuple[str, ...]]


def judged(model: Path, recordings: Sequence[Labelled]) -> Judged:
    """Return decisions and scores of a model, its classes, and which of them are rare."""
    graph = load_graph(model)
    task = task_of(graph.metadata)
    if task is None or task.decide != "events":
        raise SystemExit(f"{model} is no model of beats; give one that decides on events")
    return *integer_scores(graph, recordings), task.classes, task.rare


def figures(run: Judged, without: Sequence[str]) -> Evaluation:
    """Judge the records but those left out."""
    sequences, scores, classes, rare = run
    kept = [i for i, s in enumerate(sequences) if s.name not in without]
    return evaluate_scores(
        [sequences[i] for i in kept], [scores[i] for i in kept], classes, RESAMPLES, rare
    )


def table_of(runs: Sequence[Evaluation]) -> list[str]:
    """Return a row for each class, and the means."""
    lines = ["| class | beats | Se | PPV | F1 |", "|---|---|---|---|---|"]
    for name, of_first in runs[0].classes.items():
        cells = [
            _with_interval(runs, [getattr(r.classes[name], key) for r in runs], f"{name} {key}")
            for key in ("se", "ppv", "f1")
        ]
        lines.append(f"| {name} | {of_first.n:,} | {' | '.join(cells)} |")
    main = [r.main_f1 for r in runs]
    each = ", ".join(f"{v:.3f}" for v in main)
    return [
        *lines,
        "",
        f"Mean F1 of {', '.join(runs[0].main_classes)} "
        f"{_with_interval(runs, main, 'main_f1')} (each model {each}), accuracy "
        f"{_with_interval(runs, [r.accuracy for r in runs], 'accuracy')}.",
    ]


def _with_interval(runs: Sequence[Evaluation], values: Sequence[float | None], name: str) -> str:
    told = [v for v in values if v is not None]
    if not told:
        return "-"
    bounds = [r.intervals[name] for r in runs if name in r.intervals]
    low, high = np.mean(bounds, 0) if bounds else (np.nan, np.nan)
    return f"{np.mean(told):.3f} [{low:.2f}, {high:.2f}]"


def records_of(runs: Sequence[Evaluation]) -> list[str]:
    """Return a row for each record: beats, accuracy, and beats of each class that are found."""
    classes = list(runs[0].classes)
    names = " | ".join(f"{c} found" for c in classes)
    lines = [f"| record | beats | accuracy | {names} | S said |", "|---" * (len(classes) + 4) + "|"]
    for rows in zip(*(r.records for r in runs), strict=True):
        counts = np.mean([row.confusion for row in rows], 0)
        found = [
            f"{counts[i, i]:.0f} of {counts[i].sum():.0f}" if counts[i].sum() else "-"
            for i in range(len(classes))
        ]
        said = counts[:, classes.index("S")].sum() if "S" in classes else 0
        name, count, accuracy = rows[0].name, rows[0].n, np.mean([row.accuracy for row in rows])
        lines.append(f"| {name} | {count:,} | {accuracy:.3f} | {' | '.join(found)} | {said:.0f} |")
    return lines


def _check_known(names: Sequence[str], known: Sequence[str]) -> None:
    strange = [name for name in names if name not in known]
    if strange:
        raise SystemExit(f"--without {' '.join(strange)}: the records are {', '.join(known)}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="model.qgraph of each seed")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--dataset", default="mitdb")
    parser.add_argument("--split", default="test")
    parser.add_argument("--fold", type=int, default=0, help="of --split validation")
    parser.add_argument("--lead", help="that comes first, where a data set leaves it free")
    parser.add_argument("--without", nargs="*", default=[], help="records to leave out as well")
    given = parser.parse_args()
    recordings = load_labelled(
        given.dataset, given.data_dir, given.split, fold=given.fold, lead=given.lead
    )
    _check_known(given.without, [r.name for r in recordings])
    runs = [judged(m, recordings) for m in given.models]
    whole = [figures(run, ()) for run in runs]
    print(f"{len(runs)} models on {given.dataset} {given.split}, all records:\n")
    print("\n".join(table_of(whole)))
    if given.without:
        print(f"\nWithout {', '.join(given.without)}:\n")
        print("\n".join(table_of([figures(run, given.without) for run in runs])))
    print("\nBy record, means of the models:\n")
    print("\n".join(records_of(whole)))


if __name__ == "__main__":
    main()
