"""Tasks and their networks by name: one folder each here, or of another package. No torch here."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge import tasks
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.names import shown
from lnn_edge.files.plugins import load_plugin, plugin_names
from lnn_edge.tasks.task import Network, Task, resolve
from lnn_edge.tasks.task_file import document_of, read_task_file, task_of_document

if TYPE_CHECKING:
    from lnn_edge.nn.model import AbstractStreamNet

GROUP = "lnn_edge.tasks"  # of entry points, each a Task
DOCUMENT = "task_file"  # key of a graph's metadata


@cache
def builtin_tasks() -> Mapping[str, Task]:
    """Return the tasks of this package: TASK of the module `task` in each folder here."""
    folders = (m.name for m in pkgutil.iter_modules(tasks.__path__) if m.ispkg)
    paths = (Path(place) / name for place in tasks.__path__ for name in folders)
    names = [path.name for path in paths if (path / "task.py").is_file()]
    found: list[Task] = [import_module(f"lnn_edge.tasks.{name}.task").TASK for name in names]
    return {task.name: task for task in found}


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks, those of other packages last."""
    return (*builtin_tasks(), *plugin_names(GROUP))


def find_task(name: str) -> Task:
    """Return a task by name, or the one in a TOML file.

    Raises:
        DataError: There is none, or the file is wrong.
        UsageError: The package that offers it is broken.
    """
    if name.endswith(".toml"):
        return read_task_file(Path(name))
    task = _named(name)
    if task is None:
        raise DataError(
            f"there is no task {shown(repr(name))}; take one of {', '.join(task_names())} or a "
            ".toml file"
        )
    return task


def task_of(facts: Mapping[str, object]) -> Task | None:
    """Return the task of a model; None where it has none that is known here.

    Args:
        facts: Metadata of its graph.

    Raises:
        DataError: They describe a task that is none.
    """
    if DOCUMENT in facts:
        return described_task(facts[DOCUMENT], f"metadata: {DOCUMENT}")
    name = facts.get("task")
    return _named(name) if isinstance(name, str) else None


def task_of_model(facts: Mapping[str, object]) -> Task | None:
    """Return the task of a model with the channels that it learned from; see task_of."""
    task, leads = task_of(facts), facts.get("leads")
    if task is None or not isinstance(leads, list) or len(leads) != len(task.leads):
        return task
    return task.with_channels(dict(zip(task.leads, map(str, leads), strict=True)))


def described_task(document: object, where: str) -> Task:
    """Return the task that a document describes: the built-in one where it is the same.

    Raises:
        DataError: See task_of_document.
    """
    task = task_of_document(document, where)
    return builtin_tasks()[task.name] if _is_builtin(task) else task


def _is_builtin(task: Task) -> bool:
    known = builtin_tasks().get(task.name)
    return known is not None and document_of(known) == document_of(task)


def facts_of(task: Task) -> dict[str, object]:
    """Return what a user of a model's inputs must know, as metadata of its graph.

    All of the task is there but for a built-in one, which is known by its name.
    """
    frame = task.frame
    rate = int(frame.rate_hz) if frame.rate_hz == int(frame.rate_hz) else frame.rate_hz
    facts: dict[str, object] = {
        "task": task.name,
        "sample_rate_hz": rate,
        "leads": list(task.leads),
    }
    first, *others = frame.channels
    if first.unit == "mV" and all(replace(c, name=first.name) == first for c in others):
        facts |= {"adc_gain": first.steps_per_unit, "adc_zero": first.zero}
    else:
        facts["units"] = [c.unit for c in frame.channels]
    if not _is_builtin(task):
        facts[DOCUMENT] = document_of(task)
    return facts


def find_network(name: str) -> tuple[Network, Task]:
    """Return a network by name, and the task that it was made for.

    Raises:
        UsageError: There is none.
    """
    known = _networks(builtin_tasks().values())
    if name not in known:  # only now load what other packages offer
        added = (load_plugin(GROUP, other, Task) for other in plugin_names(GROUP))
        known |= _networks(task for task in added if task is not None)
    if name not in known:
        raise UsageError(f"no network {shown(repr(name))}; known are {', '.join(sorted(known))}")
    return known[name]


def make_network(
    name: str, model: Mapping[str, object], task: Task | None = None
) -> AbstractStreamNet:
    """Build a network with fresh weights from a recipe's [model] table.

    Args:
        name: Of the network.
        model: Its sizes.
        task: Gives channels, rate, scales and classes; None is the one that it was made for.

    Raises:
        UsageError: Unknown network, a wrong key, or a task that the network does not fit.
    """
    network, own = find_network(name)
    task = task or own
    config = resolve(network.config)
    sizes = tables.build(config, model, f"[model] of {name}", UsageError)
    made: AbstractStreamNet = resolve(network.make)(sizes, task, **network.arguments)
    return made


def _named(name: str) -> Task | None:
    found = builtin_tasks().get(name)
    return found if found is not None else load_plugin(GROUP, name, Task)


def _networks(those: Iterable[Task]) -> dict[str, tuple[Network, Task]]:
    return {network.name: (network, task) for task in those for network in task.networks}
