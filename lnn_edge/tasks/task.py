"""What a task is: the frame that its models read, what they decide on, and how they are judged.

A task is data. Networks and augmentations, which need torch, are named and found when used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from lnn_edge.data.frame import Frame
from lnn_edge.errors import DataError

Decide = Literal["events", "frames", "record"]
LabelKind = Literal["event", "sample", "record", "multi-label", "value"]
KINDS: dict[Decide, tuple[LabelKind, ...]] = {
    "events": ("event", "value"),
    "frames": ("sample", "value"),
    "record": ("record", "multi-label", "value"),
}
"""Kinds of labels by what models decide on."""


@dataclass(frozen=True)
class Words:
    """What a report calls the things of a task.

    Attributes:
        unit: What is judged, in the plural.
        people: Who was recorded, in the plural.
        heading: Of the strips.
        choice: How the recordings shown were chosen.
        legend: How to read a strip.
        source: Where the recordings come from.
        event: What a model that decides on events waits for.
        classes: What a class is, by its name, where the name does not say it.
    """

    unit: str = "decisions"
    people: str = "subjects"
    heading: str = "Recordings"
    choice: str = ""
    legend: str = "What is true stands above, what the model decides below."
    source: str = ""
    event: str = "event"
    classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network of a task.

    Attributes:
        name: As recipes say it.
        make: "module:name" of what builds it of (config, task), with `arguments`.
        config: "module:name" of the dataclass of its sizes.
        arguments: More of them, by name.
        is_fixed: Whether it reads no frame but its task's, for which its front end was made.
        compressed: Sizes of `train --compress`; empty where there is no smaller front end.
        augmentation: "module:name" of the table [augmentation] of its recipes; "" is the task's.
    """

    name: str
    make: str
    config: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    is_fixed: bool = False
    compressed: Mapping[str, object] = field(default_factory=dict)
    augmentation: str = ""


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: As graphs and recipes say it.
        summary: One line.
        frame: What a model reads.
        decide: On what it decides: an event, frames at equal distances, or frames whose mean
            score stands for the record.
        labels: Kind of the labels; see KINDS.
        classes: What it tells apart; of values their names.
        map: Mark or label of a recording -> class; one that is a class itself needs no entry.
        unscored: Marks that are events too, and of no class.
        units: Of values, in the order of their names, "" for a number without one; () is none.
        rare: Classes too rare for a stable figure: the main figure leaves them out.
        tolerance_s: Largest distance between an event and a decision that stands for it.
        settling_s: How long the label must have held before a decision learns from it.
        stretch_s: Of labels of samples: how long a stretch a mark stands for, which the last
            decision in it is judged by; 0 judges every decision.
        window: Frames of a decision; None leaves it to the recipe.
        hop: Frames from one decision to the next; None leaves it to the recipe.
        networks: Made for it; others can be trained for it where they fit its frame.
        augmentation: "module:name" of the table [augmentation] of its networks' recipes, of those
            that have none of their own.
        words: Of a report.
        shown: Data set without a folder that `verify` and `report` take unless told; "" for none.

    Raises:
        DataError: Classes, map and kinds do not fit each other.
    """

    name: str
    summary: str
    frame: Frame
    decide: Decide
    labels: LabelKind
    classes: tuple[str, ...]
    map: Mapping[str, str] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    tolerance_s: float = 0.15
    settling_s: float = 0.0
    stretch_s: float = 0.0
    window: int | None = None
    hop: int | None = None
    networks: tuple[Network, ...] = ()
    augmentation: str = "lnn_edge.tasks.augmentation:NoAugmentation"
    words: Words = Words()
    shown: str = ""

    def __post_init__(self) -> None:
        """Check what all users of a task rely on."""
        least = 1 if self.is_value else 2
        if len(set(self.classes)) != max(len(self.classes), least):
            raise DataError(
                f"task {self.name} has the classes {', '.join(self.classes) or 'none'}; it must "
                f"have at least {'one' if self.is_value else 'two'} and their names must differ"
            )
        if self.is_value and (self.map or self.rare):
            raise DataError(
                f"task {self.name} has labels of kind value, which are numbers of no class; leave "
                "map and rare out"
            )
        if self.units and (not self.is_value or len(self.units) != len(self.classes)):
            raise DataError(
                f"task {self.name} has {len(self.units)} units; give one for each of its values, "
                "or none: classes have no unit"
            )
        if self.labels not in KINDS[self.decide]:
            raise DataError(
                f"task {self.name} decides on {self.decide} and has labels of kind {self.labels}; "
                f"they must be of kind {' or '.join(KINDS[self.decide])}"
            )
        strange = sorted({*self.map.values(), *self.rare} - set(self.classes))
        if strange:
            raise DataError(
                f"task {self.name} maps to {strange[0]!r}, which must be one of its classes "
                f"{', '.join(self.classes)}"
            )

    @property
    def is_multi_label(self) -> bool:
        """Whether every class is judged by itself, or else exactly one is decided for."""
        return self.labels == "multi-label"

    @property
    def is_value(self) -> bool:
        """Whether models estimate numbers, and decide for no class."""
        return self.labels == "value"

    @property
    def named_units(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of each value, "" where it has none."""
        return tuple(zip(self.classes, self.units or ("",) * len(self.classes), strict=True))

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(c.name for c in self.frame.channels)

    def class_of(self, label: str) -> int | None:
        """Return the index of the class of a mark or label; None where it is of no class."""
        name = self.map.get(label, label)
        return self.classes.index(name) if name in self.classes else None

    def values_of(self, label: str) -> tuple[float, ...]:
        """Return the numbers that a label says, "120 80" two of them; NaN where it says none."""
        try:
            found = tuple(float(word) for word in label.split())
        except ValueError:
            found = ()
        return found if len(found) == len(self.classes) else (math.nan,) * len(self.classes)

    def tells(self, label: str) -> bool:
        """Return whether a mark or label says a class, or any value."""
        if self.is_value:
            return any(map(math.isfinite, self.values_of(label)))
        return self.class_of(label) is not None

    def is_event(self, mark: str) -> bool:
        """Return whether a mark is an event on which models decide, with a label or without."""
        return mark in self.unscored or self.tells(mark)

    def with_channels(self, names: Mapping[str, str]) -> Task:
        """Return the task with other names for channels.

        Args:
            names: Name of a channel of the frame -> the new one.

        Raises:
            DataError: There is no such channel, or two get one name.
        """
        strange = [name for name in names if name not in self.leads]
        if strange:
            raise DataError(
                f"task {self.name} has no channel {strange[0]}; it has {', '.join(self.leads)}"
            )
        renamed = tuple(replace(c, name=names.get(c.name, c.name)) for c in self.frame.channels)
        return replace(self, frame=replace(self.frame, channels=renamed))


def resolve(place: str) -> Any:
    """Return what "module:name" names; imports the module."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
