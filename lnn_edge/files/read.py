"""Files that others wrote: read only if they are files, and no larger than they may be."""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGEST_TEXT = 1 << 22
"""Bytes of a recipe, a board, a wiring or a document: parsed, they take up to 60 times as many."""
LARGEST_TOML = 1 << 19
"""Bytes of a TOML file, which takes a second for a megabyte."""
LARGEST_ARRAYS = 1 << 30
"""Bytes of a file of recordings."""
_SMALL, _LEAST_UNPACKED, _MOST_PACKED = 10 << 20, 1 << 26, 16


def most_unpacked(size: int) -> int:
    """Return how many bytes a file of `size` may unpack to: 64 MB up to 10 MB, then 16 for one.

    So a small file takes little memory, whatever it holds.
    """
    return _LEAST_UNPACKED + _MOST_PACKED * max(0, size - _SMALL)


def check_file(path: Path, most: int) -> None:
    """See that there is a file, which opens at once, and that it is not too large.

    Raises:
        OSError: It is missing, no file (a pipe, a device) or larger than `most` bytes.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    if found.st_size > most:
        reason = f"it has {found.st_size} bytes, more than {most}"
        raise OSError(errno.EFBIG, reason, str(path))


def read_whole(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """Return what is in a file.

    Raises:
        OSError: See check_file, or it cannot be read. It names the path and has a reason.
    """
    try:
        check_file(path, most)
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        OSError: See read_whole.
        ValueError: It is no TOML in UTF-8.
    """
    values: dict[str, Any] = _parsed(tomllib.loads, path, LARGEST_TOML)
    return values


def read_json(path: Path) -> Any:
    """Return what a JSON file says.

    Raises:
        OSError: See read_whole.
        ValueError: It is no JSON in UTF-8.
    """
    return _parsed(json.loads, path, LARGEST_TEXT)


def _parsed(parse: Callable[[str], Any], path: Path, most: int) -> Any:
    text = read_whole(path, most).decode("utf-8-sig")
    try:
        return parse(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
