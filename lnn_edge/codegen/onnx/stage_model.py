"""One stage as an ONNX model: the simulator's integers, its state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from lnn_edge.codegen.onnx.traced import INT64, Trace, Traced, as_traced, name_in
from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import Stage

OPSET, IR_VERSION = 18, 9  # the first with BitwiseAnd, and of the same time
TYPES = {
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
    "int32": TensorProto.INT32,
    "uint32": TensorProto.UINT32,
}


def stage_model(stage: Stage, about: dict[str, str]) -> bytes:
    """Return the ONNX file of one step of a stage.

    Inputs are those of the stage and its states, outputs its outputs, probes and updates of states,
    each by its name in the graph, in its type and shape.

    Args:
        stage: One with operators.
        about: Put into the file as its metadata.

    Raises:
        GraphError: An operator does what ONNX cannot carry; names it.
    """
    given = given_to(stage)
    kept = kept_of(stage)
    trace, values = trace_stage(stage)
    for tensor in kept:
        give(trace, tensor, values[tensor.name])
    return model_of(trace, stage.name, infos(given), infos(kept), about)


def given_to(stage: Stage) -> tuple[QTensor, ...]:
    """Return the integer inputs of a stage's model."""
    return (*stage.inputs, *(s.tensor for s in stage.states))


def kept_of(stage: Stage) -> tuple[QTensor, ...]:
    """Return the outputs of a stage's model."""
    given = given_to(stage)
    return tuple(dict.fromkeys(t for t in stage.kept if t not in given))


def trace_stage(stage: Stage) -> tuple[Trace, dict[str, Traced]]:
    """Return the nodes of a stage's operators, and all of its tensors by name, int64."""
    trace, values = Trace(), dict[str, Traced]()
    for tensor in given_to(stage):
        name = trace.add("Cast", tensor.name, to=TensorProto.INT64)
        values[tensor.name] = Traced(tensor.shape, INT64, trace, name)
    for op in stage.ops:
        trace.scope = op.name
        results = results_of(op, tuple(values[t.name] for t in op.inputs))
        values.update(zip((t.name for t in op.outputs), results, strict=True))
    return trace, values


def give(trace: Trace, tensor: QTensor, value: Traced) -> None:
    """Let a tensor be an output of the model, in its own type."""
    wide, to, name = name_in(trace, value), TYPES[tensor.dtype], tensor.name
    trace.nodes.append(helper.make_node("Cast", [wide], [name], f"give/{name}", to=to))


def model_of(
    trace: Trace,
    name: str,
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    about: dict[str, str],
    opset: tuple[int, int] = (OPSET, IR_VERSION),
) -> bytes:
    """Return the file of a model whose outputs are results of a trace."""
    nodes, constants = trace.used([y.name for y in outputs])
    return checked(helper.make_graph(nodes, name, inputs, outputs, constants), about, opset)


def checked(
    graph: GraphProto, about: dict[str, str], opset: tuple[int, int] = (OPSET, IR_VERSION)
) -> bytes:
    """Return the file of a graph, once onnx has checked it and its shapes."""
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset[0])],
        ir_version=opset[1],
        producer_name="lnn-edge",
    )
    helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def results_of(op: AbstractOp, inputs: tuple[Traced, ...]) -> tuple[Traced, ...]:
    """Return what an operator's reference gives.

    Raises:
        GraphError: The reference asks for what traced arrays do not have.
    """
    try:
        results = tuple(as_traced(y) for y in op.reference(*inputs))
    except (AttributeError, TypeError) as error:
        raise GraphError(
            f"{op.kind} {op.name}: its reference does what the exact form in ONNX cannot carry "
            f"({error}); write it with the functions in lnn_edge/codegen/onnx/namespace.py"
        ) from None
    for tensor, y in zip(op.outputs, results, strict=True):
        op.require(y.shape == tensor.shape, f"{tensor.name} must be {tensor.shape}, not {y.shape}")
    return results


def infos(tensors: Iterable[QTensor]) -> list[ValueInfoProto]:
    """Return what a graph says of integer inputs or outputs."""
    return [helper.make_tensor_value_info(t.name, TYPES[t.dtype], t.shape) for t in tensors]
