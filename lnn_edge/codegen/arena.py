"""Where the tensors of a stage lie in its arena."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import Stage

ALIGNMENT = 4  # bytes: kernels read words, or two by LDRD, which needs no more


@dataclass(frozen=True)
class Slot:
    """A piece of the arena.

    Attributes:
        name: Tensor, or `<operator>.scratch`.
        offset: First byte.
        bytes: Size.
        first: Index of the operator that writes it, -1 for the run time's inputs.
        last: Index of the last operator that reads it; the number of them if it is kept.
    """

    name: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class ArenaPlan:
    """Slots of a stage by name, and the arena's size in bytes."""

    slots: dict[str, Slot]
    bytes: int

    @property
    def live_bytes(self) -> int:
        """The most that is alive while any one operator runs: no plan takes less."""
        slots = self.slots.values()
        starts = {s.first for s in slots}
        alive = (sum(s.bytes for s in slots if s.first <= at <= s.last) for at in starts)
        return max(alive, default=0)

    def offset(self, name: str) -> int:
        """Return the first byte of a tensor or scratch."""
        return self.slots[name].offset


NOWHERE = ArenaPlan({}, 0)


def plan_arena(stage: Stage, scratch: Mapping[str, int], apart: Collection[str] = ()) -> ArenaPlan:
    """Give every tensor of a stage a place; its state tensors lie elsewhere.

    Args:
        stage: Stage to plan.
        scratch: Bytes that the chosen kernel of an operator needs while it runs, by operator name.
        apart: Names of other tensors that lie elsewhere.
    """
    return plan(stage.ops, stage.inputs, stage.kept, scratch, apart)


def plan(
    ops: Sequence[AbstractOp],
    given: Sequence[QTensor],
    kept: Sequence[QTensor],
    scratch: Mapping[str, int],
    apart: Collection[str] = (),
) -> ArenaPlan:
    """Give every tensor a place so that live ones never overlap: largest first, lowest fit.

    Args:
        ops: In execution order.
        given: Tensors that they find.
        kept: Tensors that are read after them.
        scratch: Bytes that an operator needs while it runs, by its name.
        apart: Names of tensors that lie elsewhere.
    """
    placed: list[Slot] = []
    rows = (row for row in _lifetimes(ops, given, kept, scratch) if row[0] not in apart)
    for name, size, first, last in sorted(rows, key=lambda s: (-s[1], s[0])):
        offset = _lowest_fit(placed, size, first, last)
        placed.append(Slot(name, offset, size, first, last))
    total = max((s.offset + s.bytes for s in placed), default=0)
    return ArenaPlan({s.name: s for s in placed}, align(total))


def _lifetimes(
    ops: Sequence[AbstractOp],
    given: Sequence[QTensor],
    kept: Sequence[QTensor],
    scratch: Mapping[str, int],
) -> list[tuple[str, int, int, int]]:
    first = {t.name: -1 for t in given}
    sizes = {t.name: t.bytes for t in given}
    last = dict(first)
    for index, op in enumerate(ops):
        for tensor in op.inputs:
            last[tensor.name] = index
        for tensor in op.outputs:
            first[tensor.name] = last[tensor.name] = index
            sizes[tensor.name] = tensor.bytes
    last.update({t.name: len(ops) for t in kept})
    rows = [(n, sizes[n], first[n], last[n]) for n in first]
    for index, op in enumerate(ops):
        if scratch.get(op.name):
            rows.append((f"{op.name}.scratch", scratch[op.name], index, index))
    return rows


def _lowest_fit(placed: list[Slot], size: int, first: int, last: int) -> int:
    live = [s for s in placed if s.first <= last and first <= s.last]
    offset = 0
    for slot in sorted(live, key=lambda s: s.offset):
        if offset + size <= slot.offset:
            break
        offset = max(offset, align(slot.offset + slot.bytes))
    return offset


def align(offset: int) -> int:
    """Return the next offset at which a tensor may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
