"""Rows too many for memory: in a file without a name, mapped; pages are let go after use."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from lnn_edge.errors import DataError
from lnn_edge.files.reason import reason_of

_SPAN = 1 << 18  # rows that are looked at together
_LET_GO = getattr(mmap, "MADV_DONTNEED", None)  # absent on Windows


class RowsOnDisk:
    """A table that grows at its end, in the folder of temporary files.

    The file has no name: it is gone with the array that `mapped` returns, or with the process.
    """

    def __init__(self, columns: int, dtype: npt.DTypeLike = np.float64) -> None:
        """Begin an empty table.

        Args:
            columns: Values of a row.
            dtype: Of each value.
        """
        self._columns, self._dtype = columns, dtype
        self._count = 0
        self._file = tempfile.TemporaryFile()

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file; what `mapped` returned stays."""
        self._file.close()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def add(self, rows: np.ndarray) -> None:
        """Append rows, (n, C).

        Raises:
            DataError: The disk is full or fails.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
            self._file.flush()
        except OSError as error:
            raise no_room(reason_of(error)) from None
        self._count += len(rows)

    def mapped(self) -> np.ndarray:
        """Return all rows, (N, C), read from the disk where they are used; see let_go."""
        return np.memmap(self._file, self._dtype, "r+", shape=(self._count, self._columns))


def no_room(reason: str) -> DataError:
    """Return what to raise where a file without a name cannot be written."""
    return DataError(
        f"the folder of temporary files, {tempfile.gettempdir()}, cannot take a long table "
        f"({reason}); set TMPDIR to a folder with more room"
    )


def let_go(samples: np.ndarray) -> None:
    """Give back the memory of what was read of mapped rows; nothing of an array in memory.

    The rows stay as they are, and are read again where they are used again.

    Args:
        samples: Any part of them.
    """
    owner: object = samples
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and _LET_GO is not None:
        owner.madvise(_LET_GO)


def parts(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a long array part after part, and let each go before the next."""
    for start in range(0, len(samples), _SPAN):
        yield samples[start : start + _SPAN]
        let_go(samples)
