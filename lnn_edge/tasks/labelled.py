"""A recording under a task: what a model reads of it, and by which labels it is judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from lnn_edge.data.aami import FLUTTER
from lnn_edge.data.record import Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.tasks.task import Task

NOT_SCORED = -1  # a label of no class
FALSE = -2  # of a decision that stands for no event


def is_told(labels: np.ndarray) -> np.ndarray:
    """Return which labels say something: classes from 0 on, values that are numbers."""
    told: np.ndarray = np.isfinite(labels) if labels.dtype.kind == "f" else labels >= 0
    return told


def match_events(
    events: np.ndarray, stamps: np.ndarray, tolerance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pair stamps with events one to one: each is the nearest of the other, and near enough.

    Args:
        events: (B,) ascending.
        stamps: (D,) ascending.
        tolerance: Largest distance in samples.

    Returns:
        Indices into stamps, and of the events they belong to.
    """
    if not (len(events) and len(stamps)):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    event, stamp = _nearest(events, stamps), _nearest(stamps, events)
    index = np.arange(len(stamps))
    mutual = (stamp[event] == index) & (np.abs(events[event] - stamps) <= tolerance)
    return index[mutual], event[mutual]


def _nearest(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the index of the place nearest to each wanted one, the earlier of two."""
    after = np.searchsorted(places, wanted).clip(1, max(len(places) - 1, 1))
    before = after - 1
    after = after.clip(max=len(places) - 1)
    nearer: np.ndarray = np.where(
        np.abs(places[after] - wanted) < np.abs(places[before] - wanted), after, before
    )
    return nearer


@dataclass(frozen=True, eq=False)
class Labelled:
    """A record in the frame of a task, with its labels as indices into the task's classes.

    Attributes:
        record: int16, in the frame of the task.
        task: Whose.

    Raises:
        DataError: The record is not in the frame, or two events lie on one sample.
    """

    record: Record
    task: Task

    def __post_init__(self) -> None:
        """Check that the model can be fed."""
        record, frame = self.record, self.task.frame
        wanted = (frame.rate_hz, len(frame.channels))
        if not record.is_steps or (record.rate_hz, len(record.channels)) != wanted:
            raise DataError(
                f"record {record.name}: samples are {record.samples.dtype} "
                f"{record.samples.shape} at {record.rate_hz:g} Hz and must be int16 "
                f"(N, {wanted[1]}) at {wanted[0]:g} Hz"
            )
        again = np.flatnonzero(np.diff(self.events) <= 0)
        if again.size:
            sample = self.events[again[0] + 1]
            raise DataError(
                f"record {record.name}: the event at sample {sample} follows one at sample "
                f"{self.events[again[0]]}; events must ascend, so correct the annotation file"
            )

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.record.name

    @property
    def patient(self) -> str:
        """Who was recorded."""
        return self.record.subject

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean."""
        return self.task.classes

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(c.name for c in self.record.channels)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.record.duration_s

    @property
    def frames(self) -> np.ndarray:
        """The samples, (N, C) int16."""
        return self.record.samples

    @cached_property
    def events(self) -> np.ndarray:
        """Samples on which a model decides, (B,) int64; none where frames decide."""
        return np.array([m.sample for m in self._marks], np.int64)

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels as they are told, int8 indices into the classes, or NOT_SCORED.

        (B,) of events; (N,) of samples; () of a record; or (classes,) of several labels: 1
        present, 0 absent, -1 unknown. Values are float64, with an axis more for their names, NaN
        where none is told.
        """
        kind = self.task.labels
        if kind == "event":
            return np.array([self._class(m.symbol) for m in self._marks], np.int8)
        if kind == "sample":
            return self._of_samples()
        if kind == "value":
            return self._of_values()
        mine = [self.task.class_of(label) for label in self.record.labels]
        if kind == "record":
            return np.array(next((c for c in mine if c is not None), NOT_SCORED), np.int8)
        unknown = [self.task.class_of(label) for label in self.record.unknown]
        return np.array(
            [1 if i in mine else -1 if i in unknown else 0 for i in range(len(self.classes))],
            np.int8,
        )

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the labels by which decisions at ascending stamps are judged, int64 or float64.

        Of events, a stamp belongs to the nearest one within the task's tolerance, and to each
        event its nearest stamp; what stands for none is FALSE, but in ventricular flutter, in which
        EC57 compares no beats. Of samples, a mark of a class stands for the stretch before it and
        is judged by the last decision in it; without such marks every decision is judged as it is
        learned. Of values, those that hold at the stamp, (D, values). What stands for nothing is
        NOT_SCORED, or NaN.
        """
        if self.task.labels == "event":
            lost = np.where(self.in_flutter(stamps), NOT_SCORED, FALSE).astype(np.int64)
            return self._of_nearest(stamps, lost)
        if self.task.labels == "sample":
            return self._of_stretches(stamps) if self._stretches else self.targets_at(stamps)
        if self.task.is_value and self.task.decide == "events":
            return self._of_nearest(stamps, np.full((len(stamps), len(self.classes)), np.nan))
        if self.task.is_value and self.task.decide == "frames":
            return np.asarray(self.labels[stamps])
        whole = self.labels if self.task.is_value else self.labels.astype(np.int64)
        return np.tile(whole, (len(stamps), *(1,) * whole.ndim))

    def missed_at(self, stamps: np.ndarray, places: range) -> np.ndarray:
        """Return the classes of events at places for which none of ascending stamps stands, int64.

        Where labels are not those of events, none is missed.
        """
        if self.task.labels != "event":
            return np.zeros(0, np.int64)
        _, found = match_events(self.events, stamps, self._tolerance)
        is_missed = (self.events >= places.start) & (self.events < places.stop)
        is_missed &= (self.labels != NOT_SCORED) & ~self.in_flutter(self.events)
        is_missed[found] = False
        return self.labels[is_missed].astype(np.int64)

    def targets_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the labels to learn: of samples, only what has held for a while."""
        if self.task.labels != "sample":
            return self.labels_at(stamps)
        settling = round(self.task.settling_s * self.record.rate_hz)
        earlier = self.labels[np.maximum(stamps - settling, 0)]
        now = self.labels[stamps].astype(np.int64)
        return np.where(earlier == now, now, NOT_SCORED)

    def count(self) -> dict[str, int]:
        """Count what is judged, per class; of events, Q are those of none.

        Of values, the samples or events that have each.
        """
        if self.task.is_value:
            told = np.isfinite(self.labels).reshape(-1, len(self.classes)).sum(0)
            return dict(zip(self.classes, told.tolist(), strict=True))
        if self.task.is_multi_label:
            found = np.flatnonzero(self.labels == 1)
        elif self._stretches:
            found = np.array([c for _, c in self._stretches])
        else:
            found = self.labels
        counts = {c: int((found == i).sum()) for i, c in enumerate(self.classes)}
        if self.task.labels != "event":
            return counts
        return counts | {"Q": int((found == NOT_SCORED).sum())}

    def left_out(self) -> dict[str, int]:
        """Count marks and labels of no class, or that are no number, by their names."""
        task, record = self.task, self.record
        names: list[str] = []
        if task.decide == "record":
            names += record.labels
        if task.decide == "events" or (task.decide == "frames" and task.is_value):
            names += [m.symbol for m in record.marks if m.symbol not in task.unscored]
        if task.decide == "frames":
            names += [i.label for i in record.intervals]
        return dict(Counter(name for name in names if not task.tells(name)))

    @property
    def _tolerance(self) -> int:
        """Largest distance in samples between an event and what stands for it."""
        return round(self.task.tolerance_s * self.record.rate_hz)

    def in_flutter(self, stamps: np.ndarray) -> np.ndarray:
        """Return which stamps lie between the marks of ventricular flutter, or near enough."""
        is_inside = np.zeros(len(stamps), bool)
        for first, last in self._flutter:
            is_inside |= (stamps >= first - self._tolerance) & (stamps <= last + self._tolerance)
        return is_inside

    @cached_property
    def _flutter(self) -> list[tuple[int, int]]:
        """Return first and last sample of each flutter; one that is cut ends with the record."""
        marks = [m for m in self.record.marks if m.symbol in FLUTTER]
        if marks and marks[0].symbol == FLUTTER[1]:
            marks.insert(0, Mark(0, FLUTTER[0]))
        marks.append(Mark(len(self.frames) - 1, FLUTTER[1]))
        pairs = pairwise(marks)
        return [(a.sample, b.sample) for a, b in pairs if (a.symbol, b.symbol) == FLUTTER]

    @cached_property
    def _marks(self) -> list[Mark]:
        if self.task.decide != "events":
            return []
        return [m for m in self.record.marks if self.task.is_event(m.symbol)]

    @cached_property
    def _stretches(self) -> list[tuple[int, int]]:
        """Return last sample and class of the stretches that marks stand for."""
        marks = ((m.sample, self.task.class_of(m.symbol)) for m in self.record.marks)
        return [(sample, c) for sample, c in marks if c is not None and self.task.stretch_s]

    def _class(self, label: str) -> int:
        found = self.task.class_of(label)
        return NOT_SCORED if found is None else found

    def _of_samples(self) -> np.ndarray:
        labels = np.full(len(self.frames), NOT_SCORED, np.int8)
        for interval in self.record.intervals:
            labels[interval.first : interval.last + 1] = self._class(interval.label)
        return labels

    def _of_values(self) -> np.ndarray:
        """Return what events or the record say; of frames see _of_frames."""
        record, task = self.record, self.task
        if task.decide == "events":
            told = [task.values_of(m.symbol) for m in self._marks]
            return np.array(told, np.float64).reshape(-1, len(self.classes))
        if task.decide == "record":
            label = next(filter(task.tells, record.labels), "")
            return np.array(task.values_of(label))
        return self._of_frames()

    def _of_frames(self) -> np.ndarray:
        """Return the values that intervals say, and marks of the stretch before them.

        A mark stands for the samples since the one before it, no more than the task's stretch.
        """
        record, task = self.record, self.task
        values = np.full((len(self.frames), len(self.classes)), np.nan)
        longest = round(task.stretch_s * record.rate_hz) or len(values)
        after = 0
        for mark in record.marks:
            if task.tells(mark.symbol):
                stretch = slice(max(after, mark.sample + 1 - longest), mark.sample + 1)
                values[stretch] = task.values_of(mark.symbol)
                after = mark.sample + 1
        for interval in record.intervals:
            if task.tells(interval.label):
                values[interval.first : interval.last + 1] = task.values_of(interval.label)
        return values

    def _of_nearest(self, stamps: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return `labels` with those of the event that each stamp stands for."""
        stamp, event = match_events(self.events, stamps, self._tolerance)
        labels[stamp] = self.labels[event]
        return labels

    def _of_stretches(self, stamps: np.ndarray) -> np.ndarray:
        labels = np.full(len(stamps), NOT_SCORED, np.int64)
        ends, classes = np.array(self._stretches).T
        first = ends - round(self.task.stretch_s * self.record.rate_hz) + 1
        last = np.searchsorted(stamps, ends, side="right") - 1
        inside = last >= 0
        inside[inside] = stamps[last[inside]] >= first[inside]
        labels[last[inside]] = classes[inside]
        return labels
