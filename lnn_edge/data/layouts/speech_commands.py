"""Speech Commands v0.02: words of a second, 16 kHz, in a folder for each word.

bed/00176480_nohash_0.wav and so on, 16 bit, one channel; the text before `_nohash_` is the speaker.
validation_list.txt and testing_list.txt name the files of two parts, a line each
(`bed/00176480_nohash_0.wav`); all others are to learn from, and no speaker is in two parts.
Folders that begin with _ hold noise and are left.
http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz; Warden 2018, arXiv:1804.03209.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.published import told_once
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError
from lnn_edge.files.read import LARGEST_ARRAYS, check_file, read_whole
from lnn_edge.files.reason import reason_of

RATE_HZ = 16_000.0
MOST_BYTES = 1 << 22  # of a file: two minutes
CHANNEL = Channel("audio", "", 32768.0)
_EXAMPLE = "bed/00176480_nohash_0.wav"
_FILE = re.compile(r"\w+/\w+_nohash_\d+\.wav")
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def _is_it(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _LISTS.values())


def _entries(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    part_of = _parts(folder)
    words = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")
    files = [path for word in words for path in sorted(word.glob("*.wav"))]
    names = [path.relative_to(folder).as_posix() for path in files]
    _refuse_cut_lists(folder, names, part_of)
    return tuple(
        Entry(name[:-4], partial(_read, path, name[:-4], part_of.get(name, "train")))
        for name, path in zip(names, files, strict=True)
    )


def _parts(folder: Path) -> dict[str, str]:
    """Return the part of each file that a list names."""
    told = ((line, part) for part, name in _LISTS.items() for line in _listed(folder / name))
    return told_once(folder, told)


def _refuse_cut_lists(folder: Path, names: list[str], part_of: dict[str, str]) -> None:
    """Refuse lists by which a speaker is in two parts: one is cut, or of another version."""
    seen: dict[str, tuple[str, str]] = {}
    for name in names:
        part = part_of.get(name, "train")
        other, first = seen.setdefault(_speaker_of(name), (part, name))
        if other != part:
            raise DataError(
                f"{folder}: its lists put {first} into {other} and {name} of the same speaker into "
                f"{part}; unpack them again"
            )


def _speaker_of(name: str) -> str:
    return name.partition("/")[2].split("_nohash_")[0]


def _listed(path: Path) -> list[str]:
    try:
        lines = read_whole(path, LARGEST_ARRAYS).decode("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is missing or damaged ({reason_of(error)}); unpack it again"
        ) from None
    wrong = next((repr(line[:60]) for line in lines if not _FILE.fullmatch(line)), "no line")
    if not lines or wrong != "no line":
        raise DataError(f"{path} must name a file such as {_EXAMPLE} a line, not {wrong}")
    return lines


def _read(path: Path, name: str, part: str) -> Iterator[Record]:
    from scipy.io import wavfile

    try:
        check_file(path, MOST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)  # of chunks that end early
            rate, samples = wavfile.read(path)
    except (OSError, ValueError, EOFError, struct.error, ZeroDivisionError, MemoryError,
            UnboundLocalError, wavfile.WavFileWarning) as error:  # fmt: skip
        reason = reason_of(error)
        raise DataError(f"{path} is damaged or no WAV file ({reason}); unpack it again") from None
    if rate != RATE_HZ or samples.dtype != np.int16 or samples.ndim != 1 or not samples.size:
        raise DataError(
            f"{path} holds {samples.dtype} {samples.shape} at {rate} Hz; it must hold one channel "
            f"of 16 bit at {RATE_HZ:g} Hz: unpack it again"
        )
    word = (name.partition("/")[0],)
    sound = samples[:, None]
    yield Record(name, _speaker_of(name), sound, RATE_HZ, (CHANNEL,), labels=word, part=part)


SPEECH_COMMANDS = Layout(
    "Speech Commands",
    "105,829 spoken words of 35 kinds, a second each at 16 kHz",
    _is_it,
    _entries,
    has_seen_it=False,
    licence="CC BY",
)
