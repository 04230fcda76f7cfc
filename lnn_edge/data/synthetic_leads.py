"""Synthetic 12-lead ECGs, to show models that read twelve leads.

A heart is a dipole: three orthogonal signals made of Gaussian waves, and twelve leads that look at
it from where electrodes are. Waves after McSharry et al. 2003, IEEE Trans Biomed Eng 50(3):289-294;
leads after Dower et al. 1980, J Electrocardiol 13(1):91-96.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.record import Record
from lnn_edge.data.twelve_leads import FINDINGS, GAIN, RATE_HZ, ecg
from lnn_edge.errors import DataError

NAME = "synthetic-12lead"
SECONDS = 13
NOISE_MV = 0.01
DRIFT_MV = 0.1


@dataclass(frozen=True)
class Heart:
    """One invented person.

    Attributes:
        rate: Beats per minute.
        irregularity: Deviation of an interval, part of its mean.
        has_p: Whether the atria beat.
        widening: Width of the ventricles' waves against the usual.
        finding: What a doctor would say, one of CLASSES, or "" for nothing.
    """

    rate: float
    irregularity: float = 0.02
    has_p: bool = True
    widening: float = 1.0
    finding: str = ""


HEARTS = {
    "calm": Heart(68),
    "slow": Heart(47, finding="SB"),
    "fast": Heart(118, finding="ST"),
    "fibrillating": Heart(88, 0.22, has_p=False, finding="AF"),
}
# Waves of a beat: centre and width in s, amplitude along x (left), y (down) and z (back) in mV.
WAVES = {
    "p": (-0.16, 0.025, (0.08, 0.10, -0.02)),
    "q": (-0.025, 0.010, (-0.12, -0.05, -0.20)),
    "r": (0.0, 0.012, (1.1, 0.75, 0.35)),
    "s": (0.03, 0.012, (-0.25, -0.15, 0.55)),
    "t": (0.28, 0.055, (0.28, 0.20, -0.12)),
}
# Of x, y and z in the leads I, II, V1 to V6; the other four follow from I and II.
DOWER = np.array(
    [
        (0.632, -0.235, 0.059), (0.235, 1.066, -0.132), (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387), (0.882, 0.098, -1.277), (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086), (0.831, 0.076, 0.230),
    ]
)  # fmt: skip


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records; there is one split.

    Raises:
        DataError: Another split is wanted.
    """
    if split != "all":
        raise DataError(f"{NAME} has no split {split!r}; take all")
    return tuple(HEARTS)


def read(_folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Generate records, the same each time."""
    return tuple(_record(name) for name in names)


def _record(name: str) -> Record:
    heart, rng = HEARTS[name], np.random.default_rng(list(HEARTS).index(name))
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    mean = 60 / heart.rate
    intervals = mean * (1 + heart.irregularity * rng.standard_normal(4 * SECONDS))
    peaks = 0.3 + np.cumsum(intervals.clip(0.3 * mean, 2 * mean))
    dipole = np.zeros((len(time), 3))
    for wave, (centre, width, direction) in WAVES.items():
        if wave == "p" and not heart.has_p:
            continue
        wide = width * (heart.widening if wave in "qrs" else 1.0)
        shape = np.exp(-(((time[:, None] - peaks - centre) / wide) ** 2) / 2).sum(1)
        dipole += shape[:, None] * np.array(direction)
    leads = _leads(dipole)
    drift = DRIFT_MV * np.sin(2 * np.pi * (0.2 * time[:, None] + rng.random(12)))
    leads += drift + NOISE_MV * rng.standard_normal(leads.shape)
    findings = {f: f == heart.finding for f in FINDINGS}
    return ecg(name, name, np.rint(GAIN * leads).astype(np.int16), findings)


def _leads(dipole: np.ndarray) -> np.ndarray:
    """Return I, II, III, aVR, aVL, aVF, V1 to V6 of a dipole (N, 3), in mV."""
    one, two, *chest = (dipole @ DOWER.T).T
    limbs = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return np.stack((*limbs, *chest), axis=1)
