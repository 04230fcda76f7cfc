"""Reads and writes WFDB records with beat annotations; no data set is known here."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.annotation_file import read_beat_marks
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, LARGEST_TEXT, check_file, read_whole

ANNOTATOR = "atr"
# What wfdb raises on files that are not as they should be; RuntimeError is that of FLAC.
DAMAGE = (ValueError, LookupError, TypeError, OSError, RuntimeError, ArithmeticError, MemoryError)


@contextmanager
def wfdb_library() -> Iterator[Any]:
    """Import wfdb on first use, as it takes a second, and hide its warnings on its own pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        yield wfdb


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


@dataclass(frozen=True, eq=False)
class Signals:
    """Samples of a record, unconverted.

    Attributes:
        adc: (N, L) int16.
        fs_hz: Sampling rate.
        leads: Name of each lead.
        gain: Steps per mV of each lead; below 0 where it is upside down.
        adc_zero: Step that means 0 mV of each lead.
    """

    adc: np.ndarray
    fs_hz: float
    leads: tuple[str, ...]
    gain: tuple[float, ...]
    adc_zero: tuple[int, ...]


def read_signals(folder: Path, name: str) -> Signals:
    """Read the samples of one record.

    Raises:
        DataError: A file is missing, damaged or truncated, samples are invalid, or a gain is 0.
    """
    stem = folder / name
    if not Path(f"{stem}.hea").is_file():
        raise DataError(f"{stem}.hea is missing; a record needs {name}.hea and its .dat")
    header = _read_header(stem)
    return Signals(
        _read_samples(stem, header),
        float(header.fs),
        tuple(header.sig_name),
        tuple(float(gain) for gain in header.adc_gain),
        tuple(int(zero) for zero in header.baseline),
    )


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
    beats = _read_beats(stem, signals.fs_hz)
    scales = zip(signals.leads, signals.gain, signals.adc_zero, strict=True)
    channels = tuple(Channel(lead, "mV", gain, float(zero)) for lead, gain, zero in scales)
    return Record(name, patient or name, signals.adc, signals.fs_hz, channels, beats)


def _read_header(stem: Path) -> Any:
    try:
        check_file(Path(f"{stem}.hea"), LARGEST_TEXT)
        with wfdb_library() as wfdb:
            header = wfdb.rdheader(str(stem))
    except DAMAGE as error:
        raise DataError(f"{stem}.hea is not a readable WFDB header; copy it again") from error
    if getattr(header, "n_seg", 1) > 1:
        raise DataError(
            f"{stem}.hea must have one segment, not several; join them with wfdb's xform"
        )
    if not header.n_sig or header.sig_name is None or not header.fs:
        raise DataError(f"{stem}.hea names no signal or no sampling rate; copy it again")
    if header.sig_len == 0:
        raise DataError(f"{stem}.hea promises no sample; leave the record out or copy it again")
    if len(header.sig_name) != header.n_sig:
        raise DataError(
            f"{stem}.hea promises {header.n_sig} signals and describes {len(header.sig_name)}; "
            "copy it again"
        )
    if None in header.sig_name:
        raise DataError(f"{stem}.hea leaves a lead without a name; write it in the header")
    if any(count != 1 for count in header.samps_per_frame):
        raise DataError(
            f"{stem}.hea must have one sampling rate for all leads, not several; convert "
            "the record with wfdb's xform"
        )
    _check_gains(stem, header)
    return header


def _check_gains(stem: Path, header: Any) -> None:
    """Refuse gains that are absent or 0; wfdb would silently take 200."""
    text = Path(f"{stem}.hea").read_text("ascii", "ignore")  # as wfdb reads it
    lines = [f for line in text.splitlines() if (f := line.split()) and f[0][0] != "#"]
    for name, fields in zip(header.sig_name, lines[1:], strict=False):
        gain = re.match(r"-?[0-9.]*", fields[2]) if len(fields) > 2 else None
        if gain is None or not gain[0].strip("-0."):
            raise DataError(
                f"{stem}.hea gives no gain for lead {name}; write its ADC steps per mV there"
            )
    strange = [unit for unit in header.units if unit != "mV"]
    if strange:
        raise DataError(
            f"{stem}.hea must give the gain in steps per mV, not per {strange[0]}; "
            "convert it in the header"
        )


def _read_samples(stem: Path, header: Any) -> np.ndarray:
    """Read (N, L) int16, every sample valid and the checksums of the header fulfilled."""
    try:
        for name in dict.fromkeys(header.file_name):
            check_file(stem.with_name(name), LARGEST_ARRAYS)
        with wfdb_library() as wfdb:
            record = wfdb.rdrecord(str(stem), physical=False)
            is_invalid = np.isnan(record.dac())
    except FileNotFoundError as error:
        raise DataError(f"{stem}.hea: its signal file {error.filename} is missing") from error
    except DAMAGE as error:
        raise DataError(
            f"{stem}.dat does not hold the {header.sig_len or 'first'} samples that its header "
            f"promises; it is truncated or damaged: copy it again"
        ) from error
    samples: np.ndarray = record.d_signal
    for lead, (name, invalid) in enumerate(zip(header.sig_name, is_invalid.T, strict=True)):
        if invalid.any():
            raise DataError(
                f"{stem}: {int(invalid.sum())} samples of lead {name} are invalid (NaN), the "
                f"first is sample {int(invalid.argmax())}; cut them out or leave the record out"
            )
        _check_checksum(stem, header, lead, samples[:, lead])
    if samples.min(initial=0) < -(1 << 15) or samples.max(initial=0) >= 1 << 15:
        raise DataError(f"{stem}: samples do not fit 16 bit; convert the record to format 16")
    return samples.astype(np.int16)


def _check_checksum(stem: Path, header: Any, lead: int, samples: np.ndarray) -> None:
    """Compare the 16-bit sum of samples; 0 in a header stands for "not computed"."""
    promised = header.checksum[lead]
    if promised and (int(samples.sum()) - promised) % (1 << 16):
        raise DataError(
            f"{stem}: the samples of lead {header.sig_name[lead]} do not have the checksum of the "
            f"header; the record is damaged: copy it again"
        )


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
