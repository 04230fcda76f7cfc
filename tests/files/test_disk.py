"""A program that fails for want of room is told apart from one that refuses its input."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lnn_edge.files.disk import raise_if_full
from tests.support.disks import small_disk

NUMBERS = {os.strerror(n): n for n in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)}


@pytest.mark.parametrize("said", NUMBERS)
def test_what_a_program_says_of_a_disk_is_understood(said: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=said) as caught:
        raise_if_full(tmp_path, f"/tmp/x.s: Fatal error: can't write: '{said}'\ncompilation ends")
    assert (caught.value.errno, caught.value.filename) == (NUMBERS[said], str(tmp_path))


def test_anything_else_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    raise_if_full(tmp_path, "error: 'x' undeclared")
    raise_if_full(tmp_path / "missing", "error: no such file or directory")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_nearly_full_is_named_whatever_a_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMake misses files that it could not write, and does not say why; also temporary ones."""
    with small_disk(tmp_path / "disk", 1 << 21) as disk:
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - (1 << 19)))
        for is_temporary in (False, True):
            if is_temporary:
                monkeypatch.setattr(tempfile, "tempdir", str(disk))
            with pytest.raises(OSError, match="No space left") as caught:
                raise_if_full(tmp_path if is_temporary else disk, "ninja: error: lexing error")
            assert caught.value.filename == str(disk)
        assert [path.name for path in disk.iterdir()] == ["filler"]
