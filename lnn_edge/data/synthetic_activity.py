"""Generated motion of invented persons: what a phone at the waist would feel. Nobody was recorded.

Acceleration is gravity, turned by posture and by how the phone sits, plus the harmonics of a gait;
a still body sways. Steps, amplitudes, tilts and the fit of the phone differ from person to person.
The figures are plausible, not measured: a model trained here says nothing of real people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.record import Interval, Record
from lnn_edge.data.uci_har import CLASSES, RATE_HZ, STEPS, WINDOW, run_of
from lnn_edge.errors import DataError

NAME = "synthetic-activity"
SPLITS = ("develop", "train", "validation", "test", "all")
LENGTH_S = 300
TRANSITION_S = 2.0
_SCALES = tuple(1 / s for s in STEPS)
_NONE = -1  # between activities
_PARTS = {
    "train": range(1, 7),
    "validation": range(7, 9),
    "develop": range(1, 9),
    "test": range(9, 13),
    "all": range(1, 13),
}


@dataclass(frozen=True)
class _Gait:
    """How a class moves: part of a person's own step rate, g per harmonic, pitch, rad/s."""

    rate: float
    harmonics: tuple[float, ...]
    pitch_degrees: float
    turning: float


_GAITS = {
    "walking": _Gait(1.0, (0.18, 0.12, 0.04), 0.0, 0.5),
    "upstairs": _Gait(0.82, (0.13, 0.06, 0.02), 10.0, 0.8),
    "downstairs": _Gait(1.1, (0.24, 0.24, 0.18), -6.0, 0.7),
}
_PITCH_OF_REST = {"sitting": 38.0, "standing": 3.0, "laying": 88.0}


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the runs of a split; every person made one.

    Raises:
        DataError: There is no such split or fold.
    """
    if split not in SPLITS or fold:
        raise DataError(
            f"{NAME} has no split {split!r} with fold {fold}; take one of {', '.join(SPLITS)} and "
            "fold 0"
        )
    return tuple(f"p{number:02d}" for number in _PARTS[split])


def read(_folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Generate runs by name, the same each time."""
    return tuple(generate(int(name[1:])) for name in names)


def generate(person: int, length_s: int = LENGTH_S) -> Record:
    """Return a person's run."""
    from scipy.spatial.transform import Rotation  # which other data sets need not load

    rng = np.random.default_rng([20, person])
    fit = Rotation.from_rotvec(rng.normal(0, 0.12, 3))
    step_hz, strength = rng.uniform(1.6, 2.1), rng.uniform(0.8, 1.25)
    lean = dict(zip(CLASSES, rng.normal(0, 4.0, len(CLASSES)), strict=True))
    count = length_s * RATE_HZ
    labels = np.full(count, _NONE, np.int8)
    intervals = []
    pitch, motion, turning = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3))
    for start, stop, label in _plan(rng, count):
        name = CLASSES[label]
        labels[start:stop] = label
        intervals.append(Interval(start, stop - 1, name))
        span = slice(start, min(stop + int(TRANSITION_S * RATE_HZ), count))
        size = span.stop - start
        if name in _GAITS:
            gait = _GAITS[name]
            pitch[span] = gait.pitch_degrees + lean[name]
            rate = step_hz * gait.rate * rng.normal(1, 0.03)
            motion[span], turning[span] = _walk(rng, gait, rate, strength, size)
        else:
            pitch[span] = _PITCH_OF_REST[name] + lean[name]
            motion[span], turning[span] = _sway(rng, size)
    pitch = np.radians(_eased(pitch, int(TRANSITION_S * RATE_HZ)))
    gravity = np.stack((np.cos(pitch), np.zeros(count), np.sin(pitch)), axis=1)
    turning[:, 1] += np.gradient(pitch) * RATE_HZ
    sensors = [fit.apply(gravity + motion), fit.apply(turning)]
    real = np.concatenate(sensors, axis=1) + rng.normal(0, (0.008,) * 3 + (0.02,) * 3, (count, 6))
    frames = np.round(real / _SCALES).clip(-32768, 32767).astype(np.int16)
    return run_of(f"p{person:02d}", person, frames, intervals, *_windows(labels))


def _plan(rng: np.random.Generator, count: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first sample, end, class): all classes in random order, again and again."""
    at = int(TRANSITION_S * RATE_HZ)
    while True:
        for label in rng.permutation(len(CLASSES)):
            stop = at + int(rng.uniform(8, 14) * RATE_HZ)
            if stop > count:
                return
            yield at, stop, int(label)
            at = stop + int(TRANSITION_S * RATE_HZ)


def _walk(
    rng: np.random.Generator, gait: _Gait, rate_hz: float, strength: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return acceleration in g and angular velocity in rad/s, (size, 3) each."""
    wander = np.cumsum(rng.normal(0, 0.02, size))
    phase = 2 * np.pi * rate_hz * np.arange(size) / RATE_HZ + wander
    vertical = sum(
        a * np.sin((k + 1) * phase + rng.uniform(0, 2 * np.pi))
        for k, a in enumerate(gait.harmonics)
    )
    side = 0.5 * gait.harmonics[0] * np.sin(phase / 2 + rng.uniform(0, 2 * np.pi))
    forward = 0.7 * gait.harmonics[1] * np.sin(phase + rng.uniform(0, 2 * np.pi))
    acceleration = strength * np.stack((vertical, side, forward), axis=1)
    phases = rng.uniform(0, 2 * np.pi, 3)
    parts = np.array([phase / 2, phase, phase / 2]).T + phases
    return acceleration, strength * gait.turning * np.sin(parts) * (1.0, 0.6, 0.4)


def _sway(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is left of motion at rest, likewise."""
    time = np.arange(size)[:, None] / RATE_HZ
    wave = np.sin(2 * np.pi * rng.uniform(0.15, 0.4, 3) * time + rng.uniform(0, 6, 3))
    return 0.004 * wave, 0.01 * wave


def _eased(values: np.ndarray, length: int) -> np.ndarray:
    """Return values whose jumps take `length` samples."""
    padded = np.concatenate((np.full(length - 1, values[0]), values))
    eased: np.ndarray = np.convolve(padded, np.full(length, 1 / length), mode="valid")
    return eased


def _windows(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and labels of windows that lie within one activity, half overlapping."""
    starts = np.arange(0, len(labels) - WINDOW + 1, WINDOW // 2)
    inside = [
        s for s in starts if labels[s] != _NONE and (labels[s : s + WINDOW] == labels[s]).all()
    ]
    chosen = np.array(inside, np.int64)
    return chosen, labels[chosen]
