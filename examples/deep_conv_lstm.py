"""DeepConvLSTM (Ordóñez and Roggen 2016) on windows of 24 frames that overlap by half.

Four convolutions of 64 filters; two LSTM of 128 units, from rest in each window.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

import lnn_edge as le
from examples.motion import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(size, 64, 5) for size in (6, 64, 64, 64))
        self.rnn, self.head = nn.LSTM(64, 128, 2, batch_first=True), nn.Linear(128, 6)

    def forward(self, x: Tensor) -> Tensor:
        z = x.transpose(1, 2)
        for conv in self.convs:
            z = functional.relu(conv(z))
        w = z.transpose(1, 2).unfold(1, 24, 12)
        y, _ = self.rnn(w.flatten(0, 1).transpose(1, 2))
        return self.head(y[:, -1]).reshape(*w.shape[:2], -1)


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="deep_conv_lstm", rate_hz=RATE_HZ)
