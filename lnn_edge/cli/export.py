"""`lnn-edge export`: integer graph -> firmware project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, force_option, json_option, show_json

if TYPE_CHECKING:
    from lnn_edge.graph.qgraph import QGraph


@click.command(name="export")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--board", "board_name", required=True, help="Name of a board, or its TOML file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: firmware-BOARD]")
@click.option("--format", "form", default="project", show_default=True, help="Or a plug-in's.")
@click.option("--find-beats", is_flag=True, help="Let a model of beats find them itself.")
@force_option
@json_option
def command(
    model: Path | None,
    board_name: str,
    output: Path | None,
    form: str,
    find_beats: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the C project of MODEL, or of the shipped ECG model, for a board.

    MODEL is a model.qgraph, the folder of one, or the name of a shipped model. With --find-beats
    an R-peak detector runs on the samples, and the firmware needs no events from outside.

    Over an earlier export, files that lnn-edge wrote and nobody changed are replaced. Your own
    files stay; one in the way is named and nothing is written, unless --force is given.

    \b
    Example: lnn-edge export --board stm32f746 -o firmware
    Example: lnn-edge export ccfc --board stm32f746
    """
    from lnn_edge.codegen.exporters import PROJECT, export_as
    from lnn_edge.codegen.project import export
    from lnn_edge.device.board import load_board
    from lnn_edge.files.shipped import graph_path
    from lnn_edge.graph.file import graph_sha256, load_graph
    from lnn_edge.nn.model_card import unlearned_beside

    board = load_board(board_name)
    path = graph_path(model)
    graph = load_graph(path)
    if find_beats:
        from lnn_edge.tasks.beats.find_beats import find_beats as with_detector

        graph = with_detector(graph)
    folder = output or Path(f"firmware-{board.name}")
    if form == PROJECT:
        float_model, unlearned = _float_model(path, graph), unlearned_beside(path, graph)
        export(graph, board, folder, float_model, unlearned, force=force)
    else:
        export_as(form, graph, board, folder, force=force)
    facts = {"project": str(folder), "board": board.name, "model_sha256": graph_sha256(graph)}
    if as_json:
        show_json(facts)
        return
    console().print(f"{graph.name} for {board.title}: {folder}")
    if form == PROJECT:
        console().print(f"next: lnn-edge build {folder}")


def _float_model(path: Path, graph: QGraph) -> dict[str, bytes]:
    """Return the files of an imported model, so that `verify` can compare with real numbers."""
    from lnn_edge.errors import UsageError
    from lnn_edge.nn.model_card import kind_of, read_card, read_model

    folder = path.parent
    card = read_card(folder)
    if card is None or kind_of(card) != "imported":
        return {}
    stored = read_model(folder, "imported")
    if stored.values["weights_sha256"] != graph.metadata.get("weights_sha256"):
        raise UsageError(
            f"{folder}/model.qgraph was not made from the weights beside it; run `lnn-edge "
            f"quantize {folder} --calibration X.npy` again"
        )
    return stored.files
