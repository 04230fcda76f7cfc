"""Inputs of a network, prepared once and kept in a folder for the next training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.files.archives import archive_of, members_of
from lnn_edge.files.arrays import array_of, npy_of
from lnn_edge.files.read import read_whole
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import pipeline_sha256
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import CHUNK, DecisionSequence, LabelledSignal, chunks
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.train.checkpoint import prepare
from lnn_edge.train.recipe import Preprocessing

LARGEST_BYTES = 1 << 32  # of a recording's inputs
_STAMPS = "stamps"


@dataclass(frozen=True)
class KeptInputs:
    """Prepares recordings as `prepare` does, each once: a file each, by what it depends on.

    That is the front end and its constants, the network's inputs, the preprocessing, the code, and
    the recording's frames and events; labels are of no account and asked anew. Several processes
    may use one folder at the same time.

    Attributes:
        folder: Of the files; it is there.
        code: What tells the code that prepares from another.
    """

    folder: Path
    code: str

    def __call__(
        self,
        network: AbstractStreamNet,
        recordings: Sequence[LabelledSignal],
        preprocessing: Preprocessing = "causal",
    ) -> list[DecisionSequence]:
        """Return the network's integer inputs of every decision.

        Args:
            network: Its front end is the one on the board.
            recordings: Of its task.
            preprocessing: See prepare.

        Raises:
            UsageError: As prepare has it.
            OSError: A file cannot be written.
        """
        names = [t.name for t in network.inputs]
        how = self._how(network, preprocessing)
        sequences: list[DecisionSequence] = []
        for chunk in chunks(recordings):
            paths = [self._path(how, recording) for recording in chunk]
            found = [_read(path, names) for path in paths]
            missing = [i for i, known in enumerate(found) if known is None]
            made = prepare(network, [chunk[i] for i in missing], preprocessing)
            fresh = dict(zip(missing, made, strict=True))
            for i, sequence in fresh.items():
                write_whole(paths[i], _bytes_of(sequence))
            sequences += [
                fresh[i] if known is None else _labelled(recording, *known)
                for i, (recording, known) in enumerate(zip(chunk, found, strict=True))
            ]
        return sequences

    def ahead(
        self,
        network: AbstractStreamNet,
        recordings: Sequence[LabelledSignal],
        preprocessing: Preprocessing,
        first: int,
    ) -> None:
        """Keep what is not kept yet, from one of the recordings on and round.

        Processes that begin at the same time and at different ones each do a part.

        Args:
            network: See __call__.
            recordings: Each is read once.
            preprocessing: See prepare.
            first: Where to begin, any number.
        """
        how, count = self._how(network, preprocessing), len(recordings)
        order = np.roll(np.arange(count), -(first % count)).tolist() if count else []
        for start in range(0, count, CHUNK):
            chunk = [recordings[i] for i in order[start : start + CHUNK]]
            self(network, [r for r in chunk if not self._path(how, r).is_file()], preprocessing)

    def _how(self, network: AbstractStreamNet, preprocessing: Preprocessing) -> str:
        names = [t.name for t in network.inputs]
        return json.dumps([pipeline_sha256(network.front), names, preprocessing, self.code])

    def _path(self, how: str, recording: LabelledSignal) -> Path:
        return self.folder / f"{_key(how, recording)}.npz"


def _key(how: str, recording: LabelledSignal) -> str:
    told = hashlib.sha256(how.encode())
    for array in (recording.frames, recording.events):
        told.update(f"\0{array.dtype.str}{array.shape}".encode())
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()[:32]


def _bytes_of(sequence: DecisionSequence) -> bytes:
    arrays = {_STAMPS: sequence.stamps} | {f"input {k}": v for k, v in sequence.values.items()}
    return archive_of({f"{name}.npy": npy_of(array) for name, array in arrays.items()})


def _read(path: Path, names: Sequence[str]) -> tuple[np.ndarray, Values] | None:
    """Return stamps and inputs; None where there are none, or the file is damaged."""
    try:
        members = members_of(read_whole(path, LARGEST_BYTES), LARGEST_BYTES)
        values = {name: array_of(members[f"input {name}.npy"]) for name in names}
        return array_of(members[f"{_STAMPS}.npy"]), values
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _labelled(recording: LabelledSignal, stamps: np.ndarray, values: Values) -> DecisionSequence:
    labels = recording.labels_at(stamps)
    return DecisionSequence(recording.name, recording.patient, stamps, labels, values)
