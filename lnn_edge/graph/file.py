"""Reading and writing `model.qgraph`: a zip of graph.json and .npy files, the same bytes each time.

The format is specified in docs/graph.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.files import tables
from lnn_edge.files.archives import archive_of, members_of
from lnn_edge.files.arrays import array_of, npy_of
from lnn_edge.files.names import shown
from lnn_edge.files.read import LARGEST_TEXT, read_whole
from lnn_edge.files.write import write_whole
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.output import Output
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import read_reference, reference_beside
from lnn_edge.graph.stage import (
    DecidingTrigger,
    EventTrigger,
    EveryTrigger,
    InputTrigger,
    Ring,
    Stage,
    State,
    Window,
)

OLDEST_FORMAT, FORMAT = 1, 2  # the second has several outputs; one alone is written in the first
_TRIGGER_KINDS: dict[str, type[InputTrigger | DecidingTrigger]] = {
    "input": InputTrigger,
    "event": EventTrigger,
    "every": EveryTrigger,
}
_TRIGGER_TENSORS = {"frame", "window", "dt", "dt_next", "source"}
_DOCUMENT = "graph.json"
_BASE_FIELDS = ("name", "inputs", "outputs")
_LOOP_TENSORS = ("step", "result")
_T = TypeVar("_T")
_MALFORMED = (
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ValueError,
    OverflowError,
    RecursionError,
)
LONGEST_REASON = 300  # characters
LARGEST_BYTES = 1 << 24  # of all members, unpacked: no microcontroller holds more
_INTEGERS = range(-(1 << 31), 1 << 32)  # what C holds in 32 bits


def save_graph(graph: QGraph, path: Path) -> str:
    """Write a graph atomically, its reference beside it, and return its sha256."""
    digest = graph_sha256(graph)
    if graph.reference is not None:
        write_whole(reference_beside(path), graph.reference.to_bytes(digest))
    write_whole(path, graph_bytes(graph))
    return digest


def graph_bytes(graph: QGraph) -> bytes:
    """Return the file of a graph."""
    document, arrays = _encode(graph)
    return archive_of({_DOCUMENT: _canonical(document), **dict(sorted(arrays.items()))})


def document_of(graph: QGraph) -> dict[str, Any]:
    """Return what graph.json says (docs/graph.md)."""
    return _encode(graph)[0]


def graph_sha256(graph: QGraph) -> str:
    """Return the hash that names a graph: of graph.json, which holds the hash of every constant."""
    return hashlib.sha256(_canonical(document_of(graph))).hexdigest()


def pipeline_sha256(pipeline: Pipeline) -> str:
    """Return the hash of all that a pipeline computes: stages, rings and every constant."""
    document, _ = _encode_pipeline(pipeline)
    return hashlib.sha256(_canonical(document)).hexdigest()


def load_graph(path: Path) -> QGraph:
    """Read, check and prove a graph.

    Raises:
        GraphError: The file is missing, damaged, of a newer format, or fails a proof.
    """
    try:
        data = read_whole(path, LARGEST_BYTES)
        files = members_of(data, LARGEST_BYTES, {_DOCUMENT: LARGEST_TEXT})
        document = json.loads(files[_DOCUMENT])
    except FileNotFoundError:
        raise GraphError(f"{path}: no such graph; make one with `lnn-edge quantize`") from None
    except (OSError, ValueError, KeyError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GraphError(
            f"{path}: damaged graph file ({reason}); quantize the model again"
        ) from None
    try:
        _check_format(document)
        _check_numbers(document)
        graph = _decode(document, _constants(document["constants"], files))
    except GraphError as error:
        raise GraphError(f"{path}: {shown(str(error), LONGEST_REASON)}") from None
    except _MALFORMED as error:
        reason = shown(repr(error), LONGEST_REASON)
        raise GraphError(f"{path}: malformed graph ({reason}); quantize the model again") from None
    beside = reference_beside(path)
    if not beside.is_file():
        return graph
    sizes = graph.frame.size, graph.output.size
    return replace(graph, reference=read_reference(beside, graph_sha256(graph), *sizes))


def _check_format(document: Any) -> None:
    version = document.get("format") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise GraphError("not a graph file of lnn-edge (no format number)")
    if version > FORMAT:
        raise GraphError(
            f"graph format {version}, this lnn-edge reads up to {FORMAT}; upgrade lnn-edge"
        )
    needed = FORMAT if document.get("outputs") else OLDEST_FORMAT
    if version < needed:
        raise GraphError(f"graph format must be {needed}, not {version}; quantize the model again")


def _check_numbers(node: Any, key: str = "") -> None:
    """Only a scale is a fraction: a size or a multiplier that is one has no meaning in C."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name not in ("metadata", "scale"):
                _check_numbers(value, name)
    elif isinstance(node, list):
        for value in node:
            _check_numbers(value, key)
    elif isinstance(node, (float, bool)):
        raise GraphError(f"{node} where an integer belongs; quantize the model again")
    elif isinstance(node, int) and node not in _INTEGERS:
        raise GraphError(
            f"{key} must be an integer of 32 bits, not {shown(str(node))}; quantize the model again"
        )


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False).encode()


