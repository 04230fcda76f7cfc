"""The command line. Commands load what they need when they run; only this package prints."""

from __future__ import annotations

import importlib
import traceback

import click

from lnn_edge import __version__
from lnn_edge.errors import LnnEdgeError

COMMANDS = {
    "boards": "boards",
    "build": "build",
    "data": "data",
    "demo": "demo",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "export",
    "flash": "flash",
    "quantize": "quantize",
    "report": "report",
    "train": "train",
    "verify": "verify",
}
"""Command name -> module in this package, which holds a click command of that name."""

FAILED = 1  # a completed check or budget failed
TROUBLE = 2  # everything else


class LazyGroup(click.Group):
    """Loads a command's module when the command is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lnn_edge.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run; a named error becomes one line and exit code 2."""
        try:
            return super().invoke(ctx)
        except LnnEdgeError as error:
            if ctx.params.get("verbose"):
                traceback.print_exc()
            click.echo(f"error: {error}", err=True)
            ctx.exit(TROUBLE)


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="lnn-edge")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of errors.")
def main(verbose: bool) -> None:
    """Liquid neural networks, from recordings to an STM32, bit-exact.

    \b
    lnn-edge demo                                  all of it, no board needed
    lnn-edge export --board stm32f746 -o firmware  the shipped ECG model
    lnn-edge build firmware
    lnn-edge verify firmware --link virtual
    """
