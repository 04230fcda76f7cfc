"""From beats to two leads in millivolts, by the dynamical model of McSharry et al. No noise here.

Source: McSharry, Clifford, Tarassenko and Smith 2003, IEEE Trans Biomed Eng 50(3):289-294; one set
of amplitudes per lead after Sameni et al. 2007, EURASIP J Adv Signal Process, article 43407.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.data.synthetic_rhythm import Beat

# A wave is a row: phase (rad), width (rad), amplitude in MLII and in V1 (mV).
# Phases and widths of P Q R S T from McSharry et al. 2003, table I; amplitudes are typical ones.
_NORMAL = np.array(
    [
        [-np.pi / 3, 0.25, 0.12, 0.06],
        [-np.pi / 12, 0.10, -0.10, 0.00],
        [0.0, 0.10, 1.20, 0.25],
        [np.pi / 12, 0.10, -0.25, -0.90],
        [np.pi / 2, 0.40, 0.28, 0.12],
    ]
)
# Right bundle branch block: a late second R in V1, a broad late S in MLII, T against it in V1.
_BLOCK = np.array(
    [
        [np.pi / 6, 0.18, -0.30, 0.80],
        [np.pi / 2, 0.40, 0.00, -0.25],
    ]
)
# A beat from the ventricle: no P, a broad notched QRS, T against it. Signs are drawn per focus.
_VENTRICULAR = np.array(
    [
        [0.0, 0.26, 1.00, 1.00],
        [0.35, 0.24, 0.35, 0.20],
        [1.9, 0.45, -0.40, -0.35],
    ]
)
_P = 0
_REACH_S = 1.0  # no wave reaches farther than this from its R peak


@dataclass(frozen=True, eq=False)
class Morphology:
    """The wave shapes of one patient.

    Attributes:
        normal: Waves of a conducted beat, (W, 4).
        foci: Waves of ventricular beats, one array (W, 4) per focus.
        atrial_p: Factor on the P wave of a premature atrial beat.
        atrial_shift: Phase by which that P wave is displaced.
        aberrancy: Chance that a premature atrial beat is conducted with block.
        respiration_hz: Rate of breathing, which modulates the amplitude.
    """

    normal: np.ndarray
    foci: tuple[np.ndarray, ...]
    atrial_p: float
    atrial_shift: float
    aberrancy: float
    respiration_hz: float


def draw_morphology(is_blocked: bool, rng: np.random.Generator) -> Morphology:
    """Draw the wave shapes of a patient, with or without right bundle branch block."""
    normal = np.concatenate([_NORMAL, _BLOCK]) if is_blocked else _NORMAL
    return Morphology(
        _vary(normal, 0.2, rng),
        tuple(_draw_focus(rng) for _ in range(rng.integers(1, 3))),
        float(rng.uniform(-0.8, 0.5)),
        float(rng.uniform(-0.15, 0.2)),
        float(rng.uniform(0.0, 0.2)),
        float(rng.uniform(0.2, 0.3)),
    )


def beat_waves(beat: Beat, shape: Morphology, rng: np.random.Generator) -> np.ndarray:
    """Return the waves of one beat, (W, 4): phase, width, MLII and V1 amplitude."""
    waves = shape.normal.copy()
    if beat.symbol == "A":
        waves[_P, 2:] *= shape.atrial_p
        waves[_P, 0] += shape.atrial_shift
        if rng.random() < shape.aberrancy:
            waves = np.concatenate([waves, _BLOCK])
    if beat.is_fibrillating:
        waves[_P, 2:] = 0
    if beat.symbol in "VF":
        focus = shape.foci[rng.integers(len(shape.foci))]
        share = float(rng.uniform(0.35, 0.65)) if beat.symbol == "F" else 1.0
        waves[:, 2:] *= 1 - share
        waves = np.concatenate([waves, focus * [1, 1, share, share]])
    waves[:, 2:] *= 1 + 0.05 * np.sin(2 * np.pi * shape.respiration_hz * beat.time_s)
    return _vary(waves, 0.03, rng)


def integrate(
    times_s: np.ndarray,
    omega: np.ndarray,
    waves: list[np.ndarray],
    baseline: np.ndarray,
    fs_hz: float,
) -> np.ndarray:
    """Integrate the model along its limit cycle.

    z' = - sum_i (A_i w / b_i^2) d_i exp(-d_i^2 / (2 b_i^2)) - (z - z0),  d_i = theta - theta_i

    is eq. 1 of the source with the strength a_i = A_i w / b_i^2, so that A_i is the height of the
    wave. On the limit cycle x^2 + y^2 = 1 the phase of a beat is theta = w (t - t_R), its sum is
    the time derivative of G = sum_i A_i exp(-d_i^2 / (2 b_i^2)), and the equation is linear:

    z[n+1] = e^-h z[n] + e^(-h/2) (G[n+1] - G[n]) + (1 - e^-h) z0[n],  h = 1 / fs

    Args:
        times_s: R peaks, (B,).
        omega: Angular velocity of each beat, (B,) rad/s.
        waves: Waves of each beat, (W, 4).
        baseline: z0, (N, 2) mV.
        fs_hz: Sampling rate.

    Returns:
        (N, 2) mV: MLII and V1.
    """
    drive = np.zeros((len(baseline) + 1, 2))
    for time_s, w, rows in zip(times_s, omega, waves, strict=True):
        first = max(int((time_s - _REACH_S) * fs_hz), 0)
        last = min(int((time_s + _REACH_S) * fs_hz), len(drive))
        theta = w * (np.arange(first, last) / fs_hz - time_s)
        bumps = np.exp(-0.5 * ((theta[:, None] - rows[:, 0]) / rows[:, 1]) ** 2)
        drive[first:last] += bumps @ rows[:, 2:]
    decay = np.exp(-1 / fs_hz)
    kicks = np.sqrt(decay) * np.diff(drive, axis=0) + (1 - decay) * baseline
    start = np.zeros((1, 2))
    return _relax(np.concatenate([start, kicks])[: len(baseline)], decay)


def render_beats(
    beats: tuple[Beat, ...],
    shape: Morphology,
    baseline: np.ndarray,
    fs_hz: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the waves of all beats and integrate them, (N, 2) mV.

    The waves last as long as the square root of the sinus RR interval, which is ECGSYN's
    correction of widths by the heart rate: w = 2 pi / sqrt(RR * 1 s).
    """
    times = np.array([beat.time_s for beat in beats])
    omega = 2 * np.pi / np.sqrt([beat.sinus_rr_s for beat in beats])
    waves = [beat_waves(beat, shape, rng) for beat in beats]
    return integrate(times, omega, waves, baseline, fs_hz)


