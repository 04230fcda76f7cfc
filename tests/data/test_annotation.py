"""Annotation files: the same beats as wfdb reads, and an end on every damaged file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.aami import CLASS_OF, FLUTTER, UNSCORED
from lnn_edge.data.annotation_file import BEAT_SYMBOLS, read_beat_marks
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.errors import DataError
from tests.support.wfdb_files import needs_mitdb, write_small


def beats_by_wfdb(path: Path) -> tuple[list[int], list[str]]:
    """Return beats, and the marks around ventricular flutter."""
    with wfdb_library() as wfdb:
        marks = wfdb.rdann(str(path.with_suffix("")), "atr")
    pairs = [
        (int(at), symbol)
        for at, symbol in zip(marks.sample, marks.symbol, strict=True)
        if symbol in {*CLASS_OF, *UNSCORED, *FLUTTER}
    ]
    return [at for at, _ in pairs], [symbol for _, symbol in pairs]


def check_against_wfdb(folder: Path) -> int:
    paths = sorted(folder.glob("*.atr"))
    for path in paths:
        marks = read_beat_marks(path)
        samples, symbols = beats_by_wfdb(path)
        assert list(marks.samples) == samples, path.name
        assert list(marks.symbols) == symbols, path.name
    return len(paths)


def test_excerpts_read_as_by_wfdb() -> None:
    assert check_against_wfdb(folder_of_pieces()) == 6


@needs_mitdb
def test_mitdb_reads_as_by_wfdb() -> None:
    assert check_against_wfdb(Path(os.environ["LNN_EDGE_DATA"]) / "mitdb") > 20


def test_every_beat_code_of_wfdb_has_its_symbol() -> None:
    with wfdb_library() as wfdb:
        table = {label.label_store: label.symbol for label in wfdb.io.annotation.ann_labels}
    assert {code: table[code] for code in BEAT_SYMBOLS} == BEAT_SYMBOLS
    assert set(BEAT_SYMBOLS.values()) == {*CLASS_OF, *UNSCORED}


def test_long_distances_rate_and_odd_notes(tmp_path: Path) -> None:
    marks = np.array([7, 8, 2000, 90_000, 90_001, 10_000_000])
    notes = ("(N", "odd", "x", "", "longer note", "")
    write_small(tmp_path, marks=marks, notes=notes, symbols=("+", "N", "V", "A", "F", "/"))
    read = read_beat_marks(tmp_path / "r1.atr")
    assert read.samples == tuple(marks[1:].tolist())
    assert read.symbols == ("N", "V", "A", "F", "/")
    assert read.rate_hz == 360


@pytest.mark.parametrize("length", [0, 1, 2, 20, 31, 40])
def test_truncated_annotation(tmp_path: Path, length: int) -> None:
    path = write_small(tmp_path) / "r1.atr"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"r1\.atr is truncated or damaged"):
        read_beat_marks(path)


def test_garbled_rate_note_ends_with_an_error(tmp_path: Path) -> None:
    path = write_small(tmp_path) / "r1.atr"
    path.write_bytes(path.read_bytes().replace(b": 360", b": x60"))
    with pytest.raises(DataError, match="truncated or damaged"):
        read_beat_marks(path)
