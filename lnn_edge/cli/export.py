"""`lnn-edge export`: integer graph -> firmware project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, json_option, show_json

if TYPE_CHECKING:
    from lnn_edge.graph import QGraph


@click.command(name="export")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--board", "board_name", required=True, help="Name of a board, or its TOML file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: firmware-BOARD]")
@json_option
def command(model: Path | None, board_name: str, output: Path | None, as_json: bool) -> None:
    """Write the C project of MODEL, or of the shipped ECG model, for a board.

    MODEL is a model.qgraph, or the folder of one.

    \b
    Example: lnn-edge export --board stm32f746 -o firmware
    """
    from lnn_edge.board import load_board
    from lnn_edge.codegen import export
    from lnn_edge.graphio import graph_sha256, load_graph
    from lnn_edge.shipped import shipped_graph

    board = load_board(board_name)
    path = model or shipped_graph()
    graph = load_graph(path / "model.qgraph" if path.is_dir() else path)
    folder = output or Path(f"firmware-{board.name}")
    export(graph, board, folder, _float_model(path, graph))
    facts = {"project": str(folder), "board": board.name, "model_sha256": graph_sha256(graph)}
    if as_json:
        show_json(facts)
        return
    console().print(f"{graph.name} for {board.title}: {folder}\nnext: lnn-edge build {folder}")


def _float_model(path: Path, graph: QGraph) -> dict[str, bytes]:
    """Return the files of an imported model, so that `verify` can compare with real numbers."""
    from lnn_edge.cell_files import is_cell_folder, read_cell_files
    from lnn_edge.errors import UsageError

    folder = path if path.is_dir() else path.parent
    if not is_cell_folder(folder):
        return {}
    card, files = read_cell_files(folder)
    if card.weights_sha256 != graph.metadata.get("weights_sha256"):
        raise UsageError(
            f"{folder}/model.qgraph was not made from the weights beside it; run `lnn-edge "
            f"quantize {folder} --calibration X.npy` again"
        )
    return files
