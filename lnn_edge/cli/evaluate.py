"""`lnn-edge evaluate`: accuracy of a float or integer model on recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.leads import facts_of_model, lead_option, lead_to_feed
from lnn_edge.cli.output import console, data_dir_option, json_option, show_json, table

if TYPE_CHECKING:
    from lnn_edge.decisions import LabelledSignal
    from lnn_edge.evaluate import Evaluation
    from lnn_edge.findings import FindingsEvaluation
    from lnn_edge.judge import Figures
    from lnn_edge.recipe import Preprocessing


@click.command(name="evaluate")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--dataset", default="excerpts", show_default=True, help="Name or WFDB folder.")
@lead_option
@click.option("--split", default="all", show_default=True)
@click.option("--fold", type=int, default=0, show_default=True, help="For train and validation.")
@click.option("--records", help="Only these, comma-separated.")
@click.option(
    "--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of patients."
)
@click.option("--find-beats", is_flag=True, help="Let a model of beats find them itself.")
@click.option(
    "--preprocessing",
    type=click.Choice(["causal", "whole-record"]),
    default="causal",
    show_default=True,
    help="Front end of a float model: that of the board, or the published one of ccfc.",
)
@data_dir_option
@json_option
def command(
    model: Path | None,
    dataset: str,
    lead: str | None,
    split: str,
    fold: int,
    records: str | None,
    resamples: int,
    find_beats: bool,
    preprocessing: Preprocessing,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Judge MODEL: a model.qgraph (integers), a trained folder (float), or a shipped model by name.

    With --find-beats an integer model of beats finds them itself, as `export --find-beats` has it;
    beats that it misses are not judged.

    \b
    Example: lnn-edge evaluate runs/beats/model.qgraph --dataset mitdb --split test
    """
    from lnn_edge.data.registry import load_dataset

    names = None if records is None else records.split(",")
    fed = lead_to_feed(facts_of_model(model), lead)
    recordings = load_dataset(dataset, data_dir, split, names, fold, fed)
    form, path, judged = judge(model, recordings, resamples, find_beats, preprocessing)
    if as_json:
        head = {"model": str(path), "form": form, "dataset": dataset, "split": split}
        show_json({**head, "lead": fed, **judged.to_json()})
        return
    title = f"{path} ({form}) on {dataset}, {len(recordings)} recordings"
    show_figures(title, judged)


def judge(
    model: Path | None,
    recordings: Sequence[LabelledSignal],
    resamples: int,
    find_beats: bool = False,
    preprocessing: Preprocessing = "causal",
) -> tuple[str, Path, Figures]:
    """Return the model's form, its path and its figures."""
    from lnn_edge.errors import UsageError
    from lnn_edge.evaluate import integer_scores
    from lnn_edge.graphio import load_graph
    from lnn_edge.judge import judge as judge_scores
    from lnn_edge.shipped import graph_path

    path = model if model is not None and model.is_dir() else graph_path(model)
    if path.is_dir():
        from lnn_edge.trained import float_scores, load_trained, prepare

        network = load_trained(path).network
        sequences = prepare(network, recordings, preprocessing)
        scores, classes = float_scores(network, sequences), list(network.classes)
        return "float", path, judge_scores(sequences, scores, classes, resamples)
    if preprocessing != "causal":
        raise UsageError(
            f"preprocessing is {preprocessing}, and {path} has its own, in integers; judge the "
            "folder of a trained model, or leave --preprocessing out"
        )
    graph = load_graph(path)
    if find_beats:
        from lnn_edge.beat_detector import find_beats as with_detector

        graph = with_detector(graph)
    sequences, scores = integer_scores(graph, recordings)
    judged = judge_scores(sequences, scores, graph.classes, resamples)
    return "integer", path, judged


def main_names(judged: Figures) -> str:
    """Return the classes of the main figure."""
    from lnn_edge.evaluate import main_classes
    from lnn_edge.findings import FindingsEvaluation

    if isinstance(judged, FindingsEvaluation):
        return ", ".join(n for n, f in judged.classes.items() if f.is_judged)
    return ", ".join(main_classes(tuple(judged.classes)))


def show_figures(title: str, judged: Figures) -> None:
    """Print figures of any task."""
    from lnn_edge.findings import FindingsEvaluation

    if isinstance(judged, FindingsEvaluation):
        show_findings(title, judged)
    else:
        show_evaluation(title, judged)


def show_findings(title: str, judged: FindingsEvaluation) -> None:
    """Print figures per finding."""
    nothing = (float("nan"), float("nan"))
    rows: list[tuple[object, ...]] = []
    for name, f in judged.classes.items():
        low, high = judged.intervals.get(f"{name} auroc", nothing)
        shown = ["-" if v is None else v for v in (f.se, f.ppv, f.f1, f.auroc)]
        rows.append((name, f.n, f.present, *shown, f"{low:.3f} to {high:.3f}"))
    columns = ("finding", "records", "present", "Se", "PPV", "F1", "AUROC", "95 % over patients")
    out = console()
    out.print(table(title, columns, rows))
    out.print(
        f"mean of {main_names(judged)}: F1 {judged.macro_f1:.4f}, AUROC {judged.macro_auroc:.4f}; "
        f"{100 * judged.accuracy:.1f} % of the known findings are right"
    )


def show_evaluation(title: str, judged: Evaluation) -> None:
    """Print figures per class, the confusion matrix and each recording."""
    out = console()
    rows = []
    for name, f in judged.classes.items():
        low, high = judged.intervals.get(f"{name} f1", (float("nan"), float("nan")))
        rows.append((name, f.n, f.se, f.ppv, f.f1, f"{low:.3f} to {high:.3f}"))
    columns = ("class", "judged", "Se", "PPV", "F1", "95 % over patients")
    out.print(table(title, columns, rows))
    out.print(
        f"accuracy {judged.accuracy:.4f}, mean F1 of {main_names(judged)} {judged.main_f1:.4f}, "
        f"of all classes {judged.macro_f1:.4f}"
    )
    names = list(judged.classes)
    matrix = [(n, *row) for n, row in zip(names, judged.confusion, strict=True)]
    out.print(table("true (rows) and predicted", ("", *names), matrix))
    per = [(r.name, r.patient, r.n, r.accuracy) for r in judged.records]
    out.print(table("recordings", ("record", "patient", "judged", "accuracy"), per))
