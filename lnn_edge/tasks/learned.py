"""Which recordings a model learned from, so that figures over them pass for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from lnn_edge.data.registry import DATASETS
from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.names import listed
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.model_card import CARD, kind_of, read_card

MOST_NAMES = 20  # in a sentence
_WORTH = "figures over them say nothing of other people"


class Named(Protocol):
    """A recording, or the decisions on one."""

    @property
    def name(self) -> str:
        """Name of the recording."""

    @property
    def patient(self) -> str:
        """Who was recorded."""


@dataclass(frozen=True)
class Learned:
    """What a model learned from.

    Attributes:
        dataset: Name of the data set; path or name of a folder.
        records: Names of the recordings.
        people: Who was recorded; None where that was not written down.
        is_whole: Whether these are all. Without a card the graph tells what it was calibrated on,
            which is part of it.
        beside: What it learned from of another data set.
    """

    dataset: str
    records: frozenset[str]
    people: frozenset[str] | None
    is_whole: bool
    beside: Learned | None = None


@dataclass(frozen=True)
class Overlap:
    """Which of some recordings a model learned from.

    Attributes:
        count: Recordings asked about.
        records: Names of those it learned from.
        same_person: Names of others of people whom it learned from; None if unknown.
        is_known: Whether it learned from no others of them.
    """

    count: int
    records: tuple[str, ...]
    same_person: tuple[str, ...] | None
    is_known: bool

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "sentence": self.sentence,
            "is_known": self.is_known,
            "records": list(self.records),
            "same_person": None if self.same_person is None else list(self.same_person),
        }

    @property
    def sentence(self) -> str:
        """Say it."""
        these = "this recording" if self.count == 1 else f"these {self.count:,} recordings"
        some = f"{len(self.records):,} of {these}" if self.count > len(self.records) else these
        learned = some + _listed(self.records)
        if not self.is_known:
            least = f" beyond {learned}, on which it was calibrated," if self.records else ""
            missing = f"its {CARD} is missing"
            return f"Whether the model learned from {these}{least} is not known: {missing}."
        if self.same_person:
            people = f"{len(self.same_person):,} of {these}{_listed(self.same_person)}"
            known = f"learned from {learned}, and " if self.records else ""
            return f"The model {known}knows the people in {people}: {_WORTH}."
        if self.records:
            return f"The model learned from {learned}: {_WORTH}."
        if self.same_person is None:
            return f"The model did not learn from {these}, as far as names tell."
        return f"The model did not learn from {these}, nor from anybody in them."


def _listed(names: Sequence[str]) -> str:
    return f" ({listed(names, MOST_NAMES)})" if names else ""


def learned_by_folder(folder: Path) -> Learned | None:
    """Return what a trained folder's card says, None where it says nothing.

    Raises:
        DataError: The card is damaged.
    """
    card = _read_card(folder)
    return None if card is None else card.learned


def learned_by_graph(graph: QGraph, folder: Path | None = None) -> Learned | None:
    """Return what is known of a graph.

    The card of its weights tells, in the folder or of a shipped model; without one the
    graph itself, which names the recordings it was calibrated on.

    Args:
        graph: The model.
        folder: Where it lies.

    Raises:
        DataError: A card is damaged.
    """
    weights = graph.metadata.get("weights_sha256")
    folders = [folder] if folder else []
    for place in (*folders, *map(shipped_folder, shipped_names())):
        card = _read_card(place)
        if card is not None and card.weights_sha256 == weights:
            return card.learned
    calibrated: Any = graph.metadata.get("calibration_records")
    if not calibrated:
        return None
    return Learned(str(graph.metadata.get("dataset")), frozenset(calibrated), None, False)


def overlap(learned: Learned | None, dataset: str, recordings: Sequence[Named]) -> Overlap:
    """Return which recordings of a data set a model learned from.

    People have the same names in a data set and in its parts; in a user's own folder only its
    owner knows who is who, so there names of recordings are compared.

    Args:
        learned: By the model; None where nothing is known.
        dataset: Where the recordings are from: name of a data set or a folder.
        recordings: Or decisions on them.
    """
    if learned is None:
        return Overlap(len(recordings), (), None, False)
    found = _overlap(learned, dataset, recordings)
    if learned.beside is None:
        return found
    other = _overlap(learned.beside, dataset, recordings)
    is_unsure = found.same_person is None or other.same_person is None
    people = None if is_unsure else (*(found.same_person or ()), *(other.same_person or ()))
    names = (*found.records, *other.records)
    return Overlap(len(recordings), names, people, found.is_known and other.is_known)


def _overlap(learned: Learned, dataset: str, recordings: Sequence[Named]) -> Overlap:
    ours, theirs = _origin(dataset), _origin(learned.dataset)
    is_folder = ours is None or theirs is None
    has_names = is_folder or dataset == learned.dataset
    records = tuple(r.name for r in recordings if has_names and r.name in learned.records)
    is_known = learned.is_whole or len(records) == len(recordings)
    if is_folder or learned.people is None:
        return Overlap(len(recordings), records, None, is_known)
    people = learned.people if ours == theirs else frozenset()
    seen = set(records)
    others = tuple(r.name for r in recordings if r.patient in people and r.name not in seen)
    return Overlap(len(recordings), records, others, is_known)


def is_invented(dataset: str, graph: QGraph) -> bool:
    """Return whether recordings are generated and the model did not learn from their like.

    Figures over them would say nothing: no heart beats and no one moves that way.
    """
    known = DATASETS.get(dataset)
    return known is not None and known.is_generated and graph.metadata.get("dataset") != dataset


def _origin(dataset: str) -> str | None:
    """Return the data set whose people are meant, None for a folder."""
    return DATASETS[dataset].part_of or dataset if dataset in DATASETS else None


@dataclass(frozen=True)
class _Dataset:
    dataset: str = ""


@dataclass(frozen=True)
class _Recipe:
    dataset: str
    beside: _Dataset = _Dataset()


@dataclass(frozen=True)
class _Card:
    """The keys of a trained model's card that are read here; trained.ModelCard has all."""

    weights_sha256: str
    training_records: tuple[str, ...]
    recipe: _Recipe
    training_patients: tuple[str, ...] = ()
    beside_records: tuple[str, ...] = ()
    beside_patients: tuple[str, ...] = ()

    @property
    def learned(self) -> Learned:
        own = self.recipe.dataset, self.training_records, self.training_patients
        other = self.recipe.beside.dataset, self.beside_records, self.beside_patients
        return replace(_learned(*own), beside=_learned(*other) if self.beside_records else None)


def _learned(dataset: str, records: Sequence[str], people: Sequence[str]) -> Learned:
    return Learned(dataset, frozenset(records), frozenset(people) or None, True)


def _read_card(folder: Path) -> _Card | None:
    """Return the card in a folder, None where there is none of a trained model."""
    values = read_card(folder)
    if values is None or kind_of(values) != "trained":
        return None
    recipe = values.get("recipe")
    if "training_records" not in values or not isinstance(recipe, dict):
        return None
    kept = {f.name: values[f.name] for f in fields(_Card) if f.name in values}
    kept["recipe"] = _only_dataset(recipe) | {"beside": _only_dataset(recipe.get("beside"))}
    return tables.build(_Card, kept, str(folder / CARD), DataError)


def _only_dataset(table: object) -> dict[str, object]:
    return {k: v for k, v in table.items() if k == "dataset"} if isinstance(table, dict) else {}
