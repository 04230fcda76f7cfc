"""The files of a model in TFLite: models of each stage, what joins them, a player, and arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lnn_edge.codegen.player.pipeline import PIPELINE, pipeline_of
from lnn_edge.codegen.player.script import player_script
from lnn_edge.codegen.tflite.agreement import check_agreement
from lnn_edge.codegen.tflite.flat import stored_as
from lnn_edge.codegen.tflite.micro import micro_files
from lnn_edge.codegen.tflite.records import Record, records_of, seen_in
from lnn_edge.codegen.tflite.stage_model import stage_models
from lnn_edge.files.version import VERSION
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.qgraph import QGraph

AGREEMENT = "agreement.json"


def tflite_files(
    graph: QGraph,
    unlearned: tuple[str, ...] | None = None,
    records: Sequence[Record] = (),
) -> dict[str, str | bytes]:
    """Return the files by name, once they agree with the integers.

    Args:
        graph: Model.
        unlearned: Classes that no training data contained; None where that is not known.
        records: On which they must agree; none takes those of the model's reference, or noise.

    Raises:
        GraphError: An operator has no form in TFLite, which is named; or the models decide
            otherwise than the integers too often.
    """
    about = {"lnn_edge": VERSION, "model_sha256": graph_sha256(graph), "model": graph.name}
    chosen = records_of(graph, records)
    seen = seen_in(graph, chosen)
    models = {stage.name: stage_models(stage, about, seen) for stage in graph.stages if stage.ops}
    names = {stage: [f"{m.name}.tflite" for m in made] for stage, made in models.items()}
    document = {**about, **pipeline_of(graph, names)}
    if unlearned is not None:
        document["metadata"] = {**graph.metadata, "unlearned": list(unlearned)}
    every = [model for made in models.values() for model in made]
    tensors = {t.name: t for m in every for t in (*m.inputs, *m.outputs)}
    for name, told in document["tensors"].items():
        if name in tensors:
            told["dtype"] = stored_as(tensors[name])
    files: dict[str, str | bytes] = {f"{m.name}.tflite": m.file for m in every}
    files |= {f"{m.name}.stateful.tflite": m.stateful for m in every if m.stateful is not None}
    files[PIPELINE] = json.dumps(document, indent=1, sort_keys=True) + "\n"
    files["run.py"] = player_script("tflite")
    agreed = check_agreement(graph, files, chosen)
    for model in every:
        if not model.is_exact:
            files |= micro_files(graph, model)
    files[AGREEMENT] = json.dumps(agreed, indent=1, sort_keys=True) + "\n"
    return files
