"""Samples at irregular times: the elapsed time is an input, the last channel of a frame."""

from __future__ import annotations

import numpy as np
from ncps.torch import CfC
from torch import Tensor, nn

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = CfC(2, 48, backbone_units=48), nn.Linear(48, 2)

    def forward(self, x: Tensor, dt: Tensor) -> Tensor:
        y, _ = self.rnn(x, timespans=dt)
        return self.head(y)


def make() -> tuple[nn.Module, le.QGraph]:
    x, rng = sequences(), np.random.default_rng(0)
    kept = np.sort(rng.permuted(np.tile(np.arange(300), (len(x), 1)), axis=1)[:, :200], axis=1)
    dt = np.diff(kept, axis=1, prepend=kept[:, :1] - 1)[..., None] / RATE_HZ
    x = np.take_along_axis(x, kept[..., None], axis=1)
    net = Net()
    return net, le.quantize(net, (x, dt), name="irregular_time", dt="input")
