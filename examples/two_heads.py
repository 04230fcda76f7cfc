"""Two outputs with scales of their own: scores of a class, and a value."""

from __future__ import annotations

from ncps.torch import CfC
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences

CLASSES = ("N", "S", "V", "F")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 16, 5, stride=2)
        self.rnn = CfC(16, 48, backbone_units=40)
        self.beat, self.rate = nn.Linear(48, len(CLASSES)), nn.Linear(48, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = self.conv(x.transpose(1, 2)).relu().transpose(1, 2)
        y, _ = self.rnn(z)
        return {"beat": self.beat(y), "rate": self.rate(y)}


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    graph = le.quantize(net, sequences(), name="two_heads", rate_hz=RATE_HZ, classes=CLASSES)
    return net, graph
