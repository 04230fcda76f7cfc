"""`lnn-edge compare`: trainings side by side, as a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, json_option, show_json, table

if TYPE_CHECKING:
    from lnn_edge.report.comparison import Comparison


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Plot to write, .svg.")
@click.option("--figure", help="Of the plot: loss, or a figure of history.csv [default: the loss].")
@json_option
def command(runs: tuple[Path, ...], output: Path | None, figure: str | None, as_json: bool) -> None:
    """Compare trainings by what they left in their folders: model.toml and history.csv.

    Figures are those of the epoch whose weights were kept, in floating point, on the recordings
    that the run held out. Runs that held out others do not compare: look at the fold.

    \b
    Example: lnn-edge compare runs/small runs/large -o compare.svg --figure main_f1
    """
    import lnn_edge as le

    found = le.compare(runs, to=output, figure=figure)
    if as_json:
        show_json(found.to_json())
        return
    show_comparison(found)
    if output is not None:
        console().print(f"written: {output}")


def show_comparison(found: Comparison) -> None:
    """Print what became of each run, and the settings in which they differ."""
    heads, runs = ("", *(r.name for r in found.runs)), found.runs
    rows: list[tuple[object, ...]] = [
        ("recordings learned", *(r.records for r in runs)),
        ("kept epoch", *(f"{r.kept.epoch} of {len(r.history)}" for r in runs)),
        ("chosen by", *(r.chosen_by for r in runs)),
        ("loss", *(f"{r.kept.loss:.4g}" for r in runs)),
    ]
    for name in found.figures:
        values = (r.kept.metrics.get(name) for r in runs)
        rows.append((name, *("-" if v is None else f"{v:.4g}" for v in values)))
    console().print(table("trainings, figures of the recordings held out", heads, rows))
    if found.differences:
        body = (
            (name, *("-" if v is None else str(v) for v in values))
            for name, values in found.differences.items()
        )
        console().print(table("settings that differ", heads, body))
