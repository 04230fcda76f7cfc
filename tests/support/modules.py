"""Networks as a user writes them; nothing here knows of lnn-edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ncps.torch import LTC, CfC
from ncps.wirings import AutoNCP
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 6
Forward = Callable[[Any, Tensor], Any]


class Net(nn.Module):
    """forward is a function of the module and x."""

    def __init__(self, function: Forward, **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class TimedCfc(nn.Module):
    """Elapsed time is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = CfC(3, 16, backbone_units=24), nn.Linear(16, 2)
        self.eval()

    def forward(self, x: Tensor, dt: Tensor) -> Tensor:
        y, _ = self.rnn(x, timespans=dt)
        return self.head(y)  # type: ignore[no-any-return]


def _wired(s: Any, x: Tensor) -> Tensor:
    z = functional.relu(s.norm1(s.conv1(x.transpose(1, 2))))
    z = functional.relu(s.norm2(s.conv2(z)))
    return s.head(s.rnn(z.transpose(1, 2))[0])


def _stacked(s: Any, x: Tensor) -> Tensor:
    u, _ = s.a(x)
    v, _ = s.b(u)
    return s.head(u + v)


def _last_of_lstm(s: Any, x: Tensor) -> Tensor:
    _, (h, _) = s.rnn(x)
    return s.head(h[-1])


def _windows(s: Any, x: Tensor) -> Tensor:
    w = x.unfold(1, 32, 8)
    n = w.shape[:2]
    z = w.flatten(0, 1).transpose(1, 2).unsqueeze(1)
    z = functional.relu(s.conv2(functional.relu(s.conv1(z))))
    z = torch.tanh(s.embed(z.flatten(1))).reshape(*n, -1)
    return s.rnn(z)[0]


def _two_heads(s: Any, x: Tensor) -> dict[str, Tensor]:
    z = functional.relu(s.conv(x.mT)).mT
    y, _ = s.rnn(z)
    return {"kind": s.kind(y), "rate": s.rate(y)}


def _tcn(s: Any, x: Tensor) -> Tensor:
    z = s.enter(x).transpose(1, 2)
    y = functional.relu(s.c1(functional.pad(z, (2, 0))))
    y = functional.relu(s.c2(y)[..., :-4])
    return s.head((y + z).transpose(1, 2))


def _steps_of_steps(s: Any, x: Tensor) -> Tensor:
    z = x.mT[..., ::2][..., 1:-1][..., ::3]
    return s.head(functional.relu(s.conv(z))[..., 1::2].mT)


def _skip_by_matrix(s: Any, x: Tensor) -> Tensor:
    z = functional.relu(s.c1(x.mT)[..., :-2])
    z = functional.relu(s.c2(z)[..., :-4])
    return s.head((z + torch.tanh(s.skip(x.mT))).mT)


def _two_lengths(s: Any, x: Tensor) -> Tensor:
    z = x.transpose(1, 2)
    short = functional.relu(s.short(z))[..., 2:]
    y = torch.cat((short, functional.relu(s.long(z)), z[..., 4:]), 1)
    return s.head(y.transpose(1, 2))


def _pooled(s: Any, x: Tensor) -> Tensor:
    z = torch.tanh(s.conv(s.pool(x.transpose(1, 2))))
    y, _ = s.rnn(z.transpose(1, 2)[:, ::2])
    return s.head(y[:, -1])


def _at_rest(s: Any, x: Tensor) -> Tensor:
    w = x.unfold(1, 32, 16)
    n = w.shape[:2]
    e = functional.relu(s.dense(functional.relu(s.conv(w.flatten(0, 1))).flatten(1)))
    return s.rnn(e.unsqueeze(1))[0][:, 0].reshape(*n, -1)


def _mean_of_windows(s: Any, x: Tensor) -> Tensor:
    z = functional.relu(s.conv(x.unfold(1, 24, 8).flatten(0, 1)))
    return s.head(z.mean(-1)).reshape(x.shape[0], -1, 3)


def _in_windows(length: int, features: Forward) -> Forward:
    """Return forward of a head behind features of windows (B, C, L) -> (B, K)."""

    def forward(s: Any, x: Tensor) -> Tensor:
        w = x.unfold(1, length, 8).flatten(0, 1)
        return s.head(features(s, w)).reshape(x.shape[0], -1, s.head.out_features)

    return forward


