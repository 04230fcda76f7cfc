"""WFDB records of any rate, lead, gain and annotator, of one segment or several.

Source: header(5) and annot(5) of the WFDB Applications Guide, PhysioNet.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.annotation_file import Annotation, read_annotations
from lnn_edge.data.changes import Changes
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.readers.several_rates import to_one_rate
from lnn_edge.data.readers.words import unique
from lnn_edge.data.record import MOST_VALUES, Channel, Interval, Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_TEXT, check_file, most_unpacked, read_whole

# What wfdb raises on files that are not as they should be; RuntimeError is that of FLAC.
DAMAGE = (ValueError, LookupError, TypeError, OSError, RuntimeError, ArithmeticError, MemoryError)
ANNOTATORS = ("atr", "ecg", "ari", "st", "qrs", "apn", "pwave", "man", "pu", "q1c", "at_", "alh")
DEFAULT_GAIN = 200.0  # steps per mV where a header gives none, by header(5)
_RHYTHM = "+"
_VALUE_BYTES = 6  # that a sample takes while it is read, of those that count
_SPAN = 1 << 17  # frames that are read at once
_PROMISE = "does not hold what its header promises"


@contextmanager
def wfdb_library() -> Iterator[Any]:
    """Import wfdb on first use, as it takes a second, and hide its warnings on its own pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        yield wfdb


