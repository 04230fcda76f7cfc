"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

from lnn_edge import resources

DEFAULT = "ecg-beats-cfc"


def shipped_folder() -> Path:
    """Return the folder of the default model: graph, float weights and card."""
    return resources.path("models") / DEFAULT


def shipped_graph() -> Path:
    """Return the default model's graph."""
    return shipped_folder() / "model.qgraph"
