"""Arrays with names, as npz, MAT and HDF5 hold them, to records: which array is what. No file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.readers import words
from lnn_edge.data.readers.reader import MOST_RECORDS, Hints
from lnn_edge.data.readers.spans import label_text, read_spans, spans_of
from lnn_edge.data.record import MOST_VALUES, Channel, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import most_unpacked

SAMPLES = (
    "samples",
    "x",
    "data",
    "signal",
    "signals",
    "val",
    "frames",
    "tracings",
    "values",
    "ecg",
)
_LABELS = (*words.LABEL, "y")
_NAMES = ("channels", "channel_names", "ch_names", "leads", "sig_name", "names")
_UNITS = ("units", "unit")


def records_of_arrays(
    path: Path, name: str, arrays: Mapping[str, np.ndarray], hints: Hints, changes: Changes
) -> Iterator[Record]:
    """Yield the records of an array of samples and of what describes it.

    Samples are (N,), (N, C) or (R, N, C): R records. Beside them may lie a rate; labels, one for
    each sample or record; subjects, one for each record or one; names and units of the channels;
    times of the samples, in seconds where their name tells no other unit.

    Args:
        path: The file, for messages and its size.
        name: Of the records, with a number where there are several.
        arrays: Arrays by name.
        hints: See Hints.
        changes: What was done to the whole file.

    Raises:
        DataError: No array of samples or several, no rate, or shapes that do not fit.
    """
    where = str(path)
    key = _find_samples(where, arrays)
    most = most_unpacked(path.stat().st_size)
    whole, turned = _shaped(where, key, arrays[key], most, _named(arrays))
    rate = hints.rate_hz or _rate(where, arrays, whole.shape[1])
    labels = words.together(
        [
            texts
            for told in words.columns(hints.label_column, list(arrays)) or (None,)
            if (texts := _texts(where, arrays, told, _LABELS)) is not None
        ]
    )
    subjects = _texts(where, arrays, hints.subject_column, words.SUBJECT)
    channels = _channels(arrays, whole.shape[2])
    spans = read_spans(hints.intervals) if hints.intervals else None
    count = len(whole)
    if count > MOST_RECORDS:
        raise DataError(f"{where}: {key} holds {count:,} records; split it below {MOST_RECORDS:,}")
    if spans is not None:
        spans.require_names(where, count)
    left = [k for k in arrays if k not in _used(arrays, key, hints)]
    unused = changes.also("dropped", f"arrays {', '.join(left)}", len(left), "arrays", name)
    for index in range(count):
        part = name if count == 1 else f"{name}/{index:0{len(str(count - 1))}d}"
        samples = whole[index]
        made = Record(
            part, _subject(where, subjects, index, count) or part, samples, rate, channels
        )
        said = unused if index == 0 else Changes()
        said = said.also("converted", f"{key} from (C, N) to (N, C)", turned, "records", part)
        made = _labelled(where, made, labels, index, count)
        if spans is not None:
            told, cut = spans.of(part, rate, len(samples))
            made = replace(made, intervals=tuple(sorted(made.intervals + told)))
            said = said.also("dropped", "intervals' samples after the end", cut, "intervals", part)
        yield replace(made, changes=said)


def find_rate(arrays: Mapping[str, np.ndarray]) -> float | None:
    """Return the rate where one of the arrays is called so and holds one number."""
    key = words.find(list(arrays), words.RATE)
    if key is None or arrays[key].size != 1 or arrays[key].dtype.kind not in "fiu":
        return None
    return float(arrays[key].reshape(-1)[0])


def _used(arrays: Mapping[str, np.ndarray], samples: str, hints: Hints) -> set[str | None]:
    known = (words.RATE, _LABELS, words.SUBJECT, _NAMES, _UNITS)
    found = {words.find(list(arrays), names) for names in known}
    times = {key for key in arrays if words.is_time(key)}
    told = words.columns(hints.label_column, list(arrays))
    return {samples, *told, hints.subject_column} | found | times


def _find_samples(where: str, arrays: Mapping[str, np.ndarray]) -> str:
    known = words.find([k for k, a in arrays.items() if _is_numbers(a)], SAMPLES)
    if known is not None:
        return known
    large = [k for k, a in arrays.items() if _is_numbers(a) and a.ndim in (2, 3) and len(a) > 1]
    if len(large) == 1:
        return large[0]
    if not large and len(arrays) == 1 and _is_numbers(next(iter(arrays.values()))):
        return next(iter(arrays))
    held = ", ".join(f"{k} {a.dtype} {a.shape}" for k, a in list(arrays.items())[:12])
    raise DataError(
        f"{where} holds {held or 'no array'}; one array of numbers must be called samples, (N, C) "
        "or (R, N, C)"
    )


def _is_numbers(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiu" and array.ndim > 0 and array.size > 0


def _named(arrays: Mapping[str, np.ndarray]) -> int:
    """Return how many channels have a name, 0 if none."""
    key = words.find(list(arrays), _NAMES)
    return 0 if key is None else arrays[key].size


def _shaped(
    where: str, key: str, array: np.ndarray, most: int, named: int
) -> tuple[np.ndarray, bool]:
    """Return samples (R, N, C) and whether they were turned.

    The axis as long as the names are is that of channels; else the longer axis is that of time.
    """
    if array.ndim > 3 or array.size > MOST_VALUES:
        raise DataError(
            f"{where}: {key} is {array.shape} and must be (N,), (N, C) or (R, N, C) with at most "
            f"{MOST_VALUES:,} values"
        )
    whole = (
        array.reshape(1, -1, 1) if array.ndim == 1 else array[None] if array.ndim == 2 else array
    )
    turned = whole.shape[1] < whole.shape[2]
    if [n == named for n in whole.shape[1:]].count(True) == 1:
        turned = whole.shape[1] == named
    if turned:
        whole = whole.transpose(0, 2, 1)
    kept = (np.int16, np.float32, np.float64)
    exact = np.float32 if whole.dtype.itemsize < 3 else np.float64  # of all integers of the type
    final = whole.dtype.newbyteorder("=") if whole.dtype in kept else np.dtype(exact)
    if whole.size * final.itemsize > most:
        raise DataError(
            f"{where}: {key} is {whole.size:,} values, more than a packed file of its size may "
            f"hold ({most // final.itemsize:,}); save it unpacked, or split it"
        )
    return whole.astype(final, copy=False), turned


def _rate(where: str, arrays: Mapping[str, np.ndarray], count: int) -> float:
    rate = find_rate(arrays)
    if rate is not None:
        return rate
    key = next((k for k in arrays if words.is_time(k)), None)
    times = None if key is None else arrays[key].reshape(-1)
    if key is None or times is None or len(times) != count or times.dtype.kind not in "fiu":
        raise DataError(f"{where} holds no rate (an array called rate_hz); give its rate in Hz")
    steps = np.diff(times.astype(np.float64)) * (words.seconds_of(key) or 1.0)
    regular = len(steps) and np.median(steps) > 0
    if not regular or np.abs(steps / np.median(steps) - 1).max() > 0.5:
        raise DataError(f"{where}: {key} does not go on regularly; resample first, or give a rate")
    return float(f"{1 / steps.mean():.6g}")


def _texts(
    where: str, arrays: Mapping[str, np.ndarray], told: str | None, known: tuple[str, ...]
) -> np.ndarray | None:
    if told is not None and told not in arrays:
        raise DataError(f"{where} has no array {told!r}; it has {', '.join(arrays)}")
    key = told or words.find(list(arrays), known)
    if key is None or arrays[key].dtype.kind not in "fiubUSO":
        return None
    flat = arrays[key].reshape(-1)
    kinds, places = (flat, None) if flat.dtype == object else np.unique(flat, return_inverse=True)
    texts = [label_text(v.decode("utf-8", "replace") if isinstance(v, bytes) else v)
             for v in kinds.tolist()]  # fmt: skip
    told_of_each: np.ndarray = np.array(texts, object)
    return told_of_each if places is None else told_of_each[places]


def _channels(arrays: Mapping[str, np.ndarray], count: int) -> tuple[Channel, ...]:
    """Return channels as named, or numbered where names do not fit."""

    def told(known: tuple[str, ...], blank: str) -> list[str]:
        key = words.find(list(arrays), known)
        found = [] if key is None else [str(v).strip() for v in arrays[key].reshape(-1)]
        return found * count if len(found) == 1 and blank == "" else found

    names, units = told(_NAMES, "-"), told(_UNITS, "")
    names = names if len(names) == count else [""] * count
    units = units if len(units) == count else [""] * count
    return tuple(Channel(n, u) for n, u in zip(words.unique(names), units, strict=True))


def _subject(where: str, subjects: np.ndarray | None, index: int, count: int) -> str:
    if subjects is None:
        return ""
    if len(subjects) not in (1, count):
        raise DataError(
            f"{where} names {len(subjects)} subjects of {count} records; it must name one each"
        )
    return str(subjects[index if len(subjects) == count else 0])


def _labelled(
    where: str, record: Record, labels: np.ndarray | None, index: int, count: int
) -> Record:
    if labels is None:
        return record
    length = len(record.samples)
    if len(labels) == count:
        return replace(record, labels=tuple(filter(None, [labels[index]])))
    if len(labels) == count * length:
        mine = labels[index * length : (index + 1) * length]
        marks, intervals = spans_of(mine)
        return replace(record, marks=marks, intervals=intervals)
    raise DataError(
        f"{where} holds {len(labels)} labels of {count} records of {length} samples; there must be "
        "one for each record or sample"
    )
