"""Moves marks of beats to the peak of the beat, where annotators set them beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.data.record import Mark, Record

BAND_HZ = (5.0, 25.0)  # of QRS complexes
REACH_S = 0.06


def at_peaks(record: Record, channel: int = 0) -> Record:
    """Return a record whose marks lie on the largest deflection near them.

    The deflection is |y|, y the channel in BAND_HZ without delay; of several alike the earliest.
    A mark that would reach its neighbour stays where it is. What moved is counted in `changes`.

    Args:
        record: With marks of beats only.
        channel: In which to look.
    """
    places = np.array([m.sample for m in record.marks], np.int64)
    if not places.size:
        return record
    moved = _ascending(places, _peaks(record, places, channel))
    marks = tuple(Mark(int(at), m.symbol) for at, m in zip(moved, record.marks, strict=True))
    count = int((moved != places).sum())
    changes = record.changes.also("moved", "to the peak of the beat", count, "marks", record.name)
    return replace(record, marks=marks, changes=changes)


def _peaks(record: Record, places: np.ndarray, channel: int) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt  # takes half a second

    sos = butter(2, BAND_HZ, "bandpass", fs=record.rate_hz, output="sos")
    size = np.abs(sosfiltfilt(sos, np.nan_to_num(record.samples[:, channel].astype(np.float64))))
    reach = round(REACH_S * record.rate_hz)
    padded = np.pad(size, reach, constant_values=-1.0)
    near = padded[places[:, None] + np.arange(2 * reach + 1)]
    peaks: np.ndarray = places - reach + near.argmax(1)
    return peaks


def _ascending(places: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return the peaks, and where they would not lie between the marks beside them, the marks."""
    before, after = np.r_[-1, places[:-1]], np.r_[places[1:], np.iinfo(np.int32).max]
    half_before, half_after = (before + places) // 2, (places + after) // 2
    fits = (peaks > half_before) & (peaks <= half_after)
    moved: np.ndarray = np.where(fits, peaks, places)
    return moved
