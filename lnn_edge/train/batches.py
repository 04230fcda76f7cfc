"""What a training learns from: prepared recordings, on disk, and the batches cut from them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from lnn_edge.errors import DataError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal, chunks
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.labelled import is_told
from lnn_edge.tasks.metrics.single_label import check_classes
from lnn_edge.train.checkpoint import Preparing, in_real_units, prepare
from lnn_edge.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Examples:
    """Decisions of recordings, one after the other.

    Attributes:
        names: Of all recordings, those that are too short among them.
        patients: Who was recorded, each once.
        labels: (D, ...) int64 of all decisions, or (D, values) float64.
        starts: First decision of each recording.
        counts: Decisions of each.
        values: Integers of the network's inputs by name, (D, *shape) each, mapped from disk.
        inputs: The network's inputs.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    labels: Tensor
    starts: np.ndarray
    counts: np.ndarray
    values: dict[str, np.ndarray]
    inputs: tuple[QTensor, ...]

    def batch(
        self, size: int, length: int, splice: float = 0.0
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return inputs (size, length, *shape) in real units and labels of random sequences.

        A recording is drawn with the chance of its decisions, by torch's current generator.

        Args:
            size: Sequences.
            length: Decisions of each.
            splice: Chance that a sequence ends with another stretch of its recording.
        """
        chances = torch.from_numpy(self.counts.astype(np.float32))
        picks = torch.multinomial(chances, size, replacement=True).tolist()
        firsts = [self.starts[i] + self._offset(i, length) for i in picks]
        rows = np.add.outer(np.array(firsts), np.arange(length))
        if splice:
            rows = self._spliced(rows, picks, splice)
        inputs = {t.name: in_real_units(t, self.values[t.name][rows]) for t in self.inputs}
        return inputs, self.labels[torch.from_numpy(rows)]

    def some(self, count: int, length: int) -> list[tuple[Tensor, ...]]:
        """Return inputs (1, D, *shape) of the first decisions of `count` recordings far apart."""
        picks = np.arange(len(self.starts))[:: -(-len(self.starts) // count)]
        rows = [slice(s, s + min(length, n)) for s, n in zip(self.starts, self.counts, strict=True)]
        return [
            tuple(in_real_units(t, self.values[t.name][rows[i]])[None] for t in self.inputs)
            for i in picks
        ]

    def _spliced(self, rows: np.ndarray, picks: Sequence[int], chance: float) -> np.ndarray:
        """Return rows of which some go on elsewhere from a random decision on."""
        size, length = rows.shape
        others = [self.starts[i] + self._offset(i, length) for i in picks]
        after = torch.randint(1, length, (size, 1)) if length > 1 else torch.ones(size, 1)
        is_spliced = torch.rand(size, 1) < chance
        elsewhere = (is_spliced & (torch.arange(length) >= after)).numpy()
        found: np.ndarray = np.where(elsewhere, np.add.outer(others, np.arange(length)), rows)
        return found

    def _offset(self, index: int, length: int) -> int:
        return int(torch.randint(int(self.counts[index]) - length + 1, ()))


def make_examples(
    network: AbstractStreamNet,
    recordings: Sequence[LabelledSignal],
    recipe: Recipe,
    folder: Path,
    preparing: Preparing = prepare,
) -> Examples:
    """Prepare recordings a few at a time; what they become lies in nameless files in a folder.

    So a data set of any size needs the disk and not the memory. The files vanish with the rows.

    Args:
        network: Whose inputs.
        recordings: To learn from.
        recipe: What to train and how.
        folder: Of the files.
        preparing: How.

    Raises:
        DataError: No recordings, their classes are not the network's, each is shorter than one
            sequence, nothing is labelled, or the folder has no room.
    """
    if not len(recordings):
        raise DataError("no recordings to train on; choose another data set or other records")
    names: list[str] = []
    patients: dict[str, None] = {}
    labels: list[np.ndarray] = []
    with ExitStack() as files:
        spools = {
            t.name: files.enter_context(tempfile.TemporaryFile(dir=folder)) for t in network.inputs
        }
        for recording, sequence in _prepared(network, recordings, recipe, preparing):
            names.append(recording.name)
            patients[recording.patient] = None
            if len(sequence.stamps) >= recipe.training.sequence_length:
                labels.append(recording.targets_at(sequence.stamps))
                for tensor in network.inputs:
                    _append(spools[tensor.name], tensor, sequence)
        _check_labels(labels, network.classes, recipe)
        values = {t.name: _mapped(spools[t.name], t) for t in network.inputs}
    counts = np.array([len(each) for each in labels])
    starts = np.cumsum(counts) - counts
    every = torch.from_numpy(np.concatenate(labels))
    return Examples(tuple(names), tuple(patients), every, starts, counts, values, network.inputs)


def _prepared(
    network: AbstractStreamNet,
    recordings: Sequence[LabelledSignal],
    recipe: Recipe,
    preparing: Preparing,
) -> Iterator[tuple[LabelledSignal, DecisionSequence]]:
    for chunk in chunks(recordings):
        check_classes(network.classes, chunk)
        yield from zip(chunk, preparing(network, chunk, recipe.preprocessing), strict=True)


def _check_labels(labels: list[np.ndarray], classes: Sequence[str], recipe: Recipe) -> None:
    if not labels:
        raise DataError(
            f"no recording holds {recipe.training.sequence_length} decisions, the recipe's "
            "sequence_length; use longer recordings or a shorter sequence"
        )
    if not any(is_told(each).any() for each in labels):
        raise DataError(f"nothing has a label of {', '.join(classes)}; there is nothing to learn")


def _append(file: IO[bytes], tensor: QTensor, sequence: DecisionSequence) -> None:
    values = np.ascontiguousarray(sequence.values[tensor.name], tensor.dtype)
    try:
        file.write(values.tobytes())
    except OSError as error:
        raise DataError(
            f"prepared recordings cannot be written beside the model ({error.strerror}); make room "
            "there or choose another folder"
        ) from None


def _mapped(file: IO[bytes], tensor: QTensor) -> np.ndarray:
    file.flush()
    rows: np.ndarray = np.memmap(file, tensor.dtype, "r")
    return rows.reshape(-1, *tensor.shape)
