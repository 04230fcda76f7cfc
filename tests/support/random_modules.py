"""Random torch modules of common layers over time, each made from its seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

import lnn_edge as le
from lnn_edge.graph.qgraph import QGraph
from tests.support.signals import sines

CHANNELS = 6
ACTIVATIONS = (
    *(functional.relu, torch.tanh, functional.silu, torch.sigmoid, functional.gelu),
    *(functional.relu6, functional.leaky_relu, functional.elu, functional.hardswish),
    *(functional.hardsigmoid, functional.softplus),
)
REASONS = (
    "frame by frame",
    "must pad time alone",
    "no range was observed",
    "exist at different times",
    "lie apart in memory",
    "look beyond the newest frame",
    "frames that do not lie one by one",
    "give longer sequences",
)
"""Why a random module may be refused."""


def random_module(seed: int) -> RandomModule:
    """Return the module of a seed: one of eight reads elapsed times."""
    timed = Random(-1 - seed).random() < 1 / 8
    return (TimedRandomModule if timed else RandomModule)(seed)


def quantized(module: RandomModule) -> QGraph:
    """Return the graph of a module, calibrated with its data."""
    inputs = data_of(module)
    if isinstance(module, TimedRandomModule):
        return le.quantize(module, inputs, name="net", dt="input")
    return le.quantize(module, *inputs, name="net")


def data_of(module: RandomModule) -> tuple[np.ndarray, ...]:
    """Return (2, 120, C), and elapsed times (2, 120, 1) where the module reads them."""
    x = sines(2, 120, CHANNELS, 1)
    if not isinstance(module, TimedRandomModule):
        return (x,)
    return x, np.random.default_rng(2).uniform(0.5, 1.5, (2, 120, 1)).astype(np.float32)


def error_of(graph: QGraph, module: RandomModule) -> float:
    """Return the RMSE of the integers to forward on calibration data, relative to its span."""
    inputs = data_of(module)
    wanted = [_rows(module, *(part[i] for part in inputs)) for i in range(len(inputs[0]))]
    got = le.simulate(graph, np.concatenate(inputs, -1)[1:2])[0]
    got = got[-1:] if module.is_last else got[: len(wanted[1])]
    assert got.shape == wanted[1].shape
    return float(np.sqrt(np.mean((got - wanted[1]) ** 2)) / np.ptp(np.concatenate(wanted)))


def frames_of(graph: QGraph, module: RandomModule, seed: int) -> np.ndarray:
    """Return integer frames (80, C): a calibration sequence, then any numbers."""
    known = graph.frame.quantize(np.concatenate(data_of(module), -1)[0, :60])
    rng = np.random.default_rng(seed)
    least = [0 if i >= CHANNELS else -32768 for i in range(graph.frame.size)]
    wild = rng.integers(least, 32767, (20, graph.frame.size), endpoint=True)
    return np.concatenate((known, wild)).astype(np.int16)


def _rows(module: nn.Module, *inputs: np.ndarray) -> np.ndarray:
    """Return forward's outputs (N, K) of one sequence, several side by side."""
    with torch.no_grad():
        value: Any = module(*(torch.from_numpy(x)[None] for x in inputs))
    parts = list(value.values()) if isinstance(value, dict) else value
    parts = [parts] if isinstance(parts, Tensor) else parts
    return torch.cat([p.reshape(-1, p.shape[-1]) for p in parts], -1).double().numpy()


