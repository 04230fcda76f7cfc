"""Strided convolutions with batch norm in front of a wired CfC."""

from __future__ import annotations

from ncps.torch import CfC
from ncps.wirings import AutoNCP
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(2, 24, 7, stride=2),
            nn.BatchNorm1d(24),
            nn.ReLU(),
            nn.Conv1d(24, 48, 5, stride=2),
            nn.BatchNorm1d(48),
            nn.ReLU(),
        )
        self.rnn, self.head = CfC(48, AutoNCP(48, 8, seed=1)), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.features(x.transpose(1, 2)).transpose(1, 2)
        y, _ = self.rnn(z)
        return self.head(y)


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="conv_wired_cfc", rate_hz=RATE_HZ)
