"""The recordings in strips, and the scores of every decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lnn_edge.graph.flaws import signal_names, told_flaws
from lnn_edge.report.drawings.timeline import Strip, draw_timeline
from lnn_edge.report.facts import Report
from lnn_edge.report.liquid import layers_of
from lnn_edge.report.predictions import Prediction
from lnn_edge.report.timelines import timeline_of, timeline_of_played
from lnn_edge.tasks.judged_output import judged_output

MOST_NAMED = 6  # channels in a caption
KNOWN = {1: "present", 0: "absent", -1: "unknown"}


def context(report: Report) -> dict[str, Any] | None:
    """Return strips and decisions of each recording; of a model without a task its reference."""
    graph = report.project.graph
    layers = layers_of(graph)
    if report.played:
        return {
            "heading": "Calibration sequences",
            "words": report.words,
            "shown": [
                {
                    "caption": f"{p.name.capitalize()}, {len(p.stamps):,} decisions",
                    "strips": list(draw_timeline(timeline_of_played(p, graph, layers))),
                    "decisions": None,
                }
                for p in report.played
            ],
            "is_played": True,
            "neurons": bool(layers),
        }
    if not report.predictions and not judged_output(graph).classes:
        return None
    words = report.words
    shown = [
        {
            "caption": _caption(p, words.unit),
            "strips": _judged(list(draw_timeline(timeline_of(p, layers))), report, p),
            "decisions": _decisions(p),
            "columns": _columns(p),
        }
        for p in report.shown
    ]
    return {
        "heading": words.heading if shown else "Recordings",
        "words": words,
        "meanings": {c: words.classes[c] for c in graph.classes if c in words.classes},
        "shown": shown,
        "is_played": False,
        "is_value": any(p.is_value for p in report.shown),
        "neurons": bool(layers),
        "classes": graph.classes,
        "findings": [
            (f, [(p, KNOWN[k]) for p, k in zip(f.probabilities, f.known, strict=True)])
            for f in report.findings
        ],
    }


def _caption(prediction: Prediction, unit: str) -> str:
    recording = prediction.recording
    leads = recording.leads
    shown = ", ".join(leads) if len(leads) <= MOST_NAMED else f"{len(leads)} channels"
    name = f"Record {recording.name}, {shown}"
    if prediction.is_value:
        return f"{name}: {_errors(prediction)} over {int(prediction.is_judged.sum())} {unit}"
    judged, wrong = int(prediction.is_judged.sum()), int(prediction.is_wrong.sum())
    if prediction.is_multi_label:
        return f"{name}: {len(prediction.stamps)} decisions"
    if recording.task.labels == "record" and len(prediction.scores):
        return f"{name}: {_of_record(prediction)} by the mean of {len(prediction.scores)} decisions"
    flawed = 0 if prediction.flaws is None else int(np.count_nonzero(prediction.flaws[:, 0]))
    beside = f", {flawed} decisions on a signal with flaws" if flawed else ""
    return f"{name}: {judged - wrong} of {judged} {unit} right{beside}"


def _judged(strips: list[Strip], report: Report, prediction: Prediction) -> list[Strip]:
    """Return the strips; of findings they are wrong where the whole record is."""
    found = next((f for f in report.findings if f.recording is prediction.recording), None)
    if found is None:
        return strips
    return [replace(strip, wrong=int(found.is_wrong)) for strip in strips]


def _of_record(prediction: Prediction) -> str:
    """Say the class of a whole record, and the true one."""
    classes, label = prediction.recording.classes, int(prediction.labels[0])
    said = classes[int(prediction.scores.mean(0).argmax())]
    if label < 0:
        return said
    return (
        f"{said}, which is right," if classes[label] == said else f"{said}, true {classes[label]},"
    )


def _errors(prediction: Prediction) -> str:
    """Say the mean absolute error of each value."""
    task = prediction.recording.task
    found = []
    for at, (name, unit) in enumerate(task.named_units):
        error = np.abs(prediction.scores - prediction.labels)[:, at]
        known = error[np.isfinite(error)]
        told = f"{known.mean():.3g} {unit}".rstrip() if known.size else "not known"
        found.append(f"{name} {told}" if len(task.classes) > 1 else told)
    return f"mean absolute error {', '.join(found)}"


def _columns(prediction: Prediction) -> list[str]:
    """Return what the last columns of the decisions are."""
    task = prediction.recording.task
    signal = () if prediction.flaws is None else signal_names(prediction.recording.leads)
    if not prediction.is_value:
        return [*task.classes[: prediction.scores.shape[1]], *signal]
    return ["error"] if len(task.classes) == 1 else [f"error of {name}" for name in task.classes]


def _decisions(prediction: Prediction) -> list[tuple[float, str, str, bool, list[str]]]:
    """Return time, truth, decision, whether it is wrong, and probabilities, or errors of values.

    Behind them in words what is wrong with the signal, of a model that tells it.
    """
    true = prediction.true
    if prediction.is_value:
        rows = (prediction.scores - prediction.labels).tolist()
        last = [["" if np.isnan(e) else f"{e:+.3g}" for e in row] for row in rows]
    else:
        last = [[f"{p:.3f}" for p in row] for row in prediction.probabilities.tolist()]
        if not prediction.is_multi_label:
            true = [t or "not scored" for t in true]
    if prediction.flaws is not None:
        words = ([told_flaws(bits) for bits in row] for row in prediction.flaws.tolist())
        last = [[*numbers, *signal] for numbers, signal in zip(last, words, strict=True)]
    columns = (
        prediction.times_s.tolist(),
        true,
        prediction.said,
        prediction.is_wrong.tolist(),
        last,
    )
    return list(zip(*columns, strict=True))
