"""What all commands print with: tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add --json."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
    return option(function)


def data_dir_option(function: Function) -> Function:
    """Add --data-dir."""
    text = "Folder of the recordings [default: $LNN_EDGE_DATA]."
    return click.option("--data-dir", type=click.Path(path_type=str), help=text)(function)


def console() -> Console:
    """Return the console for people's output."""
    return Console(highlight=False)


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


def progress(as_json: bool) -> Progress:
    """Return a progress bar on stderr, silent for scripts."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True, highlight=False, quiet=as_json),
    )
