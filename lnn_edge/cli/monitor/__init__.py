"""`lnn-edge monitor`: a signal played through a board, and what it decides, as it happens."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lnn_edge.cli import FAILED
from lnn_edge.cli.hints import hint_options
from lnn_edge.cli.output import json_option, project_argument
from lnn_edge.cli.recordings import channel_option, channels_from, names_of
from lnn_edge.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from lnn_edge.verify.monitor.events import Event

EXTRA = "pip install 'lnn-edge[monitor]'"


def _speed(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Return a factor of real time, infinity for max."""
    try:
        speed = math.inf if value == "max" else float(value)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise click.BadParameter(f"it must be a number above 0, or max, not {value}")
    return speed


@click.command(name="monitor")
@project_argument
@click.option(
    "--link", default="virtual", show_default=True, help="Where the board is, as `verify` takes it."
)
@click.option(
    "--source",
    metavar="PATH|-|serial:PORT[@BAUD]",
    help="Recordings of any format that `data inspect` reads; lines of numbers on stdin or from a "
    "serial port [default: the embedded recordings of the model's task].",
)
@click.option("--records", help="Only these recordings, comma-separated.")
@click.option(
    "--speed",
    metavar="N|max",
    default="1",
    show_default=True,
    callback=_speed,
    help="Times real time; max is as fast as the board takes it.",
)
@click.option(
    "--web",
    "port",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Also show it on a page that only this machine can open.",
)
@click.option("--plain", is_flag=True, help="A line a decision, in a terminal too.")
@click.option("--raw", is_flag=True, help="Of a live source: int16 steps of the model.")
@channel_option
@hint_options
@json_option
def command(
    project: Path,
    link: str,
    source: str | None,
    records: str | None,
    speed: float,
    port: int | None,
    plain: bool,
    raw: bool,
    channels: tuple[str, ...],
    as_json: bool,
    **hints: Any,
) -> None:
    """Play a signal through the board that runs PROJECT; show what it decides and what that takes.

    In a terminal it fills the screen: p pauses, q ends. On a pipe, or with --plain, it prints a
    line for each decision; with --json an object for each event. Ctrl-C ends it. A board that falls
    silent is waited for, and the play goes on where it was.

    A line of a live source that is not a frame is named, and counts as one that never came; the
    exit code is then 1.

    \b
    Example: lnn-edge monitor firmware --link virtual
    Example: lnn-edge monitor firmware --link serial:/dev/ttyACM0 --source holter.edf --web
    """
    from lnn_edge.build.project import open_project
    from lnn_edge.cli.monitor.plain import PlainView
    from lnn_edge.data.readers.reader import Hints
    from lnn_edge.verify.monitor.events import LineLost
    from lnn_edge.verify.monitor.pace import Pace
    from lnn_edge.verify.monitor.play import monitor
    from lnn_edge.verify.monitor.source import embedded, open_source

    _check_told(source, {"channel": channels, "raw": raw, **hints})
    opened, names, pace = open_project(project), names_of(records), Pace(speed)
    told = Hints(**hints), channels_from(channels)
    played = (
        embedded(opened.graph, names)
        if source is None
        else open_source(opened.graph, source, *told, names, raw=raw)
    )
    lost: list[LineLost] = []
    views: list[Callable[[Event], None]] = []
    if not _is_full_screen(plain or as_json):
        views.append(PlainView(as_json=as_json).show)
    with ExitStack() as stack:
        if port is not None:
            _need("aiohttp")
            from lnn_edge.cli.monitor.web import serve

            address, show = stack.enter_context(serve(pace, port))
            click.echo(f"open {address}", err=True)
            views.append(show)

        def seen() -> Iterator[Event]:
            for event in monitor(opened, link, played, pace):
                lost.extend([event] if isinstance(event, LineLost) else [])
                for view in views:
                    view(event)
                yield event

        try:
            if _is_full_screen(plain or as_json):
                from lnn_edge.cli.monitor.terminal import run

                run(seen(), pace)
            else:
                for _ in seen():
                    pass
        except KeyboardInterrupt:  # how a user ends a play
            pace.stop()
    raise SystemExit(FAILED if lost else 0)


def _check_told(source: str | None, told: Mapping[str, object]) -> None:
    """Refuse options of a source that is not given."""
    found = [name for name, value in told.items() if value]
    if source is None and found:
        option = found[0].removesuffix("_hz").replace("_", "-")
        raise UsageError(f"--{option} is of a source; give --source, or leave it out")


def _is_full_screen(plain: bool) -> bool:
    """Return whether to fill the screen of a terminal."""
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    _need("textual", " or add --plain")
    return True


def _need(package: str, otherwise: str = "") -> None:
    if find_spec(package) is None:
        raise MissingToolError(
            f"this view needs {package}, which is not installed; install it with `{EXTRA}`"
            f"{otherwise}"
        )
