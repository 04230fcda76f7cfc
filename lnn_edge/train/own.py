"""What a recipe becomes for own recordings: their task, and sizes that the task tells."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from lnn_edge.data.frame import ANY
from lnn_edge.tasks.own_data import Source, proposed_task, with_label_map
from lnn_edge.tasks.registry import find_network, find_task
from lnn_edge.tasks.task import Task, resolve
from lnn_edge.train.recipe import Recipe, task_of_recipe


@dataclass(frozen=True)
class Asked:
    """What the user says about the task of own recordings.

    Attributes:
        task: Name of a task, or its TOML file; "" leaves it to the recipe or the recordings.
        labels: TOML file of label = "class"; None leaves the task's.
        lead: What the recordings call the first channel of the frame; "" is its name.
    """

    task: str = ""
    labels: Path | None = None
    lead: str = ""


def plan_own(recipe: Recipe, source: Source, asked: Asked) -> tuple[Recipe, Task, Source]:
    """Return the recipe, the task and the source of a training on own recordings.

    A network with a front end for one frame keeps its own task; others take the task that the
    recordings suggest, or their own where frame and labels are the same. Channels that were renamed
    for the model keep their own names in it, so that the model reads such recordings without being
    told again.

    Raises:
        DataError: The recordings suggest no task, a file is wrong, or a channel is none.
    """
    task = _task(recipe, source, asked)
    if asked.labels is not None:
        task = with_label_map(task, asked.labels)
    first = {task.leads[0]: asked.lead} if asked.lead else {}
    task = task.with_channels({**first, **source.channels})
    sizes = {k: v for k, v in (("window", task.window), ("hop", task.hop)) if v is not None}
    network, _ = find_network(recipe.network)
    known = {f.name for f in fields(resolve(network.config))}
    sizes = {k: v for k, v in sizes.items() if k in known}
    training = recipe.training
    if task.classes != task_of_recipe(recipe).classes:  # what names classes is of the recipe's
        training = replace(training, merge={}, class_weights={})
    recipe = replace(recipe, training=training)
    plan = replace(recipe, dataset=str(source.path), model={**recipe.model, **sizes}, lead="")
    return plan, task, replace(source, channels={})


def _task(recipe: Recipe, source: Source, asked: Asked) -> Task:
    network, own = find_network(recipe.network)
    if asked.task:
        task = find_task(asked.task)
        is_alike = (task.decide, len(task.leads)) == (own.decide, len(own.leads))
        return _in_frame_of(own, task) if network.is_fixed and is_alike else task
    if recipe.task or network.is_fixed:
        return task_of_recipe(recipe)
    name = "".join(c if c.isalnum() else "_" for c in source.path.stem).strip("_") or "own"
    found = proposed_task(source, name)
    return own if _is_same(own, found) else found


def _is_same(own: Task, found: Task) -> bool:
    """Return whether recordings have rate, channels and all classes of a task, and no others."""
    names = [[name.casefold() for name in task.leads] for task in (own, found)]
    kinds = [(task.decide, task.labels, task.frame.rate_hz) for task in (own, found)]
    told = {own.class_of(name) for name in found.classes}
    return names[0] == names[1] and kinds[0] == kinds[1] and told == set(range(len(own.classes)))


def _in_frame_of(own: Task, task: Task) -> Task:
    """Return a task in the frame that a front end was made for, its free leads called as before."""
    names = dict(zip(own.leads, task.leads, strict=True)) if ANY in own.leads else {}
    names = {model: name for model, name in names.items() if model != ANY}
    return replace(task, frame=own.with_channels(names).frame, window=None, hop=None)
