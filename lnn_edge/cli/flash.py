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
    from lnn_edge.build.flash import flash

    done = flash(project, runner)
    built = done.built
    if as_json:
        facts = {"board": done.board.name, "runner": done.runner}
        show_json(facts | {"elf": str(built.elf), "built": built.why})
        return
    if built.why:
        console().print(f"built, since {built.why}")
    console().print(f"{done.board.name} runs {built.elf} (by {done.runner})")
