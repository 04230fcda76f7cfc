"""Files are written whole or not at all, whatever goes wrong at whichever step."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lnn_edge.errors import UsageError
from lnn_edge.files.write import MANIFEST, OWN, claim, publish, write_together, write_whole
from tests.cli.command import tree, untouched
from tests.support.places import ROOT

NEED_ROOM = ("replace", "fsync", "mkdir")
STEPS = (*NEED_ROOM, "unlink")  # what changes a disk
FIRST = {"end.json": "1", "model/a.c": "a of 1", "model/b.c": "b of 1", "trace/a.c": "trace of 1"}
SECOND = {"end.json": "2", "model/a.c": "a of 2", "model/b.c": "b of 1", "new/deep/c.c": "c of 2"}
MINE = {"notes.txt": b"mine", "model/mine.c": b"mine, too"}


def put(folder: Path, files: dict[str, str], force: bool = False) -> None:
    publish(folder, files, "thing", last="end.json", force=force)


def written(folder: Path) -> dict[str, bytes | None]:
    """The tree without what is lnn-edge's alone."""
    return {name: data for name, data in tree(folder).items() if not name.startswith(OWN)}


def identity(path: Path) -> tuple[int, int]:
    """What a file loses when it is written again."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the first files, and with files of its user."""
    path = tmp_path / "folder"
    path.mkdir()
    put(path, FIRST)
    for name, data in MINE.items():
        (path / name).write_bytes(data)
    return path


@pytest.fixture
def after(tmp_path: Path) -> dict[str, bytes | None]:
    """What the second files and those of the user look like."""
    path = tmp_path / "after"
    path.mkdir()
    put(path, SECOND)
    for name, data in MINE.items():
        (path / name).write_bytes(data)
    return written(path)


