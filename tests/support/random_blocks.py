"""Random networks of convolutions over windows: residual, gated and branching ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, FRAMES, HOP = 3, 16, 8
Block = Callable[[Any, Tensor, str], Tensor]


def _residual(s: Any, z: Tensor, conv: str) -> Tensor:
    y: Tensor = s.layer(conv)(z)
    y += z  # as torchvision writes it
    return s.relu(y)  # type: ignore[no-any-return]


def _before(s: Any, z: Tensor, conv: str) -> Tensor:
    a = s.layer(conv)(s.relu(z))  # which writes into z
    return a - z  # type: ignore[no-any-return]


def _weighted(s: Any, z: Tensor, conv: str) -> Tensor:
    y = s.layer(conv)(z)
    over = tuple(range(2, z.ndim))
    return y * torch.sigmoid(y.mean(over, keepdim=True))  # type: ignore[no-any-return]


def _gated(s: Any, z: Tensor, conv: str) -> Tensor:
    return z * torch.sigmoid(s.layer(conv)(z))


def _branches(s: Any, z: Tensor, conv: str) -> Tensor:
    return torch.cat((functional.relu(s.layer(conv)(z)), torch.tanh(z)), dim=1)


def _plain(s: Any, z: Tensor, conv: str) -> Tensor:
    return functional.silu(s.layer(conv)(z))


BLOCKS: tuple[Block, ...] = (_residual, _before, _weighted, _gated, _branches, _plain)
ENDS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda z: z.flatten(1),
    lambda z: z.mean(tuple(range(2, z.ndim))),
    lambda z: z.amax(tuple(range(2, z.ndim))),
    lambda z: torch.cat((z.mean(tuple(range(2, z.ndim))), z.amax(tuple(range(2, z.ndim)))), -1),
)


class RandomBlocks(nn.Module):
    """A convolution, one to four blocks, an end and a head, on windows or on images of them.

    Args:
        seed: Of its form and its weights.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = Random(seed)
        self.is_image = rng.random() < 0.3
        form: Any = nn.Conv2d if self.is_image else nn.Conv1d
        self.relu, self.layers, self.blocks = nn.ReLU(inplace=True), nn.ModuleList(), list[Block]()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            size = rng.choice([2, 4])
            self.first = form(1 if self.is_image else CHANNELS, size, 3, padding=1)
            for _ in range(rng.randint(1, 4)):
                block = rng.choice(BLOCKS)
                width = 2 if block is _branches else size
                self.layers.append(form(size, width, rng.choice([1, 3]), padding="same"))
                size = size + width if block is _branches else width
                self.blocks.append(block)
            self.end = rng.choice(ENDS)
            features = self.end(torch.zeros(1, size, FRAMES, *[CHANNELS] * self.is_image)).numel()
            self.head = nn.Linear(features, 3)
        self.eval()

    def layer(self, number: str) -> nn.Module:
        """Return the convolution of a block."""
        return self.layers[int(number)]

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B, 3) of windows (B, FRAMES, CHANNELS)."""
        z = self.first(x.unsqueeze(1) if self.is_image else x.transpose(1, 2))
        for number, block in enumerate(self.blocks):
            z = block(self, z, str(number))
        return self.head(self.end(z))  # type: ignore[no-any-return]
