"""What a training learns from and holds out, as the command and the library both choose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from lnn_edge.data.changes import together
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.registry import find_dataset
from lnn_edge.errors import UsageError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.own_records import load_own
from lnn_edge.tasks.own_split import By, counted, divide
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.task import Task
from lnn_edge.train.best_epoch import MAIN
from lnn_edge.train.own import Asked, plan_own
from lnn_edge.train.recipe import Preprocessing, Recipe, compressed, load_recipe, task_of_recipe

_PART_SEED = 0  # of a part of the recordings


@dataclass(frozen=True)
class Plan:
    """A training that can begin.

    Attributes:
        recipe: What to train and how.
        training: Recordings to learn from.
        held_out: Those that are watched only.
        task: Of own recordings; None is the recipe's.
        data: Of the card: where own recordings are from and what was done to them.
        told: What a user should read before it begins, a line each.
        beside: Those to learn from of the data set that the recipe names beside its own.
        held_out_beside: Those of it that are not learned from.
    """

    recipe: Recipe
    training: Sequence[Labelled]
    held_out: Sequence[Labelled]
    task: Task | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    beside: Sequence[Labelled] = ()
    held_out_beside: Sequence[Labelled] = ()


def adjusted(
    name: str,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    compress: bool = False,
    best_by: str | None = None,
    patience: int | None = None,
) -> Recipe:
    """Return a recipe with what a user changes in it.

    Args:
        name: Of a built-in recipe, or a TOML file.
        settings: KEY=VALUE each.
        epochs: Instead of the recipe's.
        preprocessing: Instead of the recipe's.
        compress: Whether to take the smaller front end.
        best_by: Instead of the recipe's; see Training.
        patience: Instead of the recipe's; where nothing says by which figure, by the main one.

    Raises:
        UsageError: There is no such recipe, or a value is wrong.
    """
    recipe = load_recipe(name, settings)
    recipe = compressed(recipe) if compress else recipe
    plan = recipe.training
    patience = plan.patience if patience is None else patience
    best_by = (plan.best_by or (MAIN if patience else "")) if best_by is None else best_by
    training = replace(
        plan, epochs=epochs or plan.epochs, best_by=best_by, patience=patience if best_by else 0
    )
    return replace(recipe, training=training, preprocessing=preprocessing or recipe.preprocessing)


def plan_training(
    recipe: Recipe,
    source: Source | None,
    asked: Asked,
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    by: By = "subject",
    fold: int | None = None,
) -> Plan:
    """Read what a training needs.

    Args:
        recipe: See adjusted.
        source: Own recordings; None takes a data set.
        asked: About own recordings; of a data set only the lead.
        dataset: Instead of the recipe's.
        data_dir: Where data sets are.
        by: How own recordings are parted.
        fold: What to hold out; None learns from all.

    Raises:
        UsageError: Something is asked of own recordings and there are none, or both are given; or
            there are fewer recordings than the recipe learns from.
        DataError: The recordings cannot be read, or do not fit the task.
    """
    plan = _whole(recipe, source, asked, dataset, data_dir, by, fold)
    count = recipe.training.recordings
    return _with_some(plan, count) if count else plan


def _whole(
    recipe: Recipe,
    source: Source | None,
    asked: Asked,
    dataset: str | None,
    data_dir: str | None,
    by: By,
    fold: int | None,
) -> Plan:
    if source is not None and dataset is not None:
        raise UsageError("--dataset and --data both name recordings; give one of them")
    if source is not None:
        return _of_own(recipe, source, asked, by, fold)
    of_own = (
        ("--task", asked.task),
        ("--labels", asked.labels),
        ("--split folder", by == "folder"),
    )
    for option, value in of_own:
        if value:
            raise UsageError(f"{option} is of own recordings; give --data PATH, or leave it out")
    return _of_dataset(recipe, dataset, asked.lead, fold, data_dir)


def _with_some(plan: Plan, count: int) -> Plan:
    """Return a plan that learns from a random part of its recordings, in their order."""
    every = len(plan.training)
    if count > every:
        raise UsageError(
            f"[training] recordings is {count}, and there are {every} to learn from; lower it, or "
            "take 0 for all"
        )
    places = np.sort(np.random.default_rng(_PART_SEED).permutation(every)[:count]).tolist()
    training: Sequence[Labelled]
    if isinstance(plan.training, LazyRecords):
        names = tuple(plan.training.names[i] for i in places)
        training = LazyRecords(names, plan.training.read)
    else:
        training = tuple(plan.training[i] for i in places)
    told = f"learned from: {count} of {every} recordings, drawn at random"
    return replace(plan, training=training, told=(*plan.told, told))


def _of_dataset(
    recipe: Recipe, dataset: str | None, lead: str, fold: int | None, data_dir: str | None
) -> Plan:
    recipe = replace(recipe, dataset=dataset or recipe.dataset, lead=lead or recipe.lead)
    if not recipe.dataset:
        raise UsageError(f"recipe {recipe.name} names no data set; give --data PATH")
    own, other = _parts(recipe, recipe.dataset, recipe.lead, fold, data_dir), _Parts()
    if recipe.beside.dataset:
        other = _parts(recipe, recipe.beside.dataset, recipe.beside.lead, fold, data_dir)
    plan = Plan(
        recipe,
        own.training,
        own.held_out,
        beside=other.training,
        held_out_beside=other.held_out,
    )
    each = (own.training, own.held_out, other.training, other.held_out)
    if any(isinstance(part, LazyRecords) for part in each):
        return plan  # to know what was done to them, each must be read
    changes = together(r.record.changes for part in each for r in part)
    data = {"changes": changes.summary()} if changes else {}
    return replace(plan, data=data, told=tuple(changes.lines()))


@dataclass(frozen=True)
class _Parts:
    """Of a data set what is learned from, and what is held out."""

    training: Sequence[Labelled] = ()
    held_out: Sequence[Labelled] = ()


def _parts(
    recipe: Recipe, dataset: str, lead: str, fold: int | None, data_dir: str | None
) -> _Parts:
    task = task_of_recipe(recipe)
    load = partial(load_labelled, dataset, data_dir, lead=lead or None, task=task)
    if fold is None:
        return _Parts(load(find_dataset(dataset).training_split))
    return _Parts(load("train", fold=fold), load("validation", fold=fold))


def _of_own(recipe: Recipe, source: Source, asked: Asked, by: By, fold: int | None) -> Plan:
    if recipe.beside.dataset:
        raise UsageError(
            f"recipe {recipe.name} learns from {recipe.beside.dataset} too, and own recordings "
            "are learned from alone; give --set beside.dataset= to leave it out"
        )
    recipe, task, source = plan_own(recipe, source, asked)
    own = load_own(source, task)
    parts = divide(own, by, fold)
    data = {
        **source.document(),
        "split": by,
        "subjects": len({f.subject for f in own.facts}),
        "changes": own.changes.summary(),
    }
    if fold is not None:
        data["fold"] = fold
    classes = ", ".join(task.classes)
    told = (
        f"task {task.name}: {classes}, at {task.frame.rate_hz:g} Hz of {', '.join(task.leads)}",
        *own.changes.lines(),
        *own.changes.skipped(),
        counted(parts),
    )
    return Plan(recipe, parts.training.recordings, parts.held_out.recordings, task, data, told)
