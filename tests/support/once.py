"""What is costly to make and read by many tests: made once, whichever worker needs it first."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
FOLDER = "LNN_EDGE_TEST_SHARED"
"""Environment variable: a folder of this session, of all its workers."""


def once(name: str, make: Callable[[Path], T]) -> T:
    """Return what make(folder) returned when it was called, once in a session.

    Args:
        name: Of what is made.
        make: Gets an empty folder, which stays; tests only read what is in it.
    """
    folder = Path(os.environ[FOLDER]) / name
    made = folder.with_name(f"{name}.pickle")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_file():
            shutil.rmtree(folder, ignore_errors=True)  # of a call that failed
            folder.mkdir()
            made.write_bytes(pickle.dumps(make(folder)))
    result: T = pickle.loads(made.read_bytes())
    return result
