"""A program that is waited for ends with its waiter, and so does what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lnn_edge.files.programs import run_program
from lnn_edge.files.undisturbed import undisturbed

SHELL = "echo one; echo two >&2; exit 3"
CHILD = "sleep 100 & echo $! > child; wait"


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] not in "ZX"
    except OSError:
        return False


def test_what_it_says_and_how_it_ends() -> None:
    assert run_program(["sh", "-c", SHELL]) == (3, "one\ntwo\n")
    with pytest.raises(FileNotFoundError):
        run_program(["no-such-program"])


@pytest.mark.parametrize("how", ["interrupted", "late"])
def test_the_children_of_a_program_end_with_it(how: str, tmp_path: Path) -> None:
    error: type[BaseException] = KeyboardInterrupt
    if how == "interrupted":
        timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
    else:
        error = subprocess.TimeoutExpired
    with pytest.raises(error):
        run_program(["sh", "-c", CHILD], cwd=tmp_path, timeout_s=60 if how == "interrupted" else 2)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60  # a hang, not a slow machine
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_ends_politely_takes_its_files_away(tmp_path: Path) -> None:
    """And what does not is killed."""
    polite = "trap 'rm file; exit' TERM; touch file; sleep 100 & wait"
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", polite], cwd=tmp_path, timeout_s=2)
    assert not list(tmp_path.iterdir())
    stubborn = "trap '' TERM; echo $$ > child; while true; do sleep 1; done"
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", stubborn], cwd=tmp_path, timeout_s=2)
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_an_interruption_while_it_starts_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen
    made = []

    def start(*arguments: object, **named: object) -> object:
        made.append(real(*arguments, **named))  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        run_program([sys.executable, "-c", "import time; time.sleep(100)"])
    assert made[0].returncode == -signal.SIGTERM


def test_undisturbed_work_ends_before_the_interruption() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