def _of_image(s: Any, w: Tensor) -> Tensor:
    z = functional.relu6(s.depth(s.conv(w.transpose(1, 2).unsqueeze(1))))
    return s.mean(s.pool(functional.relu(s.point(z)))).flatten(1)


def _blocks(s: Any, w: Tensor) -> Tensor:
    a = s.first(w)
    b = s.second(s.relu(a)) + a  # the ReLU writes into a
    c = b * torch.sigmoid(s.weight(b.mean(-1))).unsqueeze(-1)
    d = functional.relu(s.mix(torch.cat((c, torch.tanh(s.wide(w))), 1)))
    return torch.cat((d.mean(-1), d.amax(-1), functional.adaptive_avg_pool1d(c, 1).flatten(1)), 1)


def _image_blocks(s: Any, w: Tensor) -> Tensor:
    a = functional.relu(s.first(w.transpose(1, 2).unsqueeze(1)))
    b = torch.sub(s.second(a), a)
    c = torch.cat((functional.relu(b), a), dim=1)
    return torch.cat((c.mean((2, 3)), s.most(s.last(c)).flatten(1)), -1)


def _recurrent(s: Any, x: Tensor) -> Tensor:
    return s.head(s.rnn(x)[0])


def _with_buffer(function: Forward, **layers: nn.Module) -> Net:
    net = Net(function, **layers)
    net.register_buffer("by", torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, -6.0]))
    return net


