"""`lnn-edge doctor`: what is installed, what is missing, how to get it."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from lnn_edge.cli import FAILED
from lnn_edge.cli.output import console, json_option, show_json


@click.command(name="doctor")
@json_option
def command(as_json: bool) -> None:
    """Check packages, tools and boards on USB; exit code 1 when a required one is missing.

    \b
    Example: lnn-edge doctor
    """
    from lnn_edge.build.doctor import checks

    found = checks()
    if as_json:
        show_json({"checks": [asdict(c) for c in found]})
    else:
        out = console()
        for check in found:
            lack = ("missing", "red") if check.is_required else ("optional", "yellow")
            word, color = ("ok", "green") if check.ok else lack
            what = f"{check.name} {check.version}".rstrip()
            out.print(Text(f"{word:<9}", color).append(what, "default"))
            if not check.ok and check.fix:
                out.print(f"         {check.fix}")
    if not all(c.ok or not c.is_required for c in found):
        raise SystemExit(FAILED)