class RandomModule(nn.Module):
    """A chain over (B, C, T) with cuts, strides, skips, windows and branches; heads at the end.

    Args:
        seed: Of its form and its weights.
        least: Number of layers at least.
        most: Number of layers at most.
    """

    kinds: tuple[str, ...] = (
        *("conv", "causal", "residual", "cut", "stride", "pool", "activation", "recurrent"),
        *("linear", "normalized", "branches", "grouped", "affine", "product", "windows"),
    )

    def __init__(self, seed: int, least: int = 3, most: int = 12) -> None:
        super().__init__()
        self.rng = Random(seed)
        self.layers = nn.ModuleList()
        self.steps: list[tuple[str, tuple[Any, ...]]] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.size = CHANNELS
            for _ in range(self.rng.randint(least, most)):
                getattr(self, f"_add_{self.rng.choice(self.kinds)}")()
            sizes = self.rng.choice([(3,), (3,), (3,), (2, 1), (1, 4, 2)])
            self.heads = nn.ModuleList(nn.Linear(self.size, size) for size in sizes)
        self.is_last = self.rng.random() < 0.3
        self.is_named = self.rng.random() < 0.5
        self.eval()

    def forward(self, x: Tensor) -> Any:
        return self._run(x)

    def _run(self, x: Tensor, dt: Tensor | None = None) -> Any:
        self._elapsed = dt
        z = x.transpose(1, 2)
        for kind, arguments in self.steps:
            z = getattr(self, f"_{kind}")(z, *arguments)
        z = z.transpose(1, 2)
        y = [head(z) for head in self.heads]
        y = [part[:, -1] for part in y] if self.is_last else y
        if len(y) == 1:
            return y[0]
        return dict(zip("abc", y, strict=False)) if self.is_named else tuple(y)

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

    def _add_grouped(self) -> None:
        groups = self.rng.choice([2, self.size])
        k, d = self.rng.randint(1, 3), self.rng.randint(1, 2)
        form = {"dilation": d, "groups": groups, "bias": self.rng.random() < 0.5}
        self._take("call", nn.Conv1d(self.size, self.size, k, **form))

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
        form = self.rng.choice([nn.AvgPool1d, nn.MaxPool1d])
        self._take("call", form(self.rng.randint(2, 3), self.rng.randint(1, 2)))

    def _add_activation(self) -> None:
        self._take("activate", self.rng.randrange(len(ACTIVATIONS)))

    def _activate(self, z: Tensor, index: int) -> Tensor:
        return ACTIVATIONS[index](z)  # type: ignore[no-any-return]

    def _add_recurrent(self) -> None:
        makers: list[Callable[[int, int, Random], nn.Module]] = [*RECURRENT, *LIQUID]
        size = self._filters()
        self._take("recur", self.rng.choice(makers)(self.size, size, self.rng))
        self.size = size

    def _recur(self, z: Tensor, layer: str) -> Tensor:
        return self._layer(layer)(z.transpose(1, 2))[0].transpose(1, 2)  # type: ignore[no-any-return]

    def _add_linear(self) -> None:
        layer = nn.Linear(self.size, size := self._filters())
        self._take("linear", weight_norm(layer) if self.rng.random() < 0.3 else layer)
        self.size = size

    def _linear(self, z: Tensor, layer: str) -> Tensor:
        return self._layer(layer)(z.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    def _add_normalized(self) -> None:
        conv = nn.Conv1d(self.size, size := self._filters(), self.rng.randint(1, 3))
        norm = nn.BatchNorm1d(size)
        norm.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
        conv = weight_norm(conv) if self.rng.random() < 0.3 else conv
        self._take("normalize", conv, norm)
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

    def _add_affine(self) -> None:
        self._take("shift", Affine(self.size))

    def _shift(self, z: Tensor, layer: str) -> Tensor:
        affine = self._layer(layer)
        return z * affine.scale + affine.shift  # type: ignore[no-any-return]

    def _add_product(self) -> None:
        layers = (nn.Linear(self.size, self.size) for _ in range(2))
        self._take("multiply", *layers, self.rng.randrange(3))

    def _multiply(self, z: Tensor, one: str, other: str, form: int) -> Tensor:
        a, b = self._linear(z, one), self._linear(z, other)
        return (a * torch.sigmoid(b), torch.tanh(a) * b, a - torch.tanh(b))[form]

    def _add_windows(self) -> None:
        length, k = self.rng.randint(4, 8), self.rng.randint(1, 3)
        conv = nn.Conv1d(self.size, 4, k)
        head = nn.Linear(4 * (length - k + 1), size := self._filters())
        self._take("window", conv, head, length, self.rng.randint(1, length))
        self.size = size

    def _window(self, z: Tensor, conv: str, head: str, length: int, hop: int) -> Tensor:
        w = z.unfold(2, length, hop).transpose(1, 2)
        features = functional.relu(self._layer(conv)(w.flatten(0, 1))).flatten(1)
        return self._layer(head)(features).reshape(*w.shape[:2], -1).transpose(1, 2)  # type: ignore[no-any-return]


class TimedRandomModule(RandomModule):
    """Layers on each frame, and liquid ones that read elapsed times."""

    kinds = ("activation", "recurrent", "linear", "affine", "product")

    def forward(self, x: Tensor, dt: Tensor) -> Any:  # type: ignore[override]
        return self._run(x, dt)

    def _add_recurrent(self) -> None:
        size = self._filters()
        self._take("recur", self.rng.choice(LIQUID)(self.size, size, self.rng))
        self.size = size

    def _recur(self, z: Tensor, layer: str) -> Tensor:
        y, _ = self._layer(layer)(z.transpose(1, 2), timespans=self._elapsed)
        return y.transpose(1, 2)  # type: ignore[no-any-return]


class Affine(nn.Module):
    """A factor and an offset for each channel."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(size, 1).uniform_(-1.5, 1.5))
        self.shift = nn.Parameter(torch.empty(size, 1).uniform_(-0.5, 0.5))


def _backbone(rng: Random) -> dict[str, Any]:
    activation = rng.choice(["lecun_tanh", "tanh", "relu", "silu", "gelu"])
    layers = rng.randint(1, 2)
    return {"backbone_units": 8, "backbone_layers": layers, "activation": activation}


def _seed(rng: Random) -> int:
    return rng.randrange(1000)


RECURRENT: list[Callable[[int, int, Random], nn.Module]] = [
    lambda i, o, rng: nn.GRU(i, o, rng.randint(1, 2), batch_first=True),
    lambda i, o, rng: nn.LSTM(i, o, rng.randint(1, 2), batch_first=True),
    lambda i, o, rng: ncps.torch.CfC(i, o, mixed_memory=True, backbone_units=8),
    lambda i, o, rng: le.nn.CfC(i, o, mixed_memory=True, backbone_units=8),
]
LIQUID: list[Callable[[int, int, Random], nn.Module]] = [
    lambda i, o, rng: ncps.torch.CfC(i, o, mode=rng.choice(MODES), **_backbone(rng)),
    lambda i, o, rng: le.nn.CfC(i, o, mode=rng.choice(MODES), **_backbone(rng)),
    lambda i, o, rng: ncps.torch.CfC(i, ncps.wirings.AutoNCP(o + 8, o, seed=_seed(rng))),
    lambda i, o, rng: le.nn.CfC(
        i, le.nn.auto_ncp(o + 8, o, seed=_seed(rng)), mode=rng.choice(MODES)
    ),
    lambda i, o, rng: ncps.torch.LTC(i, ncps.wirings.AutoNCP(o + 8, o, seed=_seed(rng))),
    lambda i, o, rng: le.nn.LTC(i, le.nn.auto_ncp(o + 8, o, seed=_seed(rng))),
    lambda i, o, rng: le.nn.CfC(i, 8, proj_size=o, **_backbone(rng)),
]
MODES = ("default", "no_gate", "pure")
