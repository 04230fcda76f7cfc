"""Own recordings at any path, brought to a task and parted by who was recorded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lnn_edge.data.changes import Changes, together
from lnn_edge.data.frame import to_frame
from lnn_edge.data.inspection import inspect
from lnn_edge.data.open_records import changes_of, find_records, read_records
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.data.task_file import propose
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.read import read_toml
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import task_of_document

FOLD_COUNT = 5
EVERYTHING, TEST, VALIDATION = "all", "test", "validation"
By = Literal["subject", "folder"]


@dataclass(frozen=True)
class Source:
    """Where own recordings are and how they are read.

    Attributes:
        path: A file or a folder.
        hints: What the files do not tell.
        channels: Channel of the model -> of the recordings, where the names differ.
    """

    path: Path
    hints: Hints = Hints()  # noqa: RUF009
    channels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what a card keeps; see source_of."""
        told = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.hints).items()}
        return {
            "path": str(self.path.absolute()),
            "hints": {k: v for k, v in told.items() if v is not None},
            "channels": dict(self.channels),
        }


def told_source(
    data: str | Path | None, channels: Mapping[str, str], hints: Mapping[str, Any]
) -> Source | None:
    """Return the source that a user tells; None without a path.

    Args:
        data: The path.
        channels: See Source.
        hints: Those of Hints that are told; None is not.

    Raises:
        UsageError: Something is told about recordings that are not given.
    """
    if data is not None:
        hints = {k: Path(v) if k == "intervals" and v else v for k, v in hints.items()}
        return Source(Path(data), Hints(**hints), channels)
    told = ["channel"] * bool(channels) + [k for k, v in hints.items() if v is not None]
    if told:
        option = told[0].removesuffix("_hz").replace("_", "-")
        raise UsageError(f"--{option} is of own recordings; give --data PATH, or leave it out")
    return None


def source_of(data: Mapping[str, Any]) -> Source:
    """Return the source in a card.

    Raises:
        DataError: It is none.
    """
    if "path" not in data:
        raise DataError("the card names no path of its recordings; give --data PATH")

    def told(hint: Any, value: object, key: str) -> Any:
        return tables.convert(hint, value, f"the card: data: {key}", DataError)

    hints = told(dict[str, Any], data.get("hints", {}), "hints")
    second = hints.pop("intervals", None)
    read = tables.build(Hints, hints, "the card: data: hints", DataError)
    if second is not None:
        read = replace(read, intervals=Path(told(str, second, "hints: intervals")))
    channels = told(dict[str, str], data.get("channels", {}), "channels")
    return Source(Path(told(str, data["path"], "path")), read, channels)


@dataclass(frozen=True)
class OwnData:
    """Recordings under a task.

    Attributes:
        recordings: All of them.
        changes: What was done to them, from file to frame.
    """

    recordings: tuple[Labelled, ...]
    changes: Changes


@dataclass(frozen=True)
class Parts:
    """Recordings to learn from, and those held out to watch."""

    training: tuple[Labelled, ...]
    held_out: tuple[Labelled, ...]


def proposed_task(source: Source, name: str) -> Task:
    """Return the task that the recordings themselves suggest, as `data inspect --toml` does.

    Raises:
        DataError: They have no labels, or cannot be read.
    """
    document = propose(inspect(source.path, source.hints)).document
    labels: Any = document["labels"]
    if not labels["kind"]:
        raise DataError(
            f"{source.path} has no labels that are found; name their column or file, or give a "
            "task with --task"
        )
    return task_of_document(document, f"the task proposed for {source.path}", name)


def with_label_map(task: Task, path: Path) -> Task:
    """Return a task with the classes of a TOML file of label = "class", in the order of the file.

    Raises:
        DataError: It is no such file.
    """
    try:
        values = tables.convert(dict[str, str], read_toml(path), str(path.name), DataError)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a .toml file") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}") from None
    classes = tuple(dict.fromkeys(values.values()))
    unscored = tuple(u for u in task.unscored if u not in values)
    spared = tuple(s for s in task.map if s not in values)
    return replace(task, classes=classes, map=values, unscored=unscored + spared, rare=())


