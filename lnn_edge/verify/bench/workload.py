"""What the bench runs: a graph and what it is fed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.qgraph import QGraph


@dataclass(frozen=True)
class Workload:
    """A graph and what it is fed.

    Attributes:
        graph: The graph.
        frames: (T, C) int16.
        events: Indices of frames.
        counted: Names of the operators that the row is about; none for a whole model.
        steps: Decisions that the row sums up.
        is_per_frame: Whether the row is about a frame, not about a decision.
    """

    graph: QGraph
    frames: np.ndarray
    events: tuple[int, ...] = ()
    counted: tuple[str, ...] = ()
    steps: int = 1
    is_per_frame: bool = False
