"""The files of a model in ONNX: a model of each stage, what joins them, and a player."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lnn_edge.codegen.onnx.float_stage import (
    FloatNetwork,
    float_stage,
    float_states,
    float_tensors,
)
from lnn_edge.codegen.onnx.scan import runs_on_every_frame, scan_model
from lnn_edge.codegen.onnx.stage_model import stage_model
from lnn_edge.files.version import VERSION
from lnn_edge.graph.file import document_of, graph_sha256, states_of
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, Stage

PIPELINE = "pipeline.json"


def onnx_files(
    graph: QGraph,
    unlearned: tuple[str, ...] | None = None,
    network: FloatNetwork | None = None,
    write: Callable[[Stage, dict[str, str]], bytes] = stage_model,
) -> dict[str, str | bytes]:
    """Return the files by name.

    Args:
        graph: Model.
        unlearned: Classes that no training data contained; None where that is not known.
        network: In floating point, in the place of the deciding stage's integers.
        write: Returns the file of a stage; stage_model the exact one, qdq_stage the other.

    Raises:
        GraphError: An operator has no form in ONNX; names it.
    """
    about = {"lnn_edge": VERSION, "model_sha256": graph_sha256(graph), "model": graph.name}
    exact = graph.stages if network is None else graph.preparing_stages
    models = {stage.name: write(stage, about) for stage in exact if stage.ops}
    document = {**about, **_pipeline(graph)}
    last = document["stages"][-1]
    if network is not None:
        output = graph.output.name
        last |= {"states": [*states_of(network.front.states), *float_states(network)], "probes": []}
        document["tensors"] |= float_tensors(network, output)
        models[last["name"]] = float_stage(network, output, about)
    if runs_on_every_frame(graph):
        models[f"{last['name']}.scan"] = scan_model(models[last["name"]], last, about)
    files: dict[str, str | bytes] = {f"{name}.onnx": model for name, model in models.items()}
    files["run.py"] = Path(__file__).with_name("run.py").read_text()
    if unlearned is not None:
        document["metadata"] = {**graph.metadata, "unlearned": list(unlearned)}
    files[PIPELINE] = json.dumps(document, indent=1, sort_keys=True) + "\n"
    return files


def _pipeline(graph: QGraph) -> dict[str, Any]:
    """Return what graph.json says of everything but operators, and what a player needs besides."""
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
            {k: v for k, v in told.items() if k != "operators"} | _joined(graph, stage)
            for told, stage in zip(document["stages"], graph.stages, strict=True)
        ],
        "stamps": {"first": first - 1, "hop": hop},
    }


def _joined(graph: QGraph, stage: Stage) -> dict[str, Any]:
    """Return the file of a stage, the ring it fills with which frame, and the windows it reads."""
    ring = None if stage is graph.deciding_stage else graph.filled_by(stage)
    return {
        "model": f"{stage.name}.onnx" if stage.ops else None,
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
