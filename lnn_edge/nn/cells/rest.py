"""A cell that begins every step anew."""

from __future__ import annotations

from lnn_edge.graph.ops.constant import Constant
from lnn_edge.nn.cells.cfc import LoweredCell


def from_rest(cell: LoweredCell) -> LoweredCell:
    """Return a cell in integers whose state is its initial value in every step; nothing is kept."""
    constants = [
        Constant.fill(f"{s.tensor.name}_at_rest", s.tensor, s.initial) for s in cell.states
    ]
    return LoweredCell((*constants, *cell.ops), (), cell.output)
