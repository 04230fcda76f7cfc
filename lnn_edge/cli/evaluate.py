"""`lnn-edge evaluate`: accuracy of a float or integer model on recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, json_option, show_json, table
from lnn_edge.cli.quality import quality_option
from lnn_edge.cli.recordings import check_frames_alone, show_feed, wish_options

if TYPE_CHECKING:
    import numpy as np

    from lnn_edge.tasks.classifiable import Classifiable
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.judge import Figures
    from lnn_edge.tasks.metrics.multi_label import FindingsEvaluation
    from lnn_edge.tasks.metrics.single_label import Evaluation
    from lnn_edge.tasks.metrics.value import ValueEvaluation, ValuesEvaluation
    from lnn_edge.train.recipe import Preprocessing
    from lnn_edge.train.verdict import Verdict


@click.command(name="evaluate")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@wish_options("Name or WFDB folder [default: the embedded one of its task].", has_records=True)
@click.option("--split", default="all", show_default=True)
@click.option("--fold", type=int, default=0, show_default=True, help="For train and validation.")
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    help="Frames for a model of values: .npy of (N, T, channels) or (T, channels) "
    "[default: those that the model was quantized on].",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="Classes of --input as indices: .npy of (N,) for last decisions, or (N, D) for all.",
)
@click.option(
    "--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of patients."
)
@click.option("--find-beats", is_flag=True, help="Let a model of beats find them itself.")
@quality_option
@click.option(
    "--preprocessing",
    type=click.Choice(["causal", "whole-record"]),
    default="causal",
    show_default=True,
    help="Front end of a float model: that of the board, or the published one of ccfc.",
)
@json_option
def command(
    model: Path | None,
    wish: Wish,
    split: str,
    fold: int,
    input_path: Path | None,
    targets: Path | None,
    resamples: int,
    find_beats: bool,
    quality: tuple[int, int] | None,
    preprocessing: Preprocessing,
    as_json: bool,
) -> None:
    """Judge MODEL: a model.qgraph (integers), a trained folder (float), or a shipped model by name.

    Accuracy is told where there are labels: of recordings, or --targets of --input. How far the
    integers are from the float model is told where that model lies beside the graph, and
    else, if the graph keeps a reference, on its calibration data. An imported model is judged by
    the model.qgraph in its folder.

    The first line, and "trained_on" in JSON, tells which of the recordings the model learned from.
    With --find-beats an integer model of beats finds them itself, as `export --find-beats` has it;
    beats that it misses count as decided wrongly, and decisions where no beat is against their
    class, but in ventricular flutter. With --quality decisions on a signal that is flat, saturated
    or noisy are unclassifiable: they are counted, and the others judged apart.

    \b
    Example: lnn-edge evaluate runs/beats/model.qgraph --dataset mitdb --split test
    Example: lnn-edge evaluate runs/walks --data walks/test --label-column activity
    Example: lnn-edge evaluate policy --input X.npy --targets y.npy
    """
    from lnn_edge import evaluate
    from lnn_edge.errors import UsageError
    from lnn_edge.train.verdict import How

    check_frames_alone("--input", input_path, wish)
    if targets is not None and input_path is None:
        raise UsageError("--targets are the classes of --input X.npy; give it, or leave them out")
    how = How(resamples, find_beats, preprocessing, quality)
    if input_path is None:
        verdict = evaluate(model, replace(wish, split=split, fold=fold), how=how)
    else:
        verdict = evaluate(model, _frames(input_path, targets), how=how)
    if verdict.feed is not None:
        show_feed(verdict.feed, as_json)
    if as_json:
        show_json({**verdict.to_json(), "split": split})
    else:
        show_verdict(verdict)


def _frames(path: Path, targets: Path | None) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    from lnn_edge.data.npy import load_array, load_sequences

    frames = load_sequences(path)
    return frames if targets is None else (frames, load_array(targets))


def show_verdict(verdict: Verdict) -> None:
    """Print how good a model is."""
    from lnn_edge.build.decide import WORDS
    from lnn_edge.graph.fidelity import error_text

    out = console()
    if verdict.trained_on is not None:
        out.print(verdict.trained_on.sentence)
    if verdict.is_generated:
        out.print("These recordings are generated: figures over them say nothing of people.")
    things = "sequences" if verdict.feed is None else "recordings"
    title = f"{verdict.model} ({verdict.form}) on {verdict.dataset}, {verdict.count} {things}"
    if verdict.figures is None:
        out.print(f"{title}; without labels there is no accuracy")
    else:
        show_figures(title, verdict.figures)
    if verdict.classifiable is not None:
        out.print(told_classifiable(verdict.classifiable))
    for name, error in verdict.float_errors.items():
        output = f"output {name}, " if len(verdict.float_errors) > 1 else ""
        out.print(f"{output}against the float model, on {verdict.compared_on}: {error_text(error)}")
    if verdict.form == "integer" and not verdict.float_errors:
        out.print("against the float model: not known, none lies beside the graph")
    if verdict.engine is not None:
        out.print(f"integers by: {WORDS[verdict.engine]}")


def told_classifiable(found: Classifiable) -> str:
    """Return what is unclassifiable, and how good the rest is, in a line."""
    flaws = ", ".join(f"{flaw} {count:,}" for flaw, count in found.flaws.items())
    rest = "nothing is known" if found.figures is None else told_figures(found.figures)
    return (
        f"unclassifiable {found.unclassifiable:,} of {found.decisions:,} decisions ({flaws}); of "
        f"the others {rest}"
    )


def main_figure(judged: Evaluation | FindingsEvaluation) -> str:
    """Return the mean F1, over which classes it is taken, and which are left out."""
    left_out = f" ({', '.join(judged.absent_classes)} cannot be judged here)"
    names = ", ".join(judged.main_classes)
    return f"mean F1 of {names} {judged.main_f1:.4f}{left_out if judged.absent_classes else ''}"


def told_figures(judged: Figures) -> str:
    """Return the figures of any task in a line."""
    from lnn_edge.tasks.metrics.value import ValuesEvaluation

    if isinstance(judged, ValuesEvaluation):
        return "; ".join(map(told_errors, judged.values))
    return f"accuracy {judged.accuracy:.4f}, {main_figure(judged)}"


def told_errors(judged: ValueEvaluation) -> str:
    """Return the errors of a value in a line."""
    r2 = "not known" if judged.r2 is None else f"{judged.r2:.4f}"
    unit = f" {judged.unit}" if judged.unit else ""
    return (
        f"{judged.name}: mean absolute error {judged.mae:.4g}{unit}, root mean square "
        f"{judged.rmse:.4g}{unit}, R2 {r2}"
    )


def show_figures(title: str, judged: Figures) -> None:
    """Print figures of any task."""
    from lnn_edge.tasks.metrics.multi_label import FindingsEvaluation
    from lnn_edge.tasks.metrics.value import ValuesEvaluation

    if isinstance(judged, ValuesEvaluation):
        show_values(title, judged)
    elif isinstance(judged, FindingsEvaluation):
        show_findings(title, judged)
    else:
        show_evaluation(title, judged)


def show_findings(title: str, judged: FindingsEvaluation) -> None:
    """Print figures per finding."""
    rows: list[tuple[object, ...]] = []
    for name, f in judged.classes.items():
        shown = shown_or_dash(f.se, f.ppv, f.f1, f.auroc)
        rows.append((name, f.n, f.present, *shown, _range(judged, f"{name} auroc")))
    columns = ("finding", "records", "present", "Se", "PPV", "F1", "AUROC", "95 % over patients")
    out = console()
    out.print(table(title, columns, rows))
    out.print(
        f"{main_figure(judged)}, mean AUROC of the same {judged.macro_auroc:.4f}; "
        f"{100 * judged.accuracy:.1f} % of the known findings are right"
    )


def show_values(title: str, judged: ValuesEvaluation) -> None:
    """Print the errors of each value, and what is not known of any decision."""
    console().print(title)
    for value in judged.values:
        show_errors(value)
    if judged.absent:
        console().print(f"no decision has a value of {', '.join(judged.absent)}")


def show_errors(judged: ValueEvaluation) -> None:
    """Print errors of a value on each subject and recording."""
    out = console()
    rows = ((judged.subjects, "subject"), (judged.records, "recording"))
    for named, what in rows:
        body = [(f.name, f.n, *shown_or_dash(f.mae, f.rmse, f.r2, f.bias)) for f in named]
        columns = (what, "judged", "MAE", "RMSE", "R2", "mean error")
        out.print(table(f"{judged.name}: {what}s", columns, body))
    out.print(told_errors(judged))
    said = ", ".join(f"{k} {lo:.4g} to {hi:.4g}" for k, (lo, hi) in judged.intervals.items())
    if said:
        out.print(f"95 % over subjects: {said}")
    out.print(f"always saying the mean would give root mean square {judged.spread:.4g}")


def show_evaluation(title: str, judged: Evaluation) -> None:
    """Print figures per class, the confusion matrix and each recording."""
    out = console()
    rows: list[tuple[object, ...]] = []
    for name, f in judged.classes.items():
        shown = shown_or_dash(f.se, f.ppv, f.f1)
        rows.append((name, f.n, *shown, _range(judged, f"{name} f1")))
    out.print(table(title, ("class", "judged", "Se", "PPV", "F1", "95 % over patients"), rows))
    out.print(
        f"accuracy {judged.accuracy:.4f}, {main_figure(judged)}, "
        f"of all classes that occur {judged.macro_f1:.4f}"
    )
    names = list(judged.classes)
    heads, columns = ["record", "patient", "judged", "accuracy"], ["", *names]
    matrix: list[tuple[object, ...]] = list(
        zip(names, *zip(*judged.confusion, strict=True), strict=True)
    )
    per: list[tuple[object, ...]] = [(r.name, r.patient, r.n, r.accuracy) for r in judged.records]
    if judged.is_found:
        columns.append("missed")
        matrix = [(*row, n) for row, n in zip(matrix, judged.missed, strict=True)]
        matrix.append(("none", *judged.false, ""))
        heads += ["missed", "false"]
        each = [(sum(r.missed), sum(r.false)) for r in judged.records]
        per = [(*row, *counts) for row, counts in zip(per, each, strict=True)]
    out.print(table("true (rows) and predicted", columns, matrix))
    out.print(table("recordings", heads, per))


def shown_or_dash(*figures: float | None) -> list[object]:
    """Return figures for a table; a dash for one that is not known."""
    return ["-" if figure is None else figure for figure in figures]


def _range(judged: Evaluation | FindingsEvaluation, name: str) -> str:
    if name not in judged.intervals:
        return "-"
    low, high = judged.intervals[name]
    return f"{low:.3f} to {high:.3f}"
