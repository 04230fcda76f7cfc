"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

from lnn_edge.errors import UsageError
from lnn_edge.files import resources

DEFAULT = "ecg-beats-cfc"
GRAPH = "model.qgraph"


def shipped_folder(name: str = DEFAULT) -> Path:
    """Return the folder of a shipped model: graph, float weights and card."""
    return resources.path("models") / name


def shipped_graph() -> Path:
    """Return the default model's graph."""
    return shipped_folder() / GRAPH


def shipped_names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(path.parent.name for path in resources.path("models").glob(f"*/{GRAPH}"))


def graph_path(model: Path | None) -> Path:
    """Return the graph that a user means.

    Args:
        model: A model.qgraph, the folder of one, the name of a shipped model, or None for the
            default.

    Raises:
        UsageError: It is a name, and no shipped model's.
    """
    if model is None:
        return shipped_graph()
    if model.is_dir():
        return model / GRAPH
    name = str(model)
    if model.exists() or model.suffix or len(model.parts) > 1:
        return model
    if name not in shipped_names():
        raise UsageError(
            f"there is no model {name!r}; give a {GRAPH}, the folder of one, or one of "
            f"{', '.join(shipped_names())}"
        )
    return shipped_folder(name) / GRAPH
