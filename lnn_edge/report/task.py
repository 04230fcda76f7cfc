"""What a report calls the things of a task."""

from __future__ import annotations

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.registry import task_of
from lnn_edge.tasks.task import Words

UNDECIDED = "\N{MIDDLE DOT}"
UNSCORED = "Q"


def task_words(graph: QGraph) -> Words:
    """Return the words of a model's task; plain ones where it has none."""
    task = task_of(graph.metadata)
    return Words() if task is None else task.words
