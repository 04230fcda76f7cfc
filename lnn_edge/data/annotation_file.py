"""Reads annotation files in the MIT format; no signal is known here.

wfdb reads the same files, but never returns from some damaged ones.
Source: annot(5) of the WFDB Applications Guide, PhysioNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole

# Codes of beats and their symbols; all other codes mark something else.
BEAT_SYMBOLS = dict(enumerate("NLRaVFJASEj/Q", 1)) | {
    25: "B",
    30: "?",
    34: "e",
    35: "n",
    38: "f",
    41: "r",
}
_NOTE = 22
_SKIP, _AUX = 59, 63  # 60 to 62 number and sort the annotation before; they do not matter here
_RATE_TEXT = "## time resolution: "


@dataclass(frozen=True)
class BeatMarks:
    """The beats of an annotation file.

    Attributes:
        samples: Sample index of each, in file order.
        symbols: WFDB symbol of each.
        rate_hz: Sample indices per second where the file tells it.
    """

    samples: tuple[int, ...]
    symbols: tuple[str, ...]
    rate_hz: float | None


def read_beat_marks(path: Path) -> BeatMarks:
    """Read the beats of an annotation file.

    The file is a list of 16-bit words: 6 bits of code, 10 bits of samples since the annotation
    before. SKIP adds a 32-bit distance, AUX is followed by text, and 0 ends the file.

    Raises:
        DataError: The file is truncated or damaged.
    """
    try:
        data = read_whole(path, LARGEST_ARRAYS)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from None
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2").tolist()
    samples, symbols = [], []
    rate_hz = None
    time = place = last_code = 0
    try:
        while words[place]:
            code, value = words[place] >> 10, words[place] & 1023
            place += 1
            if code == _SKIP:
                time += _signed(words[place] << 16 | words[place + 1])
                place += 2
            elif code == _AUX:
                text = data[2 * place : 2 * place + value].decode("ascii", "replace")
                place += (value + 1) // 2
                if last_code == _NOTE and time == 0 and text.startswith(_RATE_TEXT):
                    rate_hz = float(text.removeprefix(_RATE_TEXT).rstrip("\0"))
            elif code < _SKIP:
                time += value
                last_code = code
                if code in BEAT_SYMBOLS:
                    samples.append(time)
                    symbols.append(BEAT_SYMBOLS[code])
    except (IndexError, ValueError) as error:
        raise DataError(f"{path} is truncated or damaged; copy it again") from error
    return BeatMarks(tuple(samples), tuple(symbols), rate_hz)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
