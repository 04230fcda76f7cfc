"""`lnn-edge boards`: the board database."""

from __future__ import annotations

from dataclasses import asdict

import click

from lnn_edge.cli.output import console, json_option, show_json, table


@click.command(name="boards")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the boards, or describe one.

    \b
    Example: lnn-edge boards stm32f746
    """
    from lnn_edge.device.board import list_boards, load_board

    boards = [load_board(name)] if name else list(list_boards())
    if as_json:
        show_json([asdict(b) for b in boards])
        return
    for board in boards:
        title = ", ".join((board.name, *board.aliases))
        title += f": {board.mcu.part}, {board.mcu.cpu}, {board.clock.core_hz / 1e6:g} MHz"
        rows = [(r.name, f"0x{r.start:08x}", f"{r.size / 1024:g} KB", r.kind) for r in board.memory]
        console().print(table(title, ("region", "start", "size", "kind"), rows))
