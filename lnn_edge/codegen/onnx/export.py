"""The files of a model in ONNX: a model of each stage, what joins them, and a player."""

from __future__ import annotations

import json
from collections.abc import Callable

from lnn_edge.codegen.onnx.float_stage import (
    FloatNetwork,
    float_stage,
    float_states,
    float_tensors,
)
from lnn_edge.codegen.onnx.scan import runs_on_every_frame, scan_model
from lnn_edge.codegen.onnx.stage_model import stage_model
from lnn_edge.codegen.player.pipeline import PIPELINE, pipeline_of
from lnn_edge.codegen.player.script import player_script
from lnn_edge.files.version import VERSION
from lnn_edge.graph.file import graph_sha256, states_of
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import Stage


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
    files_of = {stage.name: [f"{stage.name}.onnx"] for stage in graph.stages if stage.ops}
    document = {**about, **pipeline_of(graph, files_of)}
    last = document["stages"][-1]
    if network is not None:
        output = graph.output.name
        last |= {"states": [*states_of(network.front.states), *float_states(network)], "probes": []}
        document["tensors"] |= float_tensors(network, output)
        models[last["name"]] = float_stage(network, output, about)
    if runs_on_every_frame(graph):
        models[f"{last['name']}.scan"] = scan_model(models[last["name"]], last, about)
    files: dict[str, str | bytes] = {f"{name}.onnx": model for name, model in models.items()}
    files["run.py"] = player_script("onnx")
    if unlearned is not None:
        document["metadata"] = {**graph.metadata, "unlearned": list(unlearned)}
    files[PIPELINE] = json.dumps(document, indent=1, sort_keys=True) + "\n"
    return files
