"""Parquet, by pyarrow; its columns are read as those of a CSV file, see table.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.readers.table import records_of_table
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.read import most_unpacked

_VALUE_BYTES = 12  # of a value while it becomes a sample


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a Parquet file.

    Raises:
        DataError: The file is missing, damaged, too large, or no table of numbers.
        MissingToolError: pyarrow is not installed.
    """
    parquet = _import_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            facts = file.metadata
            most = most_unpacked(path.stat().st_size) // _VALUE_BYTES
            if facts.num_rows * facts.num_columns > most:
                raise DataError(
                    f"{path} holds more than the {most:,} values that a packed file of its size "
                    "may; split it, or give it as CSV"
                )
            table = file.read()
            nested = [f.name for f in table.schema if pyarrow.types.is_nested(f.type)]
            frame = table.drop_columns(nested).to_pandas()
    except (OSError, ValueError, TypeError, KeyError, MemoryError, pyarrow.ArrowException) as error:
        reason = str(error).split("\n")[0].strip().rstrip(".")
        raise DataError(f"{path} is damaged or no Parquet file ({reason}); copy it again") from None
    frame = frame.reset_index() if frame.index.name else frame
    if frame.empty:
        raise DataError(f"{path} holds no row; leave it out")
    frame.columns = [str(c) for c in frame.columns]
    lists = Changes().also("dropped", "columns of lists", len(nested), "columns", name)
    yield from records_of_table(str(path), name, frame, ("",) * frame.shape[1], hints, lists)


def _import_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingToolError(
            "Parquet files need pyarrow; install it with `pip install lnn-edge[parquet]`"
        ) from None
    return pyarrow.parquet


READER = Reader("Parquet", (".parquet", ".pq"), read, "parquet")
