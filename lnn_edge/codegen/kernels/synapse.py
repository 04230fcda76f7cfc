"""Kernels of liquid time-constant neurons: three words a synapse, read in one go."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import Constants, Kernel, always, portable
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.synapse import AbstractSynapseOp, Synapses
from lnn_edge.graph.ops.unfold import Unfold


def pack_words(op: AbstractSynapseOp) -> np.ndarray:
    """Return (K, 3) int32, at least one row, that the C reads one after the other.

    offset + 2**(shift - 1); slope and source; driven and conductance: of a pair the first is the
    high halfword, the second is never negative.
    """
    offset = op.offset.astype(np.int64) + (1 << (op.shift - 1))
    slope, source, driven, conductance = (
        a.astype(np.int64) for a in (op.slope, op.source, op.driven, op.conductance)
    )
    words = np.stack((offset, slope << 16 | source, driven << 16 | conductance), axis=1)
    if len(words) == 0:
        words = np.zeros((1, 3), np.int64)  # C has no empty array
    packed: np.ndarray = words.astype(np.int32)
    return packed


def _pack(op: AbstractSynapseOp) -> Constants:
    counts = np.diff(op.starts).astype(np.uint16)
    return {"synapses": pack_words(op), "counts": counts, "table": op.table}


def pack_synapses(op: Synapses) -> Constants:
    """Return the synapses and what their sums start from."""
    return {**_pack(op), "current": op.leak[0], "conductance": op.leak[1]}


def pack_unfold(op: Unfold) -> Constants:
    """Return the synapses and the membranes."""
    return {**_pack(op), "capacity": op.capacity}


def view_bytes(op: AbstractOp) -> int:
    """Return the bytes of the potentials as the synapses read them."""
    return 2 * op.outputs[0].size


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "synapses": (portable("synapses.c.j2", pack_synapses),),
    "unfold": (Kernel("portable", "unfold.c.j2", always, pack_unfold, view_bytes),),
}
