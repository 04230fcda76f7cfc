"""One lnn-edge at a time in a folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lnn_edge.errors import UsageError
from lnn_edge.files.undisturbed import undisturbed

LOCK = ".lnn-edge.lock"
PATIENCE_S = 60.0  # longer than anything but a training writes
_LOOK_S = 0.05
_MOST_LOST = 20  # times that a folder which was made is gone before it is locked

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def alone_in(folder: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Make a folder if need be, and let no other lnn-edge write to it meanwhile.

    The system holds the lock, which ends with its process however that ends. On an error folders
    that were made here go again, if nothing is in them.

    Args:
        folder: Not one that the same process is alone in already.
        patience_s: How long to wait for another lnn-edge, seconds.

    Raises:
        UsageError: Another one is still at work there, or the path is no folder.
        OSError: The folder cannot be made or written.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    held: list[int] = []  # filled undisturbed: who is interrupted knows what to release
    try:
        try:
            _wait(folder, patience_s, held)
            yield
        finally:
            _release(folder / LOCK, held)
    except BaseException:
        with undisturbed():
            for path in made:
                with suppress(OSError):
                    path.rmdir()
        raise


def _wait(folder: Path, patience_s: float, held: list[int]) -> None:
    """Lock a folder; its lock's descriptor is then held."""
    deadline, lost = time.monotonic() + patience_s, 0
    while True:
        try:
            with undisturbed():
                folder.mkdir(parents=True, exist_ok=True)  # who was before may take it away
                held.extend(_open_and_lock(folder / LOCK))
        except FileExistsError:
            raise UsageError(f"{folder} is no folder; choose another") from None
        except OSError as error:
            lost += 1
            if isinstance(error, FileNotFoundError) and lost < _MOST_LOST:
                continue
            raise OSError(error.errno, error.strerror, str(folder)) from None
        if held:
            return
        if time.monotonic() >= deadline:
            raise UsageError(
                f"another lnn-edge is writing to {folder}; wait until it is done or choose another "
                "folder"
            )
        time.sleep(_LOOK_S)


def _open_and_lock(path: Path) -> tuple[int, ...]:
    """Return the descriptor of the lock; nothing if somebody else holds it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        # Whoever held it before may have deleted the file that was opened here.
        if _lock(descriptor) and os.path.samestat(os.fstat(descriptor), path.stat()):
            return (descriptor,)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return ()


def _release(path: Path, held: list[int]) -> None:
    with undisturbed():
        for descriptor in held:
            with suppress(OSError):  # Windows deletes no open file: there it stays
                path.unlink()
            os.close(descriptor)
