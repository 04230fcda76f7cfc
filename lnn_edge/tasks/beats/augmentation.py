"""How much beats are changed at random: the table [augmentation]. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.tasks.augmentation import AbstractAugmentation, Prepared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BeatAugmentation(AbstractAugmentation):
    """Random changes of prepared windows and features of beats; deviations or probabilities.

    Attributes:
        amplitude: Log gain per sequence and lead.
        beat_amplitude: Log gain per beat and lead.
        noise: White noise, up to this much, in mean magnitudes.
        slope: Linear drift, up to this much.
        shift: Largest shift in frames.
        drop_second: Probability that the second lead is missing.
        flip_second: Probability that the second lead is upside down.
        rhythm: Noise on the rhythm features.
        beat_shape: Noise on the shape features, per beat.
        shape: Noise on the shape features, per sequence.
        dt: Log factor on dt, per sequence.
        shuffle_dt: Whether dt is dealt out among the beats of a sequence: an ablation.
        fibrillating: Sequences of each batch, beside the others, of copies whose rhythm
            fibrillates; see fibrillate.
    """

    probabilities: ClassVar[tuple[str, ...]] = ("drop_second", "flip_second")
    amplitude: float
    beat_amplitude: float
    noise: float
    slope: float
    shift: int
    drop_second: float
    flip_second: float
    rhythm: float
    beat_shape: float
    shape: float
    dt: float
    shuffle_dt: bool
    fibrillating: int = 0

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return changed inputs of a batch; randomness comes from torch's current generator."""
        from lnn_edge.tasks.beats.augment import augment_beats

        return augment_beats(inputs, self)

    @property
    def copies(self) -> int:
        """Those that fibrillate."""
        return self.fibrillating

    def copied(
        self, front: Pipeline, classes: Sequence[str], recordings: Sequence[Prepared], seed: int
    ) -> list[Prepared]:
        """Return copies that fibrillate; see fibrillate."""
        from lnn_edge.tasks.beats.fibrillate import fibrillating

        return fibrillating(front, classes, recordings, seed)
