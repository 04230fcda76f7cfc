"""Interrupts a command at a chosen one of the things it does to files, or as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import PROGRAM, Outcome

_EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "tempfile.mkdtemp",
           "tempfile.mkstemp", "shutil.copyfile", "os.listdir", "os.scandir"}  # fmt: skip
_MARK = "LNN_EDGE_TEST_RUN"


class _Watch:
    """Counts what is done below a folder; raises a signal at the last one that is waited for."""

    def __init__(self) -> None:
        self.folder, self.seen, self.at = "", 0, 0
        sys.addaudithook(self._hook)  # which nothing takes away again

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.folder or event not in _EVENTS or not arguments:
            return
        if str(arguments[0]).startswith(self.folder):
            self.seen += 1
            if self.seen == self.at:
                signal.raise_signal(signal.SIGINT)


_watch: list[_Watch] = []


@contextmanager
def interrupted_at(number: int, folder: Path) -> Iterator[Callable[[], int]]:
    """Interrupt at the number-th thing that is done to files in a folder; 0: only count."""
    if not _watch:
        _watch.append(_Watch())
    watch = _watch[0]
    watch.folder, watch.seen, watch.at = str(folder), 0, number
    try:
        yield lambda: watch.seen
    finally:
        watch.folder = ""


def end_process(
    arguments: list[object],
    folder: Path,
    number: signal.Signals,
    is_time: Callable[[], bool],
) -> Outcome:
    """Run the program in a folder, signal it once it is time, and see that all of it has ended.

    Its temporary files go to a folder of their own, in which it must leave none.
    """
    place, mark = folder / "temporary", f"{os.getpid()}-{time.monotonic_ns()}"
    place.mkdir(exist_ok=True)
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "torch")}  # torch makes it, and it stays
    environment = {**os.environ, **cache, "TMPDIR": str(place), _MARK: mark}
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 240
        while not is_time():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert not list(place.iterdir()), list(place.iterdir())
    left = _alive(mark)
    if left:  # what was killed may still be dying
        time.sleep(1)
        left = _alive(mark)
    assert not left
    return Outcome(process.returncode, out, err)


def has_loaded(library: str) -> bool:
    """Return whether a process that this one started maps a library of such a name."""
    own = Path("/proc/self/task")
    started = " ".join(path.read_text() for path in own.glob("*/children")).split()
    try:
        return any(library in Path(f"/proc/{number}/maps").read_text() for number in started)
    except OSError:  # it has ended
        return False


def _alive(mark: str) -> list[str]:
    """Return the commands that still run, of all that the program has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
