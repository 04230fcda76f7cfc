"""Two CfC, the second with a residual connection around it."""

from __future__ import annotations

from ncps.torch import CfC
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = CfC(2, 32, backbone_units=40)
        self.second = CfC(32, 32, backbone_units=40)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        u, _ = self.first(x)
        v, _ = self.second(u)
        return self.head(u + v)


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="stacked_cfc", rate_hz=RATE_HZ)
