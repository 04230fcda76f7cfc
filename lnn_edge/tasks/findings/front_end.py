"""From raw 12-lead samples to STFT columns, in integers, causal. No torch here.

The same operators prepare the training data and run on the board, so there is one preprocessing.
"""

from __future__ import annotations

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.biquad import EMPTY, Biquads, biquad_state
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, State

SAMPLE_RATE_HZ = 500
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
ADC_GAIN = 1000.0  # steps per mV
BAND_HZ = (0.5, 40.0)
FILTER_ORDER = 2  # of each edge; the published one is order 4, forwards and backwards
LENGTH, HOP = 256, 128
BINS = LENGTH // 2 + 1
SAMPLES, COLUMNS = "filtered", "columns"  # rings
FINE_GAIN = 4000.0  # steps per mV behind the band-pass: at 1000 rounding would hide the upper bins
# Full scale of the bins in mV over frequency in Hz: what one column of a thousand of the 12-lead
# recordings of CPSC-2018 exceeds, rounded; straight lines in the logarithm between. From 100 Hz on
# there is next to nothing behind the band-pass.
FULL_SCALE = (
    (0, 0.8), (5, 0.6), (10, 0.35), (20, 0.2), (30, 0.1), (40, 0.04), (50, 0.015), (60, 7e-3),
    (80, 1.8e-3), (100, 1e-3), (250, 1e-3),
)  # fmt: skip


def full_scale(bins: int = BINS) -> np.ndarray:
    """Return the largest magnitude of each of the lowest bins that int8 holds, (bins,) in mV."""
    hertz, millivolts = np.array(FULL_SCALE).T
    at = np.arange(bins) * SAMPLE_RATE_HZ / LENGTH
    scale: np.ndarray = np.exp(np.interp(at, hertz, np.log(millivolts)))
    return scale


def column_tensor(name: str, shape: tuple[int, ...], bins: int = BINS) -> QTensor:
    """Return int8 magnitudes (..., leads, bins) with a scale per bin."""
    scale = tuple((full_scale(bins) / 255).tolist())
    return QTensor(name, (*shape, len(LEADS), bins), "int8", scale, -128)


def stft_columns(deciding: Stage, ring_length: int, bins: int = BINS) -> Pipeline:
    """Return a pipeline whose deciding stage reads columns.

    Every sample: band-pass, causal. Every HOP samples: magnitude of the STFT of the last LENGTH,
    |rfft(x hann)| / sum(hann) of each lead; the first column with sample LENGTH.

    Args:
        deciding: Its trigger reads ring COLUMNS.
        ring_length: Columns that the ring keeps.
        bins: Bins of a column, from 0 Hz on.
    """
    from scipy import signal  # takes half a second and 80 MB, which other tasks need not pay

    frame = QTensor("adc", (len(LEADS),), "int16", 1 / ADC_GAIN, role="input")
    band_passed = QTensor("band_passed", (len(LEADS),), "int16", 1 / FINE_GAIN)
    window = QTensor("samples", (LENGTH, len(LEADS)), "int16", 1 / FINE_GAIN, role="input")
    column = column_tensor("column", (), bins)
    sos = signal.butter(FILTER_ORDER, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    state, update = biquad_state("band_pass", frame, len(sos))
    band_pass = Biquads.quantize("band_pass", (frame, state, update, band_passed), sos)
    stages = (
        Stage(
            "sample",
            InputTrigger(frame, SAMPLES),
            (band_pass,),
            (State(state, update, EMPTY),),
            (band_passed,),
        ),
        Stage(
            "stft",
            EveryTrigger(SAMPLES, window, HOP, LENGTH),
            (StftMagnitude.quantize("stft", window, column),),
            (),
            (column,),
        ),
        deciding,
    )
    rings = (Ring(SAMPLES, band_passed, LENGTH), Ring(COLUMNS, column, ring_length))
    return Pipeline(stages, rings)
