"""Errors of a disk, told apart from those of a network or of what a file holds."""

from __future__ import annotations

import errno
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