def _cfc(outputs: int = 3, **form: Any) -> Net:
    size = form.pop("units", 12)
    return Net(_recurrent, rnn=CfC(CHANNELS, size, **form), head=nn.Linear(size, outputs))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "cfc": lambda: _cfc(4, units=24, backbone_units=32),
    "conv_wired": lambda: Net(
        _wired,
        conv1=nn.Conv1d(6, 12, 5, stride=2),
        norm1=nn.BatchNorm1d(12),
        conv2=nn.Conv1d(12, 16, 3, stride=2),
        norm2=nn.BatchNorm1d(16),
        rnn=CfC(16, AutoNCP(20, 5, seed=1)),
        head=nn.Linear(5, 4),
    ),
    "stacked": lambda: Net(
        _stacked,
        a=CfC(6, 16, backbone_units=24),
        b=CfC(16, 16, backbone_units=24),
        head=nn.Linear(16, 4),
    ),
    "lstm2": lambda: Net(
        _last_of_lstm, rnn=nn.LSTM(6, 16, 2, batch_first=True), head=nn.Linear(16, 4)
    ),
    "gru": lambda: Net(
        lambda s, x: s.head(s.rnn(x)[0][:, -1]),
        rnn=nn.GRU(6, 16, batch_first=True),
        head=nn.Linear(16, 4),
    ),
    "window_ltc": lambda: Net(
        _windows,
        conv1=nn.Conv2d(1, 4, (5, 3), (2, 1)),
        conv2=nn.Conv2d(4, 8, (5, 3), (2, 1)),
        embed=nn.Linear(80, 12),
        rnn=LTC(12, AutoNCP(16, 4, seed=2)),
    ),
    "two_heads": lambda: Net(
        _two_heads,
        conv=nn.Conv1d(6, 8, 3),
        rnn=CfC(8, 16, backbone_units=24),
        kind=nn.Linear(16, 4),
        rate=nn.Linear(16, 1),
    ),
    "tcn": lambda: Net(
        _tcn,
        enter=nn.Linear(6, 8),
        c1=nn.Conv1d(8, 8, 3),
        c2=nn.Conv1d(8, 8, 3, dilation=2, padding=4),
        head=nn.Linear(8, 4),
    ),
    "steps_of_steps": lambda: Net(_steps_of_steps, conv=nn.Conv1d(6, 8, 2), head=nn.Linear(8, 3)),
    "skip_by_matrix": lambda: Net(
        _skip_by_matrix,
        c1=nn.Conv1d(6, 8, 3, padding=2),
        c2=nn.Conv1d(8, 8, 3, padding=4, dilation=2),
        skip=nn.Conv1d(6, 8, 1),
        head=nn.Linear(8, 3),
    ),
    "two_lengths": lambda: Net(
        _two_lengths,
        short=nn.Conv1d(6, 8, 3),
        long=nn.Conv1d(6, 8, 5),
        head=nn.Linear(22, 4),
    ),
    "pooled": lambda: Net(
        _pooled,
        pool=nn.AvgPool1d(4, 2),
        conv=nn.Conv1d(6, 8, 3),
        rnn=nn.GRU(8, 12, batch_first=True),
        head=nn.Linear(12, 4),
    ),
    "at_rest": lambda: Net(
        _at_rest,
        conv=nn.Conv1d(6, 8, 5, 2),
        dense=nn.Linear(112, 12),
        rnn=CfC(12, AutoNCP(16, 4, seed=3)),
    ),
    "mean_of_windows": lambda: Net(_mean_of_windows, conv=nn.Conv1d(6, 8, 5), head=nn.Linear(8, 3)),
    "mixed_memory": lambda: _cfc(mixed_memory=True, backbone_units=16),
    "no_gate": lambda: _cfc(
        mode="no_gate", activation="silu", backbone_layers=2, backbone_units=16
    ),
    "pure": lambda: _cfc(mode="pure", backbone_units=16),
    "projected": lambda: Net(
        lambda s, x: s.rnn(x)[0], rnn=CfC(6, 12, proj_size=3, backbone_units=16)
    ),
    "state": lambda: Net(
        lambda s, x: s.head(s.rnn(x)[1]), rnn=CfC(6, 12, backbone_units=16), head=nn.Linear(12, 3)
    ),
    "last_step": lambda: _cfc(return_sequences=False, backbone_units=16),
    "ltc": lambda: Net(_recurrent, rnn=LTC(6, 8), head=nn.Linear(8, 3)),
    "gru2_without_bias": lambda: Net(
        _recurrent, rnn=nn.GRU(6, 10, 2, bias=False, batch_first=True), head=nn.Linear(10, 3)
    ),
    "gelu": lambda: Net(
        lambda s, x: s.b(functional.gelu(s.a(x))), a=nn.Linear(6, 16), b=nn.Linear(16, 3)
    ),
    "gated": lambda: Net(
        lambda s, x: s.head(torch.tanh(s.a(x)) * torch.sigmoid(s.b(x))),
        a=nn.Linear(6, 8),
        b=nn.Linear(6, 8),
        head=nn.Linear(8, 3),
    ),
    "depthwise": lambda: Net(
        lambda s, x: s.head(functional.relu(s.point(s.depth(x.mT))).mT),
        depth=nn.Conv1d(6, 6, 5, groups=6),
        point=nn.Conv1d(6, 8, 1),
        head=nn.Linear(8, 3),
    ),
    "grouped_points": lambda: Net(
        lambda s, x: s.head(functional.relu(s.halves(s.single(x.mT))).mT),
        single=nn.Conv1d(6, 6, 1, groups=6),
        halves=nn.Conv1d(6, 8, 1, groups=2),
        head=nn.Linear(8, 3),
    ),
    "residual_stride": lambda: Net(
        lambda s, x: s.head(functional.relu(s.conv(x.mT) + s.skip(x.mT[..., 2:-2])).mT),
        conv=nn.Conv1d(6, 8, 5, 2),
        skip=nn.Conv1d(6, 8, 1, 2),
        head=nn.Linear(8, 3),
    ),
    "two_rates": lambda: Net(
        lambda s, x: s.head(s.b(functional.relu(s.conv(s.a(x)[0].mT)).mT)[0]),
        a=CfC(6, 8, backbone_units=12),
        conv=nn.Conv1d(8, 8, 4, 4),
        b=CfC(8, 8, backbone_units=12),
        head=nn.Linear(8, 3),
    ),
    "max_pool": lambda: Net(
        lambda s, x: s.head(s.pool(functional.relu(s.conv(x.mT))).mT),
        conv=nn.Conv1d(6, 8, 3),
        pool=nn.MaxPool1d(3, 2),
        head=nn.Linear(8, 3),
    ),
    "pools_in_a_row": lambda: Net(
        lambda s, x: s.head(s.mean(s.least(s.most(functional.relu(s.conv(x.mT))))).mT),
        conv=nn.Conv1d(6, 8, 3),
        most=nn.MaxPool1d(2),
        least=nn.MaxPool1d(3, 2),
        mean=nn.AvgPool1d(2),
        head=nn.Linear(8, 3),
    ),
    "max_pool_in_windows": lambda: Net(
        _in_windows(24, lambda s, w: s.pool(functional.relu(s.conv(w))).flatten(1)),
        conv=nn.Conv1d(6, 8, 5, padding=2),
        pool=nn.MaxPool1d(4, 2, padding=1),
        head=nn.Linear(8 * 12, 3),
    ),
    "dilated_in_windows": lambda: Net(
        _in_windows(24, lambda s, w: functional.relu(s.conv(w)).flatten(1)),
        conv=nn.Conv1d(6, 6, 3, dilation=2, groups=2),
        head=nn.Linear(6 * 20, 3),
    ),
    "images": lambda: Net(
        _in_windows(16, _of_image),
        conv=nn.Conv2d(1, 4, 3, 1, 1),
        depth=nn.Conv2d(4, 4, 3, 1, 1, groups=4),
        point=nn.Conv2d(4, 8, 1),
        pool=nn.MaxPool2d(2),
        mean=nn.AvgPool2d((2, 3)),
        head=nn.Linear(8 * 4, 3),
    ),
    "blocks": lambda: Net(
        _in_windows(24, _blocks),
        first=nn.Conv1d(6, 8, 3, padding=1),
        relu=nn.ReLU(inplace=True),
        second=nn.Conv1d(8, 8, 3, padding=1),
        weight=nn.Linear(8, 8),
        wide=nn.Conv1d(6, 4, 5, padding=2),
        mix=nn.Conv1d(12, 7, 3),
        head=nn.Linear(22, 3),
    ),
    "image_blocks": lambda: Net(
        _in_windows(16, _image_blocks),
        first=nn.Conv2d(1, 4, 3, 1, 1),
        second=nn.Conv2d(4, 4, 3, 1, 1),
        last=nn.Conv2d(8, 5, 3),
        most=nn.AdaptiveMaxPool2d(1),
        head=nn.Linear(13, 3),
    ),
    "parts_of_a_vector": lambda: Net(
        lambda s, x: s.head((lambda a, b, c: a * torch.sigmoid(b) + c)(*s.a(x).chunk(3, -1))),
        a=nn.Linear(6, 24),
        head=nn.Linear(8, 3),
    ),
    "written_in_place": lambda: Net(
        lambda s, x: s.head((lambda a: s.elu(a).mul_(0.5).add_(s.b(x)) + a)(s.a(x))),
        a=nn.Linear(6, 8),
        elu=nn.ELU(inplace=True),
        b=nn.Linear(6, 8),
        head=nn.Linear(8, 3),
    ),
    "norm_first": lambda: Net(
        lambda s, x: s.head(torch.tanh(s.a(s.norm(x.mT).mT))),
        norm=nn.BatchNorm1d(6),
        a=nn.Linear(6, 8),
        head=nn.Linear(8, 3),
    ),
    "constants": lambda: _with_buffer(
        lambda s, x: s.head(1.0 - 0.5 * torch.tanh(s.a((x - 0.25) / 0.5)) + -(x / s.by) + 0.125),
        a=nn.Linear(6, 6),
        head=nn.Linear(6, 3),
    ),
    "product": lambda: Net(
        lambda s, x: s.head(s.a(x) * torch.tanh(s.b(x)) - s.c(x)),
        a=nn.Linear(6, 8),
        b=nn.Linear(6, 8),
        c=nn.Linear(6, 8),
        head=nn.Linear(8, 3),
    ),
    "activations": lambda: Net(
        lambda s, x: s.head(
            functional.hardswish(s.a(x))
            + functional.leaky_relu(s.b(x))
            + functional.elu(s.c(x))
            + functional.softplus(s.d(x)) * functional.hardsigmoid(s.e(x))
        ),
        a=nn.Linear(6, 8),
        b=nn.Linear(6, 8),
        c=nn.Linear(6, 8),
        d=nn.Linear(6, 8),
        e=nn.Linear(6, 8),
        head=nn.Linear(8, 3),
    ),
    "weight_norm": lambda: Net(
        lambda s, x: s.head(torch.tanh(s.a(x))),
        a=nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)),
        head=nn.Linear(8, 3),
    ),
    "softmax": lambda: Net(
        lambda s, x: torch.softmax(s.head(s.rnn(x)[0]), -1),
        rnn=nn.GRU(6, 10, batch_first=True),
        head=nn.Linear(10, 3),
    ),
}


def make_module(name: str) -> nn.Module:
    """Return a network with the same weights every time, batch norms that have seen data."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MODULES[name]()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
                layer.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return module.eval()
