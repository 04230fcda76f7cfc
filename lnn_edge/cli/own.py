"""--data: own recordings at any path, and what the user says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lnn_edge.cli.hints import hint_options

if TYPE_CHECKING:
    from lnn_edge.tasks.feed import Feed
    from lnn_edge.tasks.own_data import Source

Function = TypeVar("Function", bound=Callable[..., Any])


def own_options(function: Function) -> Function:
    """Add --data, --channel and the hints."""
    function = channel_option(hint_options(function))
    kind = click.Path(path_type=Path)
    text = "Own recordings: a file or folder of any format that `data inspect` reads."
    return click.option("--data", type=kind, metavar="PATH", help=text)(function)


def channel_option(function: Function) -> Function:
    """Add --channel."""
    text = "A channel of the model is called so in the recordings; may be given again."
    option = click.option("--channel", "channels", metavar="MODEL=NAME", multiple=True, help=text)
    return option(function)


def channels_from(texts: tuple[str, ...]) -> dict[str, str]:
    """Return name of the model's channel -> name of the recordings'.

    Raises:
        UsageError: A --channel has no "=".
    """
    from lnn_edge.errors import UsageError

    pairs = [text.partition("=") for text in texts]
    if any(not (model and sign and name) for model, sign, name in pairs):
        raise UsageError("--channel must be such as acc_x=ax: the model's name, then the file's")
    return {model: name for model, _, name in pairs}


def source_from(
    data: Path | None, channels: tuple[str, ...], hints: Mapping[str, Any]
) -> Source | None:
    """Return the source that options name; None without --data.

    Raises:
        UsageError: A --channel has no "=", or an option is about recordings that are not given.
    """
    from lnn_edge.tasks.own_data import told_source

    return told_source(data, channels_from(channels), hints)


def show_feed(feed: Feed, as_json: bool) -> None:
    """Print what was done to own recordings, unless as JSON; to stderr what was not taken."""
    if feed.warning:
        click.echo(f"warning: {feed.warning}", err=True)
    for line in feed.changes.skipped() if feed.changes is not None else ():
        click.echo(line, err=True)
    if feed.changes is not None and not as_json:
        for line in feed.changes.lines():
            click.echo(line)


def names_of(records: str | None) -> list[str] | None:
    """Return the names in --records; None takes all."""
    return None if records is None else records.split(",")
