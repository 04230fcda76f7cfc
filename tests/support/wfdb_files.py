"""Small WFDB records for the tests of data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.record import Record
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.data.wfdb_folder import list_records, read_record
from lnn_edge.data.wfdb_writer import WfdbRecord, write_record

needs_mitdb = pytest.mark.skipif(
    not (Path(os.environ.get(DATA_VARIABLE, "")) / "mitdb" / "100.hea").is_file(),
    reason=f"needs MIT-BIH in {DATA_VARIABLE}/mitdb",
)


def small_record(name: str = "r1", **changes: object) -> WfdbRecord:
    """Six seconds of two leads with a beat of each class and one rhythm mark."""
    t = np.arange(6 * 360)[:, None]
    fields = {
        "adc": (1024 + 300 * np.sin(t / np.array([40, 23]))).astype(np.int16),
        "fs_hz": 360,
        "leads": ("MLII", "V1"),
        "gain": 200.0,
        "adc_zero": 1024,
        "marks": np.array([5, 300, 600, 900, 1200, 1500]),
        "symbols": ("+", "N", "A", "V", "F", "Q"),
        "notes": ("(N", "", "", "", "", ""),
    }
    return WfdbRecord(name, **(fields | changes))  # type: ignore[arg-type]


def write_small(folder: Path, name: str = "r1", **changes: object) -> Path:
    """Write a small record and return its folder."""
    write_record(folder, small_record(name, **changes))
    return folder


def read_folder(folder: Path, records: Iterable[str] | None = None) -> tuple[Record, ...]:
    """Read records of a folder, all of them unless some are named."""
    names = list_records(folder) if records is None else records
    return tuple(read_record(folder, name) for name in names)


def edit_header(folder: Path, old: str, new: str, name: str = "r1") -> None:
    """Replace a piece of a header that must be there."""
    path = folder / f"{name}.hea"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
