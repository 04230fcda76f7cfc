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
    "AVERAGE_POOL_2D": schema.Pool2DOptionsT,
    "BITCAST": schema.BitcastOptionsT,
    "CAST": schema.CastOptionsT,
    "CONCATENATION": schema.ConcatenationOptionsT,
    "CONV_2D": schema.Conv2DOptionsT,
    "GATHER": schema.GatherOptionsT,
    "LEAKY_RELU": schema.LeakyReluOptionsT,
    "MAX_POOL_2D": schema.Pool2DOptionsT,
    "MUL": schema.MulOptionsT,
    "REDUCE_MAX": schema.ReducerOptionsT,
    "RESHAPE": schema.ReshapeOptionsT,
    "STRIDED_SLICE": schema.StridedSliceOptionsT,
    "SUB": schema.SubOptionsT,
    "SUM": schema.ReducerOptionsT,
}
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
        self._operators: list[tuple[str, list[int], int, dict[str, Any]]] = []
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
        self._operators.append((code, [x.index for x in inputs], made.index, options))
        return made

    def file(
        self,
        inputs: Mapping[str, Stored],
        outputs: Mapping[str, Stored],
        name: str,
        about: Mapping[str, str],
    ) -> tuple[bytes, tuple[str, ...]]:
        """Return the file, and the codes of its operators in the order of the alphabet.

        Args:
            inputs: By name. Those that nothing reads stay inputs.
            outputs: By name.
            name: Of the model.
            about: Put into the file as its metadata.
        """
        for told in (inputs, outputs):
            for key, stored in told.items():
                self._tensors[stored.index].name = key
        used = self._used([y.index for y in outputs.values()])
        codes = tuple(sorted({code for code, *_ in used}))
        graph = schema.SubGraphT()
        graph.name, graph.tensors = name, self._tensors
        graph.inputs = np.array([x.index for x in inputs.values()], np.int32)
        graph.outputs = np.array([y.index for y in outputs.values()], np.int32)
        graph.operators = [_operator(codes, *told) for told in used]
        self._forget_unused(graph)
        model = schema.ModelT()
        model.version, model.description = SCHEMA_VERSION, "lnn-edge"
        model.operatorCodes = [_code(code) for code in codes]
        model.subgraphs, model.buffers = [graph], self._buffers
        model.metadata = [self._metadata(key, value) for key, value in about.items()]
        model.signatureDefs = [_signature(graph)]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output()), codes

    def _used(self, wanted: Sequence[int]) -> list[tuple[str, list[int], int, dict[str, Any]]]:
        """Return the operators that lead to tensors."""
        needed, kept = set(wanted), []
        for told in reversed(self._operators):
            if told[2] in needed:
                needed.update(told[1])
                kept.append(told)
        return kept[::-1]

    def _forget_unused(self, graph: Any) -> None:
        """Leave out tensors and buffers that no operator reads or writes."""
        ends = (graph.inputs.tolist(), graph.outputs.tolist())
        used = {i for op in graph.operators for side in (op.inputs, op.outputs) for i in side}
        kept = sorted(used.union(*ends))
        place = {old: new for new, old in enumerate(kept)}
        graph.tensors = [graph.tensors[i] for i in kept]
        graph.inputs, graph.outputs = (np.array([place[i] for i in e], np.int32) for e in ends)
        for op in graph.operators:
            op.inputs = np.array([place[i] for i in op.inputs], np.int32)
            op.outputs = np.array([place[i] for i in op.outputs], np.int32)
        holds = sorted({tensor.buffer for tensor in graph.tensors} | {0})
        for tensor in graph.tensors:
            tensor.buffer = holds.index(tensor.buffer)
        self._buffers = [self._buffers[i] for i in holds]

    def _metadata(self, key: str, value: str) -> Any:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(value.encode(), np.uint8)
        self._buffers.append(buffer)
        entry.name, entry.buffer = key, len(self._buffers) - 1
        return entry


def _operator(
    codes: tuple[str, ...], code: str, inputs: list[int], output: int, options: dict[str, Any]
) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(code)
    operator.inputs, operator.outputs = inputs, [output]
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
