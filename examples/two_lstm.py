"""Two LSTM layers; forward gives the last step alone, the device one at every frame."""

from __future__ import annotations

from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(2, 32, num_layers=2, batch_first=True)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        _, (h, _) = self.rnn(x)
        return self.head(h[-1])


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="two_lstm", rate_hz=RATE_HZ)
