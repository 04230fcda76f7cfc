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
        as_frequent: Whether in the loss its scores move by the logarithm of how much more frequent
            a class is there than in the recipe's own data set, so that what is common there alone
            is not expected everywhere and no label is lost.
    """

    dataset: str = ""
    lead: str = ""
    sequences: int = 6
    as_frequent: bool = True
