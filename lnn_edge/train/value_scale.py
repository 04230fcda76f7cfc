"""Values are learned with mean 0 and variance 1; the last layer then says them in their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.model import AbstractRecallNet, AbstractStreamNet

_HEAD = ("head.weight", "head.bias")


@dataclass(frozen=True, eq=False)
class ValueScale:
    """value = mean + deviation * what is learned, of V values each by itself.

    Attributes:
        mean: Of the values in the training data, (V,) float64.
        deviation: Their standard deviations, (V,) float64, above 0.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, labels: Tensor, network: AbstractStreamNet) -> ValueScale:
        """Return the scale of labels.

        Args:
            labels: (D, V) float64, NaN where unknown.
            network: To be trained.

        Raises:
            DataError: All labels of a value are the same, or none is known.
            UsageError: The last layer of the network is not linear.
        """
        if not isinstance(network, AbstractRecallNet):
            raise UsageError(
                f"{type(network).__name__} has no linear last layer, which a value needs; take "
                "har-cfc or har-convlstm-cfc"
            )
        known = [column[torch.isfinite(column)] for column in labels.T]
        for name, column in zip(network.classes, known, strict=True):
            if not len(column):
                raise DataError(f"nothing has a label of {name}; there is nothing to learn")
            if not column.min() < column.max():
                raise DataError(
                    f"every label of {name} is {float(column[0]):g}; there is nothing to learn"
                )
        return cls(
            torch.stack([column.mean() for column in known]),
            torch.stack([column.std(correction=0) for column in known]),
        )

    def learned(self, labels: Tensor) -> Tensor:
        """Return labels (..., V) as they are learned, float32."""
        return ((labels - self.mean) / self.deviation).float()

    def said(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of a network that says values in their units."""
        weight, bias = (weights[key] for key in _HEAD)
        mean, deviation = self.mean.to(bias), self.deviation.to(bias)
        return {**weights, _HEAD[0]: weight * deviation[:, None], _HEAD[1]: bias * deviation + mean}
