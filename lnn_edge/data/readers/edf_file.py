"""EDF, EDF+ and BDF, by pyedflib; annotations become marks and intervals.

Source: Kemp et al. 1992, Electroenceph Clin Neurophysiol 82:391-393; Kemp and Olivan 2003, Clin
Neurophysiol 114:1755-1761.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers.reader import MOST_BYTES, Hints, Reader
from lnn_edge.data.readers.several_rates import to_one_rate
from lnn_edge.data.readers.spans import read_spans
from lnn_edge.data.readers.words import unique
from lnn_edge.data.record import MOST_VALUES, Channel, Interval, Mark, Record
from lnn_edge.errors import DataError, MissingToolError

_STEPS = np.iinfo(np.int16)
_SPAN = 1 << 18  # samples of a channel that are read at once


@dataclass(frozen=True, eq=False)
class _Signals:
    samples: np.ndarray
    rate_hz: float
    channels: tuple[Channel, ...]
    subject: str
    notes: list[tuple[float, float, str]]
    changes: Changes


def read(path: Path, name: str, hints: Hints) -> Iterator[Record]:
    """Yield the record of a file.

    Channels of one rate with 16-bit steps stay steps, with gain and zero from the ranges of the
    header; those of several rates come to the highest. An annotation with a duration is an
    interval, without one a mark. The subject is the patient code, or else the name, of the header.

    Raises:
        DataError: The file is missing, damaged, too large, or of pieces with gaps (EDF+D).
        MissingToolError: pyedflib is not installed.
    """
    pyedflib = _import_pyedflib()
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes; split it below 4 GiB")
    try:
        with pyedflib.EdfReader(str(path)) as file:
            signals = _read(path, name, file)
    except (OSError, ValueError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        reason = str(error).replace(str(path), "").split("\n")[0].strip(" :.")
        raise DataError(f"{path} is damaged or no EDF file ({reason}); export it again") from None
    yield _record(name, signals, hints)


def _read(path: Path, name: str, file: Any) -> _Signals:
    """Read all signals as steps."""
    count = file.signals_in_file
    lengths = [int(n) for n in file.getNSamples()]
    if not count or not all(lengths) or sum(lengths) > MOST_VALUES:
        raise DataError(
            f"{path} holds {count} signals of {sum(lengths):,} values; there must be some, and at "
            f"most {MOST_VALUES:,}"
        )
    labels = [file.getLabel(i).strip() for i in range(count)]
    names = unique(labels)
    rates = [float(file.getSampleFrequency(i)) for i in range(count)]
    channels = tuple(_channel(path, file, i, names[i]) for i in range(count))
    steps = _steps(file, lengths) if len(set(rates)) == 1 else None
    if steps is None:
        columns = [file.readSignal(i, digital=True) for i in range(count)]
        values = [(column - c.zero) / c.gain for column, c in zip(columns, channels, strict=True)]
        samples, rate, changes = to_one_rate(name, values, rates)
        channels = tuple(Channel(c.name, c.unit) for c in channels)
    else:
        samples, rate, changes = steps, rates[0], Changes()
    onsets, durations, texts = file.readAnnotations()
    notes = [
        (float(a), float(b), str(c).strip())
        for a, b, c in zip(onsets, durations, texts, strict=True)
        if str(c).strip()
    ]
    return _Signals(
        samples,
        rate,
        channels,
        (file.getPatientCode() or file.getPatientName()).strip(),
        notes,
        Changes().also(
            "renamed",
            "channels without a name of their own",
            sum(a != b for a, b in zip(names, labels, strict=True)),
            "channels",
            name,
        )
        + changes,
    )


def _steps(file: Any, lengths: list[int]) -> np.ndarray | None:
    """Read channels of one rate, a span at a time; None where a step takes more than 16 bit.

    pyedflib takes 4 bytes for a sample that is 2 here: a day of two leads would not fit 300 MB.
    """
    steps = np.empty((lengths[0], len(lengths)), np.int16)
    for place in range(len(lengths)):
        for start in range(0, lengths[0], _SPAN):
            count = min(_SPAN, lengths[0] - start)
            span = file.readSignal(place, start, count, digital=True)
            if span.min() < _STEPS.min or span.max() > _STEPS.max:
                return None
            steps[start : start + count, place] = span
    return steps


def _channel(path: Path, file: Any, index: int, name: str) -> Channel:
    low, high = file.getPhysicalMinimum(index), file.getPhysicalMaximum(index)
    first, last = file.getDigitalMinimum(index), file.getDigitalMaximum(index)
    if low == high or first >= last:
        raise DataError(f"{path}: channel {name} is from {low} to {high}; correct its header")
    gain = (last - first) / (high - low)
    return Channel(name, file.getPhysicalDimension(index).strip(), gain, first - low * gain)


def _record(name: str, signals: _Signals, hints: Hints) -> Record:
    samples, rate, changes = signals.samples, signals.rate_hz, signals.changes
    marks, intervals, left = _places(signals.notes, rate, len(samples))
    changes = changes.also("dropped", "annotations outside the samples", left, "marks", name)
    if hints.intervals is not None:
        told, cut = read_spans(hints.intervals).of(name, rate, len(samples))
        intervals += told
        changes = changes.also(
            "dropped", "intervals' samples after the end", cut, "intervals", name
        )
    return Record(
        name,
        signals.subject if signals.subject not in ("", "X") else name,
        samples,
        rate,
        signals.channels,
        tuple(sorted(marks)),
        tuple(sorted(intervals)),
        changes=changes,
    )


def _places(
    notes: list[tuple[float, float, str]], rate: float, count: int
) -> tuple[tuple[Mark, ...], tuple[Interval, ...], int]:
    """Return annotations at samples, and how many lie outside."""
    marks, intervals = [], []
    for onset, duration, text in notes:
        if not 0 <= round(onset * rate) < count:
            continue
        first = round(onset * rate)
        if duration > 0:
            after = round(min(onset + duration, count / rate) * rate)
            intervals.append(Interval(first, max(first, after - 1), text))
        else:
            marks.append(Mark(first, text))
    return tuple(marks), tuple(intervals), len(notes) - len(marks) - len(intervals)


def _import_pyedflib() -> Any:
    try:
        import pyedflib
    except ImportError:
        raise MissingToolError(
            "EDF files need pyedflib; install it with `pip install lnn-edge[edf]`"
        ) from None
    return pyedflib


READER = Reader("EDF", (".edf", ".bdf"), read, "edf")
