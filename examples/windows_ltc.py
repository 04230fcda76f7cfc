"""Images of windows through Conv2d to an LTC with an NCP wiring, a decision every 16 frames."""

from __future__ import annotations

import torch
from ncps.torch import LTC
from ncps.wirings import AutoNCP
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images = nn.Sequential(
            nn.Conv2d(1, 8, (5, 2), stride=(2, 1)), nn.ReLU(), nn.MaxPool2d((2, 1)), nn.Flatten()
        )
        self.embed, self.rnn = nn.Linear(8 * 15, 64), LTC(64, AutoNCP(32, 4, seed=1))

    def forward(self, x: Tensor) -> Tensor:
        w = x.unfold(1, 64, 16)
        z = self.images(w.flatten(0, 1).transpose(1, 2).unsqueeze(1))
        e = torch.tanh(self.embed(z)).reshape(w.shape[0], w.shape[1], -1)
        y, _ = self.rnn(e)
        return y


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="windows_ltc", rate_hz=RATE_HZ)
