"""Tasks as documents: the TOML files that users write, and what cards and graphs keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.read import read_toml
from lnn_edge.tasks.task import Decide, LabelKind, Task, Words

FORMAT = 1
_NAMES = ("unit", "people", "heading", "event", "classes")


@dataclass(frozen=True)
class _Channel:
    name: str
    steps_per_unit: float
    unit: str = ""
    zero: int = 0


@dataclass(frozen=True)
class _Frame:
    rate_hz: float
    channels: tuple[_Channel, ...]


@dataclass(frozen=True)
class _Decide:
    on: Decide
    window: int | None = None
    hop: int | None = None
    tolerance_s: float = 0.15
    settling_s: float = 0.0
    stretch_s: float = 0.0


@dataclass(frozen=True)
class _Labels:
    kind: LabelKind
    classes: tuple[str, ...]
    map: dict[str, str] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Split:
    by: Literal["subject", "part"] = "subject"


@dataclass(frozen=True)
class _Document:
    format: int
    frame: _Frame
    decide: _Decide
    labels: _Labels
    name: str = ""
    summary: str = ""
    split: _Split = _Split()
    words: dict[str, object] = field(default_factory=dict)


def read_task_file(path: Path) -> Task:
    """Return the task in a TOML file, as `lnn-edge data inspect --toml` proposes it.

    Raises:
        DataError: It is missing, no TOML, or a key or value in it is wrong.
    """
    try:
        values = read_toml(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a task file") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}") from None
    return task_of_document(values, str(path.name), path.stem)


def task_of_document(values: object, where: str, name: str = "") -> Task:
    """Return the task that a document describes.

    Args:
        values: Parsed TOML or JSON.
        where: For messages.
        name: Of the task where the document gives none.

    Raises:
        DataError: A key or value is wrong.
    """
    found = tables.build(_Document, values, where, DataError)
    if found.format != FORMAT:
        raise DataError(f"{where}: format is {found.format} and must be {FORMAT}")
    words = tables.build(Words, found.words, f"{where}: words", DataError)
    channels = tuple(
        FrameChannel(c.name, c.unit, c.steps_per_unit, c.zero) for c in found.frame.channels
    )
    decide, labels = found.decide, found.labels
    return Task(
        found.name or name,
        found.summary,
        Frame(found.frame.rate_hz, channels),
        decide.on,
        labels.kind,
        labels.classes,
        labels.map,
        labels.unscored,
        labels.rare,
        labels.units,
        decide.tolerance_s,
        decide.settling_s,
        decide.stretch_s,
        decide.window,
        decide.hop,
        words=words,
    )


def document_of(task: Task) -> dict[str, Any]:
    """Return all that a model must know of a task, as JSON values; see task_of_document."""
    frame = task.frame
    decide: dict[str, Any] = {
        "on": task.decide,
        "tolerance_s": task.tolerance_s,
        "settling_s": task.settling_s,
        "stretch_s": task.stretch_s,
    }
    decide |= {k: v for k, v in (("window", task.window), ("hop", task.hop)) if v is not None}
    return {
        "format": FORMAT,
        "name": task.name,
        "summary": task.summary,
        "frame": {
            "rate_hz": frame.rate_hz,
            "channels": [
                {
                    "name": c.name,
                    "unit": c.unit,
                    "steps_per_unit": c.steps_per_unit,
                    "zero": c.zero,
                }
                for c in frame.channels
            ],
        },
        "decide": decide,
        "labels": {
            "kind": task.labels,
            "classes": list(task.classes),
            "map": dict(task.map),
            "unscored": list(task.unscored),
            "rare": list(task.rare),
            **({"units": list(task.units)} if task.is_value else {}),
        },
        "words": _told(task.words),
    }


def _told(words: Words) -> dict[str, object]:
    """Return what a task calls its things; sentences are of a data set that is shown."""
    plain = vars(Words())
    return {k: v for k, v in vars(words).items() if k in _NAMES and v != plain[k]}
