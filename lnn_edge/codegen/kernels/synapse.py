"""Kernels of liquid time-constant neurons: three words a synapse, read in one go."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import (
    Constants,
    Core,
    Kernel,
    always,
    no_scratch,
    portable,
)
from lnn_edge.codegen.kernels.plain import LESS
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


def pack_paired_synapses(op: Synapses) -> Constants:
    """Return the synapses, a table of int16, and what sums begin with, (N, 2) modulo 2**32."""
    return {**_pack(op), **_paired(op, op.leak.T)}


def pack_paired_unfold(op: Unfold) -> Constants:
    """Return the synapses, a table of int16, and of each neuron what its kernel reads in turn.

    (N, 4) uint32: what its sums begin with, its capacity and one, and how many synapses it has.
    """
    packed = {**_pack(op), **_paired(op)}
    begin, counts = packed.pop("begin"), packed.pop("counts")
    neurons = np.column_stack((begin, op.capacity + 1, counts)).astype(np.uint32)
    return {**packed, "neurons": neurons}


def _paired(op: AbstractSynapseOp, leak: np.ndarray | int = 0) -> Constants:
    """Return the table less LESS, so that entries are int16, and LESS times all conductances."""
    sums = np.stack([_sums(op, op.driven), op.totals()], axis=-1)
    table = (op.table.astype(np.int32) - LESS).astype(np.int16)
    return {"table": table, "begin": (leak + LESS * sums).astype(np.uint32)}


def _sums(op: AbstractSynapseOp, values: np.ndarray) -> np.ndarray:
    """Return the sum over the synapses of each neuron, (N,) int64."""
    upto = np.concatenate(([0], np.cumsum(values.astype(np.int64))))
    sums: np.ndarray = upto[op.starts[1:]] - upto[op.starts[:-1]]
    return sums


def fits_pairs(_op: AbstractOp, core: Core) -> bool:
    """Fit DSP cores: two entries of the table in one load, one SMLAD."""
    return core.dsp


def view_bytes(op: AbstractOp) -> int:
    """Return the bytes of the potentials as the synapses read them."""
    return 2 * op.outputs[0].size


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "synapses": (
        Kernel("dsp_pairs", "synapses_dsp.c.j2", fits_pairs, pack_paired_synapses, no_scratch),
        portable("synapses.c.j2", pack_synapses),
    ),
    "unfold": (
        Kernel("dsp_pairs", "unfold.c.j2", fits_pairs, pack_paired_unfold, view_bytes),
        Kernel("portable", "unfold.c.j2", always, pack_unfold, view_bytes),
    ),
}
