"""Another data set that is learned from beside a recipe's own: [beside]. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Beside:
    """Other people's recordings in every batch, so that what is learned holds for them too.

    Classes are weighted, ranges are chosen and epochs are counted by the recipe's own data set.

    Attributes:
        dataset: Name in the data registry; "" is none.
        lead: Of ECGs with beats, the lead that comes first; "" is MLII.
        sequences: Of each batch, beside the batch_size that are of the recipe's own data set.
        thin: Whether labels are left out of batches at random, so that classes are as frequent as
            in the recipe's own data set: what is common there alone would be expected everywhere.
    """

    dataset: str = ""
    lead: str = ""
    sequences: int = 6
    thin: bool = True
