"""Trains and judges the networks of 12-lead findings by cross-validation; writes a document.

Example: python scripts/findings.py --data-dir DIR --runs runs -o docs/findings.md
Each network is trained on four fifths of CPSC-2018 and judges the last fifth, for every fifth and
seed; what is in --runs already is taken from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lnn_edge.data.cpsc2018 import FOLD_COUNT, NAME, names_of
from lnn_edge.data.twelve_leads import FINDINGS
from lnn_edge.files.write import write_whole
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.quantize.trained import quantize
from lnn_edge.report.markup import INVERTED_IN_THE_DARK
from lnn_edge.tasks.findings.front_end import LEADS
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.multi_label import FindingsEvaluation, evaluate_findings
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.train.checkpoint import Trained, float_scores, load_trained, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import Recipe, compressed, load_recipe

COMPRESSED, WHOLE_RECORD, STREAM = "-compressed", "-whole-record", "-stream"
QUARTERS = 4
RECIPES = (
    *("ccfc", "cltc", "ccfc-stream", "cltc-stream", "cnn12"),
    *(f"ccfc{COMPRESSED}", f"ccfc{WHOLE_RECORD}"),
)
SILENT = -128  # a magnitude of zero
DRAWS = 1  # of the leads that are lost
SECONDS = (2.0, 4.0, 8.8, 16.0, 30.0)
RATE_HZ = 500
RESAMPLES = 1000
JUDGED = ("1dAVb", "RBBB", "LBBB", "AF")
COLOURS = ("#1b6ca8", "#c8553d", "#63a4d8", "#e9a38f", "#777777", "#3a7d44", "#8e6bbf")


@dataclass(frozen=True)
class Held:
    """What the networks of all folds say of records that they have not seen, scores per record.

    Attributes:
        sequences: The records.
        floats: Of float networks.
        integers: Of integer graphs.
        lost: Of float networks, by number of silent leads and draw.
        long_run: Of the first fold, if states are carried on.
    """

    sequences: list[DecisionSequence]
    floats: list[np.ndarray]
    integers: list[np.ndarray]
    lost: dict[tuple[int, int], list[np.ndarray]]
    long_run: LongRun | None = None


@dataclass(frozen=True)
class LongRun:
    """Scores on the records that fold 0 has not seen, one after the other without a reset.

    Attributes:
        seconds: Of all of them.
        span: Lowest and highest float score.
        errors: RMSE of integers against floats in each quarter.
        errors_from_resets: The same where each record starts from a reset.
    """

    seconds: float
    span: tuple[float, float]
    errors: tuple[float, ...]
    errors_from_resets: tuple[float, ...]


def trained_run(recipe: str, fold: int, seed: int, data_dir: str | None, runs: Path) -> Trained:
    """Return the network of a fold, trained unless it is there."""
    folder = runs / f"{recipe}-{seed}-{fold}"
    if not (folder / "model.safetensors").is_file():
        learned = load_labelled(NAME, data_dir, "train", fold=fold)
        train(plan_of(recipe), learned, (), folder, seed=seed)
    return load_trained(folder)


def plan_of(name: str) -> Recipe:
    """Return a recipe, or a variant of one."""
    plan = load_recipe(name.removesuffix(COMPRESSED).removesuffix(WHOLE_RECORD))
    if name.endswith(WHOLE_RECORD):
        return replace(plan, preprocessing="whole-record")
    return compressed(plan) if name.endswith(COMPRESSED) else plan


def without_leads(
    sequence: DecisionSequence, count: int, draw: int, index: int
) -> DecisionSequence:
    """Return a record in which some leads, drawn at random, are silent."""
    rng = np.random.default_rng((count, draw, index))
    leads = rng.permutation(len(LEADS))[:count]
    window = sequence.values["window"].copy()
    window[..., leads, :] = SILENT
    return DecisionSequence(
        sequence.name, sequence.patient, sequence.stamps, sequence.labels, {"window": window}
    )


def hold_out(recipe: str, seed: int, data_dir: str | None, runs: Path) -> Held:
    """Judge every record by the network that has not seen it."""
    held, ready = Held([], [], [], {}), dict[str, DecisionSequence]()
    long_run = None
    records = load_labelled(NAME, data_dir)
    for fold in range(FOLD_COUNT):
        trained = trained_run(recipe, fold, seed, data_dir, runs)
        if not ready:  # the front end does not depend on training
            ready = {s.name: s for s in prepare(trained.network, records)}
        parts = {s: set(names_of(s, fold)) for s in ("train", "validation")}
        learned, judged = ([r for r in records if r.name in names] for names in parts.values())
        graph = quantize(trained, learned, [ready[r.name] for r in learned])
        held.sequences.extend(ready[r.name] for r in judged)
        sequences = prepare(trained.network, judged, trained.card.recipe.preprocessing)
        held.floats.extend(float_scores(trained.network, sequences))
        held.integers.extend(integer_scores(graph, judged)[1])
        for count in range(1, len(LEADS)):
            for draw in range(DRAWS):
                lost = [without_leads(s, count, draw, i) for i, s in enumerate(sequences)]
                scores = float_scores(trained.network, lost)
                held.lost.setdefault((count, draw), []).extend(scores)
        if fold == 0 and recipe.endswith(STREAM):
            long_run = run_on(trained, graph, judged)
        print(recipe, seed, fold, flush=True)
    for sequence in held.sequences:
        sequence.values.clear()  # the windows are large
    return replace(held, long_run=long_run)


def run_on(trained: Trained, graph: QGraph, judged: Sequence[Labelled]) -> LongRun:
    """Judge records as one, and each by itself."""
    frames = np.concatenate([r.frames for r in judged])
    first = judged[0]
    whole = [replace(first, record=replace(first.record, name="all", samples=frames))]
    floats, errors = scores_and_errors(trained, graph, whole)
    _, alone = scores_and_errors(trained, graph, judged)
    span = float(floats.min()), float(floats.max())
    return LongRun(len(frames) / RATE_HZ, span, in_quarters(errors), in_quarters(alone))


def scores_and_errors(
    trained: Trained, graph: QGraph, records: Sequence[Labelled]
) -> tuple[np.ndarray, np.ndarray]:
    """Return float scores of all records, one after the other, and integers minus floats."""
    floats = np.concatenate(float_scores(trained.network, prepare(trained.network, records)))
    integers = np.concatenate(integer_scores(graph, records)[1])
    return floats, graph.output.dequantize(integers) - floats


def in_quarters(errors: np.ndarray) -> tuple[float, ...]:
    """Return the RMSE of each quarter."""
    return tuple(float(np.sqrt((e**2).mean())) for e in np.array_split(errors, QUARTERS))


def until(held: Held, seconds: float) -> FindingsEvaluation | None:
    """Judge the records by what was decided up to a moment; None if nothing was by then."""
    kept = [s.stamps < seconds * RATE_HZ for s in held.sequences]
    if not any(k.any() for k in kept):
        return None
    scores = [v[k] for v, k in zip(held.integers, kept, strict=True)]
    return evaluate_findings(held.sequences, scores, FINDINGS)


def auroc_over_loss(held: Held) -> list[float]:
    """Return the mean AUROC with 0 to 11 leads lost."""
    means = [evaluate_findings(held.sequences, held.floats, FINDINGS).macro_auroc]
    for count in range(1, len(LEADS)):
        each = [
            evaluate_findings(held.sequences, held.lost[count, d], FINDINGS).macro_auroc
            for d in range(DRAWS)
        ]
        means.append(float(np.mean(each)))
    return means


def accuracy_rows(results: dict[str, list[Held]]) -> Iterator[str]:
    """Return a row per network: means over seeds, the interval of the first."""
    for recipe, seeds in results.items():
        judged = [
            evaluate_findings(h.sequences, h.integers, FINDINGS, RESAMPLES if i == 0 else 0)
            for i, h in enumerate(seeds)
        ]
        floats = [evaluate_findings(h.sequences, h.floats, FINDINGS) for h in seeds]
        low, high = judged[0].intervals["macro_auroc"]
        cells = []
        for name in JUDGED:
            auroc = np.mean([j.classes[name].auroc for j in judged])
            f1 = np.mean([j.classes[name].f1 for j in judged])
            lowest, highest = judged[0].intervals[f"{name} auroc"]
            cells.append(f"{auroc:.3f} ({lowest:.2f} to {highest:.2f}), {f1:.2f}")
        spread = ", ".join(f"{j.macro_auroc:.3f}" for j in judged)
        mean = np.mean([j.macro_auroc for j in judged])
        yield (
            f"| {recipe} | {mean:.3f} ({low:.2f} to {high:.2f}) "
            f"| {np.mean([f.macro_auroc for f in floats]):.3f} | {spread} "
            f"| {np.mean([j.macro_f1 for j in judged]):.3f} | {' | '.join(cells)} |"
        )


def loss_rows(curves: dict[str, list[float]]) -> Iterator[str]:
    """Return a row per network: mean AUROC with 0 to 11 leads lost."""
    for recipe, means in curves.items():
        yield f"| {recipe} | {' | '.join(f'{m:.3f}' for m in means)} |"


def time_rows(results: dict[str, list[Held]]) -> Iterator[str]:
    """Return a row per network: mean AUROC of the decisions up to a moment, first seed."""
    for recipe, seeds in results.items():
        figures = [until(seeds[0], s) for s in SECONDS]
        cells = ["-" if f is None else f"{f.macro_auroc:.3f}" for f in figures]
        yield f"| {recipe} | {' | '.join(cells)} |"


def long_rows(results: dict[str, list[Held]]) -> Iterator[str]:
    """Return the section on long streams: its head, and a row per network that has states."""
    runs = {recipe: seeds[0].long_run for recipe, seeds in results.items()}
    for index, (recipe, run) in enumerate((r, run) for r, run in runs.items() if run is not None):
        if index == 0:
            yield LONG.format(minutes=run.seconds / 60)
        long, alone = (
            " | ".join(f"{e:.3f}" for e in errors)
            for errors in (run.errors, run.errors_from_resets)
        )
        yield f"| {recipe} | {run.span[0]:.1f} to {run.span[1]:.1f} | {long} |\n"
        yield f"| from resets | | {alone} |\n"


def plot(curves: dict[str, list[float]]) -> str:
    """Return an SVG of mean AUROC over lost leads."""
    width, height, left, bottom, top = 640, 360, 60, 50, 20
    across = (width - left - 150) / (len(LEADS) - 1)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - (value - 0.4) / 0.6)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f"<style>{INVERTED_IN_THE_DARK}</style>",
    ]
    for value in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        parts.append(
            f'<line x1="{left}" x2="{width - 150}" y1="{y(value):.0f}" y2="{y(value):.0f}" '
            f'stroke="#ddd"/><text x="{left - 32}" y="{y(value) + 4:.0f}">{value:.1f}</text>'
        )
    for count in range(len(LEADS)):
        parts.append(
            f'<text x="{left + count * across - 4:.0f}" y="{height - bottom + 20}">{count}</text>'
        )
    for means, colour in zip(curves.values(), COLOURS, strict=False):
        points = " ".join(f"{left + i * across:.1f},{y(m):.1f}" for i, m in enumerate(means))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    for index, (recipe, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        at = top + 20 + 20 * index
        parts.append(f'<text x="{width - 140}" y="{at}" fill="{colour}">{recipe}</text>')
    parts.append(f'<text x="{left}" y="{height - 10}">leads lost; mean AUROC</text></svg>')
    return "\n".join(parts) + "\n"


HEAD = """# Findings in 12-lead ECGs

    python scripts/findings.py --data-dir DIR --runs runs -o docs/findings.md

