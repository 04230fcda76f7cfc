"""A value is learned with mean 0 and variance 1; the last layer then says it in its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.model import AbstractRecallNet, AbstractStreamNet

_HEAD = ("head.weight", "head.bias")


@dataclass(frozen=True)
class ValueScale:
    """value = mean + deviation * what is learned.

    Attributes:
        mean: Of the values in the training data.
        deviation: Their standard deviation, above 0.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, labels: Tensor, network: AbstractStreamNet) -> ValueScale:
        """Return the scale of labels.

        Args:
            labels: (D,) float64, NaN where unknown; at least one is known.
            network: To be trained.

        Raises:
            DataError: All values are the same.
            UsageError: The last layer of the network is not linear.
        """
        if not isinstance(network, AbstractRecallNet):
            raise UsageError(
                f"{type(network).__name__} has no linear last layer, which a value needs; take "
                "har-cfc or har-convlstm-cfc"
            )
        known = labels[torch.isfinite(labels)]
        mean, deviation = float(known.mean()), float(known.std(correction=0))
        if not deviation > 0:
            raise DataError(f"every label is {mean:g}; there is nothing to learn")
        return cls(mean, deviation)

    def learned(self, labels: Tensor) -> Tensor:
        """Return labels as they are learned, float32."""
        return ((labels - self.mean) / self.deviation).float()

    def said(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of a network that says values in their unit."""
        weight, bias = (weights[key] * self.deviation for key in _HEAD)
        return {**weights, _HEAD[0]: weight, _HEAD[1]: bias + self.mean}
