"""Kernels of linear and conv1d."""

from __future__ import annotations

from lnn_edge.ir import AbstractOp
from lnn_edge.kernels.kernel import Constants, Kernel, portable
from lnn_edge.ops.rows import AbstractRowOp


def requantization(op: AbstractRowOp) -> Constants:
    """Return bias, multiplier and, where one is needed, shift."""
    constants = {"bias": op.folded_bias, "multiplier": op.multiplier}
    return {**constants, "shift": op.shift} if op.shift.any() else constants


def pack_portable(op: AbstractOp) -> Constants:
    """Return the weights row by row."""
    assert isinstance(op, AbstractRowOp)
    return {"weight": op.weight, **requantization(op)}


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "linear": (portable("linear.c.j2", pack_portable),),
    "conv1d": (portable("conv1d.c.j2", pack_portable),),
}
