"""WFDB records of a folder, strictly: beats and int16 steps per mV. No data set is known here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lnn_edge.data.annotation_file import read_beat_marks
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.wfdb_record import Signals
from lnn_edge.data.record import Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import read_whole

ANNOTATOR = "atr"
_MUST = {
    "joined": "must have one segment, not several; join them with wfdb's xform",
    "assumed": "gives no gain for a lead; write the ADC steps per mV there",
    "renamed": "must give each lead a name of its own; write it in the header",
}
"""What a header must have, by the change that a reader of any record would make."""


def list_records(folder: Path) -> tuple[str, ...]:
    """Name the records of a folder: those present of its RECORDS file, each once, else all headers.

    Raises:
        DataError: No such folder, no WFDB header in it, or none that RECORDS names.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with WFDB records (.hea, .dat, .atr)")
    index = folder / "RECORDS"
    if not index.is_file():
        found = tuple(sorted(path.stem for path in folder.glob("*.hea")))
        if not found:
            raise DataError(f"{folder} holds no WFDB record; it needs .hea, .dat and .atr files")
        return found
    try:
        lines = [x.strip() for x in read_whole(index).decode("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{index} is no text in UTF-8; write one name of a record a line") from None
    listed = dict.fromkeys(n for line in lines if line[:1] != "#" for n in line.split())
    ordered = tuple(name for name in listed if (folder / f"{name}.hea").is_file())
    if not ordered:
        raise DataError(
            f"{folder} holds no WFDB record of those that its file RECORDS names; copy them there, "
            "or delete RECORDS"
        )
    return ordered


def read_signals(folder: Path, name: str) -> Signals:
    """Read the samples of one record of an ECG, as they are in its file.

    Raises:
        DataError: A file is missing, damaged or truncated, or the record is not of one segment at
            one rate, with int16 steps per mV in leads of their own names.
    """
    header = folder / f"{name}.hea"
    if not header.is_file():
        raise DataError(f"{header} is missing; a record needs {name}.hea and its .dat")
    signals, told = wfdb_record.read_signals(folder / name, name)
    if any(count != 1 for count in getattr(told, "samps_per_frame", None) or ()):
        raise DataError(
            f"{header} must have one sampling rate for all leads, not several; convert the record "
            "with wfdb's xform"
        )
    _require_steps(header, signals)
    return signals


def _require_steps(header: Path, signals: Signals) -> None:
    """Refuse what a reader of any record would convert."""
    for lead, invalid in zip(signals.names, np.isnan(signals.samples).T, strict=True):
        if invalid.any():
            raise DataError(
                f"{header}: {int(invalid.sum())} samples of lead {lead} are invalid (NaN), the "
                f"first is sample {int(invalid.argmax())}; cut them out or leave the record out"
            )
    for change in signals.changes.items:
        raise DataError(f"{header} {_MUST[change.kind]}")
    strange = [c.unit for c in signals.channels if c.unit != "mV"]
    if strange:
        raise DataError(
            f"{header} must give the gain in steps per mV, not per {strange[0]}; convert it in the "
            "header"
        )
    if signals.samples.dtype != np.int16:
        raise DataError(f"{header}: samples do not fit 16 bit; convert the record to format 16")


def read_record(folder: Path, name: str, patient: str | None = None) -> Record:
    """Read one record with its beats, unconverted.

    Args:
        folder: Where the record lies.
        name: Its name.
        patient: Who was recorded; None takes the name of the record.

    Raises:
        DataError: A file is missing, damaged or truncated, samples are invalid, or a gain is 0.
    """
    stem = folder / name
    for suffix in (".hea", f".{ANNOTATOR}"):
        if not Path(f"{stem}{suffix}").is_file():
            raise DataError(
                f"{stem}{suffix} is missing; a record needs {name}.hea, its .dat and "
                f"{name}.{ANNOTATOR}: copy it again"
            )
    signals = read_signals(folder, name)
    rate, beats = signals.rate_hz, _read_beats(stem, signals.rate_hz)
    return Record(name, patient or name, signals.samples, rate, signals.channels, beats)


def _read_beats(stem: Path, fs_hz: float) -> tuple[Mark, ...]:
    path = Path(f"{stem}.{ANNOTATOR}")
    marks = read_beat_marks(path)
    if marks.rate_hz not in (None, fs_hz):
        raise DataError(
            f"{path} counts at {marks.rate_hz:g} Hz and the signal at {fs_hz:g} Hz; "
            f"take annotation and signal of the same record"
        )
    if not marks.samples:
        raise DataError(f"{path} must mark beats and marks none; take an annotation with beats")
    return tuple(Mark(*mark) for mark in zip(marks.samples, marks.symbols, strict=True))
