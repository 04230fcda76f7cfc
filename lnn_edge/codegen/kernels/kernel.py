"""What a kernel is: one way to compute an operator on a kind of core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn_edge.graph.ir import AbstractOp

Constants = dict[str, np.ndarray]


@dataclass(frozen=True)
class Core:
    """What the code generator knows of a processor.

    Attributes:
        name: As in -mcpu, or "host".
        dsp: Armv7E-M DSP instructions (SMLAD, SXTB16, SMMULR) exist.
    """

    name: str
    dsp: bool


HOST = Core("host", dsp=False)


@dataclass(frozen=True)
class Kernel:
    """One way to compute an operator; every kernel of an operator gives the same bits.

    KERNELS lists kernels by the kind of operator; their functions take operators of that kind.

    Attributes:
        name: "portable", or what it needs or does.
        template: File in templates/ops/ that renders the body of the C function.
        fits: Whether the kernel can compute this operator on this core.
        pack: Constants as the C reads them; never seen in the graph.
        scratch: Bytes of arena needed while the operator runs.
        in_place: Whether an output may be the memory of an input: a state that is brought up to
            date where it lies.
        inside: Core that the kernels of operators inside are selected for.
        reads_rings: Whether its only input may be a window that lies in a ring, in one piece or in
            two; the template then asks the operator's code for `ring`.
    """

    name: str
    template: str
    fits: Callable[[Any, Core], bool]
    pack: Callable[[Any], Constants]
    scratch: Callable[[Any], int]
    in_place: bool = False
    inside: Core = HOST
    reads_rings: bool = False


def always(_op: AbstractOp, _core: Core) -> bool:
    """Fit every operator and core."""
    return True


def no_constants(_op: AbstractOp) -> Constants:
    """Pack nothing."""
    return {}


def constants(*names: str) -> Callable[[AbstractOp], Constants]:
    """Return what packs these arrays of an operator as they are."""
    return lambda op: {name: getattr(op, name) for name in names}


def no_scratch(_op: AbstractOp) -> int:
    """Need no scratch."""
    return 0


def portable(
    template: str,
    pack: Callable[[Any], Constants] = no_constants,
    in_place: bool = False,
    reads_rings: bool = False,
) -> Kernel:
    """Return the plain C kernel that every operator has."""
    return Kernel("portable", template, always, pack, no_scratch, in_place, reads_rings=reads_rings)
