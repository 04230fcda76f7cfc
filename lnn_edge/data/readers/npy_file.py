"""NumPy's npy and npz; what their arrays are is for arrays.py."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers.arrays import records_of_arrays
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.archives import MOST_MEMBERS
from lnn_edge.files.read import most_unpacked


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a .npy or .npz file; arrays of Python objects are not unpacked.

    Raises:
        DataError: The file is missing, damaged, too large, or its arrays are no recording.
    """
    try:
        archive = path.suffix.lower() == ".npz"
        arrays, objects = _read_archive(path) if archive else ({"samples": _read(path)}, [])
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile,
            NotImplementedError, RuntimeError, SyntaxError, OverflowError,
            zlib.error, struct.error, tokenize.TokenError) as error:  # fmt: skip
        raise _damaged(path, error) from None
    left = Changes().also(
        "dropped", f"arrays of Python objects: {', '.join(objects)}", len(objects), "arrays", name
    )
    yield from records_of_arrays(path, name, arrays, hints, left)


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).split("\n")[0].strip()[:120] or type(error).__name__
    return DataError(f"{path} is damaged or no NumPy file ({reason}); write it with numpy.save")


def _read(path: Path) -> np.ndarray:
    """Read one array; its header must not promise more than the file holds."""
    with path.open("rb") as file:
        array = np.load(file, allow_pickle=False) if _fits(path) else None
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds less than its header promises")
    return array


def _fits(path: Path) -> bool:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = header(file)
        promised = dtype.itemsize
        for size in shape:
            promised *= int(size)
        return 0 <= promised <= path.stat().st_size - file.tell()


def _read_archive(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays, and the names of those that are Python objects."""
    with zipfile.ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
        most = most_unpacked(path.stat().st_size)
        if size > most or len(archive.infolist()) > MOST_MEMBERS:
            raise DataError(
                f"{path} unpacks to {size:,} bytes, and may to {most:,}; write it with "
                "numpy.savez, or split it"
            )
    with path.open("rb") as file, np.load(file, allow_pickle=False) as whole:
        arrays: dict[str, np.ndarray] = {}
        objects = []
        for key in whole.files:
            try:
                arrays[key] = whole[key]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                objects.append(key)
        if objects and not arrays:
            raise ValueError(f"{', '.join(objects)} hold Python objects")
        return {k: a for k, a in arrays.items() if isinstance(a, np.ndarray)}, objects


READER = Reader("NumPy", (".npy", ".npz"), read)
