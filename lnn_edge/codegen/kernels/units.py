"""The kernel of operators that are computed unit by unit, and what can be."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import Constants, Core, Kernel, always
from lnn_edge.codegen.kernels.plain import KERNELS as PLAIN
from lnn_edge.codegen.kernels.plain import fits_pairs, pack_pairs
from lnn_edge.codegen.kernels.rows import BLOCK, PAIR_LIMIT, blocks_of, high_sums
from lnn_edge.codegen.units import Layer, Units
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.rescale import AbstractRescale

MAPS = (
    "add",
    "decay",
    "gate",
    "gated_sum",
    "lut",
    "mix",
    "relax",
    "remember",
    "requantize",
    "subtract",
    "time_gate",
)
"""Kinds of operators that templates/ops/elements.c.j2 knows."""

DSP = Core("dsp", dsp=True)


def is_map(op: AbstractOp, size: int) -> bool:
    """Return whether an operator treats each of `size` elements by itself, and all alike."""
    if op.kind not in MAPS or (isinstance(op, AbstractRescale) and op.period > 1):
        return False
    shared = op.inputs[1:] if op.kind in ("decay", "time_gate") else ()
    vectors = (*(t for t in op.inputs if t not in shared or t.size > 1), *op.outputs)
    return all(t.shape == (size,) for t in vectors)


def rows_of(layer: Layer) -> tuple[np.ndarray, Constants]:
    """Return a layer's weights (R, K) and its factors (R,), unit after unit, in whole blocks."""
    room = len(layer.heads)
    rows = -(-layer.size // layer.units) * layer.rows

    def spread(values: list[np.ndarray]) -> np.ndarray:
        whole = np.zeros((rows // room, room, *values[0].shape[1:]), np.int64)
        for index, of_head in enumerate(values):
            whole[: layer.size, index] = of_head
        return whole.reshape(rows, *values[0].shape[1:])

    factors = {
        "bias": spread([head.folded_bias for head in layer.heads]),
        "multiplier": spread([head.multiplier for head in layer.heads]),
    }
    if layer.has_shift:
        factors["shift"] = spread([head.shift for head in layer.heads])
    return spread([head.weight for head in layer.heads]), factors


def columns_of(layer: Layer) -> int:
    """Return the columns of a layer in whole groups."""
    return -(-layer.columns // BLOCK) * BLOCK


def pack(op: Units) -> Constants:
    """Return one stream for all layers, and what the maps read."""
    parts = [
        blocks_of(*rows_of(layer), layer is not op.layers[0] or op.is_crossed, layer.rows).ravel()
        for layer in op.layers
    ]
    found: Constants = {"stream": np.concatenate(parts)}
    for each in (each for layer in op.layers for each in layer.maps):
        found |= {f"{each.name}_{label}": array for label, array in _of_map(each).items()}
    return found


def _of_map(op: AbstractOp) -> Constants:
    if isinstance(op, Lut) and _is_paired(op):
        return pack_pairs(op)
    if op.kind in ("decay", "relax", "lut"):
        return PLAIN[op.kind][-1].pack(op)
    return {}


def _is_paired(op: Lut) -> bool:
    """Return whether two neighbours of a table are read at once; here also of one of int8."""
    is_narrow = op.table.dtype == "int8"
    return fits_pairs(op, DSP) or (
        is_narrow and op.inputs[0].dtype == "int16" and op.step_bits == 8
    )


def fits(op: Units) -> bool:
    """Fit int8 vectors whose high rows stay below 2**23, where blocks cost less than plain rows."""
    return all(_fits(layer) for layer in op.layers)


def _fits(layer: Layer) -> bool:
    x = layer.heads[0].inputs[0]
    if x.dtype != "int8" or len(x.shape) != 1:
        return False
    weight, factors = rows_of(layer)
    blocks, groups = len(weight) // layer.rows, -(-layer.columns // BLOCK)
    real = sum(head.weight.size for head in layer.heads)
    pays = blocks * (4.25 * layer.rows * groups + 55) < 5 * real
    return pays and int(high_sums(weight, x, factors["bias"]).max()) < PAIR_LIMIT


def scratch(op: Units) -> int:
    """Return the bytes of the largest vector that a layer reads as int16, and of those passed on.

    What a layer passes on lies packed behind what it reads, and is widened to its place.
    """
    wide = max(2 * columns_of(layer) for layer in op.layers)
    return max(wide, packed_at(op) + max((columns_of(la) for la in op.layers[1:]), default=0))


def packed_at(op: Units) -> int:
    """Return the byte where packed vectors begin: widened from the first on, none is overtaken."""
    pairs = zip(op.layers, op.layers[1:], strict=False)
    return max((max(2 * columns_of(a), columns_of(b)) for a, b in pairs), default=0)


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "units": (Kernel("dsp_units", "units.c.j2", always, pack, scratch, in_place=True),)
}
