"""Data sets by name, as the models of a task read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lnn_edge.data.frame import ANY, to_frame
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.record import Record
from lnn_edge.data.registry import EVERYTHING, DataSet, find_dataset, load_records
from lnn_edge.errors import DataError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.registry import find_task
from lnn_edge.tasks.task import Task


@dataclass(frozen=True)
class RecordingInfo:
    """What `data info` shows of one recording: its channels, length and labels per class."""

    name: str
    patient: str
    leads: tuple[str, ...]
    duration_s: float
    labels: dict[str, int]


def load_labelled(
    name: str,
    data_dir: str | Path | None = None,
    split: str = EVERYTHING,
    records: Iterable[str] | None = None,
    fold: int = 0,
    lead: str | None = None,
    task: Task | None = None,
) -> Sequence[Labelled]:
    """Load recordings of a data set under its task.

    Args:
        name: A name of DATASETS, or the path of a folder with WFDB records.
        data_dir: Folder that holds the data set. None takes the environment's LNN_EDGE_DATA, and
            the user's cache for synthetic, which is generated where it is absent.
        split: "develop" (train and validation), "train", "validation", "test" or "all".
        records: Only these names, which must be in the split; None takes all of it.
        fold: Which fold separates "train" from "validation"; see folds().
        lead: Of an ECG with a free choice, the lead that comes first; None takes the task's.
        task: Of the model, for a folder, which tells none itself.

    Returns:
        The recordings in the order of the split. Of a split, records that are not there are
        left out; a record asked for by name must be there. Of a large data set each recording is
        read when it is reached, every time, and only then found to be damaged.

    Raises:
        DataError: The data set, split, or a record is missing or damaged, or does not fit the
            frame of the task.
        MissingToolError: A package that reads the data set's files is not installed.
    """
    dataset = find_dataset(name)
    task = _led(dataset, _task(dataset, task), lead)
    return _labelled(load_records(name, data_dir, split, records, fold), task)


def _task(dataset: DataSet, task: Task | None) -> Task:
    if dataset.task:
        return find_task(dataset.task)
    if task is None:
        raise DataError(
            f"{dataset.name} does not tell what its labels are of; say the task of the model"
        )
    return task


def _led(dataset: DataSet, task: Task, lead: str | None) -> Task:
    if lead is None:
        return task
    if ANY not in task.leads:
        raise DataError(f"{dataset.name} has leads of its own; leave --lead {lead} out")
    return task.with_channels({task.leads[0]: lead})


def _labelled(records: Sequence[Record], task: Task) -> Sequence[Labelled]:
    if isinstance(records, LazyRecords):
        return LazyRecords(records.names, partial(_read, records, task))
    return tuple(label(record, task) for record in records)


def _read(records: LazyRecords[Record], task: Task, name: str) -> Labelled:
    return label(records.read(name), task)


def label(record: Record, task: Task) -> Labelled:
    """Return a record under a task, in its frame; its rate must be that of the frame already.

    Raises:
        DataError: It is not, or a channel is missing or does not fit.
    """
    rate_hz = task.frame.rate_hz
    if record.rate_hz != rate_hz:
        raise DataError(
            f"record {record.name} is sampled at {record.rate_hz:g} Hz and the model needs "
            f"{rate_hz:g} Hz; give its path with --data, which resamples it"
        )
    _check_lead(record, task)
    return Labelled(to_frame(record, task.frame), task)


def _check_lead(record: Record, task: Task) -> None:
    """Refuse a record without the lead that is free, which a command names by --lead."""
    first, names = task.leads[0], [c.name for c in record.channels]
    if ANY in task.leads and first.casefold() not in (name.casefold() for name in names):
        raise DataError(
            f"record {record.name} has the leads {', '.join(names)} and the model needs {first}; "
            "name the lead to take by --lead, or leave the record out"
        )


def describe(
    name: str,
    data_dir: str | Path | None = None,
    split: str = EVERYTHING,
    lead: str | None = None,
) -> tuple[RecordingInfo, ...]:
    """Return what is known of each recording of a data set; of a folder its marks by symbol.

    Raises:
        DataError: As for load_labelled.
    """
    if find_dataset(name).task:
        return tuple(
            RecordingInfo(r.name, r.patient, r.leads, r.duration_s, r.count())
            for r in load_labelled(name, data_dir, split, lead=lead)
        )
    if lead is not None:
        raise DataError(f"{name} is described as it is, with all leads; leave --lead {lead} out")
    records = load_records(name, data_dir, split)
    symbols = sorted({m.symbol for r in records for m in r.marks})
    return tuple(
        RecordingInfo(
            r.name,
            r.subject,
            tuple(c.name for c in r.channels),
            r.duration_s,
            {s: Counter(m.symbol for m in r.marks)[s] for s in symbols},
        )
        for r in records
    )


def chosen_lead(facts: Mapping[str, object]) -> str | None:
    """Return the first lead that a model learned from, where it was free; None for other models.

    Args:
        facts: Metadata of its graph.
    """
    leads = facts.get("leads")
    return str(leads[0]) if isinstance(leads, list) and ANY in leads[1:] else None