The {records} available records of CPSC-2018 ({counts}), raw samples in, 5 folds by record
(one record per patient is assumed), seeds {seeds}; every record is judged by a network that has not
seen it, its score the mean over its decisions. The challenge has no labels of SB and ST, so those
two outputs are not judged. The recipes were chosen by a few runs on the same folds:
figures are a little too good. In brackets 95 % bootstrap intervals over patients, first seed.

What cannot be concluded: with 11 and 22 records of two of the findings the intervals are wide, and
differences of a few hundredths lie inside them. Nothing here compares with figures published for
training on TNMG, which is a hundred times larger and not public.

`ccfc` and `cltc` judge 33 columns at once from a state of zeros, as published; the `-stream` forms
carry their states on; `cnn12` is a convolutional network of the size of CCfC without a memory or a
liquid cell; `ccfc-compressed` has 28 bins of 129 (`lnn-edge train ccfc --compress -o runs/ccfc`).
`ccfc-whole-record` learned from the published preprocessing, which needs whole recordings
(`lnn-edge train ccfc --preprocessing whole-record -o runs/ccfc`): its float figures are on that
preprocessing, its integer ones on the causal front end of the board, so the difference is what that
costs a network that does not know it; `ccfc` learned from the causal one.

| network | mean AUROC, integers | float | per seed | mean F1 | {judged} |
|---|---|---|---|---|{rule}
"""
TIMES = """
## How long until a decision

