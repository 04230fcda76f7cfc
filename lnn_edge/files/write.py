"""Files, written whole or not at all, and never over what is not lnn-edge's own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TextIO

from lnn_edge.errors import UsageError
from lnn_edge.files import tables
from lnn_edge.files.read import read_json
from lnn_edge.files.undisturbed import undisturbed

OWN = ".lnn-edge"  # how the names of files begin that are lnn-edge's whatever they hold
MANIFEST = f"{OWN}.json"
FORMAT = 1
REMEDY = "choose another folder, or give --force to replace what is in the way"
_STAGE = f"{OWN}-stage"

Content = bytes | str
Files = Mapping[str, Content]
"""What files hold, by their paths in a folder, with slashes."""


@dataclass(frozen=True)
class Manifest:
    """What lnn-edge wrote to a folder, so that it replaces only that.

    Attributes:
        kind: Of the folder, as "export".
        files: Hashes of each file; two of them while it is being replaced.
        format: Of this file.
    """

    kind: str
    files: dict[str, tuple[str, ...]]
    format: int = FORMAT


def write_whole(path: Path, content: Content) -> None:
    """Write a file so that a reader sees the old one or the new one, whole; follow a link.

    Raises:
        OSError: It cannot be written, and what was there stays; it names the path.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = target.parent / f"{OWN}-{secrets.token_hex(8)}"
    try:
        _check_file(target)
        _write(temporary, content)
        os.replace(temporary, target)
    except OSError as error:
        raise _about(path, error) from error
    finally:
        _remove(temporary)


