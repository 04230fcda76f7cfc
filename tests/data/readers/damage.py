"""Damages files: bytes replaced, the end cut off. A reader gives records or one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck
from hypothesis import strategies as st

from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError

# A test's folder serves all its examples: each writes its file anew.
SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
Read = Callable[[Path, str, Hints], Iterator[Record]]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Replace up to four bytes, most often among the first, and perhaps cut the rest off."""
    data = bytearray(whole)
    near = st.integers(0, min(len(data), 400) - 1)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.one_of(near, st.integers(0, len(data) - 1)))
        data[place] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


def read_or_refuse(read: Read, path: Path, hints: Hints = Hints()) -> list[Record]:  # noqa: B008
    """Read; an error must be one sentence that names the file or record."""
    records: list[Record] = []
    with suppress_one(path):
        records = list(read(path, "r1", hints))
    for record in records:
        assert record.samples.size
        assert np.isfinite(record.rate_hz)
    return records


@contextmanager
def suppress_one(path: Path) -> Iterator[None]:
    """Let one error of data pass that is a sentence about the file or its record."""
    said = None
    try:
        yield
    except DataError as error:
        said = str(error)
    assert said is None or "\n" not in said
    assert said is None or path.stem in said or "r1" in said
