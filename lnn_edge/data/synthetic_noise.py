"""What disturbs a synthetic recording: breathing, mains, muscles, fibrillating atria."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEADS = 2
_MAINS_HZ = 50.0
_MUSCLE_BAND_HZ = (20.0, 120.0)
_FLUTTER_HZ = 6.0


@dataclass(frozen=True)
class NoiseTraits:
    """How strongly a recording is disturbed, in mV.

    Attributes:
        wander_mv: Standard deviation of the baseline, below 0.5 Hz.
        mains_mv: Amplitude of the mains hum.
        muscle_mv: RMS of the muscle noise at rest; bursts are four times as strong.
        flutter_mv: Amplitude of the fibrillatory waves.
    """

    wander_mv: float
    mains_mv: float
    muscle_mv: float
    flutter_mv: float


def draw_noise_traits(rng: np.random.Generator) -> NoiseTraits:
    """Draw the disturbances of a patient's recording."""
    return NoiseTraits(
        float(rng.uniform(0.05, 0.2)),
        float(rng.uniform(0.003, 0.015)),
        float(rng.uniform(0.008, 0.025)),
        float(rng.uniform(0.04, 0.08)),
    )


def make_baseline(
    traits: NoiseTraits, respiration_hz: float, count: int, fs_hz: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the wandering baseline z0, (count, 2) mV: breathing plus slow random drift."""
    t = np.arange(count) / fs_hz
    drift = band_noise(count, fs_hz, (0.02, 0.4), rng)
    phase = rng.uniform(0, 2 * np.pi, LEADS)
    breath = np.sin(2 * np.pi * respiration_hz * t[:, None] + phase)
    baseline: np.ndarray = traits.wander_mv * (0.8 * drift + 0.6 * np.sqrt(2) * breath)
    return baseline


def make_noise(
    traits: NoiseTraits,
    fibrillation: tuple[float, float],
    count: int,
    fs_hz: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return mains hum, muscle noise in bursts and fibrillatory waves, (count, 2) mV."""
    t = np.arange(count) / fs_hz
    hum = np.sin(2 * np.pi * _MAINS_HZ * t[:, None] + rng.uniform(0, 2 * np.pi, LEADS))
    is_burst = band_noise(count, fs_hz, (0.01, 0.1), rng)[:, :1] > 1.5
    muscle = band_noise(count, fs_hz, _MUSCLE_BAND_HZ, rng) * np.where(is_burst, 4.0, 1.0)
    return (
        traits.mains_mv * hum
        + traits.muscle_mv * muscle
        + traits.flutter_mv * _flutter(t, fibrillation, fs_hz, rng)
    )


def band_noise(
    count: int, fs_hz: float, band_hz: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Return Gaussian noise of unit variance within a band, (count, 2)."""
    spectrum = np.fft.rfft(rng.standard_normal((count, LEADS)), axis=0)
    f = np.fft.rfftfreq(count, 1 / fs_hz)
    spectrum[(f < band_hz[0]) | (f > band_hz[1])] = 0
    noise: np.ndarray = np.fft.irfft(spectrum, count, axis=0)
    noise /= np.maximum(noise.std(axis=0), 1e-12)
    return noise


def _flutter(
    t: np.ndarray, fibrillation: tuple[float, float], fs_hz: float, rng: np.random.Generator
) -> np.ndarray:
    """Fibrillatory waves: three harmonics of a wandering frequency, weaker in MLII than in V1."""
    wander = band_noise(len(t), fs_hz, (0.05, 0.5), rng)[:, 0]
    phase = 2 * np.pi * np.cumsum(_FLUTTER_HZ + 0.8 * wander) / fs_hz
    wave = sum(np.sin(k * phase) / k for k in (1, 2, 3))
    inside = (t >= fibrillation[0]) & (t < fibrillation[1])
    return np.outer(wave * inside, (0.5, 1.0))
