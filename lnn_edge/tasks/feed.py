"""The recordings that a model is fed: of a data set or a user's own, in the model's frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.registry import EVERYTHING
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.tasks.model_input import live_frame, takes_recordings
from lnn_edge.tasks.own_data import Source, proposed_task
from lnn_edge.tasks.own_records import OwnData, load_chosen
from lnn_edge.tasks.recordings import chosen_lead, load_labelled
from lnn_edge.tasks.registry import task_of, task_of_model
from lnn_edge.tasks.task import Task


@dataclass(frozen=True)
class Wish:
    """Which recordings a user wants.

    Attributes:
        dataset: A name, or a WFDB folder; None takes the one that is shown for the model's task.
        own: Recordings at any path, instead of a data set.
        data_dir: Where data sets are.
        split: Of the data set; of own recordings "all", or a part or folder.
        fold: For train and validation.
        names: Of the recordings; None takes all.
        lead: Of an ECG, the lead that comes first; None takes the model's.
    """

    dataset: str | None = None
    own: Source | None = None
    data_dir: str | None = None
    split: str = EVERYTHING
    fold: int = 0
    names: Sequence[str] | None = None
    lead: str | None = None


@dataclass(frozen=True)
class Feed:
    """Recordings for a model.

    Attributes:
        recordings: In the model's frame.
        dataset: Name or path that they are from.
        lead: The lead that comes first; None if it was not chosen.
        changes: What was done to own recordings; None of a data set.
        warning: What the user must know, one sentence; "" if nothing.
        task: Of the model; None of a data set's own.
    """

    recordings: Sequence[LabelledSignal]
    dataset: str
    lead: str | None
    changes: Changes | None = None
    warning: str = ""
    task: Task | None = None


def load_feed(
    facts: Mapping[str, object],
    wish: Wish,
    model: str = "the model",
    graph: QGraph | None = None,
) -> Feed:
    """Return the recordings that a user wants, in the frame of a model.

    Args:
        facts: Of the model: metadata of its graph.
        wish: Which ones.
        model: Its name, for messages.
        graph: Of a model without a task, whose classes own recordings may be labelled with.

    Raises:
        DataError: They cannot be read, or do not fit the frame.
        UsageError: The task of the model is unknown, or has no recordings here.
    """
    if wish.own is None:
        return dataset_feed(facts, wish, wish.dataset or _shown(facts, model))
    task = task_of_model(facts)
    if task is None and graph is not None and graph.classes:
        task = _task_of_classes(graph, wish.own)
    if task is None:
        raise UsageError("the model has no task by which recordings are labelled; use `predict`")
    loaded = load_own_feed(wish.own, wish, task)
    return Feed(loaded.recordings, str(wish.own.path), wish.lead, loaded.changes, task=task)


def shown_records(graph: QGraph) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return frames and events of the recordings of a model's task that are part of lnn-edge.

    None where it has no task, or the task no such recordings.
    """
    task = task_of(graph.metadata)
    if task is None or not task.shown or not takes_recordings(graph):
        return []
    feed = dataset_feed(graph.metadata, Wish(), task.shown)
    return [(r.frames, r.events) for r in feed.recordings]


def _task_of_classes(graph: QGraph, source: Source) -> Task:
    """Return the task of a model that names classes and decides on frames.

    Raises:
        DataError: It tells no rate, or the recordings have labels of another kind.
    """
    if graph.contract.sample_rate_hz is None:
        raise DataError(
            f"{graph.name} does not tell its rate; quantize it again with rate_hz=FRAMES A SECOND"
        )
    found = proposed_task(source, graph.name)
    if found.labels not in ("sample", "record"):
        raise DataError(
            f"{source.path} has labels of kind {found.labels}; those of {graph.name}, which "
            "decides on frames, must be of kind sample or record"
        )
    frame = live_frame(graph)
    return Task(graph.name, "", frame, found.decide, found.labels, graph.classes)


def dataset_feed(facts: Mapping[str, object], wish: Wish, dataset: str) -> Feed:
    """Return recordings of a data set with the model's lead, or another one and a warning."""
    learned, task, warning = chosen_lead(facts), task_of(facts), ""
    if learned is not None and wish.lead not in (None, learned):
        warning = f"the model learned from lead {learned} and is fed {wish.lead}"
    lead = wish.lead or (None if task is None or learned == task.leads[0] else learned)
    found = load_labelled(dataset, wish.data_dir, wish.split, wish.names, wish.fold, lead, task)
    return Feed(found, dataset, lead, warning=warning)


def load_own_feed(source: Source, wish: Wish, task: Task) -> OwnData:
    """Return own recordings under a task; the wanted lead is the first channel of the task."""
    first = {task.leads[0]: wish.lead} if wish.lead else {}
    named = replace(source, channels={**first, **source.channels})
    return load_chosen(named, task, wish.split, wish.names)


def _shown(facts: Mapping[str, object], model: str) -> str:
    """Return the data set of the model's task that needs no folder."""
    task = task_of(facts)
    if task is None or not task.shown:
        raise UsageError(
            f"no recordings of the task of {model} are part of lnn-edge; name some with --dataset "
            "or --data"
        )
    return task.shown
