"""Kernels of recursive filters: plain C, and one routine for all filters of a model."""

from __future__ import annotations

import numpy as np

from lnn_edge.codegen.kernels.kernel import Constants, Core, Kernel, constants, no_scratch, portable
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ops.biquad import Biquads


def fits_routine(op: Biquads, core: Core) -> bool:
    """Fit DSP cores where y takes all of int16 and its factor needs no shift."""
    y = op.outputs[1]
    is_whole = (y.dtype, (y.qmin, y.qmax)) == ("int16", RANGES["int16"])
    return core.dsp and is_whole and op.shift == 0


def pack_filter(op: Biquads) -> Constants:
    """Return what the routine of lnn_biquads.h reads: sizes, sections in turn, gains."""
    behind = np.zeros((op.sections, 1), np.int64)
    behind[-1] = op.multiplier
    sections = np.hstack((op.coefficients, behind)).ravel()
    head = [2 * op.outputs[1].size, 4 * len(sections)]
    return {"filter": np.concatenate((head, sections, op.gain)).astype(np.int32)}


KERNELS: dict[str, tuple[Kernel, ...]] = {
    "biquads": (
        Kernel("dsp_sections", "biquads_dsp.c.j2", fits_routine, pack_filter, no_scratch, True),
        portable("biquads.c.j2", constants("coefficients", "gain"), in_place=True),
    ),
}
