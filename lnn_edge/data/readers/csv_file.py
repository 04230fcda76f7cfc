"""CSV and TSV: delimiter, decimal sign, header and units are found by looking; see table.py."""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.on_disk import RowsOnDisk
from lnn_edge.data.readers import words
from lnn_edge.data.readers.last_row import OpenEnd, open_end
from lnn_edge.data.readers.reader import MOST_BYTES, Hints, Reader
from lnn_edge.data.readers.table import records_of_table
from lnn_edge.data.record import MOST_VALUES, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import check_file, most_unpacked
from lnn_edge.files.reason import reason_of

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 1 << 16  # bytes
_SOME_VALUES = 6_000_000  # that a small packed file may hold; one a byte in any other
_LONG = 1 << 25  # bytes of text; the numbers of a longer one are kept on disk
_PART = 1 << 16  # rows of it that are read together
_WHOLE = float(1 << 53)  # beyond it an integer may be no float64
_DELIMITERS = "\t;,| "
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?$")
_ABSENT = {"", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf"}
_BEYOND = "beyond the last column"
_NO_NUMBERS = (*words.LABEL, *words.SUBJECT, *words.RECORD)


@dataclass(frozen=True)
class TextLayout:
    """How a text file is a table.

    Attributes:
        encoding: Of its text.
        delimiter: Between cells.
        decimal: "." or ",".
        quote: Around cells.
        skipped: Lines before the first row of numbers.
        names: Of the columns, as written; made up where there is no header.
        units: Of the columns, from a line of them; "" where there is none.
    """

    encoding: str
    delimiter: str
    decimal: str
    quote: str
    skipped: int
    names: tuple[str, ...]
    units: tuple[str, ...]


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the records of a CSV or TSV file, also one packed by gzip.

    Raises:
        DataError: The file is missing, damaged, too large, or no table of numbers.
    """
    layout = find_layout(path)
    frame, is_open = _read(path, layout)
    changes = Changes()
    renamed = sum(a != b for a, b in zip(layout.names, frame.columns, strict=True))
    changes = changes.also(
        "renamed", "columns without a name of their own", renamed, "columns", name
    )
    if layout.encoding == "latin-1":
        changes = changes.also("assumed", "text in Latin-1, as it is not UTF-8", 1, "files", name)
    changes = changes.also(
        "assumed", "the last row whole, as no end of line follows it", is_open, "files", name
    )
    yield from records_of_table(str(path), name, frame, layout.units, hints, changes)


def find_layout(path: Path) -> TextLayout:
    """Look at the first lines of a file.

    Raises:
        DataError: It is missing, empty, or no table.
    """
    encoding, text = _beginning(path)
    lines = text.splitlines()
    whole = lines if len(text) < _LOOKED_AT else lines[:-1]
    notes = 0
    while notes < len(whole) and (whole[notes][:1] in "#%" or not whole[notes].strip()):
        notes += 1
    rows = whole[notes:]
    if not rows:
        raise DataError(f"{path} holds no row; it must be a table of numbers in text")
    delimiter = _delimiter(rows[1:] or rows)
    quote = "'" if rows[0].lstrip().startswith("'") else '"'
    cells = [_cells(row, delimiter, quote) for row in rows[:50]]
    decimal = "," if delimiter != "," and _has_decimal_comma(cells) else "."
    heads = 0
    while heads < min(2, len(cells)) and not _is_numbers(cells[heads], cells[-1], decimal):
        heads += 1
    if heads == 2 and (len(cells) < 3 or not _is_units(cells[1])):
        heads = 1
    names = cells[0] if heads else [f"channel_{i}" for i in range(1, len(cells[0]) + 1)]
    units = [c.strip("'\" []()") for c in cells[1]] if heads == 2 else []
    told = (*units, *("" for _ in names))[: len(names)]
    return TextLayout(encoding, delimiter, decimal, quote, notes + heads, tuple(names), told)


def _beginning(path: Path) -> tuple[str, str]:
    try:
        check_file(path, MOST_BYTES)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_LOOKED_AT)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({reason_of(error)}); copy it again") from None
    if b"\0" in data:
        raise DataError(f"{path} is no text in UTF-8; export the table as CSV in UTF-8")
    try:
        return "utf-8-sig", data.decode(
            "utf-8-sig", "strict" if len(data) < _LOOKED_AT else "ignore"
        )
    except UnicodeDecodeError:
        return "latin-1", data.decode("latin-1")


def _delimiter(rows: list[str]) -> str:
    """Return the delimiter that parts most rows alike; ";" and tab before "," (decimal commas)."""
    looked = [row.strip() for row in rows[:50] if row.strip()]
    counts = {d: [row.count(d) for row in looked] for d in _DELIMITERS}
    for delimiter in _DELIMITERS[:-1]:
        found = counts[delimiter]
        if found and min(found) > 0 and found.count(found[0]) >= 0.9 * len(found):
            return delimiter
    if looked and all(len(row.split()) == len(looked[0].split()) > 1 for row in looked):
        return " "
    return max(_DELIMITERS[:-1], key=lambda d: sum(counts[d])) if looked else ","


def _cells(row: str, delimiter: str, quote: str) -> list[str]:
    if delimiter == " ":
        return row.split()
    return [c.strip() for c in next(csv.reader([row], delimiter=delimiter, quotechar=quote), [])]


def _has_decimal_comma(cells: list[list[str]]) -> bool:
    flat = [c for row in cells[1:] for c in row]
    return any(_DECIMAL_COMMA.match(c) for c in flat) and not any("." in c for c in flat)


def _is_numbers(row: list[str], like: list[str], decimal: str) -> bool:
    """Whether a row holds numbers wherever a later row does."""
    numeric = [
        bool(_NUMBER.match(a.replace(decimal, "."))) or a.lower() in _ABSENT
        for a, b in zip(row, like, strict=False)
        if _NUMBER.match(b.replace(decimal, "."))
    ]
    return all(numeric) if numeric else all(c.lower() in _ABSENT or _NUMBER.match(c) for c in row)


def _is_units(row: list[str]) -> bool:
    """Whether a row holds short texts, as 'seconds','mV', and no labels of data."""
    return all(len(c) <= 16 for c in row) and not any(_NUMBER.match(c) for c in row)


def read_table(path: Path, layout: TextLayout) -> pd.DataFrame:
    """Read all rows.

    Raises:
        DataError: The file is missing or damaged, or breaks off in its last row.
    """
    return _read(path, layout)[0]


def _read(path: Path, layout: TextLayout) -> tuple[pd.DataFrame, bool]:
    """Read all rows; return also whether no end of line follows the last one."""
    import pandas as pd

    names = words.unique(layout.names)
    try:
        check_file(path, MOST_BYTES)
        most = min(MOST_VALUES, max(_SOME_VALUES, path.stat().st_size))
        with _text(path) as text, warnings.catch_warnings():
            end = _end(text, layout)
            if end is not None and end.is_short:
                raise DataError(
                    f"{path} breaks off in its last row, after {end.cells} of {end.least} cells; "
                    "copy it again, or end the row"
                )
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that it leaves out
            table = _Table(path, text, layout, names, most // len(names) + 1)
            frame = table.numbers_on_disk() if _size(text) > _LONG else None
            frame = table.in_memory() if frame is None else frame
    except pd.errors.ParserWarning:
        raise DataError(f"{path}: a row has more than {len(names)} cells; correct it") from None
    except (ValueError, OSError, EOFError, OverflowError, MemoryError, zlib.error) as error:
        reason = reason_of(error)
        raise DataError(f"{path} is damaged or no table ({reason}); export it again") from None
    if frame.empty:
        raise DataError(f"{path} holds a header and no row; leave it out")
    if frame.size > most:
        raise DataError(f"{path} has more than {most:,} values; split it")
    _refuse_broken_numbers(path, frame)
    return frame, end is not None


@dataclass(frozen=True)
class _Table:
    """Rows of text that are still to be parsed.

    Attributes:
        path: The file, for messages.
        text: The table.
        layout: Of it.
        names: Of its columns; they differ.
        most: Rows that are read.
    """

    path: Path
    text: Path | BinaryIO
    layout: TextLayout
    names: tuple[str, ...]
    most: int

    def in_memory(self) -> pd.DataFrame:
        """Return the rows; a column is of integers, of numbers or of what else it holds."""
        return self._without_beyond(self._parsed(low_memory=False))

    def numbers_on_disk(self) -> pd.DataFrame | None:
        """Return the rows in float64, the same numbers, where they take no memory.

        Returns:
            None where a column holds something else, or integers that a float column would round
            otherwise.
        """
        import pandas as pd

        floats = np.zeros(len(self.names), bool)  # columns of floats
        far = np.zeros(len(self.names), bool)  # columns of integers that float64 may round
        try:
            with (
                RowsOnDisk(len(self.names)) as rows,
                self._parsed(chunksize=_PART, low_memory=False) as parts,
            ):
                for part in parts:
                    frame = self._without_beyond(part)
                    kinds = np.array([kind.kind for kind in frame.dtypes])
                    if not np.isin(kinds, ("i", "f")).all():
                        return None
                    values = frame.to_numpy(np.float64)
                    floats |= kinds == "f"
                    far |= (kinds == "i") & (abs(values) >= _WHOLE).any(axis=0)
                    rows.add(values)
                if (floats & far).any() or not len(rows):
                    return None
                return pd.DataFrame(rows.mapped(), columns=list(self.names), copy=False)
        except (ValueError, OverflowError):
            return None  # in memory they are read again, for what is wrong

    def _parsed(self, **how: Any) -> Any:
        import pandas as pd

        if not isinstance(self.text, Path):
            self.text.seek(0)
        layout = self.layout
        return pd.read_csv(
            self.text,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            decimal=layout.decimal,
            quotechar=layout.quote,
            skiprows=layout.skipped,
            header=None,
            names=[*self.names, _BEYOND],
            index_col=False,
            encoding=layout.encoding,
            skipinitialspace=True,
            nrows=self.most,
            **how,
        )

    def _without_beyond(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that have a name, where all cells are in one."""
        beyond = frame.pop(_BEYOND).dropna()
        if len(beyond):
            raise DataError(
                f"{self.path}: row {beyond.index[0] + 1} has more than {len(self.names)} cells; "
                "correct it"
            )
        return frame


def _end(text: BinaryIO | Path, layout: TextLayout) -> OpenEnd | None:
    return open_end(
        text,
        layout.encoding,
        lambda row: _cells(row, layout.delimiter, layout.quote),
        layout.skipped,
    )


def _size(text: BinaryIO | Path) -> int:
    return text.stat().st_size if isinstance(text, Path) else text.seek(0, 2)


@contextmanager
def _text(path: Path) -> Iterator[Path | BinaryIO]:
    """Give a file, or the text of a packed one, no longer than its size allows."""
    if path.suffix != ".gz":
        yield path
        return
    most = most_unpacked(path.stat().st_size)
    with tempfile.SpooledTemporaryFile(_LONG) as text:  # a long one on disk
        with gzip.open(path) as file:
            while piece := file.read(_LOOKED_AT):
                if text.tell() + len(piece) > most:
                    raise ValueError(f"it unpacks to over {most:,} bytes; unpack it")
                text.write(piece)
        yield cast(BinaryIO, text)


def _refuse_broken_numbers(path: Path, frame: pd.DataFrame) -> None:
    """Refuse a column of numbers with a text in it, which would silently be no channel."""
    import pandas as pd

    for column in frame.columns:
        named = words.is_time(column) or words.plain(column) in _NO_NUMBERS
        if frame[column].dtype.kind in "fiub" or named:
            continue
        numbers = pd.to_numeric(frame[column], errors="coerce")
        texts = frame[column][numbers.isna() & frame[column].notna()]
        if 0 < len(texts) < numbers.notna().sum():
            row = int(texts.index[0]) + 1
            raise DataError(
                f"{path}: column {column} holds numbers, and {str(texts.iloc[0])[:40]!r} in row "
                f"{row}; correct or remove it"
            )


READER = Reader("CSV", (".csv", ".tsv", ".csv.gz", ".tsv.gz"), read)
