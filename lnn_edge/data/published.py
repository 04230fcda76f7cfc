"""What readers of published data sets share: folder, split, table. No data set is known here."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, check_file
from lnn_edge.files.reason import reason_of

T = TypeVar("T")

DATA_VARIABLE = "LNN_EDGE_DATA"


def find_folder(
    name: str,
    data_dir: Path | None,
    is_it: Callable[[Path], bool],
    contents: str,
    subfolders: Sequence[str] = (),
) -> Path:
    """Find the folder of a data set: DIR/NAME, or DIR itself; None takes LNN_EDGE_DATA.

    Args:
        name: Of the data set.
        data_dir: DIR.
        is_it: Returns whether a folder is the one.
        contents: What it holds, for the message.
        subfolders: Of DIR, where they have other names than the data set.

    Raises:
        DataError: There is none.
    """
    place = data_dir or os.environ.get(DATA_VARIABLE)
    if not place:
        raise DataError(f"no folder given for {name}; give --data-dir or set {DATA_VARIABLE}")
    given = Path(place)
    for folder in (*(given / place for place in subfolders or (name,)), given):
        if is_it(folder):
            return folder
    raise DataError(
        f"neither {given / name} nor {given} holds {contents}; give the folder of {name} with "
        "--data-dir"
    )


def check_split(name: str, split: str, fold: int, splits: Sequence[str], fold_count: int) -> None:
    """Refuse a split or fold that a data set does not have.

    Raises:
        DataError: There is no such split or fold.
    """
    if split not in splits or not 0 <= fold < fold_count:
        raise DataError(
            f"{name} has no split {split!r} with fold {fold}; take one of {', '.join(splits)} "
            f"and a fold from 0 to {fold_count - 1}"
        )


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Read columns of a table of comma-separated values, row by row.

    Args:
        path: The table, its first line the names of its columns.
        columns: Names of those wanted; others are skipped.

    Yields:
        The texts of a row in the order of `columns`, without blanks around them.

    Raises:
        DataError: The table is missing or damaged, or lacks a column.
    """
    with _open(path) as reader:
        places = _places(path, next(reader, []), columns)
        for number, row in enumerate(filter(None, reader), start=1):
            if len(row) <= max(places):
                raise DataError(
                    f"{path}: row {number} ends after {len(row)} columns; copy it again"
                )
            yield tuple(row[place].strip() for place in places)


def read_header(path: Path) -> tuple[str, ...]:
    """Name the columns of a table of comma-separated values.

    Raises:
        DataError: The table is missing or damaged.
    """
    with _open(path) as reader:
        return tuple(name.strip() for name in next(reader, []))


def told_once(path: Path, rows: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Return the value of each name in a table.

    Raises:
        DataError: It gives a name two values.
    """
    told: dict[str, T] = {}
    for name, value in rows:
        if told.setdefault(name, value) != value:
            raise DataError(f"{path} gives {name} twice, and not alike; copy it again")
    return told


@contextmanager
def _open(path: Path) -> Iterator[Iterator[list[str]]]:
    try:
        check_file(path, LARGEST_ARRAYS)
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} is missing or damaged ({reason_of(error)}); copy it again"
        ) from None


def _places(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    names = [name.strip() for name in header]
    absent = [column for column in columns if column not in names]
    if absent:
        raise DataError(
            f"{path} must have the columns {', '.join(columns)}, and lacks {absent[0]}: "
            "take the table as it was published"
        )
    return [names.index(column) for column in columns]
