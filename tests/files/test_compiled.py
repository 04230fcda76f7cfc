"""What is compiled at first use where nothing can be written: the disk is named, not the C."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import lnn_edge as le
from lnn_edge.build.native import load_c
from lnn_edge.errors import BuildError
from lnn_edge.files import compiled
from lnn_edge.files.compiled import compile_here
from tests.support.disks import closed, small_disk, without_privileges
from tests.support.toy import toy_graph

ONE = {"one.c": "int one(void);\nint one(void) { return 1; }\n"}
LOAD = """
import sys, tempfile
from pathlib import Path
from lnn_edge.build.native import load_c
from lnn_edge.errors import BuildError

tempfile.tempdir = sys.argv[2]
try:
    load_c(Path(sys.argv[1]))
    print("loaded")
except BuildError as error:
    print(error)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder that of temporary files."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.mark.parametrize("size", [4096, 16384])
def test_a_full_disk_is_named(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has no room for the sources, the second none for what the compiler makes."""
    library = Path(le.export(toy_graph(), format="library", to=tmp_path / "toy"))
    with small_disk(tmp_path / "disk", size) as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        temporary(disk, monkeypatch)
        with pytest.raises(OSError, match="No space left") as caught:
            compile_here("one", ONE if size == 16384 else {"one.c": ONE["one.c"] + " " * 9000})
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(disk / "lnn-edge")
        with pytest.raises(BuildError, match="make room there, or name another folder by XDG_CAC"):
            load_c(library)
        assert [p.name for p in disk.iterdir()] == ["lnn-edge"]
        assert not list((disk / "lnn-edge").iterdir())
    load_c(library)


def test_where_the_cache_is_full_the_temporary_folder_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary(tmp_path, monkeypatch)
    with small_disk(tmp_path / "disk", 8192) as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        assert compile_here("one", ONE).one() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["disk"]


@pytest.mark.parametrize("is_closed", [False, True], ids=["cache", "cache and temporary folder"])
def test_to_a_user_who_may_not_write_the_cache(is_closed: bool, tmp_path: Path) -> None:
    library = Path(le.export(toy_graph(), format="library", to=tmp_path / "toy"))
    cache, passing = tmp_path / "cache" / "lnn-edge", tmp_path / "temporary"
    for place in (cache, passing):
        place.mkdir(parents=True)
    with closed(cache, *([passing] if is_closed else [])):
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(library), str(passing)],
            cwd=library,
            env={**os.environ, "XDG_CACHE_HOME": str(cache.parent)},
            preexec_fn=without_privileges,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(passing.iterdir())
    if is_closed:
        assert done.stdout == (
            f"the C in {library} compiles in {cache}, which cannot be written (Permission denied); "
            "make room there, or name another folder by XDG_CACHE_HOME\n"
        )
    else:
        assert done.stdout == "loaded\n"


def test_what_the_compiler_says_of_a_disk_is_no_fault_of_the_sources(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, error in ((os.strerror(errno.EROFS), OSError), ("error: no such thing", BuildError)):
        fake = tmp_path / "bin" / "cc"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f"#!/bin/sh\necho '/x/y.s: {said}' >&2\nexit 1\n")
        fake.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(fake.parent), prepend=":")
            with pytest.raises(error, match=said):
                compile_here("one", ONE)


def test_without_a_compiler_there_is_a_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Path(le.export(toy_graph(), format="library", to=tmp_path / "toy"))
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    with pytest.raises(BuildError, match=r"\(there is no C compiler here; install cc or gcc or"):
        load_c(library)
