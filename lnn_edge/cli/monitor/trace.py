"""A curve in a terminal, by braille characters: two by four dots each."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from rich.text import Text
from textual.widget import Widget

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # Unicode 15.0, U+2800
_BLANK = 0x2800


def braille(values: np.ndarray, width: int, height: int) -> str:
    """Return lines of characters that show values from left to right, the lowest at the bottom.

    Args:
        values: (N,) float64.
        width: Characters; the values share them evenly.
        height: Lines.
    """
    columns, rows = 2 * width, 4 * height
    dots = np.zeros((rows, columns), np.int64)
    if len(values):
        span = float(np.ptp(values)) or 1.0
        levels = np.round((values - values.min()) / span * (rows - 1)).astype(int)
        edges = np.linspace(0, len(levels), columns + 1).astype(int)
        for column, (first, end) in enumerate(pairwise(edges.tolist())):
            part = levels[max(0, first - 1) : max(end, first + 1)]  # joined to the dot before
            dots[rows - 1 - part.max() : rows - part.min(), column] = 1
    cells = dots.reshape(height, 4, width, 2).transpose(0, 2, 1, 3)
    codes = _BLANK + (cells * _DOTS).sum((2, 3))
    return "\n".join("".join(map(chr, line)) for line in codes.tolist())


class Trace(Widget):
    """The newest values of a channel.

    Args:
        kept: How many.
    """

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.values: deque[float] = deque(maxlen=kept)

    def add(self, values: np.ndarray) -> None:
        """Append values, (N,), and draw."""
        self.values.extend(values.tolist())
        self.refresh()

    def render(self) -> Text:
        """Return the curve."""
        return Text(braille(np.array(self.values), *self.size))
