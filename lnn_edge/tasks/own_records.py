"""Own recordings in the frame of a task: in memory where they are few, else read when reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lnn_edge.data.changes import Changes, together
from lnn_edge.data.frame import to_frame
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.open_records import changes_of, find_records, read_usable
from lnn_edge.data.readers.reader import Entry
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.task import Task

EVERYTHING = "all"
MOST_IN_MEMORY = 1 << 28  # int16 values, 512 MiB: of more, a recording is read each time


@dataclass(frozen=True)
class OwnFacts:
    """What a split must know of a recording.

    Attributes:
        name: Of it.
        subject: Who was recorded.
        part: Of a published set, else "".
        place: The same, else the first folder that it lies in.
        duration_s: Its length.
        digest: Of its frames.
    """

    name: str
    subject: str
    part: str
    place: str
    duration_s: float
    digest: bytes

    @classmethod
    def of(cls, labelled: Labelled) -> OwnFacts:
        """Return those of a recording."""
        record = labelled.record
        digest = hashlib.sha256(labelled.frames.tobytes()).digest()
        place = place_of(record)
        return cls(record.name, record.subject, record.part, place, record.duration_s, digest)


def place_of(record: Record) -> str:
    """Return the part of a record as it was published, else the first folder that it lies in."""
    folder, _, _ = record.name.rpartition("/")
    return record.part or folder.split("/")[0]


@dataclass(frozen=True)
class OwnData:
    """Recordings under a task.

    Attributes:
        recordings: All of them.
        facts: Of each.
        changes: What was done to them, from file to frame; also which ones were skipped.
        refused: Why recordings cannot be used, by name of the record or its file.
    """

    recordings: Sequence[Labelled]
    facts: tuple[OwnFacts, ...]
    changes: Changes
    refused: Mapping[str, DataError]

    def take(self, wanted: Callable[[OwnFacts], bool]) -> OwnData:
        """Return the recordings of which something holds."""
        places = [i for i, facts in enumerate(self.facts) if wanted(facts)]
        kept = tuple(self.facts[i] for i in places)
        mine: Sequence[Labelled]
        if isinstance(self.recordings, LazyRecords):
            mine = LazyRecords(tuple(f.name for f in kept), self.recordings.read)
        else:
            mine = tuple(self.recordings[i] for i in places)
        return OwnData(mine, kept, self.changes, self.refused)


@dataclass(eq=False)
class _Reader:
    """Reads recordings by name; keeps those of the last file, which often holds the next one."""

    source: Source
    task: Task
    entry_of: dict[str, Entry] = field(default_factory=dict)
    kept: dict[str, Record] = field(default_factory=dict)

    def __call__(self, name: str) -> Labelled:
        if name not in self.kept:
            refused: dict[str, DataError] = {}
            self.kept = {r.name: r for r in read_usable(self.entry_of[name], refused)}
            for error in refused.values() if name not in self.kept else ():
                raise error
        return self.labelled(self.kept[name])

    def labelled(self, record: Record) -> Labelled:
        return Labelled(to_frame(record, self.task.frame, channels=self.source.channels), self.task)


def load_own(
    source: Source,
    task: Task,
    wanted: Callable[[Record], bool] = lambda _: True,
    most: int = MOST_IN_MEMORY,
) -> OwnData:
    """Read the wanted recordings of a path into the frame of a task; skip what cannot be used.

    Args:
        source: Of them.
        task: Of the model.
        wanted: Whether to take a record.
        most: Values of all frames that are kept in memory; of more none are.

    Raises:
        DataError: None is wanted or can be used, or two have one name.
        MissingToolError: The library of a format is not installed.
    """
    found = find_records(source.path, source.hints)
    read = _Reader(source, task)
    made: list[Labelled] = []
    facts: list[OwnFacts] = []
    changes = [changes_of(found, source.path)]
    refused: dict[str, DataError] = {}
    size = 0
    for entry in found.entries:
        for record in read_usable(entry, refused):
            if record.name in read.entry_of:
                raise DataError(f"there are two records called {record.name}; rename one")
            read.entry_of[record.name] = entry
            if not wanted(record):
                continue
            try:
                labelled = read.labelled(record)
            except DataError as error:
                refused[record.name] = error
                continue
            facts.append(OwnFacts.of(labelled))
            changes.append(_changes(labelled))
            size += labelled.frames.size
            if size <= most:
                made.append(labelled)
            else:
                made.clear()
    if not facts:
        raise _none(source, refused)
    changes += [Changes().also("skipped", str(e), 1, "files", n) for n, e in refused.items()]
    names = tuple(f.name for f in facts)
    recordings = tuple(made) if size <= most else LazyRecords(names, read)
    return OwnData(recordings, tuple(facts), together(changes), refused)


def _none(source: Source, refused: Mapping[str, DataError]) -> DataError:
    """Return why there is no recording."""
    first = next(iter(refused.values()), None)
    if first is None:
        return DataError(f"{source.path} holds none of the wanted recordings; see `data inspect`")
    if len(refused) == 1:
        return first
    return DataError(f"no recording of {len(refused)} can be used; the first: {first}")


def _changes(labelled: Labelled) -> Changes:
    changes = Changes()
    for name, count in labelled.left_out().items():
        detail = f"{name}, which is of no class"
        changes = changes.also("dropped", detail, count, "labels", labelled.name)
    return changes + labelled.record.changes


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
        is_in = split in (EVERYTHING, place_of(record))
        return is_in and (kept is None or record.name in kept)

    own = load_own(source, task, wanted)
    absent = (kept or set()) - {f.name for f in own.facts}
    for name, error in own.refused.items():
        if any(f"{a}/".startswith(f"{name}/") for a in absent):
            raise error
    if absent:
        raise DataError(
            f"{source.path} has no recording {min(absent)}"
            + (f" in {split}" if split != EVERYTHING else "")
            + "; see `lnn-edge data inspect`"
        )
    return own
