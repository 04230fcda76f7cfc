"""The options that name recordings, of a data set or the user's own: one wish for a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lnn_edge.cli.hints import HINTS, hint_options
from lnn_edge.cli.output import data_dir_option

if TYPE_CHECKING:
    from lnn_edge.tasks.feed import Feed, Wish

Function = TypeVar("Function", bound=Callable[..., Any])


def wish_options(dataset: str, *, has_records: bool = False) -> Callable[[Function], Function]:
    """Give a command a `wish`: --dataset, --lead, --data, --channel, the hints and --data-dir.

    Args:
        dataset: Help of --dataset.
        has_records: Whether there is --records too.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def command(**options: Any) -> Any:
            return function(**{"wish": _take_wish(options), **options})

        kind = click.Path(path_type=Path)
        text = "Own recordings: a file or folder of any format that `data inspect` reads."
        made = data_dir_option(channel_option(hint_options(command)))
        made = click.option("--data", type=kind, metavar="PATH", help=text)(made)
        if has_records:
            made = click.option("--records", help="Only these, comma-separated.")(made)
        return cast(Function, click.option("--dataset", help=dataset)(lead_option(made)))

    return decorate


def _take_wish(options: dict[str, Any]) -> Wish:
    """Take what names recordings out of the options of a command."""
    from lnn_edge.errors import UsageError
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.own_data import told_source

    data, dataset = options.pop("data"), options.pop("dataset")
    hints = {name: options.pop(name) for name in HINTS}
    source = told_source(data, channels_from(options.pop("channels")), hints)
    if source is not None and dataset is not None:
        raise UsageError("--dataset and --data both name recordings; give one of them")
    names, lead = names_of(options.pop("records", None)), options.pop("lead")
    return Wish(dataset, source, options.pop("data_dir"), names=names, lead=lead)


def check_frames_alone(option: str, path: Path | None, wish: Wish) -> None:
    """See that frames in a file and recordings are not given together.

    Raises:
        UsageError: They are.
    """
    from lnn_edge.errors import UsageError

    given = {"--dataset": wish.dataset, "--data": wish.own, "--lead": wish.lead}
    of_recordings = [name for name, value in given.items() if value is not None]
    if path is not None and of_recordings:
        raise UsageError(
            f"{option} gives frames and {of_recordings[0]} is of recordings; give one of them"
        )


def lead_option(function: Function) -> Function:
    """Add --lead."""
    text = "Lead of an ECG with beats that comes first [default: the model's, or MLII]."
    return click.option("--lead", metavar="NAME", help=text)(function)


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
