"""Parquet, by pyarrow; its columns are read as those of a CSV file, see table.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.on_disk import RowsOnDisk
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.readers.table import records_of_table
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.read import most_unpacked

if TYPE_CHECKING:
    import pandas as pd

_VALUE_BYTES = 12  # of a value while it becomes a sample
_LONG = 1 << 22  # values; the numbers of a longer table are kept on disk
_PART = 1 << 16  # rows of it that are read together


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a Parquet file.

    Raises:
        DataError: The file is missing, damaged, too large, or no table of numbers.
        MissingToolError: pyarrow is not installed.
    """
    _import_parquet()
    import pyarrow

    try:
        frame, nested = _read(path)
    except (OSError, ValueError, TypeError, KeyError, MemoryError, pyarrow.ArrowException) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")
        raise DataError(f"{path} is damaged or no Parquet file ({reason}); copy it again") from None
    pyarrow.default_memory_pool().release_unused()  # tens of MB, once the file is closed and gone
    frame = frame.reset_index() if frame.index.name else frame
    if frame.empty:
        raise DataError(f"{path} holds no row; leave it out")
    frame.columns = [str(c) for c in frame.columns]
    lists = Changes().also("dropped", "columns of lists", len(nested), "columns", name)
    yield from records_of_table(str(path), name, frame, ("",) * frame.shape[1], hints, lists)


def _read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table, and the names of the columns of lists, which it lacks."""
    from pyarrow import types

    with _import_parquet().ParquetFile(path) as file:
        facts, schema = file.metadata, file.schema_arrow
        most = most_unpacked(path.stat().st_size) // _VALUE_BYTES
        if facts.num_rows * facts.num_columns > most:
            raise DataError(
                f"{path} holds more than the {most:,} values that a packed file of its size "
                "may; split it, or give it as CSV"
            )
        nested = [field.name for field in schema if types.is_nested(field.type)]
        if facts.num_rows * facts.num_columns > _LONG and _is_plain(schema):
            return _on_disk(file), nested
        return file.read().drop_columns(nested).to_pandas(), nested


def _is_plain(schema: Any) -> bool:
    """Whether all columns are of numbers, with names of their own, and none is an index."""
    from pyarrow import types

    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return (
        all(types.is_integer(t) or types.is_float32(t) or types.is_float64(t) for t in schema.types)
        and len(set(schema.names)) == len(schema.names)
        and all(isinstance(i, dict) and i.get("name") is None for i in index)
    )


def _on_disk(file: Any) -> pd.DataFrame:
    """Return the rows in float64, as pandas has them, where they take no memory."""
    import pandas as pd

    names = file.schema_arrow.names
    with RowsOnDisk(len(names)) as rows:
        for batch in file.iter_batches(_PART):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            rows.add(np.column_stack([column.astype(np.float64) for column in columns]))
        return pd.DataFrame(rows.mapped(), columns=names, copy=False)


def _import_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingToolError(
            "Parquet files need pyarrow; install it with `pip install lnn-edge[parquet]`"
        ) from None
    return pyarrow.parquet


READER = Reader("Parquet", (".parquet", ".pq"), read, "parquet")
