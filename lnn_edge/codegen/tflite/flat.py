"""A TFLite file, written operator by operator: tensors, constants, a signature. No numerics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from lnn_edge.graph.ir import QTensor

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
SIGNATURE = "step"
_LAST_OLD_CODE = 127  # codes above it lie in a field of their own
_OPTIONS = {
    "ADD": schema.AddOptionsT,
    "ASSIGN_VARIABLE": schema.AssignVariableOptionsT,
    "AVERAGE_POOL_2D": schema.Pool2DOptionsT,
    "BITCAST": schema.BitcastOptionsT,
    "CALL_ONCE": schema.CallOnceOptionsT,
    "CAST": schema.CastOptionsT,
    "CONCATENATION": schema.ConcatenationOptionsT,
    "CONV_2D": schema.Conv2DOptionsT,
    "GATHER": schema.GatherOptionsT,
    "LEAKY_RELU": schema.LeakyReluOptionsT,
    "MAX_POOL_2D": schema.Pool2DOptionsT,
    "MUL": schema.MulOptionsT,
    "READ_VARIABLE": schema.ReadVariableOptionsT,
    "REDUCE_MAX": schema.ReducerOptionsT,
    "RESHAPE": schema.ReshapeOptionsT,
    "STRIDED_SLICE": schema.StridedSliceOptionsT,
    "SUB": schema.SubOptionsT,
    "SUM": schema.ReducerOptionsT,
    "VAR_HANDLE": schema.VarHandleOptionsT,
}
_Told = tuple[str, list[int], list[int], dict[str, Any]]
"""An operator: code, tensors it reads, tensors it makes, options."""
_TYPES = {"int8": "int8", "int16": "int16", "uint16": "int32", "int32": "int32", "uint32": "int64"}


def stored_as(tensor: QTensor) -> str:
    """Return the type that a tensor has at the ends of files: the graph's, or a wider one.

    Kernels take no uint16, and int16 around 0 alone.
    """
    if tensor.dtype == "int16" and any(tensor.zero_points):
        return "int32"
    return _TYPES[tensor.dtype]


@dataclass(frozen=True)
class Stored:
    """A tensor of a file.

    Attributes:
        index: Place in the file.
        shape: Sizes.
        dtype: As numpy names it.
        scale: Real value of one step; 0 where a tensor has no format.
        zero_point: Integer that means 0.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class Variable:
    """An input that a file keeps itself from step to step.

    Attributes:
        update: Name of the output that it becomes.
        start: First value of all its elements.
        is_output: Whether the update is given as well.
    """

    update: str
    start: int
    is_output: bool


