"""When synthetic hearts beat, and how each beat arises. No wave shapes here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LF_HZ, HF_HZ, PEAK_WIDTH_HZ = 0.1, 0.25, 0.01  # McSharry et al. 2003, section III-B
_STEP_HZ = 4.0
_SHORTEST_RR_S = 0.3
_FIRST_BEAT_S = 0.5
_LAST_BEAT_S = 0.6  # a beat later than this before the end would be cut in its T wave


@dataclass(frozen=True)
class RhythmTraits:
    """How one patient's heart beats.

    Attributes:
        rate_bpm: Mean sinus rate.
        rr_std_s: Standard deviation of the sinus RR interval.
        lf_hf: Power of the RR interval's 0.1 Hz peak over that of its 0.25 Hz peak.
        s_rate, v_rate, f_rate: Chance per sinus beat of an ectopic event of that class.
        fibrillation: Start and end of atrial fibrillation in seconds; equal where there is none.
    """

    rate_bpm: float
    rr_std_s: float
    lf_hf: float
    s_rate: float
    v_rate: float
    f_rate: float
    fibrillation: tuple[float, float]


@dataclass(frozen=True)
class Beat:
    """One beat.

    Attributes:
        time_s: Time of its R peak.
        symbol: WFDB annotation symbol: N, A, V or F.
        sinus_rr_s: Sinus RR interval around it, which sets the duration of its waves.
        is_fibrillating: The atria fibrillate: no P wave.
    """

    time_s: float
    symbol: str
    sinus_rr_s: float
    is_fibrillating: bool


# A plan is a list of beats to come: (fraction of the sinus RR interval, symbol).
_Plan = list[tuple[float, str]]


def sinus_intervals(
    traits: RhythmTraits, duration_s: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw sinus RR intervals in seconds, (K,), one every 1/4 s.

    S(f) = s1 g(f; 0.1 Hz) + s2 g(f; 0.25 Hz), g Gaussian densities of width 0.01 Hz, s1 / s2 =
    LF/HF; the spectrum gets random phases and is transformed back, then scaled.

    Source: McSharry et al. 2003, IEEE Trans Biomed Eng 50(3):289-294, eq. 5.
    """
    count = int(np.ceil(duration_s * _STEP_HZ)) + 1
    f = np.fft.rfftfreq(count, 1 / _STEP_HZ)
    peaks = [np.exp(-0.5 * ((f - at) / PEAK_WIDTH_HZ) ** 2) for at in (LF_HZ, HF_HZ)]
    power = traits.lf_hf * peaks[0] + peaks[1]
    power[0] = 0
    phase = rng.uniform(0, 2 * np.pi, len(f))
    series = np.fft.irfft(np.sqrt(power) * np.exp(1j * phase), count)
    intervals: np.ndarray = 60 / traits.rate_bpm + series * (traits.rr_std_s / series.std())
    intervals[intervals < _SHORTEST_RR_S] = _SHORTEST_RR_S
    return intervals


def make_rhythm(
    traits: RhythmTraits, duration_s: float, rng: np.random.Generator
) -> tuple[Beat, ...]:
    """Draw the beats of one recording, in order.

    Premature atrial beats reset the sinus node; after premature ventricular and fusion beats the
    pause is compensatory: the sinus beat after it comes when it would have come anyway.
    """
    intervals = sinus_intervals(traits, duration_s, rng)
    start, stop = traits.fibrillation
    time = _FIRST_BEAT_S
    beats = [Beat(time, "N", intervals[0], False)]
    while True:
        rr = float(intervals[int(time * _STEP_HZ)])
        fibrillates = start <= time < stop
        for fraction, symbol in _plan(traits, fibrillates, rng):
            time += max(fraction * rr, _SHORTEST_RR_S)
            if time > duration_s - _LAST_BEAT_S:
                return tuple(beats)
            beats.append(Beat(time, symbol, rr, fibrillates))


def _plan(traits: RhythmTraits, fibrillates: bool, rng: np.random.Generator) -> _Plan:
    """Choose what follows a conducted beat."""
    if fibrillates:
        return _fibrillate(traits, rng)
    chances = np.array([traits.s_rate, traits.v_rate, traits.f_rate])
    events: tuple[Callable[[np.random.Generator], _Plan], ...] = (
        _atrial_event,
        _ventricular_event,
        _fusion,
        _sinus,
    )
    return events[rng.choice(len(events), p=[*chances, 1 - chances.sum()])](rng)


def _sinus(rng: np.random.Generator) -> _Plan:
    return [(1.0, "N")]


def _fibrillate(traits: RhythmTraits, rng: np.random.Generator) -> _Plan:
    """Conduct at random: intervals without memory, at a fifth more than the sinus rate."""
    fraction = float(rng.gamma(20.0, 0.8 / 20.0))
    if rng.random() < traits.v_rate:
        return [(float(rng.uniform(0.45, 0.65)), "V"), (float(rng.uniform(0.9, 1.3)), "N")]
    return [(fraction, "N")]


def _atrial_event(rng: np.random.Generator) -> _Plan:
    """One premature atrial beat, or in one case of ten a run of them."""
    run = int(rng.integers(3, 8)) if rng.random() < 0.1 else 1
    first = [(float(rng.uniform(0.55, 0.82)), "A")]
    more = [(float(rng.uniform(0.52, 0.62)), "A") for _ in range(run - 1)]
    return [*first, *more, (float(rng.uniform(1.0, 1.15)), "N")]


def _ventricular_event(rng: np.random.Generator) -> _Plan:
    """One premature ventricular beat, a couplet, or bigeminy."""
    kind = rng.random()
    if kind < 0.1:
        return [(float(rng.uniform(0.5, 0.7)), "V"), (0.55, "V"), (1.5, "N")]
    repeats = int(rng.integers(3, 7)) if kind < 0.2 else 1
    coupling = float(rng.uniform(0.5, 0.85))
    return [(coupling, "V"), (2 - coupling, "N")] * repeats


def _fusion(rng: np.random.Generator) -> _Plan:
    """Fuse a sinus beat with a late ventricular one."""
    coupling = float(rng.uniform(0.88, 0.98))
    return [(coupling, "F"), (2 - coupling, "N")]
