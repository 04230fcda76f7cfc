"""A deciding stage with its network in floating point behind the integers of its front end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, compose, helper

from lnn_edge.codegen.onnx.namespace import astype
from lnn_edge.codegen.onnx.stage_model import give, given_to, infos, model_of, trace_stage
from lnn_edge.codegen.onnx.traced import DOUBLE, Traced, constant, name_in
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.stage import Stage

WIDEST = float(np.finfo(np.float32).max)
_WITHIN = "network/"  # what the names of torch's nodes begin with


@dataclass(frozen=True)
class Reading:
    """An input of a network: elements [first, end) of a tensor's last axis, in real units.

    Attributes:
        tensor: Of the front end.
        shape: Of the input, without batch and time.
        first: Of the elements.
        end: Behind the last of them; None for all.
    """

    tensor: QTensor
    shape: tuple[int, ...]
    first: int = 0
    end: int | None = None


@dataclass(frozen=True)
class FloatNetwork:
    """One step of a network in floating point.

    Attributes:
        model: ONNX file of OPSET: inputs (1, 1, *shape) float32 named as readings and states,
            outputs `output` (1, 1, O) and states, each named as the old one and `_next`.
        readings: By the name of the input.
        states: Shapes by name; a state begins with 0.
        size: O.
        front: Stage with the operators that compute what is read.
    """

    model: bytes
    readings: dict[str, Reading]
    states: dict[str, tuple[int, ...]]
    size: int
    front: Stage


def float_stage(network: FloatNetwork, output: str, about: dict[str, str]) -> bytes:
    """Return the ONNX file of the stage: inputs and integer states as those of its front end.

    Args:
        network: What decides.
        output: Name of the output, (O,) float32 in real units.
        about: Put into the file as its metadata.
    """
    front = network.front
    inner = compose.add_prefix(onnx.load_from_string(network.model), _WITHIN)
    trace, values = trace_stage(front)
    updates = [s.update for s in front.states]
    for tensor in updates:
        give(trace, tensor, values[tensor.name])
    trace.scope = "network"
    for name, reading in network.readings.items():
        real = _real(values[reading.tensor.name], reading)
        small = trace.add("Cast", name_in(trace, real), to=TensorProto.FLOAT)
        shape = trace.index(1, 1, *reading.shape)
        trace.nodes.append(helper.make_node("Reshape", [small, shape], [_WITHIN + name]))
    for name in network.states:
        trace.nodes.append(helper.make_node("Identity", [name], [_WITHIN + name]))
    _count_axes_forwards(inner)
    trace.nodes.extend(inner.graph.node)
    trace.stored.update({tensor.name: tensor for tensor in inner.graph.initializer})
    for name in network.states:
        trace.nodes.append(
            helper.make_node("Identity", [f"{_WITHIN}{name}_next"], [f"{name}_next"])
        )
    flat = [f"{_WITHIN}output", trace.index(network.size)]
    trace.nodes.append(helper.make_node("Reshape", flat, [output]))
    old = [_info(name, shape) for name, shape in network.states.items()]
    new = [_info(f"{name}_next", shape) for name, shape in network.states.items()]
    outputs = [_info(output, (network.size,)), *infos(updates), *new]
    return model_of(trace, front.name, [*infos(given_to(front)), *old], outputs, about)


def float_states(network: FloatNetwork) -> list[dict[str, Any]]:
    """Return what pipeline.json says of the states that no graph has."""
    return [{"tensor": n, "update": f"{n}_next", "initial": 0} for n in network.states]


def float_tensors(network: FloatNetwork, output: str) -> dict[str, dict[str, Any]]:
    """Return what pipeline.json says of tensors that no graph has."""
    shapes: dict[str, tuple[int, ...]] = {output: (network.size,)}
    for name, shape in network.states.items():
        shapes |= {name: shape, f"{name}_next": shape}
    plain = {"dtype": "float32", "scale": 1.0, "zero_point": 0, "qmin": -WIDEST, "qmax": WIDEST}
    return {name: {**plain, "shape": shape} for name, shape in shapes.items()}


def _count_axes_forwards(model: ModelProto) -> None:
    """Name the axes of Transpose as ONNX asks; torch passes on those counted from the last."""
    for node in model.graph.node:
        for perm in node.attribute if node.op_type == "Transpose" else ():
            perm.ints[:] = [axis % len(perm.ints) for axis in perm.ints]


def _real(value: Traced, reading: Reading) -> Traced:
    """Return what a reading is in real units, float64 as the simulator computes it."""
    tensor = reading.tensor
    zero, step = (constant(np.asarray(v, float)) for v in (tensor.zero_points, tensor.scales))
    real: Traced = (astype(value, DOUBLE) - zero) * step
    return real[..., reading.first : reading.end]


def _info(name: str, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
