"""`lnn-edge flash`: ELF -> real board."""

from __future__ import annotations

from pathlib import Path

import click

from lnn_edge.cli.output import console, json_option, project_argument, show_json


@click.command(name="flash")
@project_argument
@click.option(
    "--runner",
    type=click.Choice(["openocd", "st-flash", "msd"]),
    help="How [default: the first that works here].",
)
@json_option
def command(project: Path, runner: str | None, as_json: bool) -> None:
    """Write a built PROJECT to the board on USB.

    \b
    Example: lnn-edge flash firmware --runner openocd
    """
    from lnn_edge.errors import LinkError, MissingToolError
    from lnn_edge.project import open_project
    from lnn_edge.runners import FLASH_RUNNERS, make_runner
    from lnn_edge.verify import built_image

    opened = open_project(project)
    image = built_image(opened)
    makers = [make_runner(name, opened.board) for name in ([runner] if runner else FLASH_RUNNERS)]
    usable = [m for m in makers if m.available() is None]
    reasons = "; ".join(f"{m.name}: {m.available()}" for m in makers if m not in usable)
    if not usable:
        raise MissingToolError(f"no way to flash {opened.board.name}: {reasons}")
    try:
        usable[0].flash(image)
    except LinkError as error:
        raise LinkError(f"{error}; {reasons}" if reasons else str(error)) from None
    if as_json:
        show_json({"board": opened.board.name, "runner": usable[0].name, "elf": str(image.elf)})
        return
    console().print(f"{opened.board.name} runs {image.elf} (by {usable[0].name})")
