"""Kernels of loops: the operators inside, each by its own kernel, in a memory that is used anew."""

from __future__ import annotations

from collections.abc import Callable

from lnn_edge.codegen.arena import ArenaPlan, Slot, align, plan
from lnn_edge.codegen.kernels.kernel import HOST, Core, Kernel, no_constants
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.loop import Loop

Select = Callable[[AbstractOp, Core], Kernel]


def plan_body(op: Loop, select: Select, core: Core) -> ArenaPlan:
    """Return the places of what the body writes, and of the states behind.

    A state and its update change places after each round, so nothing else may lie there.
    """
    scratch = {inner.name: select(inner, core).scratch(inner) for inner in op.body}
    carried = [tensor for state in op.states for tensor in (state.tensor, state.update)]
    apart = {op.step.name, *(tensor.name for tensor in carried)}
    made = plan(op.body, op.given, op.kept, scratch, apart)
    slots, end = dict(made.slots), made.bytes
    for tensor in carried:
        slots[tensor.name] = Slot(tensor.name, end, tensor.bytes, -1, len(op.body))
        end = align(end + tensor.bytes)
    return ArenaPlan(slots, end)


def kernels(select: Select) -> tuple[Kernel, ...]:
    """Return a kernel for each kind of core, which fixes those of the operators inside.

    Args:
        select: Returns the kernel of an operator inside.
    """
    return (
        _kernel("dsp", select, Core("dsp", dsp=True)),
        _kernel("portable", select, HOST),
    )


def _kernel(name: str, select: Select, inside: Core) -> Kernel:
    def fits(_op: AbstractOp, core: Core) -> bool:
        return core.dsp or not inside.dsp

    def scratch(op: Loop) -> int:
        return plan_body(op, select, inside).bytes

    return Kernel(name, "loop.c.j2", fits, no_constants, scratch, inside=inside)
