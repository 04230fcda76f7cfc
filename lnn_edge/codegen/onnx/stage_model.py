"""One stage as an ONNX model: the simulator's integers, its state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import TensorProto, ValueInfoProto, helper

from lnn_edge.codegen.onnx.traced import INT64, Trace, Traced, as_traced, name_in
from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import Stage

OPSET, IR_VERSION = 18, 9  # the first with BitwiseAnd, and of the same time
_TYPES = {
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
    given = (*stage.inputs, *(s.tensor for s in stage.states))
    kept = {t.name: t for t in stage.kept if t not in given}
    trace = Trace()
    values = {}
    for tensor in given:
        name = trace.add("Cast", tensor.name, to=TensorProto.INT64)
        values[tensor.name] = Traced(tensor.shape, INT64, trace, name)
    for op in stage.ops:
        trace.scope = op.name
        results = _results(op, tuple(values[t.name] for t in op.inputs))
        values.update(zip((t.name for t in op.outputs), results, strict=True))
    for name, tensor in kept.items():
        wide, to = name_in(trace, values[name]), _TYPES[tensor.dtype]
        trace.nodes.append(helper.make_node("Cast", [wide], [name], f"give/{name}", to=to))
    nodes, constants = trace.used(tuple(kept))
    graph = helper.make_graph(nodes, stage.name, _infos(given), _infos(kept.values()), constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lnn-edge",
    )
    helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _results(op: AbstractOp, inputs: tuple[Traced, ...]) -> tuple[Traced, ...]:
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


def _infos(tensors: Iterable[QTensor]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(t.name, _TYPES[t.dtype], t.shape) for t in tensors]
