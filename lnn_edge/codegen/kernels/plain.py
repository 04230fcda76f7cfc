"""Kernels of the operators that need one portable form only."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import (
    Constants,
    Core,
    Kernel,
    constants,
    no_scratch,
    portable,
)
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.rescale import AbstractRescale
from lnn_edge.graph.ops.scale import Scale

ELEMENTWISE = "elementwise.c.j2"
LESS = 1 << 14
"""What entries of a gate are less by in tables of int16; they reach 2**15."""


def less_by(op: Lut) -> int:
    """Return what the entries of a table are less by."""
    return LESS if op.table.dtype == "uint16" else 0


def pack_pairs(op: Lut) -> Constants:
    """Return the table as int16."""
    return {"pairs_table": (op.table.astype(np.int32) - less_by(op)).astype(np.int16)}


def fits_pairs(op: Lut, core: Core) -> bool:
    """Fit tables of 16 bits, a step of 256 apart: two neighbours in one load, one SMLAD."""
    x, highest = op.inputs[0], int(op.table.max()) - less_by(op)
    formats = x.dtype == "int16" and op.table.dtype in ("int16", "uint16") and op.step_bits == 8
    return core.dsp and formats and highest < 1 << 15


def pack_value(op: Constant) -> Constants:
    """Return the elements in the type of the output."""
    return {"value": op.value.astype(op.outputs[0].dtype)}


def pack_formats(op: AbstractRescale) -> Constants:
    """Return of zero points and factors those that differ from element to element."""
    x, y = op.inputs[0], op.outputs[0]
    arrays = {
        "zero_x": op.zero_points_of_x.astype(x.dtype),
        "zero_y": op.zero_points_of_y.astype(y.dtype),
        "multiplier": op.multipliers.astype(np.int32),
        "shift": op.shifts.astype(np.int8),
    }
    return {k: v[: op.period] for k, v in arrays.items() if (v != v[0]).any()}


def pack_scale(op: Scale) -> Constants:
    """Return weights, biases with the zero points folded in, and factors."""
    bias = op.folded_bias.astype(np.int32)
    packed = {"weight": op.weight, "bias": bias, "multiplier": op.multiplier}
    return {**packed, "shift": op.shift} if op.shift.any() else packed


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "add": (portable(ELEMENTWISE),),
    "average_pool": (portable("average_pool.c.j2"),),
    "center": (portable("center.c.j2"),),
    "concat": (portable("concat.c.j2"),),
    "constant": (portable("constant.c.j2", pack_value),),
    "decay": (portable(ELEMENTWISE, constants("rate")),),
    "decimate": (portable("decimate.c.j2", reads_rings=True),),
    "gate": (portable(ELEMENTWISE),),
    "gated_sum": (portable(ELEMENTWISE),),
    "leaky_average": (portable("leaky_average.c.j2", in_place=True),),
    "lut": (
        Kernel("dsp_pairs", ELEMENTWISE, fits_pairs, pack_pairs, no_scratch),
        portable(ELEMENTWISE, constants("table")),
    ),
    "max_pool": (portable("max_pool.c.j2"),),
    "mean_abs": (portable("mean_abs.c.j2"),),
    "mean_pool": (portable("mean_pool.c.j2"),),
    "mix": (portable(ELEMENTWISE),),
    "multiply": (portable("multiply.c.j2"),),
    "normalize": (portable("normalize.c.j2"),),
    "r_peaks": (portable("r_peaks.c.j2", in_place=True),),
    "relax": (portable(ELEMENTWISE, constants("multiplier", "offset")),),
    "remember": (portable(ELEMENTWISE, in_place=True),),
    "requantize": (portable("requantize.c.j2", pack_formats),),
    "scale": (portable("scale.c.j2", pack_scale),),
    "signal_quality": (portable("signal_quality.c.j2"),),
    "slice": (portable("slice.c.j2", pack_formats),),
    "subtract": (portable(ELEMENTWISE),),
    "template_distance": (
        portable("template_distance.c.j2", constants("edges", "multiplier", "shift"), True),
    ),
    "time_gate": (portable(ELEMENTWISE),),
}
