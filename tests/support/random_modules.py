"""Random torch modules of common layers over time, each made from its seed."""

from __future__ import annotations

from random import Random
from typing import Any

import torch
from ncps.torch import CfC
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 6
ACTIVATIONS = (functional.relu, torch.tanh, functional.silu, torch.sigmoid)


class RandomModule(nn.Module):
    """A chain over (B, C, T) with cuts, strides, skips and branches; a Linear at the end.

    Args:
        seed: Of its form and its weights.
        least: Number of layers at least.
        most: Number of layers at most.
    """

    def __init__(self, seed: int, least: int = 3, most: int = 12) -> None:
        super().__init__()
        self.rng = Random(seed)
        self.layers = nn.ModuleList()
        self.steps: list[tuple[str, tuple[Any, ...]]] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.size = CHANNELS
            for _ in range(self.rng.randint(least, most)):
                getattr(self, f"_add_{self.rng.choice(KINDS)}")()
            self.head = nn.Linear(self.size, 3)
        self.is_last = self.rng.random() < 0.3
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        z = x.transpose(1, 2)
        for kind, arguments in self.steps:
            z = getattr(self, f"_{kind}")(z, *arguments)
        y: Tensor = self.head(z.transpose(1, 2))
        return y[:, -1] if self.is_last else y

    def _take(self, kind: str, *arguments: Any) -> None:
        held = []
        for argument in arguments:
            if isinstance(argument, nn.Module):
                self.layers.append(argument)
                argument = f"layers.{len(self.layers) - 1}"
            held.append(argument)
        self.steps.append((kind, tuple(held)))

    def _layer(self, name: str) -> Any:
        return self.get_submodule(name)

    def _filters(self) -> int:
        return self.rng.choice([4, 6])

    def _add_conv(self) -> None:
        k, s, d = (self.rng.randint(1, 3) for _ in range(3))
        self._take("call", nn.Conv1d(self.size, size := self._filters(), k, s, dilation=d))
        self.size = size

    def _call(self, z: Tensor, layer: str) -> Tensor:
        return self._layer(layer)(z)  # type: ignore[no-any-return]

    def _add_causal(self) -> None:
        k, d = self.rng.randint(2, 3), self.rng.randint(1, 3)
        self._take(
            "causal", nn.Conv1d(self.size, size := self._filters(), k, dilation=d), (k - 1) * d
        )
        self.size = size

    def _causal(self, z: Tensor, layer: str, past: int) -> Tensor:
        return self._layer(layer)(functional.pad(z, (past, 0)))  # type: ignore[no-any-return]

    def _add_residual(self) -> None:
        k, d = self.rng.randint(2, 3), self.rng.randint(1, 3)
        conv = nn.Conv1d(self.size, self.size, k, dilation=d)
        self._take("residual", conv, (k - 1) * d, self.rng.random() < 0.5)

    def _residual(self, z: Tensor, layer: str, past: int, is_causal: bool) -> Tensor:
        if is_causal:
            return functional.relu(self._layer(layer)(functional.pad(z, (past, 0)))) + z
        return functional.relu(self._layer(layer)(z)) + z[..., past:]

    def _add_cut(self) -> None:
        self._take("cut", self.rng.randint(0, 3))

    def _cut(self, z: Tensor, start: int) -> Tensor:
        return z[..., start:]

    def _add_stride(self) -> None:
        self._take("stride", self.rng.randint(1, 2))

    def _stride(self, z: Tensor, step: int) -> Tensor:
        return z[..., ::step]

    def _add_pool(self) -> None:
        self._take("call", nn.AvgPool1d(self.rng.randint(2, 3), self.rng.randint(1, 2)))

    def _add_activation(self) -> None:
        self._take("activate", self.rng.randrange(len(ACTIVATIONS)))

    def _activate(self, z: Tensor, index: int) -> Tensor:
        return ACTIVATIONS[index](z)

    def _add_recurrent(self) -> None:
        size = self._filters()
        layer = self.rng.choice(
            [
                lambda: nn.GRU(self.size, size, batch_first=True),
                lambda: nn.LSTM(self.size, size, batch_first=True),
                lambda: CfC(self.size, size, backbone_units=8),
            ]
        )()
        self._take("recur", layer)
        self.size = size

    def _recur(self, z: Tensor, layer: str) -> Tensor:
        return self._layer(layer)(z.transpose(1, 2))[0].transpose(1, 2)  # type: ignore[no-any-return]

    def _add_linear(self) -> None:
        self._take("linear", nn.Linear(self.size, size := self._filters()))
        self.size = size

    def _linear(self, z: Tensor, layer: str) -> Tensor:
        return self._layer(layer)(z.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    def _add_normalized(self) -> None:
        conv = nn.Conv1d(self.size, size := self._filters(), self.rng.randint(1, 3))
        self._take("normalize", conv, nn.BatchNorm1d(size))
        self.size = size

    def _normalize(self, z: Tensor, conv: str, norm: str) -> Tensor:
        return functional.relu(self._layer(norm)(self._layer(conv)(z)))

    def _add_branches(self) -> None:
        size = self._filters()
        self._take("branch", nn.Conv1d(self.size, size, 3), nn.Conv1d(self.size, size, 5))
        self.size = 2 * size

    def _branch(self, z: Tensor, short: str, long: str) -> Tensor:
        a, b = self._layer(short)(z), self._layer(long)(z)
        return torch.cat((functional.relu(a)[..., 2:], functional.relu(b)), 1)


KINDS = (
    *("conv", "causal", "residual", "cut", "stride", "pool", "activation", "recurrent"),
    *("linear", "normalized", "branches"),
)
