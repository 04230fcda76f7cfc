"""Records that are read from disk when they are reached. No file format is known here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class LazyRecords(Sequence[T], Generic[T]):
    """A sequence whose items exist while somebody holds them: it keeps none.

    Attributes:
        names: Names of the records, in order; known without reading one.
        read: Reads a record by name; called each time it is reached, and its errors are passed on.
    """

    names: tuple[str, ...]
    read: Callable[[str], T]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> LazyRecords[T]: ...

    def __getitem__(self, index: int | slice) -> T | LazyRecords[T]:
        """Read one record, or return a part of the sequence without reading any."""
        if isinstance(index, slice):
            return LazyRecords(self.names[index], self.read)
        return self.read(self.names[index])