@dataclass(frozen=True, eq=False)
class Signals:
    """Samples of a record.

    Attributes:
        samples: (N, C) int16 steps, or float64 values where some are invalid, which are NaN.
        rate_hz: Of all channels.
        channels: C of them.
        changes: What was done to them.
    """

    samples: np.ndarray
    rate_hz: float
    channels: tuple[Channel, ...]
    changes: Changes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(channel.name for channel in self.channels)


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the record of a header file (.hea), with its annotations where there are any.

    Invalid samples become NaN; a record without any stays int16. Segments are joined. Channels of
    several rates are brought to the highest one. A rhythm lasts until the next: both a mark "+"
    and an interval. Where there are several annotation files and no hint, one is taken, in the
    order of ANNOTATORS.

    Raises:
        DataError: A file is missing, damaged, truncated or too large.
    """
    stem = path.with_suffix("")
    signals, header = read_signals(stem, name)
    annotations, changes = _read_marks(stem, name, signals, float(header.fs), hints)
    length = len(signals.samples)
    yield Record(
        name,
        name,
        signals.samples,
        signals.rate_hz,
        signals.channels,
        tuple(Mark(a.sample, a.symbol) for a in annotations),
        _rhythms(annotations, length),
        _labels(header.comments or []),
        changes=signals.changes + changes,
    )


def read_signals(stem: Path, name: str) -> tuple[Signals, Any]:
    """Return the samples of the record of a header, stem.hea, and that header; see read."""
    header = _read_header(stem)
    return _read_signals(stem, name, header), header


def segments_of(path: Path) -> tuple[str, ...]:
    """Name the records that are parts of the one of this header; () where it is whole."""
    try:
        lines = read_whole(path).decode("latin-1").splitlines()
    except OSError:
        return ()
    rows = [fields for line in lines if (fields := line.split()) and line[0] != "#"]
    return tuple(r[0] for r in rows[1:] if r[0] != "~") if rows and "/" in rows[0][0] else ()


def _read_header(stem: Path) -> Any:
    try:
        check_file(Path(f"{stem}.hea"), LARGEST_TEXT)
        with wfdb_library() as wfdb:
            header = wfdb.rdheader(str(stem))
    except DAMAGE as error:
        raise DataError(f"{stem}.hea is not a readable WFDB header; copy it again") from error
    if not header.n_sig or not header.fs or not 0 < header.fs < np.inf:
        raise DataError(f"{stem}.hea names no signal or no rate; copy it again")
    if header.sig_len == 0:
        raise DataError(f"{stem}.hea promises no sample; leave the record out or copy it again")
    if getattr(header, "n_seg", 1) == 1 and len(header.sig_name or ()) != header.n_sig:
        raise DataError(
            f"{stem}.hea promises {header.n_sig} signals and describes "
            f"{len(header.sig_name or ())}; copy it again"
        )
    most = min(MOST_VALUES, most_unpacked(_bytes_of(stem, header)) // _VALUE_BYTES)
    if (header.sig_len or 0) * header.n_sig > most:
        raise DataError(
            f"{stem}.hea promises {header.sig_len:,} samples of {header.n_sig} signals, and files "
            f"of this size may hold {most:,} values; cut the record"
        )
    return header


def _bytes_of(stem: Path, header: Any) -> int:
    """Return the bytes of all files that samples of a record can be in."""
    paths = [stem.with_name(name) for name in set(getattr(header, "file_name", None) or ())]
    if getattr(header, "n_seg", 1) > 1:
        parts = set(header.seg_name)
        paths = [p for p in stem.parent.iterdir() if p.is_file() or p.stem in parts]
    for path in paths:
        if path.exists() and not path.is_file():
            raise DataError(f"{stem}.hea: {path} is no file; copy it again")
    return sum(path.stat().st_size for path in paths if path.is_file())


def _read_signals(stem: Path, name: str, header: Any) -> Signals:
    try:
        with wfdb_library() as wfdb:
            if getattr(header, "n_seg", 1) > 1:
                return _joined(name, header, _whole(stem, header, wfdb))
            steps = _in_spans(stem, header, wfdb)
            if steps is not None:
                return Signals(steps, float(header.fs), *_facts(stem, name, header))
            return _single(
                stem, name, wfdb.rdrecord(str(stem), physical=False, smooth_frames=False)
            )
    except FileNotFoundError as error:
        raise DataError(
            f"{stem}.hea: its file {error.filename} is missing; copy it there"
        ) from error
    except DAMAGE as error:
        raise DataError(
            f"{stem}.dat {_PROMISE}; it is truncated or damaged: copy it again"
        ) from error


@dataclass(frozen=True, eq=False)
class _Whole:
    values: np.ndarray
    names: list[str]
    units: list[str]


def _whole(stem: Path, header: Any, wfdb: Any) -> _Whole:
    """Join segments. wfdb does so too, but for an empty one, "~", of a fixed layout."""
    if header.layout != "fixed" or "~" not in header.seg_name:
        record = wfdb.rdrecord(str(stem))
        return _Whole(record.p_signal, record.sig_name, record.units)
    values = np.full((header.sig_len, header.n_sig), np.nan)
    place, last = 0, None
    for segment, length in zip(header.seg_name, header.seg_len, strict=True):
        if segment != "~":
            last = wfdb.rdrecord(str(stem.parent / segment))
            values[place : place + length] = last.p_signal
        place += length
    if last is None or place != header.sig_len:
        raise ValueError("segments do not fill the record")
    return _Whole(values, last.sig_name, last.units)


def _joined(name: str, header: Any, whole: _Whole) -> Signals:
    """Take a record of several segments, in physical units."""
    names = unique([n or "" for n in whole.names])
    channels = tuple(Channel(n, _unit(u)) for n, u in zip(names, whole.units, strict=True))
    changes = Changes().also("joined", "segments to one record", header.n_seg, "segments", name)
    samples = np.asarray(whole.values, np.float64)
    return Signals(samples, float(header.fs), channels, changes)


def _single(stem: Path, name: str, record: Any) -> Signals:
    """Take a record of one segment: steps where all of them are valid, else values."""
    channels, changes = _facts(stem, name, record)
    columns = list(record.e_d_signal)
    invalid = [np.isnan(c) for c in record.dac(expanded=True)]
    _check_sums(stem, record, [int(c.sum()) for c in columns])
    rates = [float(record.fs) * count for count in record.samps_per_frame]
    fits = all(c.size and -(1 << 15) <= c.min() and c.max() < 1 << 15 for c in columns)
    if len(set(rates)) == 1 and fits and not any(i.any() for i in invalid):
        samples = np.stack(columns, axis=1).astype(np.int16)
        return Signals(samples, rates[0], channels, changes)
    values = [
        np.where(i, np.nan, (c - ch.zero) / ch.gain)
        for c, i, ch in zip(columns, invalid, channels, strict=True)
    ]
    plain = tuple(Channel(c.name, c.unit) for c in channels)
    samples, rate, resampled = to_one_rate(name, values, rates)
    return Signals(samples, rate, plain, changes + resampled)


def _facts(stem: Path, name: str, record: Any) -> tuple[tuple[Channel, ...], Changes]:
    """Return the channels, and what was assumed of them."""
    gains, assumed = _gains(stem, record)
    names = unique([n or "" for n in record.sig_name])
    zeros = [float(z) for z in record.baseline]
    facts = zip(names, record.units, gains, zeros, strict=True)
    channels = tuple(Channel(n, _unit(u), g, z) for n, u, g, z in facts)
    renamed = sum(a != b for a, b in zip(names, record.sig_name, strict=True))
    changes = Changes().also(
        "assumed", f"{DEFAULT_GAIN:g} steps per mV where no gain is told", assumed, "channels", name
    )
    return channels, changes.also(
        "renamed", "channels without a name of their own", renamed, "channels", name
    )


def _in_spans(stem: Path, header: Any, wfdb: Any) -> np.ndarray | None:
    """Read a long record of valid steps, a span at a time; None where it must be read whole.

    wfdb takes 16 bytes for a sample that is 2 here: a day of two leads would not fit 1 GB.
    """
    length, frames = header.sig_len or 0, header.samps_per_frame
    if length <= _SPAN or any(count != 1 for count in frames):
        return None
    steps, sums = np.empty((length, header.n_sig), np.int16), np.zeros(header.n_sig, np.int64)
    for start in range(0, length, _SPAN):
        end = min(start + _SPAN, length)
        part = wfdb.rdrecord(
            str(stem), sampfrom=start, sampto=end, physical=False, smooth_frames=False
        )
        columns = np.stack(part.e_d_signal, axis=1)
        is_valid = not any(np.isnan(c).any() for c in part.dac(expanded=True))
        if not is_valid or columns.min() < -(1 << 15) or columns.max() >= 1 << 15:
            return None
        steps[start:end] = columns
        sums += columns.sum(0)
    _check_sums(stem, header, sums.tolist())
    return steps


def _unit(text: str | None) -> str:
    return "" if text in (None, "NU", "nu") else str(text)


def _gains(stem: Path, record: Any) -> tuple[list[float], int]:
    """Return the gains, and how many of them are the default, which wfdb takes silently."""
    text = Path(f"{stem}.hea").read_text("ascii", "ignore")
    lines = [f for line in text.splitlines() if (f := line.split()) and f[0][0] != "#"]
    assumed = 0
    for _, fields in zip(record.sig_name, lines[1:], strict=False):
        gain = re.match(r"-?[0-9.]*", fields[2]) if len(fields) > 2 else None
        assumed += gain is None or not gain[0].strip("-0.")
    return [float(g) or DEFAULT_GAIN for g in record.adc_gain], assumed


def _check_sums(stem: Path, record: Any, sums: list[int]) -> None:
    """Compare the 16-bit sums of samples; 0 in a header stands for "not computed"."""
    for name, promised, found in zip(record.sig_name, record.checksum, sums, strict=True):
        if promised and (found - promised) % (1 << 16):
            raise DataError(
                f"{stem}: the samples of lead {name} do not have the checksum of the header; the "
                "record is damaged: copy it again"
            )


def _read_marks(
    stem: Path, name: str, signals: Signals, frames_hz: float, hints: Hints
) -> tuple[tuple[Annotation, ...], Changes]:
    """Return annotations at the rate of the samples, in order, and what was left out."""
    listed = [a for a in ANNOTATORS if os.path.lexists(f"{stem}.{a}")]
    there = [a for a in listed if Path(f"{stem}.{a}").is_file()]
    if listed != there:
        lost = next(a for a in listed if a not in there)
        raise DataError(f"{stem}.{lost} is a link to nothing, or no file; copy the file there")
    if hints.annotator is not None and not Path(f"{stem}.{hints.annotator}").is_file():
        raise DataError(
            f"{stem}.{hints.annotator} is missing; there are {', '.join(there) or 'no annotations'}"
        )
    chosen = hints.annotator or (there[0] if there else None)
    if chosen is None:
        return (), Changes()
    others = [a for a in there if a != chosen]
    changes = Changes().also(
        "dropped", f"annotators {', '.join(others)}", len(others), "files", name
    )
    path = Path(f"{stem}.{chosen}")
    found, rate = read_annotations(path)
    scale = signals.rate_hz / (rate or frames_hz)
    if not 0 < scale < 1e6:
        raise DataError(f"{path} counts at {rate} Hz; copy it again")
    length = len(signals.samples)
    moved = [Annotation(round(a.sample * scale), a.symbol, a.note) for a in found]
    early = next((a for a in moved if a.sample < 0 or a.sample > length + signals.rate_hz), None)
    if early is not None:
        raise DataError(
            f"{path} marks sample {early.sample}, but there are {length} samples; take annotation "
            "and signal of the same record"
        )
    inside = [a for a in moved if a.sample < length]
    late = len(moved) - len(inside)
    changes = changes.also("dropped", "within a second after the last sample", late, "marks", name)
    disorder = sum(a.sample > b.sample for a, b in pairwise(inside))
    changes = changes.also("assumed", "that marks may be sorted", disorder, "marks", name)
    if scale != 1:
        changes = changes.also("resampled", f"marks by {scale:g}", len(inside), "marks", name)
    return tuple(sorted(inside, key=lambda a: a.sample)), changes


def _rhythms(annotations: tuple[Annotation, ...], length: int) -> tuple[Interval, ...]:
    """Return rhythms, each from its mark to the next: "(AFIB" is AFIB."""
    starts = [a for a in annotations if a.symbol == _RHYTHM and a.note.startswith("(")]
    ends = [*(a.sample for a in starts[1:]), length]
    return tuple(
        Interval(a.sample, end - 1, a.note[1:])
        for a, end in zip(starts, ends, strict=False)
        if a.sample < end
    )


def _labels(comments: list[str]) -> tuple[str, ...]:
    """Return the diagnoses of a header, as the Challenges of 2020 and 2021 write them."""
    for comment in comments:
        key, _, value = comment.partition(":")
        if key.strip().lower() == "dx":
            return tuple(dict.fromkeys(v.strip() for v in value.split(",") if v.strip()))
    return ()


READER = Reader("WFDB", (".hea",), read)
