"""How much spectra of leads are changed at random: the table [augmentation]. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lnn_edge.tasks.augmentation import AbstractAugmentation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LeadAugmentation(AbstractAugmentation):
    """Random changes of the magnitudes of a 12-lead ECG.

    Attributes:
        amplitude: Log gain per sequence and lead.
        bins: Log gain per sequence and bin.
        drop_lead: Probability that a lead is missing.
        drop_column: Probability that a column is missing.
    """

    probabilities: ClassVar[tuple[str, ...]] = ("drop_lead", "drop_column")
    amplitude: float
    bins: float
    drop_lead: float
    drop_column: float

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return changed inputs of a batch; randomness comes from torch's current generator."""
        from lnn_edge.tasks.findings.augment import augment_leads

        return {"window": augment_leads(inputs["window"], self)}
