"""How much motion is changed at random: the table [augmentation]. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn_edge.tasks.augmentation import AbstractAugmentation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MotionAugmentation(AbstractAugmentation):
    """Random changes of windows of motion, or of what is measured of them; standard deviations.

    Attributes:
        rotation: Angle per sequence about a random axis, of all sensors, in radians. Of what is
            measured only means turn.
        amplitude: Log gain per sequence and channel; of a spectrum also per band.
        offset: Constant per sequence and channel, in the channel's unit.
        noise: White noise, in the channel's unit; of what is measured, in its own.
    """

    rotation: float
    amplitude: float
    offset: float
    noise: float

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return changed inputs of a batch; randomness comes from torch's current generator."""
        from lnn_edge.tasks.activity.augment import augment_measured, augment_motion

        if "window" not in inputs:
            return augment_measured(inputs, self)
        return {"window": augment_motion(inputs["window"], self)}
