"""What the model.toml beside a graph knows and the graph does not record. No torch here."""

from __future__ import annotations

from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files.read import read_toml
from lnn_edge.graph.qgraph import QGraph

CARD = "model.toml"


def unlearned_beside(path: Path, graph: QGraph) -> tuple[str, ...] | None:
    """Return the classes that the training data of a graph did not tell of.

    Args:
        path: Of the graph.
        graph: What it holds.

    Returns:
        None where there is no card of the same weights, or it does not say.

    Raises:
        DataError: The card names something else than classes.
    """
    card = path.with_name(CARD)
    try:
        values = read_toml(card)
    except (OSError, ValueError):
        return None
    same = values.get("weights_sha256") == graph.metadata.get("weights_sha256") is not None
    if not same or "unlearned" not in values:
        return None
    names = values["unlearned"]
    if not isinstance(names, list) or not all(name in graph.classes for name in names):
        raise DataError(
            f"{card}: unlearned is {names!r}, needed are some of {', '.join(graph.classes)}"
        )
    return tuple(names)
