"""Frames of a model from a stream that has no end: raw int16, or lines of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lnn_edge.data.frame import Frame, to_frame
from lnn_edge.data.readers import words
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError

NAME = "stdin"
LONGEST_LINE = 1 << 16  # bytes; what is longer is several


def raw_frames(stream: BinaryIO, channels: int) -> Iterator[np.ndarray]:
    """Yield frames (C,) int16 of little-endian steps, each as soon as it is there.

    Raises:
        DataError: The stream ends within a frame.
    """
    size = 2 * channels
    while data := stream.read(size):
        if len(data) < size:
            raise DataError(
                f"the stream ended within a frame: {len(data)} bytes are left and a frame has "
                f"{size}; give {channels} channels of int16"
            )
        yield np.frombuffer(data, "<i2")


@dataclass(frozen=True)
class Lost:
    """A line that is not a frame.

    Attributes:
        number: Of the line, from 1.
        reason: Why, in one sentence.
    """

    number: int
    reason: str


class LineFrames:
    """Lines of numbers to frames; one may first name the columns, with units: "MLII (mV),V5 (mV)".

    Values are in the units of the named columns, or of the model. A column of times is left out.

    Args:
        frame: Of the model.
        channels: Name of the model's channel -> name of the column, where they differ.
    """

    def __init__(self, frame: Frame, channels: Mapping[str, str]) -> None:
        self._frame, self._told = frame, channels
        self._columns = tuple(Channel(c.name, c.unit) for c in frame.channels)
        self._kept = list(range(len(self._columns)))
        self._width = len(self._columns)

    def of(self, lines: Iterable[bytes]) -> Iterator[np.ndarray | Lost]:
        """Yield a frame (C,) int16, or what was lost, of each line but a first one of names.

        Raises:
            DataError: The columns named do not fit the model.
        """
        for number, line in enumerate(lines, start=1):
            cells = _cells(line)
            if number == 1 and not all(_is_number(c) for c in cells):
                self._name(cells)
                continue
            if cells:
                yield self._frame_of(number, cells)

    def _name(self, cells: list[str]) -> None:
        if not all(c.isprintable() and "\N{REPLACEMENT CHARACTER}" not in c for c in cells):
            raise DataError(
                "the stream begins with neither numbers nor names of columns; give lines of text, "
                "or --raw for int16"
            )
        self._width = len(cells)
        self._kept = [i for i, c in enumerate(cells) if not words.is_time(c)]
        named = [words.split_unit(cells[i]) for i in self._kept]
        units = [unit for _, unit in named]
        names = words.unique([name for name, _ in named])
        self._columns = tuple(Channel(n, u) for n, u in zip(names, units, strict=True))
        self._convert([0.0] * len(self._columns))  # what does not fit is refused at once

    def _frame_of(self, number: int, cells: list[str]) -> np.ndarray | Lost:
        if len(cells) != self._width:
            return Lost(number, f"it has {len(cells)} numbers and must have {self._width}")
        try:
            return self._convert([float(cells[i]) for i in self._kept])
        except ValueError:
            return Lost(number, "it must hold numbers only")
        except DataError as error:
            return Lost(number, str(error))

    def _convert(self, values: list[float]) -> np.ndarray:
        if not all(math.isfinite(v) for v in values):
            raise DataError("a value is absent")
        samples = np.array([values])
        record = Record(NAME, NAME, samples, self._frame.rate_hz, self._columns)
        frame: np.ndarray = to_frame(record, self._frame, channels=self._told).samples[0]
        return frame


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8", "replace").strip()
    for separator in (";", ",", "\t"):
        if separator in text:
            return [c.strip() for c in text.split(separator)]
    return text.split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
