"""The recordings in strips, and the scores of every decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lnn_edge.report.drawings.timeline import Strip, draw_timeline
from lnn_edge.report.facts import Report
from lnn_edge.report.liquid import layers_of
from lnn_edge.report.predictions import Prediction
from lnn_edge.report.timelines import timeline_of, timeline_of_played

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
    if not report.predictions and not graph.classes:
        return None
    words = report.words
    shown = [
        {
            "caption": _caption(p, words.unit),
            "strips": _judged(list(draw_timeline(timeline_of(p, layers))), report, p),
            "decisions": _decisions(p),
        }
        for p in report.predictions
    ]
    return {
        "heading": words.heading if shown else "Recordings",
        "words": words,
        "meanings": {c: words.classes[c] for c in graph.classes if c in words.classes},
        "shown": shown,
        "is_played": False,
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
    judged, wrong = int(prediction.is_judged.sum()), int(prediction.is_wrong.sum())
    if prediction.is_multi_label:
        return f"{name}: {len(prediction.stamps)} decisions"
    if recording.task.labels == "record":
        unit = "decisions"
    return f"{name}: {judged - wrong} of {judged} {unit} right"


def _judged(strips: list[Strip], report: Report, prediction: Prediction) -> list[Strip]:
    """Return the strips; of findings they are wrong where the whole record is."""
    found = next((f for f in report.findings if f.recording is prediction.recording), None)
    if found is None:
        return strips
    return [replace(strip, wrong=int(found.is_wrong)) for strip in strips]


def _decisions(prediction: Prediction) -> list[tuple[float, str, str, bool, list[float]]]:
    """Return time, truth, decision, whether it is wrong, and probabilities of each decision."""
    classes = prediction.recording.classes
    if prediction.is_multi_label:
        true = ["" for _ in prediction.stamps]
        said = ["+".join(c for c, s in zip(classes, row, strict=False) if s > 0) or "-"
                for row in prediction.scores.tolist()]  # fmt: skip
    else:
        true = [classes[i] if i >= 0 else "not scored" for i in prediction.labels.tolist()]
        said = [classes[i] for i in prediction.decided.tolist()]
    columns = (
        prediction.times_s.tolist(),
        true,
        said,
        prediction.is_wrong.tolist(),
        prediction.probabilities.tolist(),
    )
    return list(zip(*columns, strict=True))