def _encode(graph: QGraph) -> tuple[dict[str, Any], dict[str, bytes]]:
    computed, arrays = _encode_pipeline(graph)
    document = {
        "format": FORMAT if graph.heads else OLDEST_FORMAT,
        "name": graph.name,
        "metadata": graph.metadata,
        **computed,
    }
    if graph.heads:
        document["outputs"] = [{**asdict(o), "scale": float(o.scale)} for o in graph.heads]
    return document, arrays


def _encode_pipeline(pipeline: Pipeline) -> tuple[dict[str, Any], dict[str, bytes]]:
    arrays: dict[str, bytes] = {}
    tensors: dict[str, QTensor] = {}
    stages = [_encode_stage(stage, arrays, tensors) for stage in pipeline.stages]
    for ring in pipeline.rings:
        tensors[ring.frame.name] = ring.frame
    document = {
        "tensors": {t.name: _encode_tensor(t) for t in tensors.values()},
        "rings": [_encode_ring(ring) for ring in pipeline.rings],
        "stages": stages,
        "constants": {name: hashlib.sha256(data).hexdigest() for name, data in arrays.items()},
    }
    return document, arrays


def _encode_ring(ring: Ring) -> dict[str, Any]:
    plain = {"name": ring.name, "frame": ring.frame.name, "length": ring.length}
    return {**plain, "start": ring.start} if ring.starts_at_zero else plain  # absent: the edge


def _encode_tensor(tensor: QTensor) -> dict[str, Any]:
    values = {f.name: getattr(tensor, f.name) for f in fields(tensor) if f.name != "name"}
    scales = [float(scale) for scale in tensor.scales]  # as they are read: 1 is 1.0
    return {**values, "scale": scales if isinstance(tensor.scale, tuple) else scales[0]}


def _encode_stage(
    stage: Stage, arrays: dict[str, bytes], tensors: dict[str, QTensor]
) -> dict[str, Any]:
    named = [*stage.inputs, *(s.tensor for s in stage.states)]
    named += [t for op in stage.ops for t in (*op.outputs, *op.own_tensors)]
    tensors.update({t.name: t for t in named})
    return {
        "name": stage.name,
        "trigger": _encode_trigger(stage.trigger),
        "operators": [_encode_op(op, f"{stage.name}.{op.name}", arrays) for op in stage.ops],
        "states": states_of(stage.states),
        "outputs": [t.name for t in stage.outputs],
        "probes": [t.name for t in stage.probes],
    }


def states_of(states: Iterable[State]) -> list[dict[str, Any]]:
    """Return what graph.json says of states."""
    return [
        {"tensor": s.tensor.name, "update": s.update.name, "initial": s.initial} for s in states
    ]


def _encode_trigger(trigger: InputTrigger | DecidingTrigger) -> dict[str, Any]:
    kind = next(k for k, cls in _TRIGGER_KINDS.items() if cls is type(trigger))
    values = {f.name: getattr(trigger, f.name) for f in fields(trigger)}
    plain = {k: v.name if isinstance(v, QTensor) else v for k, v in values.items()}
    if plain.get("source", "") is None:  # events from outside: said by the key's absence
        del plain["source"]
    if plain.get("dilation") == 1:
        del plain["dilation"]
    if isinstance(trigger, EveryTrigger):
        del plain["others"]
        if trigger.others:
            plain["others"] = [
                {
                    "ring": w.ring,
                    "frames": w.frames.name,
                    "length": w.length,
                    "dilation": w.dilation,
                }
                for w in trigger.others
            ]
    return {"kind": kind, **plain}


