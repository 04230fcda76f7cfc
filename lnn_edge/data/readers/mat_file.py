"""MAT files of MATLAB, version 5 to 7 by scipy, 7.3 by h5py; for the arrays see arrays.py."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers import hdf5_file
from lnn_edge.data.readers.arrays import records_of_arrays
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.record import MOST_VALUES, Record
from lnn_edge.errors import DataError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # bytes before the HDF5 file of version 7.3
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
        size = sum(int(np.prod([max(n, 0) for n in shape])) for _, shape, _ in whosmat(path))
        if size > MOST_VALUES:
            raise DataError(f"{path} has {size:,} values; split it below {MOST_VALUES:,}")
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
    yield from records_of_arrays(str(path), name, arrays, hints, changes)


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
