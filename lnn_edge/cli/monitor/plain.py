"""The monitor on a pipe: a line for each decision on stdout, all else on stderr."""

from __future__ import annotations

import json

import click

from lnn_edge.cli.monitor.words import decision_line, sentence
from lnn_edge.verify.monitor.events import Decided, Event, Started, document


class PlainView:
    """Prints events.

    Args:
        as_json: An object for each event instead.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._started: Started | None = None

    def show(self, event: Event) -> None:
        """Print what an event says."""
        if self._as_json:
            click.echo(json.dumps(document(event), allow_nan=False))
            return
        if isinstance(event, Started):
            self._started = event
        if isinstance(event, Decided) and self._started is not None:
            click.echo(decision_line(self._started, event))
            return
        said = sentence(event)
        if said:
            click.echo(said, err=True)
