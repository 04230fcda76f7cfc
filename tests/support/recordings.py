"""Invented recordings for tests: noise with a bump at every beat, early beats labelled S."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import mitdb
from lnn_edge.data.recording import Recording


def invented(name: str, beats: int, seed: int) -> Recording:
    """Return a recording in the models' contract whose S beats come early and V beats are wide."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 0, 1, 2], beats)
    intervals = np.where(labels == 1, 190, 300) + rng.integers(-15, 15, beats)
    stamps = 400 + np.cumsum(intervals)
    time = np.arange(stamps[-1] + 800)
    signal = rng.normal(0, 6, (len(time), 2))
    for stamp, label in zip(stamps, labels, strict=True):
        near = slice(stamp - 100, stamp + 100)
        width = 25.0 if label == 2 else 8.0
        bump = 180 * np.exp(-(((time[near] - stamp) / width) ** 2))
        signal[near] += np.stack([bump, -0.6 * bump], 1)
    adc = np.clip(np.round(signal) + 1024, 0, 2047).astype(np.int16)
    leads = ("MLII", "V1")
    return Recording(
        name,
        name,
        adc,
        360.0,
        leads,
        (200.0, 200.0),
        (1024, 1024),
        stamps.astype(np.int64),
        labels.astype(np.int8),
    )


def mitdb_folder() -> Path:
    """Return where MIT-BIH may lie."""
    return Path(os.environ.get("LNN_EDGE_DATA", "")) / "mitdb"


def has_mitdb(names: Iterable[str]) -> bool:
    """Tell whether records of MIT-BIH are at hand."""
    place = mitdb_folder()
    return place.is_absolute() and all((place / f"{name}.hea").is_file() for name in names)


def mitdb_record(name: str) -> Recording:
    """Return a record of MIT-BIH in the models' contract; skip the test where there is none."""
    if not has_mitdb([name]):
        pytest.skip("needs MIT-BIH in LNN_EDGE_DATA/mitdb")
    record = mitdb.read(mitdb_folder(), name)
    return record.to_contract("MLII" if "MLII" in record.leads else record.leads[0])
