"""pipeline.json: when each stage runs, what it reads, and how its integers are to be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lnn_edge.graph.file import document_of
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, Stage

PIPELINE = "pipeline.json"


def pipeline_of(graph: QGraph, models: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what graph.json says of everything but operators, and what a player needs besides.

    Args:
        graph: Model.
        models: Files of a stage that computes something, in order, by its name.
    """
    document = document_of(graph)
    seen = {t.name for stage in graph.stages for t in (*stage.inputs, *stage.kept)}
    seen |= {state.tensor.name for state in graph.states} | {r.frame.name for r in graph.rings}
    first, hop = graph.pace(graph.ring(graph.deciding_trigger.ring))
    return {
        "metadata": graph.metadata,
        "outputs": [asdict(output) for output in graph.outputs],
        "tensors": {name: t for name, t in document["tensors"].items() if name in seen},
        "rings": document["rings"],
        "stages": [
            {k: v for k, v in told.items() if k != "operators"} | _joined(graph, stage, models)
            for told, stage in zip(document["stages"], graph.stages, strict=True)
        ],
        "stamps": {"first": first - 1, "hop": hop},
    }


def _joined(graph: QGraph, stage: Stage, models: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the files of a stage, the ring it fills with which frame, and the windows it reads."""
    ring = None if stage is graph.deciding_stage else graph.filled_by(stage)
    return {
        "models": list(models.get(stage.name, ())),
        "fills": ring and ring.name,
        "frame": ring and ring.frame.name,
        "windows": _windows(graph, stage),
    }


def _windows(graph: QGraph, stage: Stage) -> list[dict[str, Any]]:
    """Return the windows of a stage, `first` counted from the event or the number of frames."""
    trigger, windows = stage.trigger, []
    for window in trigger.windows:
        first = -trigger.pre if isinstance(trigger, EventTrigger) else -window.reach
        if isinstance(trigger, EveryTrigger):
            first += graph.lead(trigger, window)
        plain = {"ring": window.ring, "frames": window.frames.name, "first": first}
        shape = {"length": window.length, "dilation": window.dilation, "shape": window.frames.shape}
        windows.append(plain | shape)
    return windows
