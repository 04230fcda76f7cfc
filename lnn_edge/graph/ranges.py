"""Which range of values integers hold, so that no single value decides it. No torch here.

The rule and its reasons: docs/numerics.md and docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import QTensor

Range = tuple[float, float]
Run = Callable[[np.ndarray], np.ndarray]
"""Outputs (N, T, O) of a float model on frames (N, T, C), each sequence from a reset."""

TAIL = 1e-4  # part of the values that may lie outside a range at each end, and saturates
FAR = 8  # times the typical magnitude: who reaches further costs all others three bits
FEW = 100  # values, of which one is no tail
ENOUGH = 2.0**-24  # mean square of what a range may change the outputs by, over their spread
MOST_FRAMES = 20_000  # that the model is asked about
BLOCK = 500  # of them that follow each other


@dataclass(frozen=True)
class Channel:
    """A channel of a model's frames.

    Attributes:
        name: Of its range.
        format: Returns the tensor, (1,), in which the model reads a range of it.
        has_tails: Whether the outermost values may saturate unasked: not those of elapsed time.
    """

    name: str
    format: Callable[[Range], QTensor]
    has_tails: bool


def range_without_tails(values: np.ndarray) -> Range:
    """Return the range of all values, (N,) finite, but TAIL at each end, or but one far out."""
    cut = int(len(values) * TAIL)
    if not cut and len(values) >= FEW and _reach(_range(values)) > FAR * _typical(values):
        cut = 1
    return _range(values, cut)


def choose_ranges(run: Run, frames: np.ndarray, channels: Sequence[Channel]) -> dict[str, Range]:
    """Return the range of each channel that the integers cover, by name.

    It is that of the values but TAIL. Where it reaches further than FAR times the typical
    magnitude, the model is asked: of that range and its halves, quarters..., the widest whose
    rounding and saturation change the outputs by less than ENOUGH is taken, else the one that
    changes them least. A channel that is 0 throughout gets the narrowest range of the others, or
    its column would decide the scale of a matrix.

    Args:
        run: The model.
        frames: (N, T, C) real and finite.
        channels: C of them.

    Raises:
        QuantizationError: The outputs are not finite.
    """
    values = [frames[..., i].ravel() for i in range(len(channels))]
    cut = int(values[0].size * TAIL)
    ranges = [
        _range_of_channel(v, cut * c.has_tails) for v, c in zip(values, channels, strict=True)
    ]
    usual = [_typical(v) for v in values]
    far = [i for i, r in enumerate(ranges) if _reach(r) > FAR * usual[i]]
    if far:
        question = _Question.about(run, frames)
        for i in far:
            ranges[i] = question.answer(i, channels[i], ranges[i], usual[i])
    alive = [_reach(r) for r, c in zip(ranges, channels, strict=True) if c.has_tails and any(r)]
    least = min(alive, default=1.0)
    return {c.name: r if any(r) else (-least, least) for c, r in zip(channels, ranges, strict=True)}


def require_finite(outputs: np.ndarray) -> None:
    """Raise QuantizationError unless a model's outputs are numbers."""
    if not np.isfinite(outputs).all():
        raise QuantizationError(
            "the model's outputs on the calibration data are not finite; remove the values that it "
            "cannot take, or train again"
        )


def _range(values: np.ndarray, cut: int = 0) -> Range:
    last = len(values) - 1 - cut
    ordered = np.partition(values, (cut, last))
    return float(ordered[cut]), float(ordered[last])


def _range_of_channel(values: np.ndarray, cut: int) -> Range:
    """Return the range without the tails; with them, where all between is 0."""
    inner = _range(values, cut)
    return inner if any(inner) else _range(values)


def _reach(values: Range) -> float:
    return max(map(abs, values))


def _typical(values: np.ndarray) -> float:
    """Return the median magnitude of the values that are not 0; 0 if all are."""
    magnitudes = np.abs(values[values != 0])
    return float(np.median(magnitudes)) if magnitudes.size else 0.0


@dataclass(frozen=True, eq=False)
class _Question:
    """What does it change if one channel's values are those of integers?

    Attributes:
        run: The model.
        frames: (N, T, C), evenly taken from all.
        outputs: Of the model on them.
        spread: (O,) width of the middle 98 % of each output: what is rarer is no signal.
    """

    run: Run
    frames: np.ndarray
    outputs: np.ndarray
    spread: np.ndarray

    @classmethod
    def about(cls, run: Run, frames: np.ndarray) -> _Question:
        """Run the model on the frames themselves."""
        frames = some_frames(frames)
        outputs = run(frames)
        require_finite(outputs)
        low, high = np.quantile(outputs, (0.01, 0.99), axis=(0, 1))
        spread = np.where(high > low, high - low, np.ptp(outputs, axis=(0, 1)))
        return cls(run, frames, outputs, np.where(spread > 0, spread, 1.0))

    def answer(self, index: int, channel: Channel, whole: Range, typical: float) -> Range:
        """Return the range for a channel, see choose_ranges."""
        best, least = whole, np.inf
        for bound in _bounds(_reach(whole), typical, channel.format(whole).scales[0]):
            tried = max(whole[0], -bound), min(whole[1], bound)
            error = self._error(index, channel.format(tried))
            if error < least:
                best, least = tried, error
            if error < ENOUGH:
                break
        return best

    def _error(self, index: int, tensor: QTensor) -> float:
        """Return the mean square over the spread; no output counts more than wholly wrong."""
        frames = self.frames.copy()
        frames[..., index] = tensor.dequantize(tensor.quantize(frames[..., index]))
        off = np.abs(self.run(frames) - self.outputs) / self.spread
        return float(np.mean(off.clip(None, 1) ** 2))


def _bounds(reach: float, typical: float, step: float) -> Iterator[float]:
    """Yield the reach and its halves, those left out in whose steps the typical value is 0."""
    yield reach
    bound = min(reach / 2, reach * 2 * typical / step)
    while bound >= typical:
        yield bound
        bound /= 2


def some_frames(frames: np.ndarray) -> np.ndarray:
    """Return at most MOST_FRAMES of frames (N, T, C), blocks that each start from a reset."""
    _, steps, channels = frames.shape
    length = min(steps, BLOCK)
    whole = steps // length * length
    blocks = frames[:, :whole].reshape(-1, length, channels)
    chosen = np.linspace(0, len(blocks) - 1, min(len(blocks), MOST_FRAMES // length))
    sample: np.ndarray = blocks[chosen.astype(int)]
    return sample
