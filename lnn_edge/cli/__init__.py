"""The command line. Commands load what they need when they run; only this package prints."""

from __future__ import annotations

import errno
import importlib
import io
import re
import sys
import traceback

import click

from lnn_edge.cli.interrupts import ending_in_order
from lnn_edge.errors import LnnEdgeError
from lnn_edge.files.names import shown
from lnn_edge.files.packages import TORCH_IS_MISSING
from lnn_edge.files.version import VERSION

COMMANDS = {
    "analyze": "analyze",
    "bench": "bench",
    "boards": "boards",
    "build": "build",
    "compare": "compare",
    "data": "data",
    "demo": "demo",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "export",
    "flash": "flash",
    "import": "import_",
    "models": "models",
    "monitor": "monitor",
    "predict": "predict",
    "quantize": "quantize",
    "recipes": "recipes",
    "report": "report",
    "sweep": "sweep",
    "tasks": "tasks",
    "train": "train",
    "verify": "verify",
}
"""Command name -> module in this package, which holds a click command of that name."""

FAILED = 1  # a completed check or budget failed
LONGEST_ERROR = 1000  # characters, all of them printable: some are a stranger's
TROUBLE = 2  # everything else
INTERRUPTED = 130  # by Ctrl-C, SIGTERM or SIGHUP; shells say 130 for the first
_EMPTY = re.compile(r"(--[\w-]+=)?")
_REMEDY = "check the path, your permissions and the free space"
_REMEDIES = {
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "choose a path where no file is in the way"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room or choose another folder"),
    **dict.fromkeys((errno.EROFS, errno.EACCES), "choose a place where you may read and write"),
}


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an empty argument, which as a path would be the working folder."""
        empty = next((a for a in args if _EMPTY.fullmatch(a)), None)
        if empty is not None:
            show_error(
                f"{empty or 'an argument'} is empty; give a value or leave it out (a variable of "
                "the shell may not be set)"
            )
            ctx.exit(TROUBLE)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run; an error becomes one line on stderr and exit code 2, an interruption 130."""
        _print_any_name()
        try:
            with ending_in_order():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click knows what to do
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("verbose"):
                traceback.print_exc()
            show_error(_sentence(error))
            ctx.exit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else TROUBLE)


def _print_any_name() -> None:
    """Let names of files that are no text, or not in the terminal's encoding, be escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_error(sentence: str) -> None:
    """Print one line to stderr."""
    line = shown(" ".join(sentence.splitlines()), LONGEST_ERROR)
    click.echo(f"error: {line}", err=True)


def _sentence(error: BaseException) -> str:
    if isinstance(error, LnnEdgeError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return TORCH_IS_MISSING
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; give the same command again"
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        remedy = _REMEDIES.get(error.errno or 0, _REMEDY)
        return f"{place}{error.strerror or str(error) or 'it failed'}; {remedy}"
    fault = f"{type(error).__name__}: {error}"
    return f"unexpected {fault}; run `lnn-edge -v ...` for the traceback and report it"


@click.group(cls=LazyGroup)
@click.version_option(VERSION, prog_name="lnn-edge")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of errors.")
def main(verbose: bool) -> None:
    """Liquid neural networks, from recordings to an STM32, bit-exact.

    \b
    lnn-edge demo                                  all of it, no board needed
    lnn-edge export --board stm32f746 -o firmware  the shipped ECG model
    lnn-edge build firmware
    lnn-edge verify firmware --link virtual
    """
