"""Forms in which a graph leaves lnn-edge: its own project, and those that other packages add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lnn_edge.device.board import Board
from lnn_edge.errors import UsageError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.plugins import load_plugin, plugin_names
from lnn_edge.files.write import publish
from lnn_edge.graph.qgraph import QGraph

GROUP = "lnn_edge.exporters"
PROJECT = "project"


def export_as(form: str, graph: QGraph, board: Board, folder: Path, *, force: bool = False) -> None:
    """Write the files that an exporter of another package makes, all of them or nothing.

    An entry point of lnn_edge.exporters is a function (graph, board) -> {path: text or bytes}.

    Args:
        form: Its name.
        graph: Model.
        board: Board.
        folder: Where the files go.
        force: Whether to replace files that are in the way and its user's.

    Raises:
        UsageError: There is no such exporter, it makes no file, or the folder holds something else.
    """
    exporter = load_plugin(GROUP, form, Callable)  # type: ignore[arg-type]
    if exporter is None:
        known = ", ".join((PROJECT, *plugin_names(GROUP)))
        raise UsageError(f"there is no exporter {form!r}; take one of {known}")
    files = dict(exporter(graph, board))
    if not files:
        raise UsageError(f"exporter {form!r} makes no file of {graph.name}; tell its author")
    with alone_in(folder):
        publish(folder, files, form, last=list(files)[-1], force=force)