def load_own(
    source: Source, task: Task, wanted: Callable[[Record], bool] = lambda _: True
) -> OwnData:
    """Read the wanted recordings of a path into the frame of a task.

    Raises:
        DataError: One cannot be read or does not fit the frame, or none is wanted.
        MissingToolError: The library of a format is not installed.
    """
    found = find_records(source.path, source.hints)
    made: list[Labelled] = []
    changes = [changes_of(found, source.path)]
    for record in read_records(found):
        if not wanted(record):
            continue
        framed = to_frame(record, task.frame, channels=source.channels)
        labelled = Labelled(framed, task)
        for name, count in labelled.left_out().items():
            changes.append(
                Changes().also(
                    "dropped", f"{name}, which is of no class", count, "labels", record.name
                )
            )
        changes.append(framed.changes)
        made.append(labelled)
    if not made:
        raise DataError(f"{source.path} holds none of the wanted recordings; see `data inspect`")
    return OwnData(tuple(made), together(changes))


def load_chosen(
    source: Source, task: Task, split: str = EVERYTHING, names: Sequence[str] | None = None
) -> OwnData:
    """Read recordings of a path by part and name; see load_own.

    Args:
        source: Of the recordings.
        task: Of the model.
        split: EVERYTHING, a published part, or a folder of the path.
        names: Of the records; None takes all.

    Raises:
        DataError: See load_own; or a record is not there.
    """
    kept = None if names is None else set(names)

    def wanted(record: Record) -> bool:
        is_in = split == EVERYTHING or part_of(record) == split
        return is_in and (kept is None or record.name in kept)

    own = load_own(source, task, wanted)
    absent = (kept or set()) - {r.name for r in own.recordings}
    if absent:
        raise DataError(
            f"{source.path} has no recording {min(absent)}"
            + (f" in {split}" if split != EVERYTHING else "")
            + "; see `lnn-edge data inspect`"
        )
    return own


def part_of(record: Record) -> str:
    """Return the part of a record: as it was published, else the folder that it lies in."""
    folder, _, _ = record.name.rpartition("/")
    return record.part or folder.split("/")[0]


def divide(recordings: Sequence[Labelled], by: By, fold: int | None) -> Parts:
    """Return what to learn from and what to hold out.

    By subject: every FOLD_COUNT-th subject is held out in a fold; None learns from all. Records of
    a published test part are never learned from. By folder: those in a folder `validation` are
    held out, those in `test` left.

    Raises:
        DataError: There is no such fold or too few subjects, nothing is left to learn from, or one
            subject is on both sides.
    """
    learned = [r for r in recordings if _own_part(r, by) != TEST]
    if by == "folder":
        held = [r for r in learned if _own_part(r, by) == VALIDATION]
    else:
        held = _of_fold(learned, fold)
    names = {id(r) for r in held}
    training = [r for r in learned if id(r) not in names]
    if not training:
        raise DataError("no recording is left to learn from; choose another split")
    tested = [r for r in recordings if _own_part(r, by) == TEST]
    check_leaks(training, [*held, *tested])
    return Parts(tuple(training), tuple(held))


def _own_part(labelled: Labelled, by: By) -> str:
    return part_of(labelled.record) if by == "folder" else labelled.record.part


def _of_fold(recordings: Sequence[Labelled], fold: int | None) -> list[Labelled]:
    if fold is None:
        return []
    subjects = sorted({r.patient for r in recordings})
    count = min(FOLD_COUNT, len(subjects))
    if count < 2 or not 0 <= fold < count:
        raise DataError(
            f"there is no fold {fold} of {len(subjects)} subjects; take 0 to {max(count - 1, 0)}, "
            "of two subjects or more"
        )
    held = set(subjects[fold::count])
    return [r for r in recordings if r.patient in held]


def check_leaks(training: Sequence[Labelled], others: Sequence[Labelled]) -> None:
    """Refuse a subject, or a recording under two names, on both sides of a split.

    Raises:
        DataError: There is one.
    """
    subjects = {r.patient: r.name for r in training}
    signals = {_digest(r): r.name for r in training} if others else {}
    for other in others:
        if other.patient in subjects:
            raise DataError(
                f"subject {other.patient} is on both sides of the split, in {other.name} and in "
                f"{subjects[other.patient]}; figures would say nothing of other people: split by "
                "subject"
            )
        twin = signals.get(_digest(other))
        if twin is not None:
            raise DataError(
                f"{other.name} and {twin} hold the same signal and are on both sides of the split; "
                "delete one of them"
            )


def _digest(recording: Labelled) -> bytes:
    return hashlib.sha256(recording.frames.tobytes()).digest()


def counted(parts: Parts) -> str:
    """Say how many recordings, subjects and minutes are on each side."""
    sides = (("training", parts.training), ("held out", parts.held_out))
    said = []
    for name, recordings in sides:
        minutes = math.fsum(r.duration_s for r in recordings) / 60
        people = len({r.patient for r in recordings})
        said.append(f"{name}: {len(recordings)} of {people} subjects, {minutes:,.1f} minutes")
    return "; ".join(said)
