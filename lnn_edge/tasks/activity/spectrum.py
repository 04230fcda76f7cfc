"""From raw frames to what a window is like, in integers: means, and a spectrum of few bands.

No torch here. The same operators prepare the training data and run on the board.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.stft import SIZES, StftMagnitude
from lnn_edge.graph.ops.window import Center, MeanPool
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage

RING = "motion"
MEAN, SPECTRUM = "mean", "spectrum"  # tensors that a network reads
BIN_STEPS = 32  # of a bin's magnitude per floor
BAND_STEPS = 16  # of a band's magnitude per floor
LARGEST_BAND = 1023  # floors: a band saturates there
STEP_BITS = 4  # an entry of the table per floor: its line is off by less than 0.06


@dataclass(frozen=True)
class SpectrumPlan:
    """What is measured of a window.

    Attributes:
        window: Frames, a power of two.
        hop: Frames from one window to the next.
        bands: First bin of each band, and the end of the last; bin k lies at k / window of the
            sampling rate.
        floor: Magnitude, in the unit of its channel, below which the logarithm turns straight: the
            noise of a sensor at rest.

    Raises:
        UsageError: A value is out of its range.
    """

    window: int
    hop: int
    bands: tuple[int, ...]
    floor: float

    def __post_init__(self) -> None:
        """Refuse what no spectrum can be made of."""
        least, most = SIZES
        if self.window & (self.window - 1) or not least <= self.window <= most:
            raise UsageError(
                f"[model] window must be a power of two from {least} to {most}, not {self.window}"
            )
        if self.hop < 1:
            raise UsageError(f"[model] hop must be at least 1, not {self.hop}")
        edges, end = self.bands, self.window // 2 + 1
        ascends = all(a < b for a, b in pairwise(edges))
        if len(edges) < 2 or not ascends or edges[0] < 1 or edges[-1] > end:
            raise UsageError(
                f"[model] bands must be two or more ascending bins from 1 to {end}, not "
                f"{list(edges)}"
            )
        if not 0 < self.floor < float("inf"):
            raise UsageError(f"[model] floor must be above 0, not {self.floor}")


def front_end(scales: tuple[float, ...], plan: SpectrumPlan) -> Pipeline:
    """Build the front end: its deciding stage gives mean (C,) and spectrum (C, bands), int16.

    mean[c]        = mean of x[:, c] over the window, in the unit of the channel
    spectrum[c, b] = log(1 + sum of |X[c, k]| over the bins k of band b / floor)

    X is the transform of the window less its mean under a Hann window, over the sum of that:
    a sine of amplitude a in the middle of a bin has |X| = a / 2 there. One scale for all channels,
    the finest, so a coarser channel saturates at that share of its range. Nothing is kept from one
    window to the next.

    Args:
        scales: Real value of a sensor step, of each channel.
        plan: What is measured.
    """
    channels, one = len(scales), min(scales)
    frame = QTensor("motion_frame", (channels,), "int16", scales, role="input")
    window = replace(frame, name="window", shape=(plan.window, channels))
    samples = replace(window, name="samples", scale=one, role="scratch")
    centred = replace(samples, name="centred")
    mean = QTensor(MEAN, (channels,), "int16", one)
    bins = plan.bands[-1]
    magnitude = QTensor("magnitude", (channels, bins), "int16", plan.floor / BIN_STEPS, qmin=0)
    band, steps = np.diff(plan.bands).size, 1 / BAND_STEPS
    floors = QTensor("floors", (channels, band), "int16", steps, 0, 0, LARGEST_BAND * BAND_STEPS)
    spectrum = symmetric(SPECTRUM, (channels, band), "int16", float(np.log1p(LARGEST_BAND)))
    belongs = _belongs(plan.bands)[:, :, None] / plan.floor
    ops = (
        Requantize.quantize("one_scale", window, samples),
        MeanPool.quantize("mean_of_window", samples, mean),
        Center.quantize("center", samples, centred),
        StftMagnitude.quantize("stft", centred, magnitude),
        Conv1d.quantize("sum_bands", magnitude, floors, belongs, np.zeros(band), 1),
        Lut.quantize("log_of_bands", floors, spectrum, "log1p", STEP_BITS),
    )
    trigger = EveryTrigger(RING, window, plan.hop, plan.window)
    stages = (
        Stage("sample", InputTrigger(frame, RING)),
        Stage("decide", trigger, ops, (), (mean, spectrum)),
    )
    return Pipeline(stages, (Ring(RING, frame, plan.window),))


def _belongs(edges: tuple[int, ...]) -> np.ndarray:
    """Return 1 where a bin is in a band, (bands, bins)."""
    k, first, end = np.arange(edges[-1]), np.array(edges[:-1]), np.array(edges[1:])
    inside: np.ndarray = (first[:, None] <= k) & (k < end[:, None])
    return inside.astype(float)