class Flat:
    """The operators of one file, in order.

    Attributes:
        seen: By name of a tensor whose range is that of its type, the largest magnitude that it
            needs.
    """

    def __init__(self, seen: Mapping[str, int]) -> None:
        self.seen = seen
        self._buffers = [schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[_Told] = []
        self._constants: dict[tuple[Any, ...], Stored] = {}

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        scale: float = 0.0,
        zero_point: int = 0,
        name: str = "",
    ) -> Stored:
        """Return a new tensor that a run fills."""
        sizes = tuple(int(n) for n in shape)
        scales = np.array([scale], np.float32) if scale else None
        self._put(name or f"t{len(self._tensors)}", sizes, dtype, 0, scales, zero_point)
        return Stored(len(self._tensors) - 1, sizes, dtype, scale, zero_point)

    def end(self, tensor: QTensor) -> Stored:
        """Return a new input of the file: a tensor of a graph, with a leading axis of 1."""
        scale, point = tensor.scales[0], tensor.zero_points[0]
        return self.tensor((1, *tensor.shape), stored_as(tensor), scale, point, tensor.name)

    def constant(
        self, value: np.ndarray, scales: Sequence[float] | float = (), axis: int = 0
    ) -> Stored:
        """Return a constant in the type of its array, the same for the same.

        Args:
            value: Its integers.
            scales: Real value of one step, or one for each place along an axis; () for none.
            axis: Which.
        """
        told = np.atleast_1d(np.asarray(scales, np.float32))
        key = value.tobytes(), value.dtype.str, value.shape, told.tobytes(), axis
        if key not in self._constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self._buffers.append(buffer)
            name, dtype = f"c{len(self._tensors)}", str(value.dtype)
            scale = told if told.size else None
            self._put(name, value.shape, dtype, len(self._buffers) - 1, scale, 0, axis)
            first = float(told[0]) if told.size else 0.0
            self._constants[key] = Stored(len(self._tensors) - 1, value.shape, dtype, first)
        return self._constants[key]

    def _put(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        buffer: int,
        scales: np.ndarray | None,
        zero_point: int,
        axis: int = 0,
    ) -> None:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank = name, np.array(shape, np.int32), True
        tensor.type, tensor.buffer = getattr(schema.TensorType, dtype.upper()), buffer
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.full(len(scales), zero_point, np.int64)
            tensor.quantization.quantizedDimension = axis
        self._tensors.append(tensor)

    def add(
        self,
        code: str,
        inputs: Sequence[Stored],
        shape: Sequence[int],
        dtype: str,
        scale: float = 0.0,
        zero_point: int = 0,
        **options: Any,
    ) -> Stored:
        """Note an operator; return its result."""
        made = self.tensor(shape, dtype, scale, zero_point)
        self._operators.append((code, [x.index for x in inputs], [made.index], options))
        return made

    def file(
        self,
        inputs: Mapping[str, Stored],
        outputs: Mapping[str, Stored],
        name: str,
        about: Mapping[str, str],
        variables: Mapping[str, Variable] | None = None,
    ) -> tuple[bytes, tuple[str, ...]]:
        """Return the file, and the codes of its operators in the order of the alphabet.

        To be called once.

        Args:
            inputs: By name.
            outputs: By name.
            name: Of the model.
            about: Put into the file as its metadata.
            variables: By the name of the input.
        """
        for told in (inputs, outputs):
            for key, stored in told.items():
                self._tensors[stored.index].name = key
        variables = variables or {}
        used = self._used([y.index for y in outputs.values()])
        used = self._kept_in(variables, used, inputs, outputs) if variables else used
        codes = tuple(sorted({code for code, *_ in used}))
        kept_back = {v.update for v in variables.values() if not v.is_output}
        graph = schema.SubGraphT()
        graph.name, graph.tensors = name, self._tensors
        given = [x.index for key, x in inputs.items() if key not in variables]
        made = [y.index for key, y in outputs.items() if key not in kept_back]
        graph.inputs, graph.outputs = np.array(given, np.int32), np.array(made, np.int32)
        graph.operators = [_operator(codes, *told) for told in used]
        starts = {key: (inputs[key], v.start) for key, v in variables.items()}
        others = [self._start(codes, starts)] if variables else []
        self._forget_unused(graph, others)
        model = schema.ModelT()
        model.version, model.description = SCHEMA_VERSION, "lnn-edge"
        model.operatorCodes = [_code(code) for code in codes]
        model.subgraphs, model.buffers = [graph, *others], self._buffers
        model.metadata = [self._metadata(key, value) for key, value in about.items()]
        model.signatureDefs = [_signature(graph)]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output()), codes

    def _kept_in(
        self,
        variables: Mapping[str, Variable],
        used: Sequence[_Told],
        inputs: Mapping[str, Stored],
        outputs: Mapping[str, Stored],
    ) -> list[_Told]:
        """Return operators between those that fetch variables and those that store them."""
        before: list[_Told] = [("CALL_ONCE", [], [], {"initSubgraphIndex": 1})]
        after = list[_Told]()
        for key, variable in variables.items():
            handle, update = self._handle(key).index, outputs[variable.update].index
            read: _Told = ("READ_VARIABLE", [handle], [inputs[key].index], {})
            before += [_var_handle(key, handle), read]
            after.append(("ASSIGN_VARIABLE", [handle, update], [], {}))
        return [*before, *used, *after]

    def _handle(self, name: str) -> Stored:
        return self.tensor((), "resource", name=f"{name}/handle")

    def _start(self, codes: tuple[str, ...], starts: Mapping[str, tuple[Stored, int]]) -> Any:
        """Return the graph that runs once and gives variables their first values."""
        outer = self._tensors, self._constants
        self._tensors, self._constants = [], {}
        told = list[_Told]()
        for key, (state, start) in starts.items():
            value = self.constant(np.full(state.shape, start, state.dtype), state.scale or ())
            handle = self._handle(key)
            assign: _Told = ("ASSIGN_VARIABLE", [handle.index, value.index], [], {})
            told += [_var_handle(key, handle.index), assign]
        graph = schema.SubGraphT()
        graph.name, graph.tensors = "start", self._tensors
        graph.inputs = graph.outputs = np.zeros(0, np.int32)
        graph.operators = [_operator(codes, *each) for each in told]
        self._tensors, self._constants = outer
        return graph

    def _used(self, wanted: Sequence[int]) -> list[_Told]:
        """Return the operators that lead to tensors."""
        needed, kept = set(wanted), []
        for told in reversed(self._operators):
            if needed.intersection(told[2]):
                needed.update(told[1])
                kept.append(told)
        return kept[::-1]

    def _forget_unused(self, graph: Any, others: Sequence[Any]) -> None:
        """Leave out tensors of a graph, and buffers, that no operator reads or writes."""
        ends = (graph.inputs.tolist(), graph.outputs.tolist())
        used = {i for op in graph.operators for side in (op.inputs, op.outputs) for i in side}
        kept = sorted(used.union(*ends))
        place = {old: new for new, old in enumerate(kept)}
        graph.tensors = [graph.tensors[i] for i in kept]
        graph.inputs, graph.outputs = (np.array([place[i] for i in e], np.int32) for e in ends)
        for op in graph.operators:
            op.inputs = np.array([place[i] for i in op.inputs], np.int32)
            op.outputs = np.array([place[i] for i in op.outputs], np.int32)
        tensors = [tensor for each in (graph, *others) for tensor in each.tensors]
        holds = sorted({tensor.buffer for tensor in tensors} | {0})
        for tensor in tensors:
            tensor.buffer = holds.index(tensor.buffer)
        self._buffers = [self._buffers[i] for i in holds]

    def _metadata(self, key: str, value: str) -> Any:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(value.encode(), np.uint8)
        self._buffers.append(buffer)
        entry.name, entry.buffer = key, len(self._buffers) - 1
        return entry


def _var_handle(name: str, handle: int) -> _Told:
    return "VAR_HANDLE", [], [handle], {"container": "", "sharedName": name}


def _operator(
    codes: tuple[str, ...],
    code: str,
    inputs: list[int],
    outputs: list[int],
    options: dict[str, Any],
) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(code)
    operator.inputs, operator.outputs = inputs, outputs
    if code in _OPTIONS:
        kind = _OPTIONS[code]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind.__name__[:-1])
        operator.builtinOptions = kind(**options)
    return operator


def _code(name: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, _LAST_OLD_CODE)
    return code


def _signature(graph: Any) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    for side in ("inputs", "outputs"):
        maps = []
        for index in getattr(graph, side).tolist():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, index
            maps.append(entry)
        setattr(signature, side, maps)
    return signature
