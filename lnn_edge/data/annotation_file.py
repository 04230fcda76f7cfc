"""Reads annotation files in the MIT format; no signal is known here.

wfdb reads the same files, but never returns from some damaged ones.
Source: annot(5) of the WFDB Applications Guide, PhysioNet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lnn_edge.data.aami import FLUTTER
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole

# Codes and their symbols, those of beats first: all other codes mark something else.
BEAT_SYMBOLS = dict(enumerate("NLRaVFJASEj/Q", 1)) | {
    25: "B",
    30: "?",
    34: "e",
    35: "n",
    38: "f",
    41: "r",
}
OTHER_SYMBOLS = {
    14: "~", 16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: '"', 23: "=", 24: "p", 26: "^",
    27: "t", 28: "+", 29: "u", 31: "!", 32: "[", 33: "]", 36: "@", 37: "x", 39: "(", 40: ")",
}  # fmt: skip
UNCLASSIFIABLE = BEAT_SYMBOLS[13]  # a beat
MOST_ANNOTATIONS = 400_000  # beats of three days
_NOTE = 22
_SKIP, _AUX = 59, 63  # 60 to 62 number and sort the annotation before; they do not matter here
_SYMBOLS = BEAT_SYMBOLS | OTHER_SYMBOLS
_RATE_TEXT = "## time resolution: "


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation.

    Attributes:
        sample: Its sample index.
        symbol: WFDB symbol, "[42]" for a code that has none.
        note: Text that goes with it, "" where there is none.
    """

    sample: int
    symbol: str
    note: str = ""


@dataclass(frozen=True)
class BeatMarks:
    """The beats of an annotation file, and the marks around ventricular flutter.

    Attributes:
        samples: Sample index of each, in file order.
        symbols: WFDB symbol of each.
        rate_hz: Sample indices per second where the file tells it.
    """

    samples: tuple[int, ...]
    symbols: tuple[str, ...]
    rate_hz: float | None


def read_beat_marks(path: Path) -> BeatMarks:
    """Read the beats of an annotation file, and the marks around ventricular flutter.

    Raises:
        DataError: The file is truncated or damaged.
    """
    everything, rate_hz = read_annotations(path)
    wanted = {*BEAT_SYMBOLS.values(), *FLUTTER}
    marks = [a for a in everything if a.symbol in wanted]
    return BeatMarks(tuple(a.sample for a in marks), tuple(a.symbol for a in marks), rate_hz)


def read_annotations(path: Path) -> tuple[tuple[Annotation, ...], float | None]:
    """Read all annotations of a file, and its sample indices per second where it tells them.

    The file is a list of 16-bit words: 6 bits of code, 10 bits of samples since the annotation
    before. SKIP adds a 32-bit distance, AUX is followed by text, and 0 ends the file.

    Raises:
        DataError: The file is truncated or damaged.
    """
    try:
        data = read_whole(path, LARGEST_ARRAYS)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); copy it again") from None
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.uint16).data
    found: list[Annotation] = []
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
                    found.pop()
                elif found:
                    found[-1] = replace(found[-1], note=text.rstrip("\0"))
            elif code < _SKIP:
                time += value
                last_code = code
                if len(found) > MOST_ANNOTATIONS:
                    raise DataError(
                        f"{path} holds more than {MOST_ANNOTATIONS:,} annotations; cut the record"
                    )
                if code:  # 0 only takes time
                    found.append(Annotation(time, _SYMBOLS.get(code, f"[{code}]")))
    except (IndexError, ValueError) as error:
        raise DataError(f"{path} is truncated or damaged; copy it again") from error
    return tuple(found), rate_hz


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
