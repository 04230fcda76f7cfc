"""`lnn-edge data`: data sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from lnn_edge.cli.output import console, data_dir_option, json_option, show_json, table


@click.group(name="data")
def command() -> None:
    """List, describe and fetch data sets."""


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Name the data sets. Example: lnn-edge data list."""
    from lnn_edge.data.registry import DATASETS

    rows = [{"name": d.name, "summary": d.summary} for d in DATASETS.values()]
    if as_json:
        show_json(rows)
        return
    console().print(table("data sets", ("name", "what"), [tuple(r.values()) for r in rows]))


@command.command()
@click.argument("name")
@click.option("--split", default="all", show_default=True, help="Part of the data set.")
@data_dir_option
@json_option
def info(name: str, split: str, data_dir: str | None, as_json: bool) -> None:
    """Describe each recording. Example: lnn-edge data info excerpts."""
    from lnn_edge.data.registry import describe

    rows = describe(name, data_dir, split)
    if as_json:
        show_json([asdict(r) for r in rows])
        return
    classes = list(rows[0].beats)
    body = [
        (r.name, r.patient, "+".join(r.leads), f"{r.duration_s:.0f} s", *r.beats.values())
        for r in rows
    ]
    console().print(table(name, ("record", "patient", "leads", "length", *classes), body))


@command.command()
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("data"))
def fetch(name: str, output: Path) -> None:
    """Download a data set. Example: lnn-edge data fetch mitdb -o data."""
    from lnn_edge.data.fetch import fetch_dataset

    console().print(f"{name} is in {fetch_dataset(name, output)}")
