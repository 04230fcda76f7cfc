"""A model of one stage over a whole sequence: its step as the body of a Scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ValueInfoProto, compose, helper, numpy_helper

from lnn_edge.codegen.onnx.stage_model import checked
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger

_WITHIN = "step/"


def runs_on_every_frame(graph: QGraph) -> bool:
    """Return whether a model is one stage that reads each frame as it arrives."""
    trigger = graph.deciding_trigger
    if graph.prepares or len(graph.stages) > 2 or not isinstance(trigger, EveryTrigger):
        return False
    return trigger.first == trigger.hop == trigger.length == 1


def scan_model(step: bytes, told: dict[str, Any], about: dict[str, str]) -> bytes:
    """Return the ONNX file of a stage that runs on every frame.

    Inputs are `frames` (T, C) and the states, outputs `outputs` (T, O) and the states after the
    last frame, named as those of the step.

    Args:
        step: Its ONNX file.
        told: What pipeline.json says of the stage.
        about: Put into the file as its metadata.
    """
    model = compose.add_prefix(onnx.load_from_string(step), _WITHIN)
    graph, opset = model.graph, (model.opset_import[0].version, model.ir_version)
    known = {v.name.removeprefix(_WITHIN): v for v in (*graph.input, *graph.output)}
    (window,), (output,) = told["windows"], told["outputs"]
    states = [s["tensor"] for s in told["states"]]
    updates = [s["update"] for s in told["states"]]
    body = helper.make_graph(
        [*graph.node, helper.make_node("Identity", [_WITHIN + output], [f"{_WITHIN}outputs"])],
        "step",
        [known[n] for n in (*states, window["frames"])],
        [*(known[n] for n in updates), _one(known[output], f"{_WITHIN}outputs")],
        graph.initializer,
    )
    shape = numpy_helper.from_array(np.array([-1, *window["shape"]]), "shape_of_windows")
    nodes = [
        helper.make_node("Reshape", ["frames", shape.name], ["windows"]),
        helper.make_node(
            "Scan", [*states, "windows"], [*updates, "outputs"], body=body, num_scan_inputs=1
        ),
    ]
    inputs = [_over_time(known[window["frames"]], "frames"), *(_one(known[n], n) for n in states)]
    outputs = [_over_time(known[output], "outputs"), *(_one(known[n], n) for n in updates)]
    return checked(helper.make_graph(nodes, told["name"], inputs, outputs, [shape]), about, opset)


def _one(value: ValueInfoProto, name: str) -> ValueInfoProto:
    """Return an input or output of the step by its own name."""
    tensor = value.type.tensor_type
    sizes = [d.dim_value for d in tensor.shape.dim]
    return helper.make_tensor_value_info(name, tensor.elem_type, sizes)


def _over_time(value: ValueInfoProto, name: str) -> ValueInfoProto:
    """Return vectors over time, (T, size), in the type of one of them."""
    tensor = value.type.tensor_type
    size = tensor.shape.dim[-1].dim_value
    return helper.make_tensor_value_info(name, tensor.elem_type, ["T", size])
