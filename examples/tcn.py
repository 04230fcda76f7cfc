"""A causal TCN: six dilated residual blocks, a decision at every frame."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

import lnn_edge as le
from examples.ecg import RATE_HZ, sequences


class Block(nn.Module):
    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.conv = nn.Conv1d(size, size, 3, dilation=dilation)

    def forward(self, z: Tensor) -> Tensor:
        return functional.relu(self.conv(functional.pad(z, (self.past, 0)))) + z


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.head = nn.Linear(2, 24), nn.Linear(24, 4)
        self.blocks = nn.Sequential(*(Block(24, 2**i) for i in range(6)))

    def forward(self, x: Tensor) -> Tensor:
        z = self.enter(x).transpose(1, 2)
        return self.head(self.blocks(z).transpose(1, 2))


def make() -> tuple[nn.Module, le.QGraph]:
    net = Net()
    return net, le.quantize(net, sequences(), name="tcn", rate_hz=RATE_HZ)
