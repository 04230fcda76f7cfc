"""The tests' own files go to memory only where they fit and programs may run."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import in_memory
from tests.support.in_memory import PREFIX, folder_in_memory, session_folder


def test_memory_is_taken_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_memory, "_free_memory", lambda: 1000)
    assert folder_in_memory(tmp_path, 1000) == tmp_path
    assert folder_in_memory(tmp_path, 1001) is None
    assert folder_in_memory(tmp_path / "none", 0) is None


@pytest.mark.parametrize(
    ("flag", "blocks", "taken"),
    [(0, 10, True), (0, 9, False), (os.ST_NOEXEC, 10, False), (os.ST_RDONLY, 10, False)],
)
def test_a_small_one_or_one_where_nothing_runs_is_left(
    flag: int, blocks: int, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = SimpleNamespace(f_flag=flag, f_bavail=blocks, f_frsize=100)
    monkeypatch.setattr(os, "statvfs", lambda _: facts)
    assert folder_in_memory(tmp_path, 1000) == (tmp_path if taken else None)


def test_a_session_leaves_nothing_and_removes_what_killed_ones_left(tmp_path: Path) -> None:
    killed = tmp_path / f"{PREFIX}killed"
    (killed / "inside").mkdir(parents=True)
    killed.with_suffix(".lock").touch()
    (tmp_path / "other").mkdir()
    with session_folder(tmp_path) as first:
        (first / "file").touch()
        assert not killed.exists()
        with session_folder(tmp_path) as second:  # the first one lives
            assert (first / "file").is_file()
            assert second != first
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
