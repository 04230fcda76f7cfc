"""What is known of a model beyond the recordings shown: figures of its card, its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.model_facts import ModelFacts, read_facts
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.history import HISTORY, Epoch, read_history
from lnn_edge.nn.model_card import read_card


@dataclass(frozen=True)
class HeldOut:
    """Figures of recordings that a model did not learn from.

    Attributes:
        facts: Of the shipped model of the same weights; None for others.
        history: Of its training, epoch by epoch; empty where it did not come along.
    """

    facts: ModelFacts | None
    history: tuple[Epoch, ...]


def held_out(folder: Path, graph: QGraph) -> HeldOut:
    """Return what a project and the package know of a model.

    Args:
        folder: Where its history lies, Project.floats.
        graph: Of the model.

    Raises:
        UsageError: The history in the project is damaged.
    """
    try:
        history = read_history(folder / HISTORY)
    except DataError as error:
        raise UsageError(f"{error}, and run `lnn-edge export` again") from None
    weights = graph.metadata.get("weights_sha256")
    for name in shipped_names() if weights else ():
        card = read_card(shipped_folder(name))
        if card is not None and card.get("weights_sha256") == weights:
            return HeldOut(read_facts(shipped_folder(name)), history)
    return HeldOut(None, history)
