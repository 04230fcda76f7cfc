"""HDF5, by h5py, and the MAT files of MATLAB 7.3, which are HDF5; for the arrays see arrays.py."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.on_disk import RowsOnDisk
from lnn_edge.data.readers.apart import Groups, read_apart
from lnn_edge.data.readers.arrays import records_of_arrays
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.read import most_unpacked

# What h5py raises on files that are not as they should be.
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError,
          OverflowError, NotImplementedError)  # fmt: skip
_MOST_ITEMS = 1000  # groups and arrays
_TEXT_BYTES = 64  # that a text takes in Python, besides its own
_MOST_PACKED = 1100  # times: deflate packs no more than 1,032 bytes into one
_LONG = 1 << 25  # bytes; a longer dataset is not copied to memory
_PART = 1 << 22  # bytes of it that are read together
_REFERENCES = "#refs#"  # of MATLAB: cells that other arrays point to


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a file. Each group with arrays of its own is a set of records.

    Attributes of an array, of its group and of the file count as arrays beside it, so that
    `fs` may be one.

    Raises:
        DataError: The file is missing, damaged, too large, or its arrays are no recording.
        MissingToolError: h5py is not installed.
    """
    _import_h5py()
    try:
        groups = read_apart(__name__, path)
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0].strip()[:160]
        raise DataError(f"{path} is damaged or no HDF5 file ({reason}); copy it again") from None
    if not groups:
        raise DataError(f"{path} holds no array; one must be called samples, (N, C)")
    for group, arrays in groups.items():
        part = name if len(groups) == 1 else f"{name}/{group}"
        yield from records_of_arrays(path, part, arrays, hints, Changes())


def groups_of(path: Path) -> Groups:
    """Return the arrays of each group, by its path; for a process of its own, see apart.py.

    Raises:
        Exception: One of DAMAGE, where the library sees that a file is damaged. It may also never
            return, or crash.
    """
    h5py = _import_h5py()
    groups: Groups = {}
    taken = items = 0
    size = path.stat().st_size
    most = most_unpacked(size)
    with h5py.File(path, "r") as file:
        todo = [("", file, _attributes(file))]
        while todo:
            place, group, above = todo.pop(0)
            arrays: dict[str, np.ndarray] = {}
            for key in group:
                items += 1
                if items > _MOST_ITEMS:
                    raise ValueError(f"over {_MOST_ITEMS} groups and arrays")
                if key == _REFERENCES or isinstance(
                    group.get(key, getlink=True), h5py.ExternalLink
                ):
                    continue
                item = group[key]
                if isinstance(item, h5py.Group):
                    if item.id not in [g.id for _, g, _ in todo]:
                        child = f"{place}/{key}".strip("/")
                        todo.append((child, item, above | _attributes(item)))
                    continue
                count = item.size or 0
                packed = 1 if item.chunks is None else _MOST_PACKED
                if count * item.dtype.itemsize > packed * size:
                    raise ValueError(f"{key} promises more than the file holds")
                chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
                taken += count * (item.dtype.itemsize + _TEXT_BYTES * (item.dtype.kind in "OS"))
                if max(taken, chunk) > most:
                    raise ValueError(f"it unpacks to over {most:,} bytes; save it unpacked")
                array = _array(item)
                if array is not None:
                    arrays |= {k: v for k, v in _attributes(item).items() if k not in arrays}
                    arrays[key] = array
            if arrays:
                groups[place] = {**above, **arrays}
    return groups


def _array(item: Any) -> np.ndarray | None:
    """Return a dataset, texts as str; text that MATLAB keeps as numbers stays numbers."""
    if item.dtype.kind in "fiub":
        is_long = item.ndim and item.size * item.dtype.itemsize > _LONG
        return _on_disk(item) if is_long else np.asarray(item[()])
    if item.dtype.kind in "OS":
        return np.asarray(_texts(item[()]))
    return None


def _on_disk(item: Any) -> np.ndarray:
    """Return a dataset that takes no memory; it is copied part after part."""
    axis, count = _parts(item)
    with RowsOnDisk(math.prod(item.shape[axis + 1 :]), item.dtype) as table:
        for outer in np.ndindex(item.shape[:axis]):
            for start in range(0, item.shape[axis], count):
                part = item[(*outer, slice(start, start + count))]
                table.add(part.reshape(len(part), -1))
        return table.mapped().reshape(item.shape)


def _parts(item: Any) -> tuple[int, int]:
    """Return along which axis a dataset is read part after part, and how much of it in each.

    A chunk is unpacked whole, so each lies in one part alone.
    """
    chunk, shape, axis = item.chunks or (1,) * item.ndim, item.shape, 0
    while axis + 1 < item.ndim and chunk[axis] == 1:
        if math.prod(shape[axis + 1 :]) * item.dtype.itemsize <= _PART:
            break
        axis += 1
    inner = math.prod(shape[axis + 1 :]) * item.dtype.itemsize
    return axis, max(1, _PART // (inner * chunk[axis])) * chunk[axis]


def _attributes(item: Any) -> dict[str, np.ndarray]:
    found = {}
    for key in item.attrs:
        if key.startswith(("MATLAB", "H5PATH", "CLASS", "DIMENSION", "REFERENCE", "_Net")):
            continue
        value = np.asarray(item.attrs[key])
        found[key] = np.asarray(_texts(value)) if value.dtype.kind in "OS" else value
    return found


def _texts(value: Any) -> list[str]:
    flat = np.asarray(value).reshape(-1).tolist()
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in flat]


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            "HDF5 files need h5py; install it with `pip install lnn-edge[hdf5]`"
        ) from None
    return h5py


READER = Reader("HDF5", (".h5", ".hdf5"), read, "hdf5")