def _encode_op(op: AbstractOp, prefix: str, arrays: dict[str, bytes]) -> dict[str, Any]:
    attributes, constants = {}, {}
    for f in (f for f in fields(op) if f.compare):
        value = getattr(op, f.name)
        if isinstance(value, np.ndarray):
            constants[f.name] = f"constants/{prefix}.{f.name}.npy"
            arrays[constants[f.name]] = npy_of(value)
        elif f.name not in _BASE_FIELDS and value != f.default:
            attributes[f.name] = value
    if isinstance(op, Loop):
        attributes |= {
            "body": [_encode_op(inner, f"{prefix}.{inner.name}", arrays) for inner in op.body],
            "states": states_of(op.states),
            **{name: getattr(op, name).name for name in _LOOP_TENSORS},
        }
    return {
        "kind": op.kind,
        "name": op.name,
        "inputs": [t.name for t in op.inputs],
        "outputs": [t.name for t in op.outputs],
        "attributes": attributes,
        "constants": constants,
    }


def _constants(hashes: dict[str, str], files: dict[str, bytes]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, expected in hashes.items():
        data = files.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != expected:
            raise GraphError(f"damaged graph file ({name}); quantize the model again")
        arrays[name] = _array(name, data)
    strange = files.keys() - hashes.keys() - {_DOCUMENT}
    if strange:
        raise GraphError(f"{min(strange)} does not belong to this graph; quantize the model again")
    return arrays


def _array(name: str, data: bytes) -> np.ndarray:
    """Return a constant: integers, as many as the file holds."""
    try:
        array = array_of(data)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if str(array.dtype) not in RANGES:
        raise ValueError(f"{name} holds {array.dtype}")
    return array


def _make(cls: type[_T], where: str, values: dict[str, Any]) -> _T:
    """Return cls(**values), each value of the type that the class names; lists become tuples."""
    hints = tables.hints_of(cast(type, cls))
    return cls(
        **{k: tables.convert(hints[k], v, f"{where}: {k}", GraphError) for k, v in values.items()}
    )


def _decode(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> QGraph:
    tensors = {
        name: _make(QTensor, f"tensor {name}", {"name": name, **values})
        for name, values in document["tensors"].items()
    }
    rings = tuple(
        _make(Ring, "ring", {**ring, "frame": tensors[ring["frame"]]}) for ring in document["rings"]
    )
    stages = tuple(_decode_stage(s, tensors, arrays) for s in document["stages"])
    heads = tuple(_make(Output, "output", head) for head in document.get("outputs", ()))
    return QGraph(stages, rings, document["name"], document["metadata"], heads)


def _decode_stage(
    stage: dict[str, Any], tensors: dict[str, QTensor], arrays: dict[str, np.ndarray]
) -> Stage:
    ops = tuple(_decode_op(op, tensors, arrays) for op in stage["operators"])
    states = _decode_states(stage["states"], tensors)
    outputs = tuple(tensors[name] for name in stage["outputs"])
    probes = tuple(tensors[name] for name in stage["probes"])
    trigger = _decode_trigger(stage["trigger"], tensors)
    return Stage(stage["name"], trigger, ops, states, outputs, probes)


def _decode_states(states: list[Any], tensors: dict[str, QTensor]) -> tuple[State, ...]:
    return tuple(
        _make(State, "state", {**s, **{k: tensors[s[k]] for k in ("tensor", "update")}})
        for s in states
    )


def _decode_trigger(
    values: dict[str, Any], tensors: dict[str, QTensor]
) -> InputTrigger | DecidingTrigger:
    kind = _TRIGGER_KINDS.get(values["kind"])
    if kind is None:
        raise GraphError(f"trigger: unknown kind {values['kind']!r}; upgrade lnn-edge")
    plain = {k: v for k, v in values.items() if k != "kind"}
    for key in plain.keys() & _TRIGGER_TENSORS:
        plain[key] = None if plain[key] is None else tensors[plain[key]]
    if "others" in plain:
        plain["others"] = [
            _make(Window, "window", {**w, "frames": tensors[w["frames"]]}) for w in plain["others"]
        ]
    return _make(kind, "trigger", plain)


def _decode_op(
    op: dict[str, Any], tensors: dict[str, QTensor], arrays: dict[str, np.ndarray]
) -> AbstractOp:
    kind = OPERATORS.get(op["kind"])
    if kind is None:
        raise GraphError(f"operator {op['name']}: unknown kind {op['kind']!r}; upgrade lnn-edge")
    tensors_of = {k: tuple(tensors[name] for name in op[k]) for k in ("inputs", "outputs")}
    constants = {k: arrays[name] for k, name in op["constants"].items()}
    values = {"name": op["name"], **tensors_of, **op["attributes"], **constants}
    if kind is Loop:
        values["body"] = tuple(_decode_op(inner, tensors, arrays) for inner in values["body"])
        values["states"] = _decode_states(values["states"], tensors)
        values.update({name: tensors[values[name]] for name in _LOOP_TENSORS})
    return _make(kind, f"operator {op['name']}", values)
