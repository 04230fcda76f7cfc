"""A CfC and a Linear layer of one's own, a decision at every frame."""

from __future__ import annotations

from ncps.torch import CfC
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = CfC(2, 48, backbone_units=48), nn.Linear(48, 4)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.rnn(x)
        return self.head(y)


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="own_cfc", rate_hz=RATE_HZ)
