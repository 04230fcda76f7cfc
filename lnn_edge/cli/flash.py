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
    """Write a built PROJECT to the board on USB; what is not fresh is built again before.

    \b
    Example: lnn-edge flash firmware --runner openocd
    """
    from lnn_edge.build.cmake import build
    from lnn_edge.build.project import open_project
    from lnn_edge.build.record import is_built
    from lnn_edge.device.runners import FLASH_RUNNERS, Image, make_runner
    from lnn_edge.errors import LinkError, MissingToolError, UsageError

    opened = open_project(project)
    if not is_built(project, "board"):
        raise UsageError(f"{project} is not built; run `lnn-edge build {project}`")
    makers = [make_runner(name, opened.board) for name in ([runner] if runner else FLASH_RUNNERS)]
    usable = [m for m in makers if m.available() is None]
    reasons = "; ".join(f"{m.name}: {m.available()}" for m in makers if m not in usable)
    if not usable:
        raise MissingToolError(f"no way to flash {opened.board.name}: {reasons}")
    built = build(project)
    try:
        usable[0].flash(Image(built.elf, built.bin))
    except LinkError as error:
        raise LinkError(f"{error}; {reasons}" if reasons else str(error)) from None
    if as_json:
        facts = {"board": opened.board.name, "runner": usable[0].name}
        show_json(facts | {"elf": str(built.elf), "built": built.why})
        return
    if built.why:
        console().print(f"built, since {built.why}")
    console().print(f"{opened.board.name} runs {built.elf} (by {usable[0].name})")
