"""Errors of a disk, told apart from those of a network or of what a file holds."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_OF_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
)
_TOLD_BY_PROGRAMS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_ROOM = 1 << 20  # bytes; what fails with less free is no fault of what was to be built


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk is full, read-only, broken or closed to this user."""
    return isinstance(error, OSError) and error.errno in _OF_DISK


def raise_if_of_disk(error: Exception, folder: Path) -> None:
    """Raise an error that names the folder where a disk failed; else return.

    Raises:
        OSError: It is such an error.
    """
    if isinstance(error, OSError) and is_of_disk(error):
        raise OSError(error.errno, error.strerror, str(folder)) from None


def raise_if_full(folder: Path, said: str) -> None:
    """Raise an error that names the folder where a program had no room for its files; else return.

    It tells so, or misses later what it could not write. It may have been its temporary file.

    Args:
        folder: Where it wrote.
        said: By the program, with the system's words in English.

    Raises:
        OSError: There is no room, there or in the folder of temporary files.
    """
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(bytes(_ROOM))
        except OSError as error:
            raise_if_of_disk(error, place)
    for number in _TOLD_BY_PROGRAMS:
        if os.strerror(number) in said:
            raise OSError(number, os.strerror(number), str(folder))
