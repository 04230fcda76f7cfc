"""--data: own recordings at any path, and what the user says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lnn_edge.cli.hints import hint_options

if TYPE_CHECKING:
    from lnn_edge.tasks.own_data import OwnData, Source

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
    from lnn_edge.data.readers.reader import Hints
    from lnn_edge.errors import UsageError
    from lnn_edge.tasks.own_data import Source

    if data is None:
        told = ["--channel"] * bool(channels) + [k for k, v in hints.items() if v is not None]
        if told:
            option = told[0] if told[0].startswith("--") else "--" + told[0].replace("_", "-")
            raise UsageError(
                f"{option.removesuffix('-hz')} is of own recordings; give --data PATH, or leave it "
                "out"
            )
        return None
    return Source(data, Hints(**hints), channels_from(channels))


def lead_of(source: Source, leads: tuple[str, ...], lead: str | None) -> Source:
    """Return a source whose first channel is called so in the recordings.

    Args:
        source: Recordings.
        leads: Of the model.
        lead: What --lead says.
    """
    from dataclasses import replace

    first = {leads[0]: lead} if lead else {}
    return replace(source, channels={**first, **source.channels})


def shown_dataset(facts: Mapping[str, object], model: str) -> str:
    """Return the data set without a folder of a model's task.

    Args:
        facts: Of the model: metadata of its graph.
        model: For the message.

    Raises:
        UsageError: There is none.
    """
    from lnn_edge.errors import UsageError
    from lnn_edge.tasks.registry import task_of

    task = task_of(facts)
    if task is None or not task.shown:
        raise UsageError(
            f"no recordings of the task of {model} are part of lnn-edge; name some with --dataset "
            "or --data"
        )
    return task.shown


def load_for_model(
    source: Source,
    facts: Mapping[str, object],
    *,
    lead: str | None,
    split: str = "all",
    records: str | None = None,
    as_json: bool,
) -> OwnData:
    """Return recordings as a model reads them, and print what was done to them, unless as JSON.

    Args:
        source: Of the recordings.
        facts: Of the model: metadata of its graph.
        lead: What --lead says.
        split: "all", or a part or folder.
        records: Names, comma-separated; None takes all.
        as_json: Whether nothing but JSON is printed.

    Raises:
        UsageError: The model has no task that is known here.
    """
    from lnn_edge.errors import UsageError
    from lnn_edge.tasks.own_data import load_chosen
    from lnn_edge.tasks.registry import task_of_model

    task = task_of_model(facts)
    if task is None:
        raise UsageError("the model has no task by which recordings are labelled; use `predict`")
    names = None if records is None else records.split(",")
    own = load_chosen(lead_of(source, task.leads, lead), task, split, names)
    for line in () if as_json else own.changes.lines():
        click.echo(line)
    return own
