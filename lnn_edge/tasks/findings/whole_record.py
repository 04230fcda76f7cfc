"""STFT columns of 12 leads as Huang et al. 2024 made them: from whole recordings, for training.

No stream can have them: the filters run backwards too, and the wavelet sees the whole recording.
On the board the causal front end takes their place, see networks.stft_front_end.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.findings.front_end import ADC_GAIN, BAND_HZ, HOP, LENGTH, SAMPLE_RATE_HZ

SAMPLES = 4096  # of a window, 8.192 s
COLUMNS = SAMPLES // HOP + 1  # zeros are set before the first sample and behind the last
STEP = 8 * HOP  # samples from one window of a recording to the next, as the board decides
BAND_ORDER = 4
WAVELET, LEVEL = "db4", 8


def published_columns(millivolts: np.ndarray) -> np.ndarray:
    """Return STFT magnitudes in mV, (33, L, 129), of SAMPLES at 500 Hz of L leads, (4096, L).

    Butterworth band-pass of order 4 from 0.5 to 40 Hz, forwards and backwards; of the wavelet
    transform (db4, level 8) all but the approximation, below 1 Hz; STFT of 256 points, Hann, hop
    128, zeros beyond both ends. The published program filters the approximation with a low-pass
    of order 6 at 0.1 Hz of 500; as it is written, in float64, 1e-5 of the values are left.

    Raises:
        UsageError: PyWavelets is not installed.

    Source: Huang et al. 2024, 10.1007/s12265-024-10504-y, and the code published with it.
    """
    from scipy import signal

    pywt = _wavelets()
    sos = signal.butter(BAND_ORDER, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    x = signal.sosfiltfilt(sos, millivolts, axis=0)
    approximation, *details = pywt.wavedec(x, WAVELET, level=LEVEL, axis=0)
    x = pywt.waverec([np.zeros_like(approximation), *details], WAVELET, axis=0)
    _, _, spectrum = signal.stft(x, SAMPLE_RATE_HZ, "hann", LENGTH, axis=0)  # (129, L, 33)
    columns: np.ndarray = np.abs(spectrum).transpose(2, 1, 0)
    return columns


def prepare_windows(
    network: AbstractStreamNet, recordings: Sequence[LabelledSignal]
) -> list[DecisionSequence]:
    """Return the windows of recordings, each one a whole recording of SAMPLES for its filters.

    The last window ends with the recording, as published; others come before it, STEP by STEP.
    They are rounded to the int8 columns that the network has on the board.

    Raises:
        UsageError: The network does not judge 33 columns at once, or PyWavelets is missing.
    """
    window = network.inputs[0]
    if window.name != "window" or window.shape[:1] != (COLUMNS,):
        raise UsageError(
            f"preprocessing is whole-record, which makes images of {COLUMNS} columns, and the "
            "network reads none; take ccfc, cltc or cnn12, or preprocessing causal"
        )
    return [_windows(r, window) for r in recordings]


def _windows(recording: LabelledSignal, window: QTensor) -> DecisionSequence:
    frames = recording.frames
    ends = np.arange(len(frames), SAMPLES - 1, -STEP, dtype=np.int64)[::-1]
    values = np.empty((len(ends), *window.shape), window.dtype)
    for index, end in enumerate(ends):
        columns = published_columns(frames[end - SAMPLES : end] / ADC_GAIN)
        values[index] = window.quantize(columns[..., : window.shape[-1]])
    stamps = ends - 1
    return DecisionSequence(
        recording.name, recording.patient, stamps, recording.labels_at(stamps), {"window": values}
    )


def _wavelets() -> ModuleType:
    try:
        return import_module("pywt")
    except ImportError:
        raise UsageError(
            "preprocessing whole-record needs the package PyWavelets; install it with "
            "`pip install 'lnn-edge[whole-record]'`"
        ) from None
