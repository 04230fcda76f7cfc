"""What `.ci/run` does with recordings and without."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

SAID = "tests that need them are skipped"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which make tells what it was asked for."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    script(clone / "bin" / "chromium", "")
    told = 'echo "make $1, data ${LNN_EDGE_DATA-}, browser ${LNN_EDGE_DEMAND_BROWSER-}"'
    script(clone / "bin" / "make", told)
    return clone


def ci(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LNN_EDGE_")}
    path = f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [clone / ".ci" / "run"],
        env={**inherited, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def targets(data: str, browser: str) -> list[str]:
    names = ("test", "test-slow", "lint", "types", "demo")
    return [f"make {name}, data {data}, browser {browser}" for name in names]


def test_recordings_beside_the_clone_are_used_and_a_browser_is_demanded(clone: Path) -> None:
    data = clone.parent / "shared" / "data"
    data.mkdir(parents=True)
    done = ci(clone, LNN_EDGE_DATA="/nowhere", LNN_EDGE_DEMAND_DATA="1")
    assert (done.returncode, done.stdout.splitlines()) == (0, targets(str(data), "1"))


def test_without_recordings_it_says_so_and_runs_everything(clone: Path) -> None:
    done = ci(clone)
    assert done.returncode == 0
    assert SAID in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1:] == targets("", "")


def test_a_folder_of_the_environment_is_used(clone: Path, tmp_path: Path) -> None:
    done = ci(clone, LNN_EDGE_DATA=str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()) == (0, targets(str(tmp_path), ""))


def test_recordings_that_are_demanded_and_missing_fail(clone: Path) -> None:
    done = ci(clone, LNN_EDGE_DEMAND_DATA="1", LNN_EDGE_DATA="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "LNN_EDGE_DEMAND_DATA is set" in done.stderr


def test_a_target_that_fails_ends_it(clone: Path) -> None:
    script(clone / "bin" / "make", 'echo "$1"; test "$1" != lint')
    done = ci(clone)
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "lint"


def test_no_compiler_left_a_file_at_the_top() -> None:
    assert not [p.name for p in ROOT.iterdir() if p.suffix in (".s", ".i", ".o", ".su", ".out")]
