"""--lead: which lead of an ECG a model is fed, and a word where it learned from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def lead_option(function: Function) -> Function:
    """Add --lead."""
    text = "Lead of an ECG with beats that comes first [default: the model's, or MLII]."
    return click.option("--lead", metavar="NAME", help=text)(function)


def lead_to_feed(facts: Mapping[str, object], given: str | None) -> str | None:
    """Return the lead to load, see load_dataset; warn if the model learned from another.

    Args:
        facts: Of the model: metadata of its graph.
        given: What --lead says.
    """
    from lnn_edge.data.recording import FIRST_LEAD, learned_lead

    learned = learned_lead(facts)
    if learned is not None and given not in (None, learned):
        click.echo(f"warning: the model learned from lead {learned} and is fed {given}", err=True)
    return given or (None if learned == FIRST_LEAD else learned)


def facts_of_model(model: Path | None) -> Mapping[str, object]:
    """Return what a user of a model's inputs must know, of a trained folder or a graph."""
    from lnn_edge.files.shipped import graph_path
    from lnn_edge.graph.file import load_graph

    if model is not None and model.is_dir():
        from lnn_edge.train.checkpoint import facts_of, load_trained

        return facts_of(load_trained(model))
    return load_graph(graph_path(model)).metadata
