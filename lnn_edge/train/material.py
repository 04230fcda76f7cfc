"""What a training learns from: a data set, or own recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from lnn_edge.data.registry import find_dataset
from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.tasks.own_data import By, Source, counted, divide, load_own
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.task import Task
from lnn_edge.train.checkpoint import Trained
from lnn_edge.train.loop import train
from lnn_edge.train.own import Asked, plan_own
from lnn_edge.train.recipe import Recipe, task_of_recipe


@dataclass(frozen=True)
class Material:
    """What a training learns from.

    Attributes:
        plan: The recipe, with what the recordings tell.
        training: To learn from.
        held_out: Watched and not learned.
        task: None is the recipe's.
        data: Of the card: where own recordings are from.
        told: What the user must know of own recordings before the training, line by line.
    """

    plan: Recipe
    training: Sequence[LabelledSignal]
    held_out: Sequence[LabelledSignal]
    task: Task | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def of_dataset(
    plan: Recipe,
    dataset: str | None = None,
    lead: str | None = None,
    fold: int | None = None,
    data_dir: str | None = None,
) -> Material:
    """Return the training records of a data set.

    Args:
        plan: The recipe.
        dataset: None takes that of the recipe.
        lead: First lead of an ECG; None takes that of the recipe.
        fold: Of patients, held out; None learns from all.
        data_dir: Where data sets lie.

    Raises:
        UsageError: The recipe names no data set.
        DataError: The recordings cannot be read.
    """
    plan = replace(plan, dataset=dataset or plan.dataset, lead=lead or plan.lead)
    if not plan.dataset:
        raise UsageError(f"recipe {plan.name} names no data set; give --data PATH")
    task = task_of_recipe(plan)
    split = find_dataset(plan.dataset).training_split if fold is None else "train"
    load = partial(load_labelled, plan.dataset, data_dir, lead=plan.lead or None, task=task)
    training = load(split, fold=fold or 0)
    held_out = () if fold is None else load("validation", fold=fold)
    return Material(plan, training, held_out)


def of_own(plan: Recipe, source: Source, asked: Asked, by: By, fold: int | None) -> Material:
    """Return own recordings, divided; see own.plan_own and own_data.divide."""
    plan, task, source = plan_own(plan, source, asked)
    own = load_own(source, task)
    parts = divide(own.recordings, by, fold)
    subjects = sorted({r.patient for r in own.recordings})
    data = {
        **source.document(),
        "split": by,
        "subjects": len(subjects),
        "changes": own.changes.summary(),
    }
    if fold is not None:
        data["fold"] = fold
    classes = ", ".join(task.classes)
    told = (
        f"task {task.name}: {classes}, at {task.frame.rate_hz:g} Hz of {', '.join(task.leads)}",
        *own.changes.lines(),
        counted(parts),
    )
    return Material(plan, parts.training, parts.held_out, task, data, told)


def train_on(material: Material, folder: Path, **how: Any) -> Trained:
    """Train on it; see loop.train, which takes the same seed, device, on_epoch and force."""
    return train(
        material.plan,
        material.training,
        material.held_out,
        folder,
        task=material.task,
        data=material.data,
        **how,
    )
