"""What a verification has learned so far, on disk: it outlives the program that makes it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from lnn_edge.device.link import Checkpoint
from lnn_edge.device.protocol import RecordLayout, ResultRecord, Stats
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole
from lnn_edge.files.write import write_whole


@dataclass(frozen=True)
class Past:
    """What is known of one signal.

    Attributes:
        records: Decisions that came, up to the checkpoint.
        checkpoint: Where the device can go on; None at the start.
        stats: Counters after the whole signal; None while it is not through.
    """

    records: tuple[ResultRecord, ...] = ()
    checkpoint: Checkpoint | None = None
    stats: Stats | None = None


class Journal:
    """Lines of a file: a key, then for each signal its decisions, checkpoints and its end.

    Args:
        path: The file; one with another key is begun anew.
        key: Of all that the verification depends on.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Read what is whole, up to the last line from which a device can go on."""
        self._path = path
        lines = _read(path, key)
        kept = max((i + 1 for i, line in enumerate(lines) if "record" not in line), default=0)
        self._signals: list[list[dict[str, Any]]] = [[]]
        for line in lines[1:kept]:
            self._signals[-1].append(line)
            if "end" in line:
                self._signals.append([])
        self._whole = lines[:kept] or [{"key": key}]
        self._file: IO[str] | None = None
        self._noted: Checkpoint | None = None

    @property
    def steps(self) -> int:
        """Decisions known."""
        return sum("record" in line for lines in self._signals for line in lines)

    def past(self, signal: int, layout: RecordLayout) -> Past:
        """Return what is known of a signal."""
        lines = self._signals[signal] if signal < len(self._signals) else []
        raw = [_bytes(line["record"]) for line in lines if "record" in line]
        records = tuple(ResultRecord.decode(data, layout) for data in raw)
        states = [line for line in lines if "state" in line]
        ends = [Stats.decode(_bytes(line["end"])) for line in lines if "end" in line]
        self._noted = _checkpoint(states[-1]) if states else None
        return Past(records, self._noted, ends[0] if ends else None)

    def note(self, record: ResultRecord, checkpoint: Checkpoint | None) -> None:
        """Keep a decision, and the checkpoint before it if that is new."""
        if checkpoint is not None and checkpoint is not self._noted:
            self._noted = checkpoint
            self._write(
                {
                    "state": _text(checkpoint.state),
                    "frames": checkpoint.frames,
                    "decisions": checkpoint.decisions,
                    "stats": _text(checkpoint.stats.encode()),
                }
            )
        self._write({"record": _text(record.encode())})

    def end(self, stats: Stats) -> None:
        """Keep that a signal is through."""
        self._write({"end": _text(stats.encode())})

    def close(self) -> None:
        """Keep the file."""
        if self._file:
            with suppress(OSError):
                self._file.close()

    def remove(self) -> None:
        """The verification is made."""
        self._path.unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:  # a device that never answers leaves no file
            write_whole(self._path, "".join(f"{json.dumps(kept)}\n" for kept in self._whole))
            self._file = self._path.open("a")
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:  # which names no file
            raise OSError(error.errno, error.strerror, str(self._path.parent)) from None


def journal_key(parts: Sequence[str], arrays: Sequence[np.ndarray]) -> str:
    """Return a hash of names and values."""
    digest = hashlib.sha256(json.dumps(parts).encode())
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path, key: str) -> list[dict[str, Any]]:
    """Lines of a journal of this key, up to the first that is damaged."""
    found: list[dict[str, Any]] = []
    try:
        text = read_whole(path, LARGEST_ARRAYS).decode(errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:  # the program was killed while it wrote
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found if found and found[0] == {"key": key} else []


def _checkpoint(line: dict[str, Any]) -> Checkpoint:
    stats = Stats.decode(_bytes(line["stats"]))
    return Checkpoint(line["frames"], line["decisions"], _bytes(line["state"]), stats)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
