"""`lnn-edge export`: integer graph -> firmware project."""

from __future__ import annotations

from pathlib import Path

import click

from lnn_edge.cli.output import console, force_option, json_option, show_json


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

    Over an earlier export, unchanged files of lnn-edge are replaced. Your own files stay; one in
    the way is named and nothing is written, unless --force is given.

    \b
    Example: lnn-edge export --board stm32f746 -o firmware
    Example: lnn-edge export ccfc --board stm32f746
    """
    from lnn_edge.codegen.exporters import PROJECT, export_model
    from lnn_edge.graph.file import graph_sha256

    change = None
    if find_beats:
        from lnn_edge.tasks.beats.find_beats import find_beats as with_detector

        change = with_detector
    made = export_model(model, board_name, output, form=form, change=change, force=force)
    if as_json:
        digest = graph_sha256(made.graph)
        show_json({"project": str(made.folder), "board": made.board.name, "model_sha256": digest})
        return
    console().print(f"{made.graph.name} for {made.board.title}: {made.folder}")
    if form == PROJECT:
        console().print(f"next: lnn-edge build {made.folder}")
