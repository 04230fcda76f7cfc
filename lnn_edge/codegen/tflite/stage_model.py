"""One stage as TFLite models: its state as inputs and outputs.

Its network is in kernels of 16 bits. What has none, above all front ends, and what leads to it is a
model of its own before it, which keeps the integers of the graph in 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.codegen.tflite.arithmetic import fineness, plus, scale_of, shaped, wide
from lnn_edge.codegen.tflite.exact import exact_model
from lnn_edge.codegen.tflite.flat import Flat, Stored, Variable, stored_as
from lnn_edge.codegen.tflite.kernels import has_kernels, kernels_of
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import Stage


@dataclass(frozen=True)
class Model:
    """A TFLite file.

    Attributes:
        name: Of the file, without its end.
        file: Its bytes.
        codes: Of the operators in it.
        is_exact: Whether it is in 64 bits, which TFLite Micro has not.
        inputs: What it reads.
        outputs: What it makes.
        stateful: The same with its states as variables of the file; None without states or in 64
            bits.
    """

    name: str
    file: bytes
    codes: tuple[str, ...]
    is_exact: bool
    inputs: tuple[QTensor, ...]
    outputs: tuple[QTensor, ...]
    stateful: bytes | None = None


def stage_models(stage: Stage, about: dict[str, str], seen: Mapping[str, int]) -> tuple[Model, ...]:
    """Return the TFLite files of one step of a stage, one or two.

    Inputs are those of the stage and its states, outputs its outputs, probes and updates of
    states, each by its name in the graph, with a leading axis of 1, the graph's integers and the
    type of stored_as. With two files the second reads what the first makes besides.

    Args:
        stage: One with operators.
        about: Put into the files as their metadata.
        seen: See Flat.

    Raises:
        GraphError: An operator has no form in TFLite; names it.
    """
    front, network = _parted(stage.ops)
    given = (*stage.inputs, *(s.tensor for s in stage.states))
    kept = [t for t in stage.kept if t not in given]
    read = [t for op in network for t in op.inputs]
    parts = []
    if front:
        name = f"{stage.name}.front" if network else stage.name
        ends = _ends(front, [*kept, *read])
        parts.append(Model(name, *exact_model(front, *ends, name, about), True, *ends))
    if network:
        ends = _ends(network, kept)
        parts.append(_network(stage, network, ends, about, seen))
    return tuple(parts)


def _network(
    stage: Stage,
    ops: Sequence[AbstractOp],
    ends: tuple[tuple[QTensor, ...], tuple[QTensor, ...]],
    about: dict[str, str],
    seen: Mapping[str, int],
) -> Model:
    """Return the file of a network in 16 bits, and the one that keeps its states."""
    given, kept = ends
    shown = (*stage.outputs, *stage.probes)
    own = {
        s.tensor.name: Variable(s.update.name, s.initial, s.update in shown)
        for s in stage.states
        if s.tensor in given and s.update in kept
    }
    flat = Flat(seen)
    file, codes = flat.file(*_small(flat, ops, *ends), stage.name, about)
    if not own:
        return Model(stage.name, file, codes, False, *ends)
    flat = Flat(seen)
    stateful, _ = flat.file(*_small(flat, ops, *ends), stage.name, about, own)
    return Model(stage.name, file, codes, False, *ends, stateful)


def _parted(ops: Sequence[AbstractOp]) -> tuple[list[AbstractOp], list[AbstractOp]]:
    """Return what must be in 64 bits with all that leads to it, and the rest."""
    needed, front, network = set[str](), list[AbstractOp](), list[AbstractOp]()
    for op in reversed(ops):
        if not has_kernels(op) or needed.intersection(t.name for t in op.outputs):
            needed.update(t.name for t in op.inputs)
            front.insert(0, op)
        else:
            network.insert(0, op)
    return front, network


def _ends(
    ops: Sequence[AbstractOp], wanted: Sequence[QTensor]
) -> tuple[tuple[QTensor, ...], tuple[QTensor, ...]]:
    """Return what operators read that others write, and what of their results is wanted."""
    made = {t.name for op in ops for t in op.outputs}
    read = (t for op in ops for t in op.inputs if t.name not in made)
    return tuple(dict.fromkeys(read)), tuple(dict.fromkeys(t for t in wanted if t.name in made))


def _small(
    flat: Flat, ops: Sequence[AbstractOp], given: Sequence[QTensor], kept: Sequence[QTensor]
) -> tuple[dict[str, Stored], dict[str, Stored]]:
    """Return the ends of operators that have kernels of 16 bits."""
    inputs = {t.name: flat.end(t) for t in given}
    values = {t.name: _taken(flat, t, inputs[t.name]) for t in given}
    for op in ops:
        made = kernels_of(op, flat, [values[t.name] for t in op.inputs])
        values.update(zip((t.name for t in op.outputs), made, strict=True))
    return inputs, {t.name: _given(flat, t, values[t.name]) for t in kept}


def _taken(flat: Flat, tensor: QTensor, x: Stored) -> Stored:
    """Return an input in 16 bits around 0."""
    made = shaped(flat, x, wide(tensor.shape))
    if x.dtype != "int16":
        made = flat.add("QUANTIZE", [made], made.shape, "int16", scale_of(flat, tensor))
    return _moved(flat, tensor, made, 1)


def _given(flat: Flat, tensor: QTensor, x: Stored) -> Stored:
    """Return a value in the integers of the graph."""
    moved, dtype = _moved(flat, tensor, x, -1), stored_as(tensor)
    scale, point = tensor.scales[0], tensor.zero_points[0]
    if dtype == "int32":
        moved = _in_32_bits(flat, tensor, moved)
    elif dtype != "int16":
        moved = flat.add("QUANTIZE", [moved], moved.shape, dtype, scale, point)
    return shaped(flat, moved, (1, *tensor.shape))


def _in_32_bits(flat: Flat, tensor: QTensor, x: Stored) -> Stored:
    """Return integers of 32 bits: QUANTIZE overflows where it multiplies by 2**15 or more.

    Only the result has a scale: plain arithmetic of TFLite Micro refuses what has one.
    """
    point = tensor.zero_points[0]
    steps = [("CAST", None), ("MUL", fineness(flat, tensor)), ("ADD", point)]
    steps = [(code, n) for code, n in steps if (code, n) not in (("MUL", 1), ("ADD", 0))]
    for code, number in steps:
        is_last = code == steps[-1][0]
        read = [x] if number is None else [x, flat.constant(np.array([number], np.int32))]
        format_of = (tensor.scales[0], point) if is_last else ()
        x = flat.add(code, read, x.shape, "int32", *format_of)
    return x


def _moved(flat: Flat, tensor: QTensor, x: Stored, sign: int) -> Stored:
    """Return a value with the channels' own zero points taken out, or put in."""
    points = np.array(tensor.zero_points) - tensor.zero_points[0]
    if not points.any():
        return x
    return plus(flat, x, -sign * points * tensor.scales[0], x.scale)