Mean AUROC, integers, of the decisions up to a moment after the start of the record. Without a state
33 columns (8.7 s) must be there first; the stream forms decide from 1.0 s on, every 0.256 s.

| network | {seconds} |
|---|{rule}
"""
LONG = """
## Long streams

The held-out records of the first fold one after the other, {minutes:.0f} minutes without a reset:
the lowest and the highest float score, and the RMSE of the integer scores quarter by quarter. Below
it the same with a reset before each record: what grows comes with the records and not with time.

| network | float scores | first quarter | second | third | fourth |
|---|---|---|---|---|---|
"""
LOST = """
## Lost leads

Mean AUROC with some of the 12 leads silent, drawn at random for each record (draws: {draws}),
float networks on the integer front end, first seed. One lead in ten was silent in training.

![Lost leads](findings.svg)

| network | {counts} |
|---|{rule}
"""


def document(
    results: dict[str, list[Held]], curves: dict[str, list[float]], seeds: list[int]
) -> str:
    """Return the document."""
    first = next(iter(results.values()))[0]
    known = np.array([s.labels[0] for s in first.sequences])
    present = dict(zip(FINDINGS, (known == 1).sum(0).tolist(), strict=True))
    head = HEAD.format(
        records=len(first.sequences),
        counts=", ".join(f"{c} {present[c]}" for c in JUDGED),
        seeds=", ".join(map(str, seeds)),
        judged=" | ".join(f"{c}: AUROC, F1" for c in JUDGED),
        rule="---|" * len(JUDGED),
    )
    times = TIMES.format(
        seconds=" | ".join(f"{s:g} s" for s in SECONDS), rule="---|" * len(SECONDS)
    )
    long = "".join(long_rows(results))
    lost = LOST.format(
        draws=DRAWS, counts=" | ".join(map(str, range(len(LEADS)))), rule="---|" * len(LEADS)
    )
    parts = (
        *(head, accuracy_rows(results), times, time_rows(results)),
        *(long, lost, loss_rows(curves)),
    )
    return "".join(p if isinstance(p, str) else "\n".join(p) + "\n" for p in parts)


def main() -> None:
    """Train what is missing, judge, write document and plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/findings.md"))
    given = parser.parse_args()
    tasks = [(r, seed, given.data_dir, given.runs) for r in given.recipes for seed in given.seeds]
    with ProcessPoolExecutor(given.processes) as pool:
        held = list(pool.map(hold_out, *zip(*tasks, strict=True)))
    results: dict[str, list[Held]] = {recipe: [] for recipe in given.recipes}
    for (recipe, *_), each in zip(tasks, held, strict=True):
        results[recipe].append(each)
    curves = {recipe: auroc_over_loss(seeds[0]) for recipe, seeds in results.items()}
    write_whole(given.output, document(results, curves, given.seeds))
    write_whole(given.output.with_suffix(".svg"), plot(curves))


if __name__ == "__main__":
    main()
