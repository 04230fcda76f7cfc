"""Invented recordings for tests: noise with a bump at every beat, early beats labelled S."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import mitdb
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.data.synthetic_activity import generate
from lnn_edge.data.twelve_leads import FINDINGS, ecg
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import label
from lnn_edge.tasks.registry import find_task

BEATS = find_task("beats")
_SCALE = ("mV", 200.0, 1024.0)


def invented(name: str, beats: int, seed: int) -> Labelled:
    """Return a recording in the frame of beats whose S beats come early and V beats are wide."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 0, 1, 2], beats)
    intervals = np.where(labels == 1, 190, 300) + rng.integers(-15, 15, beats)
    stamps = 400 + np.cumsum(intervals)
    time = np.arange(stamps[-1] + 800)
    signal = rng.normal(0, 6, (len(time), 2))
    for stamp, kind in zip(stamps, labels, strict=True):
        near = slice(stamp - 100, stamp + 100)
        width = 25.0 if kind == 2 else 8.0
        bump = 180 * np.exp(-(((time[near] - stamp) / width) ** 2))
        signal[near] += np.stack([bump, -0.6 * bump], 1)
    adc = np.clip(np.round(signal) + 1024, 0, 2047).astype(np.int16)
    marks = zip(stamps.tolist(), labels.tolist(), strict=True)
    symbols = ("N", "A", "V")
    return labelled_beats(name, adc, tuple(Mark(at, symbols[c]) for at, c in marks))


def labelled_beats(name: str, adc: np.ndarray, marks: tuple[Mark, ...]) -> Labelled:
    """Return a recording in the frame of beats."""
    channels = (Channel("MLII", *_SCALE), Channel("V1", *_SCALE))
    return Labelled(Record(name, name, adc, 360.0, channels, marks), BEATS)


def renamed(recording: Labelled, name: str) -> Labelled:
    """Return a recording of another name."""
    return replace(recording, record=replace(recording.record, name=name))


def cut(recording: Labelled, stop: int) -> Labelled:
    """Return the samples before one, and the beats in them."""
    record = recording.record
    marks = tuple(m for m in record.marks if m.sample < stop)
    return Labelled(replace(record, samples=record.samples[:stop], marks=marks), recording.task)


def twelve_leads(name: str, frames: np.ndarray, findings: Sequence[int]) -> Labelled:
    """Return a 12-lead ECG of findings that are 1, 0 or -1 for unknown."""
    known = {1: True, 0: False, -1: None}
    told = {f: known[int(v)] for f, v in zip(FINDINGS, findings, strict=True)}
    return Labelled(ecg(name, name, frames, told), find_task("findings"))


def motion(person: int, seconds: int = 300) -> Labelled:
    """Return generated motion of a person."""
    return Labelled(generate(person, seconds), find_task("activity"))


def mitdb_folder() -> Path:
    """Return where MIT-BIH may lie."""
    return Path(os.environ.get("LNN_EDGE_DATA", "")) / "mitdb"


def has_mitdb(names: Iterable[str]) -> bool:
    """Tell whether records of MIT-BIH are at hand."""
    place = mitdb_folder()
    return place.is_absolute() and all((place / f"{name}.hea").is_file() for name in names)


def mitdb_record(name: str) -> Labelled:
    """Return a record of MIT-BIH in the frame of beats; skip the test where there is none."""
    if not has_mitdb([name]):
        pytest.skip("needs MIT-BIH in LNN_EDGE_DATA/mitdb")
    record = mitdb.read(mitdb_folder(), name)
    leads = [c.name for c in record.channels]
    first = "MLII" if "MLII" in leads else leads[0]
    return label(record, BEATS.with_channels({"MLII": first}))
