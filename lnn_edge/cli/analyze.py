"""`lnn-edge analyze`: what a model takes on boards, before it is exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli import FAILED, show_error
from lnn_edge.cli.output import console, json_option, progress, show_json, table
from lnn_edge.cli.quality import quality_option

if TYPE_CHECKING:
    from lnn_edge.verify.analysis import OnBoard


@click.command(name="analyze")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--board", "boards", help="Names or TOML files, with commas.  [default: all]")
@click.option("--find-beats", is_flag=True, help="Let a model of beats find them itself.")
@quality_option
@json_option
def command(
    model: Path | None,
    boards: str | None,
    find_beats: bool,
    quality: tuple[int, int] | None,
    as_json: bool,
) -> None:
    """Say what MODEL, or the shipped ECG model, takes on boards, and which of them it fits.

    Flash, RAM and worst-case stack are those of the whole firmware, which is built for each board
    that is named; without --board, once for all boards with the same kind of chip, which differ by
    some bytes of names and addresses. Instructions are those of a decision with the samples since
    the decision before, counted on the emulated core over noise. Exit code 1 where it fits none of
    the boards.

    \b
    Example: lnn-edge analyze ccfc
    Example: lnn-edge analyze model.qgraph --board stm32f746,nucleo-l476rg --json
    """
    from lnn_edge.device.board import list_boards, load_board
    from lnn_edge.files.shipped import graph_path
    from lnn_edge.graph.file import load_graph
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.verify.analysis import analyze

    graph = Additions(find_beats, quality).to(load_graph(graph_path(model)))
    asked = [load_board(name) for name in boards.split(",")] if boards else list(list_boards())
    with progress(as_json) as bar:
        shown = bar.add_task("boards", total=len(asked), note="")
        found = analyze(
            graph, asked, once_a_chip=boards is None, on_board=lambda: bar.advance(shown)
        )
    if as_json:
        show_json({"model": graph.name, "boards": [board.to_json() for board in found]})
    else:
        show_analysis(graph.name, found)
    if not any(board.fits for board in found):
        show_error(f"{graph.name} fits none of {', '.join(board.board for board in found)}")
        raise SystemExit(FAILED)


def show_analysis(model: str, found: tuple[OnBoard, ...]) -> None:
    """Print a line for each board, and why it does not fit."""
    out = console()
    rows = [
        (
            b.board,
            b.core,
            f"{b.flash_bytes:,}",
            f"{b.ram_bytes:,}",
            f"{b.stack_bytes:,}",
            "-" if b.instructions is None else f"{b.instructions:,}",
            "yes" if b.fits else "no",
        )
        for b in found
    ]
    columns = ("board", "core", "flash", "RAM", "stack", "instructions a decision", "fits")
    out.print(table(f"{model}, bytes", columns, rows))
    for b in found:
        for sentence in b.lacking:
            out.print(f"{b.board}: {sentence}")
    for core, why in {b.core: b.uncounted for b in found if b.uncounted}.items():
        out.print(f"{core}: instructions not counted, {why}")
