"""Programs run to their end, with all that they start; none of them outlives an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lnn_edge.files.undisturbed import undisturbed

_POLITE_S = 2.0  # between asking a program to end and ending it
_LOOK_S = 0.02


def compiler_environment() -> dict[str, str]:
    """Return variables for a compiler: it speaks English, and its temporary files go to ours."""
    return {**os.environ, "LC_ALL": "C", "TMPDIR": tempfile.gettempdir()}


def run_program(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> tuple[int, str]:
    """Run a program; return its exit code and what it said on stdout and stderr together.

    Ctrl-C does not reach it: it is ended here, with the compilers that it has started.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It took longer, and is ended.
    """
    started: list[subprocess.Popen[str]] = []
    try:
        with undisturbed():  # else a program that has just started were lost
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            started.append(process)
        said, _ = process.communicate(timeout=timeout_s)
    except BaseException:
        for process in started:
            _end_all(process)
        raise
    return process.returncode, said


def _end_all(process: subprocess.Popen[str]) -> None:
    """End a program and the group that it leads: politely, so that compilers take files away."""
    with undisturbed():
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _POLITE_S
        while _is_there(process) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        process.kill()
        if hasattr(os, "killpg"):
            _signal(process, signal.SIGKILL)
        process.communicate()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _is_there(process: subprocess.Popen[str]) -> bool:
    """Whether anything of the group is left."""
    is_leader_there = process.poll() is None
    if not hasattr(os, "killpg"):
        return is_leader_there
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
