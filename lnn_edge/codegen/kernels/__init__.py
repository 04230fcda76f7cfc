"""Which kernels exist for which operator. Adding a family adds a line here."""

from lnn_edge.codegen.kernels import biquad, loop, plain, rows, stft, synapse, units
from lnn_edge.codegen.kernels.kernel import HOST, Core, Kernel
from lnn_edge.graph.ir import AbstractOp


def select(op: AbstractOp, core: Core) -> Kernel:
    """Return the preferred kernel of an operator on a core."""
    return next(kernel for kernel in KERNELS[op.kind] if kernel.fits(op, core))


KERNELS: dict[str, tuple[Kernel, ...]] = {
    **biquad.KERNELS,
    **plain.KERNELS,
    **rows.KERNELS,
    **stft.KERNELS,
    **synapse.KERNELS,
    **units.KERNELS,
    "loop": loop.kernels(select),
}
"""Kernels by operator kind, the preferred one first; one at least fits every core."""

__all__ = ["HOST", "KERNELS", "Core", "Kernel", "select"]
