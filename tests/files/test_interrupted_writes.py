"""What is written, interrupted at each thing that is done to a file: all of it or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import growing, publish, write_together, write_whole
from tests.cli.command import tree
from tests.support.interruption import interrupted_at

OLD = {"a.txt": "old", "b/c.txt": "old", "last.txt": "old", "gone/d.txt": "old"}
NEW = {"a.txt": "new", "b/c.txt": "new", "last.txt": "new", "e/f.txt": "new"}


def whole(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write_whole(folder / "a.txt", "new")


def grown(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with growing(folder / "a.txt", force=True) as file:
        file.write("new")


def together(folder: Path) -> None:
    with alone_in(folder):
        write_together(folder, NEW, force=True)


def published(folder: Path) -> None:
    with alone_in(folder):
        publish(folder, NEW, "test", last="last.txt")


def before(folder: Path, is_new: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not is_new:
        with alone_in(folder):
            publish(folder, OLD, "test", last="last.txt")


@pytest.mark.parametrize("is_new", [True, False], ids=["new folder", "over another"])
@pytest.mark.parametrize("write", [whole, grown, together, published], ids=lambda w: w.__name__)
def test_an_interruption_at_any_place_leaves_all_or_nothing(
    write: Callable[[Path], None], is_new: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    before(folder, is_new)
    with interrupted_at(0, folder) as seen:
        write(folder)
    new, count = tree(folder), seen()
    assert count > 3
    for number in range(1, count + 1):
        before(folder, is_new)
        old = tree(folder) if folder.exists() else {}
        with interrupted_at(number, folder), pytest.raises(KeyboardInterrupt):
            write(folder)
        after = tree(folder)
        assert after in (old, new), (number, after.keys() ^ old.keys())
        if is_new and after != new and write in (together, published):
            assert not folder.exists()
        write(folder)
        assert tree(folder) == new
