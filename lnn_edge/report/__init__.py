"""Reports: one self-contained HTML page about an exported, built and verified project."""

from __future__ import annotations

from pathlib import Path

from lnn_edge.build.project import open_project
from lnn_edge.data.registry import EVERYTHING, find_dataset
from lnn_edge.errors import UsageError
from lnn_edge.files.write import write_whole
from lnn_edge.report.facts import Report, collect
from lnn_edge.report.page import GENERATOR, render
from lnn_edge.report.predictions import MOST_SHOWN
from lnn_edge.report.words import verdict
from lnn_edge.tasks.feed import Wish, load_feed
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import task_of

__all__ = [
    "Report",
    "collect",
    "collect_embedded",
    "collect_wished",
    "render",
    "save",
    "verdict",
    "write_report",
]

_HEAD_BYTES = 1024  # of a page, which say what made it


def write_report(folder: Path, path: Path, *, force: bool = False) -> Path:
    """Write the report of a project with the embedded recordings and return its path.

    Args:
        folder: What `lnn-edge export` wrote, at best built and verified.
        path: Of the page.
        force: Whether to replace another file.

    Raises:
        UsageError: The folder is no export, one of its files is damaged, or see save.
    """
    return save(collect_embedded(folder), path, force=force)


def collect_embedded(folder: Path) -> Report:
    """Gather a project's facts and run its model over the embedded recordings of its task."""
    task = task_of(open_project(folder).graph.metadata)
    if task is None or not task.shown:
        return collect(folder, ())
    dataset = find_dataset(task.shown)
    split = "test" if "test" in dataset.splits else EVERYTHING
    recordings = load_labelled(dataset.name, split=split)
    return collect(folder, recordings[:MOST_SHOWN], dataset.name)


def collect_wished(folder: Path, wish: Wish) -> Report:
    """Gather a project's facts and run its model over the recordings that a user wants.

    Raises:
        UsageError: The folder is no export, one of its files is damaged, or the model has no task.
        DataError: The recordings cannot be read, or do not fit the model.
    """
    graph = open_project(folder).graph
    feed = load_feed(graph.metadata, wish, graph.name, graph)
    recordings = [r for r in feed.recordings if isinstance(r, Labelled)]
    return collect(folder, recordings, feed.dataset, given=Path(feed.dataset).name)


def save(report: Report, path: Path, *, force: bool = False) -> Path:
    """Write a report, whole or not at all.

    Args:
        report: To be shown.
        path: Of the page; an earlier report there is replaced.
        force: Whether to replace another file.

    Raises:
        UsageError: The path cannot be written, or holds something other than a report.
    """
    try:
        if path.is_file() and not force and not _is_report(path):
            raise UsageError(
                f"{path} is there and no report; choose another -o, or give --force to replace it"
            )
        write_whole(path, render(report))
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be written ({reason}); choose another -o") from None
    return path


def _is_report(path: Path) -> bool:
    with path.open("rb") as stream:
        return GENERATOR.encode() in stream.read(_HEAD_BYTES)
