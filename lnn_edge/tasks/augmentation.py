"""What the augmentations of all tasks have in common. No torch here."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


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


@dataclass(frozen=True)
class NoAugmentation(AbstractAugmentation):
    """Batches stay as they are."""

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the inputs."""
        return dict(inputs)
