"""An exported firmware project on disk, read back and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.board import Board, board_from_json
from lnn_edge.errors import UsageError
from lnn_edge.graphio import graph_sha256, load_graph
from lnn_edge.ir import QGraph


@dataclass(frozen=True)
class Project:
    """A project that `lnn-edge export` wrote.

    Attributes:
        folder: Where it lies.
        graph: The model.
        board: The board it was exported for.
        export: What export.json says: versions and hashes.
    """

    folder: Path
    graph: QGraph
    board: Board
    export: dict[str, object]


def open_project(folder: Path) -> Project:
    """Read a project.

    Raises:
        UsageError: The folder is no export, or its graph is not the one that was exported.
    """
    again = "run `lnn-edge export` again"
    try:
        export = json.loads((folder / "export.json").read_text())
        board_text = (folder / "board" / "board.json").read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is no exported project ({error}); {again}") from None
    graph = load_graph(folder / "model.qgraph")
    if graph_sha256(graph) != export.get("model_sha256"):
        raise UsageError(f"{folder}: model.qgraph is not the graph that was exported; {again}")
    board = board_from_json(board_text, f"{folder}/board/board.json")
    return Project(folder, graph, board, export)
