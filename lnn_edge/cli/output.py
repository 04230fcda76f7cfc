"""What all commands print with: tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rich.progress import Progress

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add --json."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
    return option(function)


def force_option(function: Function) -> Function:
    """Add --force."""
    text = "Replace files that are in the way and would be kept; others stay all the same."
    return click.option("--force", is_flag=True, help=text)(function)


def data_dir_option(function: Function) -> Function:
    """Add --data-dir."""
    text = "Folder of the recordings [default: $LNN_EDGE_DATA]."
    return click.option("--data-dir", type=click.Path(path_type=str), help=text)(function)


def project_argument(function: Function) -> Function:
    """Add PROJECT; without it the only exported project in the working folder is meant."""
    kind = click.Path(path_type=Path)
    return click.argument("project", type=kind, required=False, callback=_find_project)(function)


def _find_project(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
    from lnn_edge.build.project import find_project

    return find_project(value)


def console() -> Console:
    """Return the console for people's output: text as it is, paths and commands in one piece."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def show_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=1, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; the first column is text, the others are numbers."""
    result = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        result.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        result.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    return result


def entry(name: str, summary: str, lines: Iterable[str]) -> None:
    """Print one of a list of things whose descriptions are too long for a table."""
    click.echo(f"{name}: {summary}")
    for line in lines:
        click.echo(f"    {line}")


def progress(as_json: bool) -> Progress:
    """Return a progress bar on stderr; it shows in a terminal only, and not to scripts."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    out = Console(stderr=True, highlight=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=out,
        disable=as_json or not out.is_terminal,
    )
