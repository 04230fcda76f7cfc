"""Files of tests lie in memory where it has room: a disk takes milliseconds to write one anew."""

from __future__ import annotations

import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # of Linux; programs that tests compile must be able to run there
ROOM = 4 << 30


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