def _relax(kicks: np.ndarray, decay: float) -> np.ndarray:
    """Solve z[n] = decay z[n-1] + kicks[n], in blocks short enough for decay^-n to stay small."""
    block = int(10 / -np.log(decay))
    powers = decay ** np.arange(block)[:, None]
    out = np.empty_like(kicks)
    last = np.zeros(kicks.shape[1])
    for start in range(0, len(kicks), block):
        part = kicks[start : start + block]
        weight = powers[: len(part)]
        out[start : start + block] = weight * (decay * last + np.cumsum(part / weight, axis=0))
        last = out[start : start + block][-1]
    return out


def _draw_focus(rng: np.random.Generator) -> np.ndarray:
    signs = np.array([1, 1, *rng.choice([-1.0, 1.0], 2)])
    strength = np.array([1, 1, rng.uniform(1.0, 1.6), rng.uniform(0.8, 1.4)])
    return _vary(_VENTRICULAR * signs * strength, 0.15, rng)


def _vary(waves: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Scale widths and amplitudes by factors of that spread, at least a fifth."""
    factor = np.maximum(1 + spread * rng.standard_normal(waves.shape), 0.2)
    factor[:, 0] = 1
    factor[:, 1] = 1 + (factor[:, 1] - 1) / 2
    return waves * factor
