"""An exported firmware project on disk, read back and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge.device.board import Board, board_of
from lnn_edge.errors import UsageError
from lnn_edge.files.read import read_json

if TYPE_CHECKING:
    from lnn_edge.graph.qgraph import QGraph

FLOATS = "float"
_AGAIN = "run `lnn-edge export` again"


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

    @property
    def floats(self) -> Path:
        """Folder of what is known of the float model: card, history, weights, reference."""
        return self.folder / FLOATS


def find_project(folder: Path | None) -> Path:
    """Return the folder of a project: the one given, or the only one in the working folder.

    Raises:
        UsageError: None is given and the working folder holds no exported project, or several.
    """
    if folder is not None:
        return folder
    found = sorted(path.parent for path in Path().glob("*/export.json"))
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise UsageError(
            f"no PROJECT given, and the exported projects here are: {names}; name one, or make one "
            "with `lnn-edge export --board stm32f746`"
        )
    return found[0]


def open_project(folder: Path) -> Project:
    """Read a project.

    Raises:
        UsageError: The folder is no export, or its graph is not the one that was exported.
    """
    from lnn_edge.graph.file import (  # the operators: half a second of imports
        graph_sha256,
        load_graph,
    )
    from lnn_edge.graph.reference import FILE, read_reference

    export, board = _read_export(folder)
    graph = load_graph(folder / "model.qgraph")
    digest = graph_sha256(graph)
    if digest != export.get("model_sha256"):
        raise UsageError(f"{folder}: model.qgraph is not the graph that was exported; {_AGAIN}")
    reference = folder / FLOATS / FILE
    if reference.is_file():
        sizes = graph.frame.size, graph.output.size
        known = read_reference(reference, digest, *sizes)
        graph = replace(graph, reference=known)
    return Project(folder, graph, board, export)


def open_board(folder: Path) -> Board:
    """Read the board of a project, which takes a fraction of what the project takes.

    Raises:
        UsageError: The folder is no export.
    """
    return _read_export(folder)[1]


def _read_export(folder: Path) -> tuple[dict[str, object], Board]:
    try:
        export = read_json(folder / "export.json")
        board = read_json(folder / "board" / "board.json")
    except OSError as error:
        raise UsageError(
            f"{folder} is no exported project ({Path(error.filename).name}: {error.strerror}); "
            "make one with `lnn-edge export`"
        ) from None
    except ValueError as error:
        raise UsageError(f"{folder}: its JSON files are damaged ({error}); {_AGAIN}") from None
    if not isinstance(export, dict):
        raise UsageError(f"{folder}/export.json is damaged (no object); {_AGAIN}")
    return export, board_of(board, f"{folder}/board/board.json")
