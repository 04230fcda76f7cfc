"""Synthetic single-lead ECGs, to show models that tell the rhythm of a record.

Invented hearts of the synthetic set of beats, at the rate of a hand-held recorder: one beats
regularly, one fibrillates throughout, one has many early beats, one is lost in noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.record import Channel, Record
from lnn_edge.data.synthetic_noise import NoiseTraits, make_baseline, make_noise
from lnn_edge.data.synthetic_rhythm import RhythmTraits, make_rhythm
from lnn_edge.data.synthetic_waves import draw_morphology, render_beats
from lnn_edge.errors import DataError

NAME = "synthetic-rhythm"
RATE_HZ = 300
GAIN = 1000.0  # steps per mV
SECONDS = 30.0
LEAD = "ECG"
_QUIET, _LOUD = 0.015, 0.9  # mV of muscle noise


@dataclass(frozen=True)
class Heart:
    """One invented person.

    Attributes:
        label: Of the record, as in the CinC Challenge 2017.
        rate: Beats per minute.
        early: Chance of an early beat, atrial or ventricular each, per sinus beat.
        fibrillates: Whether the atria fibrillate.
        muscle_mv: RMS of the muscle noise.
    """

    label: str
    rate: float
    early: float = 0.0
    fibrillates: bool = False
    muscle_mv: float = _QUIET


HEARTS = {
    "calm": Heart("N", 68),
    "fibrillating": Heart("A", 84, fibrillates=True),
    "early": Heart("O", 72, early=0.12),
    "noisy": Heart("~", 75, muscle_mv=_LOUD),
}


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records; there is one split.

    Raises:
        DataError: Another split is wanted.
    """
    if split != "all" or fold:
        raise DataError(f"{NAME} has no split {split!r} with fold {fold}; take all and fold 0")
    return tuple(HEARTS)


def read(_folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Generate records, the same each time."""
    return tuple(_record(name) for name in names)


def _record(name: str) -> Record:
    heart, rng = HEARTS[name], np.random.default_rng([2017, list(HEARTS).index(name)])
    count = round(SECONDS * RATE_HZ)
    fibrillation = (0.0, SECONDS * heart.fibrillates)
    traits = RhythmTraits(heart.rate, 0.03, 1.0, heart.early, heart.early, 0.0, fibrillation)
    noise = NoiseTraits(0.1, 0.005, heart.muscle_mv, 0.06)
    shape = draw_morphology(False, rng)
    beats = make_rhythm(traits, SECONDS, rng)
    baseline = make_baseline(noise, shape.respiration_hz, count, RATE_HZ, rng)
    millivolts = render_beats(beats, shape, baseline, RATE_HZ, rng)
    millivolts += make_noise(noise, fibrillation, count, RATE_HZ, rng)
    samples = np.rint(GAIN * millivolts[:, :1]).clip(-32768, 32767).astype(np.int16)
    channels = (Channel(LEAD, "mV", GAIN),)
    return Record(name, name, samples, float(RATE_HZ), channels, labels=(heart.label,))
