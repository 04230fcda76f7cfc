"""Reports: one self-contained HTML page about an exported, built and verified project."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lnn_edge.data.registry import EVERYTHING, SHOWN, find_dataset, load_dataset
from lnn_edge.errors import UsageError
from lnn_edge.project import open_project
from lnn_edge.report.facts import Report, collect
from lnn_edge.report.page import render
from lnn_edge.report.words import verdict

__all__ = ["Report", "collect", "collect_embedded", "render", "save", "verdict", "write_report"]

MOST_SHOWN = 6  # recordings


def write_report(folder: Path, path: Path) -> Path:
    """Write the report of a project with the embedded recordings and return its path.

    Args:
        folder: What `lnn-edge export` wrote, at best built and verified.
        path: Of the page.

    Raises:
        UsageError: The folder is no export, one of its files is damaged, or `path` cannot be
            written.
    """
    return save(collect_embedded(folder), path)


def collect_embedded(folder: Path) -> Report:
    """Gather a project's facts and run its model over the embedded recordings of its task."""
    task = str(open_project(folder).graph.metadata.get("task", "beats"))
    dataset = find_dataset(SHOWN[task])
    split = "test" if "test" in dataset.splits else EVERYTHING
    recordings = load_dataset(dataset.name, split=split)
    return collect(folder, recordings[:MOST_SHOWN], dataset.name)


def save(report: Report, path: Path) -> Path:
    """Write a report, whole or not at all.

    Raises:
        UsageError: The path cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(render(report), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); choose another -o"
        ) from None
    return path
