"""`lnn-edge export`: integer graph -> firmware project."""

from __future__ import annotations

from pathlib import Path

import click

from lnn_edge.cli.output import console, json_option, show_json


@click.command(name="export")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--board", "board_name", required=True, help="Name of a board, or its TOML file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: firmware-BOARD]")
@json_option
def command(model: Path | None, board_name: str, output: Path | None, as_json: bool) -> None:
    """Write the C project of MODEL (a model.qgraph), or of the shipped ECG model, for a board.

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
    export(graph, board, folder)
    facts = {"project": str(folder), "board": board.name, "model_sha256": graph_sha256(graph)}
    if as_json:
        show_json(facts)
        return
    console().print(f"{graph.name} for {board.title}: {folder}\nnext: lnn-edge build {folder}")
