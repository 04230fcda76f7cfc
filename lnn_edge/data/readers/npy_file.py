"""NumPy's npy and npz; what their arrays are is for arrays.py."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers.arrays import records_of_arrays
from lnn_edge.data.readers.reader import MOST_BYTES, Hints, Reader
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.archives import members_of
from lnn_edge.files.arrays import NPY, StrangeTypeError, array_of
from lnn_edge.files.read import check_file, most_unpacked
from lnn_edge.files.reason import reason_of

_LONG = 1 << 25  # bytes; a longer array is not copied to memory


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a .npy or .npz file; arrays of Python objects are not unpacked.

    Raises:
        DataError: The file is missing, damaged, too large, or its arrays are no recording.
    """
    try:
        if path.suffix.lower() == ".npz":
            arrays, objects = _members(_whole(path))
        else:
            arrays, objects = {"samples": array_of(_mapped(path), with_text=True)}, []
    except (OSError, ValueError, MemoryError) as error:
        reason = reason_of(error)
        raise DataError(
            f"{path} is damaged or no NumPy file ({reason}); write it with numpy.save"
        ) from None
    left = Changes().also(
        "dropped", f"arrays of Python objects: {', '.join(objects)}", len(objects), "arrays", name
    )
    yield from records_of_arrays(path, name, arrays, hints, left)


def _whole(path: Path) -> bytes:
    check_file(path, MOST_BYTES)
    return path.read_bytes()


def _mapped(path: Path) -> bytes | mmap.mmap:
    """Return the bytes of a file, those of a long one where they lie; only if it is an array."""
    check_file(path, MOST_BYTES)
    with path.open("rb") as file:
        begin = file.read(len(NPY))
        if begin != NPY:
            raise ValueError("it does not begin as one")
        if path.stat().st_size > _LONG:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return begin + file.read()


def _members(data: bytes) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays, and the names of those that hold Python objects."""
    arrays: dict[str, np.ndarray] = {}
    objects = []
    for member, content in members_of(data, most_unpacked(len(data))).items():
        key = member.removesuffix(".npy")
        try:
            arrays[key] = array_of(content, with_text=True)
        except StrangeTypeError:
            objects.append(key)
    if objects and not arrays:
        raise ValueError(f"{', '.join(objects)} hold Python objects")
    return arrays, objects


READER = Reader("NumPy", (".npy", ".npz"), read)
