"""`lnn-edge data`: data sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lnn_edge.cli import FAILED
from lnn_edge.cli.hints import hint_options
from lnn_edge.cli.output import (
    console,
    data_dir_option,
    entry,
    json_option,
    progress,
    show_json,
    table,
)
from lnn_edge.cli.recordings import lead_option

_UNSEEN = "its reader never saw the real set, only what is written of it"


@click.group(name="data")
def command() -> None:
    """List, describe and fetch data sets.

    \b
    Example: lnn-edge data list
    """


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Name the data sets.

    \b
    Example: lnn-edge data list
    """
    from lnn_edge.data.fetch import FETCHABLE, home_of
    from lnn_edge.data.layouts import LAYOUTS
    from lnn_edge.data.readers import READERS
    from lnn_edge.data.registry import DATASETS, GROUP
    from lnn_edge.files.plugins import plugin_names

    others = plugin_names(GROUP)
    homes = [h for name in FETCHABLE if (h := home_of(name)) is not None]
    if as_json:
        sets = [{"name": d.name, "summary": d.summary, "has_seen_it": d.has_seen_it}
                for d in DATASETS.values()]  # fmt: skip
        sets += [{"name": n, "summary": f"of {package}"} for n, package in others.items()]
        home = [{"fetch": p.name, "summary": p.summary, "licence": p.licence}
                for p in homes]  # fmt: skip
        formats = [{"format": r.name, "suffixes": " ".join(r.suffixes), "extra": r.extra}
                   for r in READERS]  # fmt: skip
        show_json([*sets, *home, *formats,
                   *({"layout": a.name, "summary": a.summary, "licence": a.licence,
                      "has_seen_it": a.has_seen_it} for a in LAYOUTS)])  # fmt: skip
        return
    for d in DATASETS.values():
        entry(d.name, d.summary, [] if d.has_seen_it else [_UNSEEN])
    for name, package in others.items():
        entry(name, f"of {package}", [])
    click.echo("recordings that `data fetch` brings too:")
    for p in homes:
        entry(p.name, p.summary, [p.licence])
    click.echo("published folders that are read as they are:")
    for a in LAYOUTS:
        entry(a.name, a.summary, [a.licence, *([] if a.has_seen_it else [_UNSEEN])])
    kinds = ", ".join(f"{r.name} ({' '.join(r.suffixes)})" for r in READERS)
    click.echo(f"files that are read: {kinds}")


@command.command()
@click.argument("name")
@click.option("--split", default="all", show_default=True, help="Part of the data set.")
@lead_option
@data_dir_option
@json_option
def info(name: str, split: str, lead: str | None, data_dir: str | None, as_json: bool) -> None:
    """Describe each recording.

    \b
    Example: lnn-edge data info excerpts
    """
    from lnn_edge.tasks.recordings import describe

    rows = describe(name, data_dir, split, lead)
    if as_json:
        show_json([asdict(r) for r in rows])
        return
    classes = list(rows[0].labels)
    body = [
        (r.name, r.patient, "+".join(r.leads), f"{r.duration_s:.0f} s", *r.labels.values())
        for r in rows
    ]
    console().print(table(name, ("record", "patient", "channels", "length", *classes), body))


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@hint_options
@click.option("--toml", "as_toml", is_flag=True, help="Print the proposed task file alone.")
@json_option
def inspect(path: Path, as_toml: bool, as_json: bool, **hints: Any) -> None:
    """Describe the recordings at PATH, a file or folder of any format that is read.

    Ends with 1 where a file cannot be used; the others are described all the same.

    \b
    Example: lnn-edge data inspect walk.csv --label-column activity
    """
    from lnn_edge.cli.inspection import show
    from lnn_edge.data.inspection import inspect as inspect_path
    from lnn_edge.data.readers.reader import Hints
    from lnn_edge.data.task_file import propose

    found = inspect_path(path, Hints(**hints))
    has_subjects = hints["subject_column"] is not None
    task = propose(found, hints["label_column"] or "value", has_subjects=has_subjects).text()
    if as_json:
        show_json({**found.document(), "task": task})
    elif as_toml:
        click.echo(task, nl=False)
    else:
        show(found, task)
    if found.refused:
        raise SystemExit(FAILED)


@command.command()
@click.argument("name")
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="Where it goes.")
@json_option
def fetch(name: str, data_dir: Path, as_json: bool) -> None:
    """Download a data set, or generate it.

    Files that are there already are kept; a broken download goes on where it ended.

    \b
    Example: lnn-edge data fetch mitdb --data-dir data
    """
    from lnn_edge.data.fetch import fetch as fetch_dataset
    from lnn_edge.data.fetch import home_of

    with progress(as_json) as bar:
        task = bar.add_task(name, total=1, note="")
        folder = fetch_dataset(
            name, data_dir, lambda done, total: bar.update(task, completed=done, total=total)
        )
    known = home_of(name)
    if as_json:
        terms = {"licence": known.licence, "source": known.source} if known else {}
        show_json({"name": name, "folder": str(folder), **terms})
        return
    console().print(f"{name} is in {folder}")
    if known:
        console().print(f"{known.summary}; licence {known.licence}; cite {known.source}")
