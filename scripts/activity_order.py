"""Judges an activity recipe on runs as they were made, and on their segments without the protocol.

Example: python scripts/activity_order.py har-spectrum-cfc --seeds 0,1 --data-dir DIR -o order.csv
All subjects followed one protocol, so a memory may learn its order. `protocol` is a run as it is;
`shuffled` its labelled segments in random order, one after the other; `alone` each of them from a
reset. With --transitions the six changes of posture are classes too, beside the activities. With
--test the official test is judged by models of all 21 training subjects: once, at the end.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lnn_edge.data import uci_har
from lnn_edge.data.hapt_cache import locate
from lnn_edge.data.record import Interval, Mark, Record
from lnn_edge.data.uci_har import FOLD_COUNT, WINDOW
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.single_label import evaluate_scores, integer_scores
from lnn_edge.tasks.recordings import label
from lnn_edge.tasks.task import Task
from lnn_edge.train.checkpoint import float_scores, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import Recipe, load_recipe, task_of_recipe

ORDERS = ("protocol", "shuffled", "alone")
Judged = tuple[list[DecisionSequence], list[np.ndarray]]


def segments_of(run: Record) -> list[Record]:
    """Return the labelled segments that hold a window, each a record of its own."""
    found = []
    for number, interval in enumerate(run.intervals):
        first, end = interval.first, interval.last + 1
        marks = [m for m in run.marks if first + WINDOW - 1 <= m.sample < end]
        if marks:
            own = replace(
                run,
                name=f"{run.name}_{number}",
                samples=run.samples[first:end],
                marks=tuple(replace(m, sample=m.sample - first) for m in marks),
                intervals=(replace(interval, first=0, last=end - first - 1),),
            )
            found.append(own)
    return found


def shuffled(run: Record, random: np.random.Generator) -> Record:
    """Return a run whose segments follow each other in random order."""
    segments = segments_of(run)
    segments = [segments[i] for i in random.permutation(len(segments))]
    starts = np.cumsum([0, *(len(s.samples) for s in segments)]).tolist()
    marks: list[Mark] = []
    intervals: list[Interval] = []
    for start, segment in zip(starts, segments, strict=False):
        marks += [replace(m, sample=m.sample + start) for m in segment.marks]
        intervals += [
            replace(i, first=i.first + start, last=i.last + start) for i in segment.intervals
        ]
    samples = np.concatenate([s.samples for s in segments])
    return replace(run, samples=samples, marks=tuple(marks), intervals=tuple(intervals))


def orders_of(runs: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    """Return the runs in each of ORDERS; the random order is always the same."""
    random = np.random.default_rng(0)
    mixed = [replace(r, record=shuffled(r.record, random)) for r in runs]
    alone = [replace(r, record=s) for r in runs for s in segments_of(r.record)]
    return dict(zip(ORDERS, (list(runs), mixed, alone), strict=True))


def read(data_dir: str | None, split: str, fold: int, task: Task) -> list[Labelled]:
    """Read the runs of a split, with labels of the classes of the task."""
    folder = locate(None if data_dir is None else Path(data_dir))
    runs = uci_har.read(folder, uci_har.names_of(split, fold), task.classes)
    return [label(run, task) for run in runs]


def judge(
    recipe: Recipe, seed: int, task: Task, learned: Sequence[Labelled], unseen: Sequence[Labelled]
) -> dict[tuple[str, str], Judged]:
    """Train and quantize; return decisions and scores by form and order."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        trained = train(recipe, learned, (), Path(folder), seed=seed, task=task)
    graph, found = quantize(trained, learned), dict[tuple[str, str], Judged]()
    for order, runs in orders_of(unseen).items():
        sequences = prepare(trained.network, runs, recipe.preprocessing)
        found["float", order] = sequences, float_scores(trained.network, sequences)
        found["integer", order] = integer_scores(graph, runs)
    return found


def main() -> None:
    """Train every seed on every fold, or on all training subjects; write and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--transitions", action="store_true")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.set)
    task = task_of_recipe(recipe)
    if args.transitions:
        task = replace(task, name="transitions", classes=(*task.classes, *uci_har.TRANSITIONS))
    splits = [("develop", "test", 0)] if args.test else []
    splits = splits or [("train", "validation", fold) for fold in range(FOLD_COUNT)]
    rows = []
    for seed in map(int, args.seeds.split(",")):
        parts: dict[tuple[str, str], Judged] = {}
        for told, unseen, fold in splits:
            learned, others = (read(args.data_dir, s, fold, task) for s in (told, unseen))
            for key, (sequences, scores) in judge(recipe, seed, task, learned, others).items():
                before = parts.setdefault(key, ([], []))
                before[0].extend(sequences)
                before[1].extend(scores)
        for (form, order), (sequences, scores) in parts.items():
            figures = evaluate_scores(sequences, scores, task.classes)
            rows.append((seed, form, order, figures.n, figures.accuracy, figures.macro_f1))
            print(*rows[-1], flush=True)
    with args.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("seed", "form", "order", "windows", "accuracy", "macro_f1"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
