"""All passes in their order; every lowering ends with them."""

from __future__ import annotations

from lnn_edge.graph.passes.columns import stream_columns
from lnn_edge.graph.passes.constants import fold_constants
from lnn_edge.graph.passes.taps import crop_kernels
from lnn_edge.graph.qgraph import QGraph

PASSES = (fold_constants, stream_columns, crop_kernels)
"""Each refuses nothing and changes no bit."""


def run_all(graph: QGraph) -> QGraph:
    """Return a graph that computes the same bits with less."""
    for rewrite in PASSES:
        graph = rewrite(graph)
    return graph
