"""A file is compiled once in a session, and again where anything that counts has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import launcher


@pytest.fixture(autouse=True)
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "objects"
    folder.mkdir()
    monkeypatch.setenv(launcher.FOLDER, str(folder))
    return folder


def make_project(folder: Path, header: str = "#define ANSWER 1\n") -> Path:
    for name in ("src", "include", "build"):
        (folder / name).mkdir(parents=True)
    (folder / "CMakePresets.json").write_text("{}")
    (folder / "include" / "a.h").write_text(header)
    (folder / "src" / "a.c").write_text('#include "a.h"\nint a(void) { return ANSWER; }\n')
    return folder


def compile_in(project: Path, *flags: str, compiler: str = "/usr/bin/gcc") -> bytes:
    """Compile the project's source as CMake does and return the object."""
    command = [compiler, *flags, f"-I{project}/include", "-MD", "-MF", "a.o.d", "-o", "a.o"]
    command += ["-c", str(project / "src" / "a.c")]
    launched = [sys.executable, "-I", "-S", launcher.__file__, *command]
    subprocess.run(launched, cwd=project / "build", check=True)
    return (project / "build" / "a.o").read_bytes()


def test_another_project_of_the_same_text_gets_the_object_and_its_own_names(
    tmp_path: Path, objects: Path
) -> None:
    one, two = make_project(tmp_path / "one"), make_project(tmp_path / "two")
    assert compile_in(one) == compile_in(two)
    assert len(list(objects.iterdir())) == 1
    listed = (two / "build" / "a.o.d").read_text()
    assert f"{two}/include/a.h" in listed
    assert str(one) not in listed


def test_header_and_flags_count(tmp_path: Path, objects: Path) -> None:
    one = make_project(tmp_path / "one")
    other = make_project(tmp_path / "other", "#define ANSWER 2\n")
    made = {compile_in(one), compile_in(other), compile_in(one, "-O2")}
    assert len(made) == len(list(objects.iterdir())) == 3
    assert compile_in(other) in made
    assert len(list(objects.iterdir())) == 3


def test_what_names_its_folder_warns_or_comes_from_a_script_is_not_kept(
    tmp_path: Path, objects: Path
) -> None:
    project = make_project(tmp_path / "one")
    compile_in(project, "-g")  # the folder is in what a debugger reads
    source = project / "src" / "a.c"
    source.write_text(source.read_text() + "static int b(void) { return 1; }\n")
    compile_in(project, "-Wall")
    script = tmp_path / "gcc"
    script.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    script.chmod(0o755)
    compile_in(project, compiler=str(script))
    assert os.listdir(objects) == []
