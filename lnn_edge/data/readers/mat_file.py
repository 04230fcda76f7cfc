"""MAT files of MATLAB, version 5 to 7 by scipy, 7.3 by h5py; for the arrays see arrays.py."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers import hdf5_file
from lnn_edge.data.readers.arrays import records_of_arrays
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import most_unpacked

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # bytes before the HDF5 file of version 7.3
_HEAD, _PACKED, _PIECE = 128, 15, 1 << 20  # bytes; type of a packed element; bytes at once
# What scipy raises on files that are not as they should be.
_DAMAGE = (OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError, EOFError,
           AttributeError, NotImplementedError, ArithmeticError, RuntimeError, NameError,
           zlib.error, struct.error)  # fmt: skip


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a file; of a struct, its fields count as arrays.

    Raises:
        DataError: The file is missing, damaged, too large, or its arrays are no recording.
        MissingToolError: It is of version 7.3, and h5py is not installed.
    """
    if _is_hdf5(path):
        yield from hdf5_file.read(path, name, hints)
        return
    from scipy.io import loadmat, whosmat

    try:
        most = most_unpacked(path.stat().st_size)
        is_bomb = _unpacks_beyond(path, most)  # first: whosmat unpacks too
        if is_bomb or 8 * sum(math.prod(shape) for _, shape, _ in whosmat(path)) > most:
            raise DataError(
                f"{path} unpacks to over {most:,} bytes; save it without compression, or split it"
            )
        found = loadmat(
            path, squeeze_me=True, struct_as_record=True, verify_compressed_data_integrity=True
        )
    except DataError:
        raise
    except Exception as error:
        if not isinstance(error, _DAMAGE) and not type(error).__module__.startswith("scipy"):
            raise
        reason = str(error).split("\n")[0].strip()[:160]
        raise DataError(f"{path} is damaged or no MAT file ({reason}); save it again") from None
    arrays: dict[str, np.ndarray] = {}
    for key, value in found.items():
        if not key.startswith("__"):
            arrays |= _flat(key, np.asarray(value))
    left = [k for k, a in arrays.items() if a.dtype.kind not in "fiubUS"]
    arrays = {k: a for k, a in arrays.items() if k not in left}
    changes = Changes().also("dropped", f"arrays {', '.join(left)}", len(left), "arrays", name)
    yield from records_of_arrays(path, name, arrays, hints, changes)


def _unpacks_beyond(path: Path, most: int) -> bool:
    """Whether the packed elements of a file of version 5 to 7 unpack to more than `most` bytes."""
    total = 0
    with path.open("rb") as file:
        head = file.read(_HEAD)
        order: Literal["little", "big"] = "little" if head[-2:] == b"IM" else "big"
        while len(tag := file.read(8)) == 8 and total <= most:
            kind, size = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))
            if kind != _PACKED:
                file.seek(size, os.SEEK_CUR)
                continue
            unpacker = zlib.decompressobj()
            rest = file.read(size)
            while rest and total <= most:
                total += len(unpacker.decompress(rest, _PIECE))
                rest = unpacker.unconsumed_tail
    return total > most


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_USER_BLOCK + len(_SIGNATURE))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a MAT file") from None
    return _SIGNATURE in (start[: len(_SIGNATURE)], start[_USER_BLOCK:])


def _flat(key: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Return an array, or the fields of a struct, and cells of texts as texts."""
    if value.dtype.names and value.size == 1:
        flat: dict[str, np.ndarray] = {}
        record = value.reshape(-1)[0]
        for field in value.dtype.names:
            flat |= _flat(field, np.asarray(record[field]))
        return flat
    if value.dtype == object and all(isinstance(v, str) for v in value.reshape(-1)):
        return {key: value.astype(str)}
    return {key: value}


READER = Reader("MAT", (".mat",), read)
