"""Kernels of the operators that need one portable form only."""

from __future__ import annotations

import numpy as np

from lnn_edge.ir import AbstractOp
from lnn_edge.kernels.kernel import Constants, Kernel, always, portable
from lnn_edge.ops.affine import Affine
from lnn_edge.ops.decay import Decay, Relax
from lnn_edge.ops.lut import Lut
from lnn_edge.ops.synapse import AbstractSynapseOp, Synapses
from lnn_edge.ops.template import TemplateDistance
from lnn_edge.ops.unfold import Unfold


def pack_table(op: AbstractOp) -> Constants:
    """Return the table as it is."""
    assert isinstance(op, Lut)
    return {"table": op.table}


def pack_segments(op: AbstractOp) -> Constants:
    """Return the borders of the segments and their factors."""
    assert isinstance(op, TemplateDistance)
    return {"edges": op.edges, "multiplier": op.multiplier, "shift": op.shift}


def pack_rate(op: AbstractOp) -> Constants:
    """Return the rates as they are."""
    assert isinstance(op, Decay)
    return {"rate": op.rate}


def pack_relaxation(op: AbstractOp) -> Constants:
    """Return factors and offsets as they are."""
    assert isinstance(op, Relax)
    return {"multiplier": op.multiplier, "offset": op.offset}


def pack_affine(op: AbstractOp) -> Constants:
    """Return factors and offsets as they are."""
    assert isinstance(op, Affine)
    return {"multiplier": op.multiplier, "offset": op.offset}


def _pack_synapses(op: AbstractSynapseOp) -> Constants:
    """Return three words a synapse, how many each neuron has, and the table.

    offset + half a step of the argument; slope and weight, current and source in halfwords, the
    first of them the low one.
    """
    offset = op.offset + (1 << (op.slope_bits - 1))  # proved to fit
    pairs = ((op.slope, op.weight), (op.current, op.source))
    packed = [(a.astype(np.int64) & 0xFFFF) | b.astype(np.int64) << 16 for a, b in pairs]
    words = np.stack((offset.astype(np.int64) & 0xFFFFFFFF, *packed), axis=-1)
    counts = np.diff(op.rows)
    return {
        "synapses": words.astype(np.uint32).ravel(),
        "counts": counts.astype(np.uint16),
        "table": op.table,
    }


def pack_inputs(op: AbstractOp) -> Constants:
    """Return synapses and leaks."""
    assert isinstance(op, Synapses)
    return {**_pack_synapses(op), "leak": op.leak, "leak_current": op.leak_current}


def pack_neurons(op: AbstractOp) -> Constants:
    """Return synapses and capacities."""
    assert isinstance(op, Unfold)
    return {**_pack_synapses(op), "capacity": op.capacity}


def view_bytes(op: AbstractOp) -> int:
    """Return the bytes of a state as its synapses read it."""
    return 2 * op.inputs[0].size


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "affine": (portable("affine.c.j2", pack_affine),),
    "center": (portable("center.c.j2"),),
    "concat": (portable("concat.c.j2"),),
    "decay": (portable("decay.c.j2", pack_rate),),
    "decimate": (portable("decimate.c.j2"),),
    "gate": (portable("gate.c.j2"),),
    "gated_sum": (portable("gated_sum.c.j2"),),
    "leaky_average": (portable("leaky_average.c.j2"),),
    "lut": (portable("lut.c.j2", pack_table),),
    "mean_abs": (portable("mean_abs.c.j2"),),
    "mean_pool": (portable("mean_pool.c.j2"),),
    "mix": (portable("mix.c.j2"),),
    "normalize": (portable("normalize.c.j2"),),
    "relax": (portable("relax.c.j2", pack_relaxation),),
    "remember": (portable("remember.c.j2"),),
    "requantize": (portable("requantize.c.j2"),),
    "slice": (portable("slice.c.j2"),),
    "synapses": (portable("synapses.c.j2", pack_inputs),),
    "template_distance": (portable("template_distance.c.j2", pack_segments),),
    "time_gate": (portable("time_gate.c.j2"),),
    "unfold": (Kernel("portable", "unfold.c.j2", always, pack_neurons, view_bytes),),
}
