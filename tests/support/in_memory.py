"""Files of tests lie in memory where it has room: a disk takes milliseconds to write one anew."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # of Linux; programs that tests compile must be able to run there
ROOM = 4 << 30
PREFIX = "lnn-edge-tests-"


def folder_in_memory(memory: Path = MEMORY, room: int = ROOM) -> Path | None:
    """Return a folder of files in memory, or None: none, not enough room, or nothing may run."""
    try:
        facts = os.statvfs(memory)
    except OSError:
        return None
    forbids = facts.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    is_mine = os.access(memory, os.W_OK)
    free = min(facts.f_bavail * facts.f_frsize, _free_memory())
    return memory if is_mine and not forbids and free >= room else None


def _free_memory() -> int:
    """Return the bytes of memory that are free or could be."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    kilobytes = {key: value for key, _, value in (line.partition(":") for line in lines)}
    return int(kilobytes.get("MemAvailable", "0 kB").split()[0]) << 10


@contextmanager
def session_folder(home: Path) -> Iterator[Path]:
    """Make a folder that goes with its session; remove those of sessions that were killed.

    A session holds the lock beside its folder as long as it lives.
    """
    for left in home.glob(f"{PREFIX}*.lock"):
        with suppress(OSError), left.open() as lock:  # it lives, or is another user's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.with_suffix(""), ignore_errors=True)
            left.unlink()
    descriptor, name = tempfile.mkstemp(".lock", PREFIX, home)
    with os.fdopen(descriptor) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(name).with_suffix("")
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(name).unlink(missing_ok=True)
