"""What the augmentations of all tasks have in common. No torch here."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.sim.interpreter import Values

if TYPE_CHECKING:
    from torch import Tensor

Prepared = tuple[np.ndarray, Values]
"""Of one recording labels (D,), and integers of the network's inputs by name, (D, *shape)."""


@dataclass(frozen=True)
class AbstractAugmentation(abc.ABC):
    """Random changes of a batch: the table [augmentation] of a recipe, a dataclass for each task.

    Attributes:
        probabilities: Names of fields that lie between 0 and 1; others are at least 0.
    """

    probabilities: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return changed inputs of a batch; randomness comes from torch's current generator."""

    @property
    def copies(self) -> int:
        """Sequences of each batch, beside the others, that are of changed copies of recordings."""
        return 0

    def copied(
        self, front: Pipeline, classes: Sequence[str], recordings: Sequence[Prepared], seed: int
    ) -> list[Prepared]:
        """Return labels of a changed copy of each recording, and the inputs that are new in it.

        Args:
            front: Of the network.
            classes: Of the labels.
            recordings: As the front end has prepared them.
            seed: Of what is drawn.
        """
        raise NotImplementedError  # there are no copies


@dataclass(frozen=True)
class NoAugmentation(AbstractAugmentation):
    """Batches stay as they are."""

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the inputs."""
        return dict(inputs)
