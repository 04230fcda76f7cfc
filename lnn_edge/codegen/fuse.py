"""Finds operators that one kernel computes unit by unit. Graph and simulator do not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lnn_edge.codegen.kernels.kernel import Core
from lnn_edge.codegen.kernels.units import fits, is_map
from lnn_edge.codegen.units import MOST_HEADS, Layer, Units
from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.ops.rescale import AbstractRescale
from lnn_edge.graph.stage import Stage, check_flow

Ops = tuple[AbstractOp, ...]


def fuse_stage(stage: Stage, core: Core) -> Stage:
    """Return a stage with one operator in the place of those that one kernel computes."""
    given = (*stage.inputs, *(s.tensor for s in stage.states))
    ops = [_fuse_loop(op, core) if isinstance(op, Loop) else op for op in stage.ops]
    return replace(stage, ops=fuse(ops, given, stage.kept, core))


def _fuse_loop(op: Loop, core: Core) -> Loop:
    return replace(op, body=fuse(op.body, op.given, op.kept, core))


def fuse(
    ops: Sequence[AbstractOp], given: Sequence[QTensor], kept: Sequence[QTensor], core: Core
) -> Ops:
    """Return a list of operators that computes the same with less of them.

    Args:
        ops: In execution order.
        given: Tensors that they find.
        kept: Tensors that are read after them.
        core: What runs them; only those with DSP instructions gain.
    """
    fused = tuple(ops)
    if not core.dsp:
        return fused
    names = {t.name for t in kept}
    for op in ops:
        if isinstance(op, Linear) and op in fused:
            fused = _put(fused, _layer(fused, op), names, given, kept)
    fused = _joined(fused, names)
    return _gathered(fused, names)


def _put(
    ops: Ops,
    layer: Layer | None,
    names: set[str],
    given: Sequence[QTensor],
    kept: Sequence[QTensor],
) -> Ops:
    """Return the operators with a layer as one of them, where that is possible and pays."""
    if layer is None:
        return ops
    made = _units(ops, (), (layer,), names)
    if not fits(made):
        return ops
    last = max(ops.index(op) for op in layer.ops)
    found = tuple(
        made if i == last else op for i, op in enumerate(ops) if i == last or op not in layer.ops
    )
    try:
        check_flow("units", given, found, kept)
    except GraphError:  # something between them reads what comes too late
        return ops
    return found


def _layer(ops: Ops, first: Linear) -> Layer | None:
    """Return the layer that a matrix belongs to; None if nothing is made of single rows."""
    size = first.outputs[0].size
    beside = [op for op in ops if _is_beside(op, first)]
    made = {op.outputs[0].name for op in beside}
    members: list[AbstractOp] = beside
    for op in ops:
        if is_map(op, size) and _reads(op, made):
            members.append(op)
            made |= {op.outputs[0].name}
    inside = _connected(members, first)
    heads = tuple(op for op in inside if isinstance(op, Linear))
    maps = tuple(op for op in inside if op not in heads)
    return Layer(heads, maps) if maps and len(heads) <= MOST_HEADS else None


def _is_beside(op: AbstractOp, first: Linear) -> bool:
    """Return whether a matrix reads the same vector and has as many rows."""
    is_alike = isinstance(op, Linear) and op.inputs == first.inputs
    return is_alike and op.outputs[0].shape == first.outputs[0].shape


def _reads(op: AbstractOp, names: set[str]) -> bool:
    return any(t.name in names for t in op.inputs)


def _connected(members: Sequence[AbstractOp], first: AbstractOp) -> Ops:
    """Return those of the operators that reach one of them by what they read and write."""
    inside = [first]
    for op in inside:
        near = {t.name for t in (*op.inputs, *op.outputs)}
        for other in members:
            written = {t.name for t in other.outputs}
            is_near = written & near or any(t in op.outputs for t in other.inputs)
            if other not in inside and is_near:
                inside.append(other)
    return tuple(op for op in members if op in inside)


def _units(ops: Ops, gathers: Ops, layers: tuple[Layer, ...], kept: set[str]) -> Units:
    """Return the operator that holds others, with what it reads and what others read of it."""
    inside: Ops = (*gathers, *(op for layer in layers for op in layer.ops))
    made = {t.name: t for op in inside for t in op.outputs}
    read = {t.name: t for op in inside for t in op.inputs if t.name not in made}
    outside = kept | {t.name for op in ops if op not in inside for t in op.inputs}
    written = tuple(t for name, t in made.items() if name in outside)
    return Units(inside[-1].name, tuple(read.values()), written, gathers, layers)


def _joined(ops: Ops, kept: set[str]) -> Ops:
    """Return the operators with layers that only feed each other in one."""
    made = {t.name: op for op in ops if isinstance(op, Units) for t in op.outputs}
    for op in ops:
        vector = op.layers[0].heads[0].inputs[0] if isinstance(op, Units) else None
        before = made.get(vector.name) if vector else None
        if isinstance(op, Units) and vector and before and _only(ops, op, vector, before, kept):
            rest = tuple(o for o in ops if o is not before)
            others = tuple(o for o in rest if o is not op)
            both = _units(others, (), (*before.layers, *op.layers), kept)
            return _joined(tuple(both if o is op else o for o in rest), kept)
    return ops


def _only(ops: Ops, op: Units, vector: QTensor, before: Units, kept: set[str]) -> bool:
    """Return whether a vector is all that one gives, and only another's matrices read it."""
    readers = [other for other in ops if vector in other.inputs]
    within = [o for layer in op.layers for o in layer.maps if vector in o.inputs]
    return (
        readers == [op] and not within and before.outputs == (vector,) and vector.name not in kept
    )


def _gathered(ops: Ops, kept: set[str]) -> Ops:
    """Return the operators with joins and rescales in those whose matrices alone read them."""
    for op in ops:
        if isinstance(op, Units):
            own = tuple(reversed(list(_gathers(ops, op, kept))))
            rest = tuple(o for o in ops if o not in own)
            if own:
                others = tuple(o for o in rest if o is not op)
                whole = _units(others, own, op.layers, kept)
                rest = tuple(whole if o is op else o for o in rest)
            ops = rest
    return ops


def _gathers(ops: Ops, op: Units, kept: set[str]) -> Iterator[AbstractOp]:
    """Yield what makes the vector that the first layer reads, the last first."""
    vector = op.layers[0].heads[0].inputs[0]
    made = {t.name: o for o in ops for t in o.outputs}
    join = made.get(vector.name)
    tensors: tuple[QTensor, ...] = (vector,)
    if isinstance(join, Concat) and _is_own(ops, op, vector, kept):
        yield join
        tensors = join.inputs
        ops = tuple(o for o in ops if o is not join)
        readers: dict[str, int] = {}
        for tensor in tensors:
            readers[tensor.name] = readers.get(tensor.name, 0) + 1
        tensors = tuple(t for t in tensors if readers[t.name] == 1)
    for tensor in reversed(tensors):
        maker = made.get(tensor.name)
        is_plain = isinstance(maker, AbstractRescale) and maker.period == 1
        if maker is not None and is_plain and _is_own(ops, op, tensor, kept):
            yield maker


def _is_own(ops: Ops, op: Units, tensor: QTensor, kept: set[str]) -> bool:
    """Return whether nothing but matrices of one operator reads a tensor."""
    others = any(tensor in other.inputs for other in ops if other is not op)
    within = any(tensor in o.inputs for layer in op.layers for o in layer.maps)
    return not others and not within and tensor.name not in kept
