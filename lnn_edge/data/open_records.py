"""The records of any path: a file or a folder of a format that a reader knows. No format here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lnn_edge.data.changes import Changes
from lnn_edge.data.layouts import LAYOUTS
from lnn_edge.data.readers import READERS, wfdb_record
from lnn_edge.data.readers.reader import Entry, Hints, Reader
from lnn_edge.data.readers.spans import read_spans
from lnn_edge.data.record import Record
from lnn_edge.data.wfdb_folder import list_records
from lnn_edge.errors import DataError

MOST_FILES = 500_000
INTERVALS = (".intervals.csv", ".intervals.tsv")  # NAME.intervals.csv belongs to NAME.csv
_INDEX = "RECORDS"


@dataclass(frozen=True)
class Found:
    """What lies at a path; nothing of it is read yet.

    Attributes:
        format: Of its records: a file format, or a published layout.
        entries: Files, or parts of the layout; each yields records.
        left: How many files of other formats are left out, by suffix.
    """

    format: str
    entries: tuple[Entry, ...]
    left: dict[str, int]


def find_together(paths: Sequence[Path], hints: Hints = Hints()) -> Found:  # noqa: B008
    """Find the records at several paths; see find_records."""
    found = [find_records(path, hints) for path in paths]
    formats = ", ".join(dict.fromkeys(f.format for f in found))
    return Found(formats, tuple(entry for f in found for entry in f.entries), {})


def find_records(path: Path, hints: Hints = Hints()) -> Found:  # noqa: B008
    """Find the records at a path.

    A folder is searched with all its subfolders. Records are named by their paths in it. Where
    there are WFDB headers, they are the records; else all files of the format that most have.

    Args:
        path: A file or a folder.
        hints: See Hints.

    Raises:
        DataError: There is nothing that a reader knows.
    """
    if path.is_dir():
        for place in (path, *_only_folder(path)):  # archives often hold a folder of everything
            layout = next((a for a in LAYOUTS if a.is_it(place)), None)
            if layout is not None:
                return Found(layout.name, layout.entries(place, hints), {})
        return _in_folder(path, hints)
    if not path.is_file():
        why = "no file" if path.exists() else "not there"
        raise DataError(f"{path} is {why}; give a file or a folder of recordings")
    reader = reader_of(path)
    if reader is None:
        raise DataError(f"{path} is of no format that is read; {_known()}")
    return Found(reader.name, (_entry(reader, path, path.parent, hints),), {})


def read_records(
    found: Found, on_refusal: Callable[[str, DataError], None] | None = None
) -> Iterator[Record]:
    """Yield records one by one, each read when it is reached.

    Args:
        found: See find_records.
        on_refusal: Takes the name and the error of a file that cannot be used, and the others go
            on; None raises it.

    Raises:
        DataError: A record cannot be used, or two have one name.
        MissingToolError: The library of a format is not installed.
    """
    names: set[str] = set()
    for entry in found.entries:
        try:
            for record in entry.read():
                if record.name in names:
                    raise DataError(f"there are two records called {record.name}; rename one")
                names.add(record.name)
                yield record
        except DataError as error:
            if on_refusal is None:
                raise
            on_refusal(entry.name, error)


def read_usable(entry: Entry, refused: dict[str, DataError]) -> Iterator[Record]:
    """Yield the records of a file up to one that cannot be used, and note why under its name."""
    try:
        yield from entry.read()
    except DataError as error:
        refused[entry.name] = error


def reader_of(path: Path) -> Reader | None:
    """Return the reader of a file by its suffix."""
    name = path.name.lower()
    return next((r for r in READERS for s in r.suffixes if name.endswith(s)), None)


def _known() -> str:
    return "formats are " + ", ".join(f"{r.name} ({' '.join(r.suffixes)})" for r in READERS)


def _entry(reader: Reader, path: Path, root: Path, hints: Hints) -> Entry:
    suffix = next(s for s in reader.suffixes if path.name.lower().endswith(s))
    name = path.relative_to(root).as_posix()[: -len(suffix)]
    name = name.encode("utf-8", "replace").decode()  # a file's name may be no text
    beside = (path.with_name(path.name[: -len(suffix)] + end) for end in INTERVALS)
    if hints.intervals is None:
        hints = replace(hints, intervals=next((p for p in beside if p.is_file()), None))
    return Entry(name, partial(reader.read, path, name, hints))


def _in_folder(folder: Path, hints: Hints) -> Found:
    told = hints.intervals and hints.intervals.resolve()
    files = [path for path in _files(folder) if told is None or path.resolve() != told]
    readers = {path: reader_of(path) for path in files}
    counts = Counter(r.name for r in readers.values() if r is not None)
    if not counts:
        raise DataError(f"{folder} holds no file of a format that is read; {_known()}")
    if hints.intervals is not None:
        read_spans(hints.intervals).require_names(str(folder), max(counts.values()))
    if wfdb_record.READER.name in counts:
        return _wfdb(folder, [p for p, r in readers.items() if r is wfdb_record.READER], hints)
    most = max(counts, key=lambda name: counts[name])
    reader = next(r for r in READERS if r.name == most)
    mine = [p for p, r in readers.items() if r is reader]
    others = Counter(p.suffix.lower() or p.name for p, r in readers.items() if r is not reader)
    return Found(reader.name, tuple(_entry(reader, p, folder, hints) for p in mine), dict(others))


def _wfdb(folder: Path, headers: list[Path], hints: Hints) -> Found:
    """Take the records that RECORDS names, else all headers that are no segment of another."""
    if (folder / _INDEX).is_file():
        headers = [folder / f"{name}.hea" for name in list_records(folder)]
    else:
        parts = {p.parent / f"{name}.hea" for p in headers for name in wfdb_record.segments_of(p)}
        headers = [p for p in headers if p not in parts]
    reader = wfdb_record.READER
    return Found(reader.name, tuple(_entry(reader, p, folder, hints) for p in headers), {})


def _only_folder(folder: Path) -> list[Path]:
    """Return the folder in a folder that holds no other."""
    with os.scandir(folder) as items:
        names = [i.path for i in items if not i.name.startswith(".")]
    found = [Path(name) for name in names if os.path.isdir(name)]
    return found if len(found) == 1 else []


def _files(folder: Path) -> list[Path]:
    """Return all files below a folder but hidden ones and intervals, sorted."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [Path(place, n) for n in sorted(names) if not n.startswith(".")]
        if len(found) > MOST_FILES:
            raise DataError(f"{folder} holds over {MOST_FILES:,} files; give one of its subfolders")
    return [p for p in found if p.is_file() and not p.name.lower().endswith(INTERVALS)]


def changes_of(found: Found, path: Path) -> Changes:
    """List what is left out before any record is read."""
    changes = Changes()
    for suffix, count in found.left.items():
        changes = changes.also("dropped", f"{suffix} of another format", count, "files", str(path))
    return changes
