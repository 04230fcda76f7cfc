"""Calls a reader's library in a process of its own, which may hang or crash on a damaged file."""

from __future__ import annotations

import io
import json
import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lnn_edge.data.on_disk import no_room, parts
from lnn_edge.errors import DataError
from lnn_edge.files.reason import reason_of

_SECONDS, _PER_BYTE = 20.0, 4e-7  # 20 s, and 4 s more for 10 MB
_TOLD, _FULL = 3, 4  # exit codes: a whole sentence is on stdout; no room for what was read
_LONG = 1 << 25  # bytes; more than these are mapped and not copied to memory
_PLACE = 64  # bytes; each array begins at a multiple of them
Groups = dict[str, dict[str, np.ndarray]]
"""Arrays by name, by the group that they are in; numbers and texts, no objects."""


def read_apart(module: str, path: Path, *arguments: str) -> Groups:
    """Return what the `groups_of` of a module returns for a file and more arguments.

    Long arrays lie in a file without a name, see on_disk, and cannot be written to.

    Raises:
        ValueError: Its library refuses the file, crashes on it, or does not return.
        DataError: What it says itself, in a sentence.
    """
    command = [sys.executable, "-m", "lnn_edge.data.readers.apart", module, str(path), *arguments]
    size = path.stat().st_size if path.is_file() else 0
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.PIPE,
                check=False,
                timeout=_SECONDS + _PER_BYTE * size,
            )
        except subprocess.TimeoutExpired:
            raise ValueError("its library does not come to an end with it") from None
        said.seek(0)
        if done.returncode == _TOLD:
            raise DataError(said.read().decode("utf-8", "replace"))
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if done.returncode == _FULL and lines:
            raise no_room(lines[-1])
        if done.returncode:
            is_told = done.returncode == 1 and lines
            raise ValueError(lines[-1] if is_told else "its library crashes on it")
        return unpack(said)


def pack(groups: Groups, file: BinaryIO) -> None:
    """Write what `unpack` reads: a line of JSON that names the arrays, and their bytes."""
    arrays = [(group, name, a) for group, found in groups.items() for name, a in found.items()]
    told = json.dumps([(group, name, a.dtype.str, a.shape) for group, name, a in arrays])
    file.write(_filled(len(told) + 1) + told.encode() + b"\n")
    for _, _, array in arrays:
        for part in parts(np.ascontiguousarray(array).reshape(-1)):
            file.write(part.data)
        file.write(_filled(array.nbytes))


def unpack(file: BinaryIO) -> Groups:
    """Return what was packed into a file, from its begin on."""
    file.seek(0)
    told = file.readline()
    at, size = file.tell(), file.seek(0, io.SEEK_END)
    file.seek(0)
    is_long = size > _LONG
    data = (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if is_long else bytearray(file.read())
    )
    groups: Groups = {}
    for group, name, dtype, shape in json.loads(told):
        array: np.ndarray = np.ndarray(tuple(shape), dtype, data, at)
        groups.setdefault(group, {})[name] = array
        at += array.nbytes + len(_filled(array.nbytes))
    return groups


def _filled(size: int) -> bytes:
    """Return the spaces after `size` bytes up to the next place of an array."""
    return b" " * (-size % _PLACE)


def _main(module: str, path: str, *arguments: str) -> None:
    import importlib

    reader = importlib.import_module(module)
    try:
        groups = reader.groups_of(Path(path), *arguments)
    except DataError as error:
        sys.stdout.buffer.write(str(error).encode())
        raise SystemExit(_TOLD) from None
    except reader.DAMAGE as error:
        sys.stderr.write(str(error).split("\n")[0].strip()[:160] or type(error).__name__)
        raise SystemExit(1) from None
    try:
        pack(groups, sys.stdout.buffer)
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(reason_of(error))
        sys.stderr.flush()
        os._exit(_FULL)  # not by way of Python, which would try to write the rest


if __name__ == "__main__":
    _main(*sys.argv[1:])