@contextmanager
def broken_at(
    step: int, fail: Callable[[], None], names: tuple[str, ...] = STEPS
) -> Iterator[None]:
    """Call something, once, before a step that would change the disk, counted from 0."""
    seen = 0

    def broken(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            nonlocal seen
            seen += 1
            if seen == step + 1:
                fail()
            return real(*args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, broken(getattr(os, name)))
        yield


def fill_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt() -> None:
    raise KeyboardInterrupt


def fail_at_each_step(folder: Path, write: Callable[[], None]) -> int:
    """Fill the disk before each step in turn, see that nothing changes; return the steps."""
    before = tree(folder)
    for step in range(200):
        with broken_at(step, fill_disk, NEED_ROOM):
            try:
                write()
            except OSError as error:
                caught = error
            else:
                return step
        assert (caught.errno, caught.filename) == (errno.ENOSPC, str(folder)), step
        assert tree(folder) == before, step
    raise AssertionError("it never ends")


# --- one file -----------------------------------------------------------------------------------


def test_a_file_is_replaced_with_the_rights_of_a_new_one(tmp_path: Path) -> None:
    path, plain = tmp_path / "a", tmp_path / "plain"
    plain.write_text("")
    for text in ("one\n", "zwölf\r\n"):
        write_whole(path, text)
        assert path.read_bytes() == text.encode()
    write_whole(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    assert path.stat().st_mode == plain.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "plain"]


@pytest.mark.parametrize("fail", [fill_disk, interrupt])
def test_a_file_that_cannot_be_written_stays_as_it_was(
    fail: Callable[[], None], tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    for step in range(2):
        with untouched(tmp_path), broken_at(step, fail), pytest.raises(BaseException) as caught:  # noqa: PT011
            write_whole(path, "after")
        if fail is fill_disk:
            assert isinstance(caught.value, OSError)
            assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_a_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "after")
    assert (tmp_path / "real").read_text() == "after"
    assert (tmp_path / "link").is_symlink()


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match=f"it is no file: '{tmp_path / name}'"):
            write_whole(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


# --- files that belong together -----------------------------------------------------------------


def test_files_come_together(tmp_path: Path) -> None:
    write_together(tmp_path, {"a": "1", "b": b"2"})
    assert tree(tmp_path) == {"a": b"1", "b": b"2"}
    old = identity(tmp_path / "a")
    write_together(tmp_path, {"a": "1", "c": "3"})
    assert identity(tmp_path / "a") == old
    with untouched(tmp_path), pytest.raises(UsageError, match=f"{tmp_path}/b is there and holds"):
        write_together(tmp_path, {"a": "1", "b": "other", "c": "other"})
    write_together(tmp_path, {"b": "other", "c": "other"}, force=True)
    assert tree(tmp_path) == {"a": b"1", "b": b"other", "c": b"other"}


def test_either_all_files_come_or_none(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("before")
    files = {"a": "1", "b": "2", "c": "3"}
    steps = fail_at_each_step(tmp_path, lambda: write_together(tmp_path, files, force=True))
    assert steps > 6
    assert tree(tmp_path) == {name: text.encode() for name, text in files.items()}


def test_an_interrupt_leaves_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("before")
    before, files = tree(tmp_path), {"a": "1", "b": "2", "c": "3"}
    after = {name: text.encode() for name, text in files.items()}
    for step in range(100):
        with suppress(KeyboardInterrupt), broken_at(step, interrupt):
            write_together(tmp_path, files, force=True)
            break
        assert written(tmp_path) in (before, after), step
    assert written(tmp_path) == after


# --- folders ------------------------------------------------------------------------------------


def test_what_was_written_is_replaced_and_the_users_files_stay(
    folder: Path, after: dict[str, bytes | None]
) -> None:
    same = identity(folder / "model" / "b.c")
    put(folder, SECOND)
    assert written(folder) == after
    assert not (folder / "trace").exists()
    assert identity(folder / "model" / "b.c") == same
    with untouched(folder):
        put(folder, SECOND)


def test_a_file_of_the_user_that_is_in_the_way_is_named(folder: Path) -> None:
    (folder / "new" / "deep").mkdir(parents=True)
    (folder / "new" / "deep" / "c.c").write_text("mine")
    with untouched(folder), pytest.raises(UsageError) as caught:
        put(folder, SECOND)
    assert str(caught.value) == (
        f"{folder}/new/deep/c.c is there, but not because lnn-edge wrote it; choose another "
        "folder, or give --force to replace what is in the way"
    )
    put(folder, SECOND, force=True)
    assert (folder / "new" / "deep" / "c.c").read_text() == "c of 2"
    put(folder, FIRST)  # it is lnn-edge's own from now on
    assert not (folder / "new").exists()


@pytest.mark.parametrize("name", ["model/a.c", "trace/a.c"])  # one is replaced, one deleted
def test_a_changed_file_is_named(name: str, folder: Path, after: dict[str, bytes | None]) -> None:
    (folder / name).write_text("changed")
    with untouched(folder), pytest.raises(UsageError, match=f"{folder}/{name} was changed since "):
        put(folder, SECOND)
    put(folder, SECOND, force=True)
    assert written(folder) == after


def test_a_file_that_the_user_deleted_is_written_again(folder: Path) -> None:
    before = tree(folder)
    for name in FIRST:
        (folder / name).unlink()
    put(folder, FIRST)
    assert tree(folder) == before


def test_a_change_that_comes_to_the_same_is_none(folder: Path) -> None:
    (folder / "model" / "a.c").write_text(SECOND["model/a.c"])
    put(folder, SECOND)
    assert (folder / "model" / "a.c").read_text() == SECOND["model/a.c"]


@pytest.mark.parametrize("holds", ["a letter", "another kind"])
def test_a_folder_of_something_else_is_refused(holds: str, tmp_path: Path) -> None:
    if holds == "another kind":
        claim(tmp_path, "other thing")
    else:
        (tmp_path / "letter.txt").write_text("John")
    with untouched(tmp_path):
        for write in (lambda: put(tmp_path, FIRST), lambda: claim(tmp_path, "thing")):
            with pytest.raises(UsageError, match=f"{tmp_path} is not empty and no earlier thing; "):
                write()
    put(tmp_path, FIRST, force=True)
    claim(tmp_path, "thing")
    assert all((tmp_path / name).read_text() == text for name, text in FIRST.items())
    if holds == "a letter":
        assert (tmp_path / "letter.txt").read_text() == "John"


def test_no_link_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.c").write_text(FIRST["trace/a.c"])
    (folder / "trace" / "a.c").unlink()
    (folder / "trace").rmdir()
    (folder / "trace").symlink_to(outside)
    for force in (False, True):
        with untouched(tmp_path), pytest.raises(UsageError, match=f"{folder}/trace is in the way"):
            put(folder, SECOND, force=force)


def test_a_link_in_the_place_of_a_file_is_the_users(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "a.c"
    outside.write_text(FIRST["model/a.c"])
    (folder / "model" / "a.c").unlink()
    (folder / "model" / "a.c").symlink_to(outside)
    with untouched(tmp_path), pytest.raises(UsageError, match=r"model/a\.c was changed since"):
        put(folder, SECOND)
    put(folder, SECOND, force=True)
    assert not (folder / "model" / "a.c").is_symlink()
    assert outside.read_text() == FIRST["model/a.c"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_the_place_of_a_file_stays(force: bool, folder: Path) -> None:
    (folder / "model" / "a.c").unlink()
    (folder / "model" / "a.c").mkdir()
    with untouched(folder), pytest.raises(UsageError, match=r"model/a\.c is in the way of a file"):
        put(folder, SECOND, force=force)


def test_a_folder_reached_by_a_link_is_written(folder: Path, after: object, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    put(tmp_path / "link", SECOND)
    assert written(folder) == after
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "\xff",
        '{"kind": "thing"}',
        '{"kind": "thing", "files": {"../outside": ["HASH"]}, "format": 1}',
        '{"kind": "thing", "files": {"/tmp/outside": ["HASH"]}, "format": 1}',
        '{"kind": "thing", "files": {"a": 1}, "format": 1}',
        '{"kind": "thing", "files": {}, "format": 2}',
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(text: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("")
    (folder / MANIFEST).write_text(text, "latin-1")
    for force in (False, True):
        with untouched(tmp_path), pytest.raises(UsageError, match=f"{MANIFEST} is damaged or of a"):
            put(folder, SECOND, force=force)


def test_a_full_disk_at_any_step_leaves_what_was_there(folder: Path, after: object) -> None:
    assert fail_at_each_step(folder, lambda: put(folder, SECOND)) > 10
    assert written(folder) == after


def test_a_full_disk_at_any_step_leaves_an_empty_folder_empty(tmp_path: Path) -> None:
    assert fail_at_each_step(tmp_path, lambda: put(tmp_path, FIRST)) > 10
    assert written(tmp_path).items() >= {n: text.encode() for n, text in FIRST.items()}.items()


def test_an_interrupt_at_any_step_leaves_all_or_nothing(folder: Path, after: object) -> None:
    before = written(folder)
    for step in range(200):
        with suppress(KeyboardInterrupt), broken_at(step, interrupt):
            put(folder, SECOND)
            break
        assert written(folder) in (before, after), step
        put(folder, FIRST)
    assert step > 10
    assert written(folder) == after


KILLED = """
import json, os, sys
from pathlib import Path
from lnn_edge.files.write import publish

steps = int(sys.argv[2])

def mortal(real):
    def call(*arguments, **more):
        global steps
        steps -= 1
        return real(*arguments, **more) if steps >= 0 else os._exit(9)
    return call

for name in ("replace", "fsync", "mkdir", "unlink"):
    setattr(os, name, mortal(getattr(os, name)))
publish(Path(sys.argv[1]), json.loads(sys.argv[3]), "thing", last="end.json")
"""


def test_what_a_killed_process_left_is_taken_up(
    folder: Path, after: dict[str, bytes | None]
) -> None:
    before, first = written(folder), tree(folder)
    (folder / "trace" / "mine").write_text("mine")
    before["trace/mine"] = after["trace/mine"] = b"mine"
    after["trace"] = None
    for step in range(200):
        run = [sys.executable, "-S", "-c", KILLED, str(folder), str(step), json.dumps(SECOND)]
        code = subprocess.run(run, cwd=ROOT, check=False).returncode
        now = written(folder)
        assert all((folder / name).read_bytes() == data for name, data in MINE.items())
        assert "end.json" not in now or now in (before, after), step
        put(folder, SECOND)
        assert written(folder) == after
        assert {p.name for p in folder.iterdir() if p.name.startswith(OWN)} == {MANIFEST}
        if code == 0:
            break
        assert code == 9
        put(folder, FIRST)
        assert tree(folder) == first | {"trace/mine": b"mine"}
    assert step > 10


def test_the_manifest_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    put(again, FIRST)
    assert (again / MANIFEST).read_bytes() == (folder / MANIFEST).read_bytes()
    document = json.loads((again / MANIFEST).read_text())
    assert (document["kind"], sorted(document["files"])) == ("thing", sorted(FIRST))
