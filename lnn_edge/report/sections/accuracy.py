"""How good the model is: held-out figures beside those over the recordings shown."""

from __future__ import annotations

from typing import Any

from lnn_edge.nn.history import Epoch, kept_epoch
from lnn_edge.report.facts import Report
from lnn_edge.tasks.metrics.single_label import Evaluation
from lnn_edge.tasks.recordings import chosen_lead

FIGURES = {
    "accuracy": "accuracy",
    "main_f1": "mean F1",
    "macro_f1": "mean F1 of all classes",
    "macro_auroc": "mean AUROC",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "r2": "R2",
    "nrmse": "error over spread",
}
"""Of a history, in words; those of the task that a model was trained for are there."""


def context(report: Report) -> dict[str, Any] | None:
    """Return figures of the card, of the training and of the recordings shown."""
    graph = report.project.graph
    if not graph.classes:
        return None
    judged = report.evaluation if isinstance(report.evaluation, Evaluation) else None
    facts = report.held_out.facts
    return {
        "words": report.words,
        "card": facts.accuracy if facts else (),
        "caveat": facts.caveat if facts else "",
        "validated": validated(report),
        "missing": _why_none(report),
        "judged": judged,
        "trained_on": report.trained_on.sentence if report.trained_on else "",
        "people": len({p.recording.patient for p in report.predictions}),
        "recordings": len(report.predictions),
        "shown": len(report.shown),
        "classes": _class_rows(judged) if judged else [],
        "interval": lambda name: _interval(judged, name) if judged else "",
    }


def validated(report: Report) -> list[tuple[str, float, int]]:
    """Return figure, value and epoch of the recordings held out in training."""
    history = report.held_out.history
    if not history:
        return []
    kept = kept_epoch(history)
    return [(FIGURES[name], kept.metrics[name], kept.epoch) for name in figures_of(kept)]


def figures_of(epoch: Epoch) -> list[str]:
    """Return the names of the figures of an epoch; one mean F1 where both are alike."""
    names = [name for name in FIGURES if name in epoch.metrics]
    if epoch.metrics.get("main_f1") == epoch.metrics.get("macro_f1") is not None:
        names.remove("macro_f1")
    return names


def _why_none(report: Report) -> str:
    """Return why there are no figures over the recordings shown, "" if there are."""
    graph = report.project.graph
    if report.findings or report.evaluation is not None:
        return ""
    if report.predictions:
        learned = graph.metadata.get("dataset", "other recordings")
        return (
            f"The recordings below are generated and the model learned from {learned}: figures "
            "over them would mean nothing."
        )
    classes, lead = ", ".join(graph.classes) or "values", chosen_lead(graph.metadata)
    classes += f" from lead {lead}" if lead else ""
    return (
        f"No recordings of this model's task ({classes}) are part of lnn-edge, so there are no "
        "figures."
    )


def _class_rows(judged: Evaluation) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """Return name, count, and three figures with their intervals of each class."""
    return [
        (
            name,
            f.n,
            [
                ("-" if value is None else f"{value:.3f}", _interval(judged, f"{name} {key}"))
                for key, value in (("se", f.se), ("ppv", f.ppv), ("f1", f.f1))
            ],
        )
        for name, f in judged.classes.items()
    ]


def _interval(judged: Evaluation, name: str) -> str:
    if name not in judged.intervals:
        return ""
    low, high = judged.intervals[name]
    return f" [{low:.3f}, {high:.3f}]"
