"""Of several processes that write to a folder one at a time does, and none is kept out for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lnn_edge.errors import UsageError
from lnn_edge.files.lock import LOCK, alone_in
from tests.support.places import ROOT

COUNT = """
import sys
from pathlib import Path
from lnn_edge.files.lock import alone_in
folder = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with alone_in(folder):
        number = folder / "number"
        seen = int(number.read_text()) if number.exists() else 0
        number.write_text(str(seen + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from lnn_edge.files.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_nobody_counts_at_the_same_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    processes = [start(COUNT, folder, 40) for _ in range(5)]
    assert [p.communicate()[0] for p in processes] == [""] * 5
    assert [p.returncode for p in processes] == [0] * 5
    assert (folder / "number").read_text() == "200"
    assert [p.name for p in folder.iterdir()] == ["number"]


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError) as caught, alone_in(tmp_path, patience_s=0.1):
            pass
        process.kill()
    assert str(caught.value) == (
        f"another lnn-edge is writing to {tmp_path}; wait until it is done or choose another folder"
    )
    assert (tmp_path / LOCK).exists()
    with alone_in(tmp_path, patience_s=0):
        pass
    assert not list(tmp_path.iterdir())


def test_folders_are_made_and_after_a_failure_gone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with suppress(KeyboardInterrupt), alone_in(folder):
        assert folder.is_dir()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with suppress(ZeroDivisionError), alone_in(folder):
        (folder / "file").write_text("")
        raise ZeroDivisionError
    assert [p.name for p in folder.iterdir()] == ["file"]
    (folder / "file").unlink()
    with suppress(ZeroDivisionError), alone_in(folder):
        raise ZeroDivisionError
    assert folder.is_dir()  # it was there before


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        path = tmp_path / name
        with pytest.raises(UsageError, match=f"{path} is no folder; choose another"):
            with alone_in(path):
                pass
    with pytest.raises(NotADirectoryError) as caught, alone_in(tmp_path / "file" / "a"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "a")


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError) as caught, alone_in(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here refuses all others")
def test_a_folder_that_cannot_be_made_is_named_and_not_another_process() -> None:
    with pytest.raises(FileNotFoundError, match="/proc/x"), alone_in(Path("/proc/x"), 0.0):
        pass