@contextmanager
def growing(path: Path, *, force: bool = False) -> Iterator[TextIO]:
    """Yield a text file that is at `path`, whole, once the block has ended; else nothing is.

    Raises:
        UsageError: A file is there already, and not to be replaced by force.
        OSError: It cannot be written.
    """
    if os.path.lexists(path) and not force:
        raise UsageError(f"{path} is there already; choose another file, or give --force")
    temporary = path.parent / f"{OWN}-{secrets.token_hex(8)}"
    try:
        _check_file(path)
        with temporary.open("x", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _about(path, error) from error
    finally:
        _remove(temporary)


def write_together(
    folder: Path, files: Files, *, force: bool = False, remedy: str = REMEDY
) -> None:
    """Write files that belong together: all of them or, on an error, none.

    Args:
        folder: Where they go; the caller is alone in it.
        files: To be written. One that is there and holds the same is left alone.
        force: Whether to replace files that hold something else.
        remedy: What a user may do about them.

    Raises:
        UsageError: A file holds something else.
        OSError: A file cannot be written.
    """
    _sweep(folder)
    fresh = {name: content for name, content in files.items() if _differs(folder, name, content)}
    for name in sorted(fresh):
        _check_place(folder, name)
        if os.path.lexists(folder / name) and not force:
            raise UsageError(f"{folder / name} is there and holds something else; {remedy}")
    if fresh:
        _swap(folder, fresh)


def claim(folder: Path, kind: str, *, force: bool = False) -> None:
    """Make an empty folder one of a kind, or see that it is.

    Args:
        folder: The caller is alone in it.
        kind: As "export".
        force: Whether to take one that holds something else.

    Raises:
        UsageError: It holds something else.
        OSError: It cannot be written.
    """
    if _owned(folder, kind, force, REMEDY) is None:
        write_whole(folder / MANIFEST, _text(kind, {}))


def publish(
    folder: Path,
    files: Files,
    kind: str,
    *,
    last: str,
    force: bool = False,
    remedy: str = REMEDY,
) -> None:
    """Make these files what lnn-edge has in a folder: all of them or, on an error, none.

    What it wrote there before and is unchanged is replaced, or deleted if it is not among the
    files. Anything else is its user's: kept, and if it is in the way, refused or, by force,
    replaced. If the process is killed, the next call takes up what is left.

    Args:
        folder: An empty or new one, or one of the same kind; the caller is alone in it.
        files: To be there in the end. One that holds the same already is left alone.
        kind: As for claim.
        last: The file without which the others mean nothing. It is away while they are replaced.
        force: Whether to replace, and delete, what is the user's and in the way.
        remedy: What a user may do about it.

    Raises:
        UsageError: Something is in the way.
        OSError: A file cannot be written.
    """
    _sweep(folder)
    owned = _owned(folder, kind, force, remedy) or {}
    fresh = {name: content for name, content in files.items() if _differs(folder, name, content)}
    gone = owned.keys() - files.keys()
    for name in sorted(fresh.keys() | gone):
        _check_place(folder, name)
        found = _hash(folder / name)
        if not (force or found is None or found in owned.get(name, ())):
            whose = "was changed since" if name in owned else "is there, but not because"
            raise UsageError(f"{folder / name} {whose} lnn-edge wrote it; {remedy}")
    hashes = {name: (_sha256(content),) for name, content in files.items()}
    if fresh or owned != hashes:
        both = {n: (*owned.get(n, ()), *hashes.get(n, ())) for n in owned.keys() | hashes}
        end = {last: files[last], MANIFEST: _text(kind, hashes)}
        ordered = {name: fresh[name] for name in sorted(fresh.keys() - end.keys())} | end
        _swap(folder, ordered, [last, *sorted(gone)], _text(kind, both))


def _owned(
    folder: Path, kind: str, force: bool, remedy: str
) -> Mapping[str, tuple[str, ...]] | None:
    """Return the hashes of what lnn-edge wrote to a folder, None if it never did."""
    manifest = _read_manifest(folder)
    if manifest is not None and manifest.kind == kind:
        return manifest.files
    is_empty = manifest is None and all(path.name.startswith(OWN) for path in folder.iterdir())
    if not is_empty and not force:
        raise UsageError(f"{folder} is not empty and no earlier {kind}; {remedy}")
    return None


def _read_manifest(folder: Path) -> Manifest | None:
    path = folder / MANIFEST
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    except ValueError:
        values = {}
    try:
        manifest = tables.build(Manifest, values, str(path), UsageError)
    except UsageError:
        raise UsageError(_damaged(path)) from None
    if manifest.format != FORMAT or not all(map(_is_inside, manifest.files)):
        raise UsageError(_damaged(path))
    return manifest


def _damaged(path: Path) -> str:
    return f"{path} is damaged or of another version of lnn-edge; move it away"


def _is_inside(name: str) -> bool:
    """Return whether a name leads to a file below a folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not {"/", "..", "."} & set(parts) and not set(name) & set("\\:")


def _check_place(folder: Path, name: str) -> None:
    """See that a file can be put to a name, and that no link leads out of the folder there."""
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        place = folder / parent
        if os.path.lexists(place) and (place.is_symlink() or not place.is_dir()):
            raise UsageError(f"{place} is in the way of a folder; move it away")
    place = folder / name
    if place.is_dir() and not place.is_symlink():
        raise UsageError(f"{place} is in the way of a file; move it away")


def _swap(
    folder: Path, fresh: Files, gone: Collection[str] = (), journal: str | None = None
) -> None:
    """Delete files and write others, all or, on an error, none of it.

    Args:
        folder: The caller is alone in it.
        fresh: Files to write, in this order.
        gone: Files to delete before, in this order, those that are there.
        journal: What the manifest says meanwhile; None where there is none.
    """
    stage = folder / _STAGE
    try:
        stage.mkdir()
        new, old = {}, {}
        for index, name in enumerate(fresh):  # whatever needs room comes before the first change
            new[name] = stage / f"new{index}"
            _write(new[name], fresh[name])
        for index, name in enumerate(sorted({*fresh, *gone})):
            if os.path.lexists(folder / name):
                old[name] = stage / f"old{index}"
                shutil.copy2(folder / name, old[name], follow_symlinks=False)
        if journal is not None:
            _write(stage / MANIFEST, journal)
        with ExitStack() as undo:
            if journal is not None:
                undo.callback(_restore, folder / MANIFEST, old.get(MANIFEST))
                os.replace(stage / MANIFEST, folder / MANIFEST)
            for name in (n for n in gone if n in old):
                undo.callback(_restore, folder / name, old[name])
                (folder / name).unlink()
            for name, path in new.items():
                _make_parents(folder, name, undo)
                undo.callback(_restore, folder / name, old.get(name))
                os.replace(path, folder / name)
            undo.pop_all()
        with undisturbed():
            for name in gone:
                _remove_parents(folder, name)
    except OSError as error:
        raise _about(folder, error) from error
    finally:
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Delete what was being written, now or by a process that was killed."""
    with undisturbed():
        shutil.rmtree(folder / _STAGE, ignore_errors=True)


def _restore(path: Path, copy: Path | None) -> None:
    if copy is None:
        path.unlink(missing_ok=True)
    elif os.path.lexists(copy):  # else it is back already
        os.replace(copy, path)


def _make_parents(folder: Path, name: str, undo: ExitStack) -> None:
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        if not (folder / parent).is_dir():
            undo.callback(_remove_parents, folder, f"{parent}/x")
            (folder / parent).mkdir()


def _remove_parents(folder: Path, name: str) -> None:
    """Remove the folders of a file that has gone, if nothing is left in them."""
    for parent in PurePosixPath(name).parents[:-1]:
        with suppress(OSError):
            (folder / parent).rmdir()


def _remove(temporary: Path) -> None:
    with undisturbed(), suppress(OSError):
        temporary.unlink()


def _check_file(path: Path) -> None:
    """Refuse what is there and no file: a device would become one."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")


def _write(path: Path, content: Content) -> None:
    with path.open("xb") as stream:
        stream.write(_bytes(content))
        stream.flush()
        os.fsync(stream.fileno())


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _sha256(content: Content) -> str:
    return hashlib.sha256(_bytes(content)).hexdigest()


def _differs(folder: Path, name: str, content: Content) -> bool:
    return _hash(folder / name) != _sha256(content)


def _hash(path: Path) -> str | None:
    """Return the hash of a file, "" of a link or folder, None of nothing."""
    if not os.path.lexists(path):
        return None
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text(kind: str, files: Mapping[str, tuple[str, ...]]) -> str:
    return json.dumps(asdict(Manifest(kind, dict(files))), indent=1, sort_keys=True) + "\n"


def _about(path: Path, error: OSError) -> OSError:
    """Return an error that names the path its user knows."""
    return OSError(error.errno, error.strerror, str(path)) if error.errno else error
