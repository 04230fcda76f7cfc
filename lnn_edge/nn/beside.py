"""The imported model beside a graph. No torch until it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.model_card import kind_of, read_card


def imported_outputs(folder: Path, graph: QGraph, frames: np.ndarray) -> np.ndarray | None:
    """Return outputs (N, D, K) of the model that a graph was made from, several side by side.

    Args:
        folder: Where it may lie.
        graph: Of its weights.
        frames: (N, T, C) in real units.

    Returns:
        None where the folder holds no imported model of these weights.

    Raises:
        DataError: It is damaged.
    """
    card = read_card(folder)
    if card is None or kind_of(card) != "imported":
        return None
    if card.get("weights_sha256") != graph.metadata.get("weights_sha256"):
        return None
    from lnn_edge.nn.imported import load_imported

    return load_imported(folder).run(frames)
