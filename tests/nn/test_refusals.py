"""What a user may write that no device can do: one sentence with the line and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ncps.torch import CfC, CfCCell
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import LayerError, LnnEdgeError
from lnn_edge.quantize.module import quantize_module
from tests.support.modules import Net
from tests.support.signals import sines

X = sines(3, 60, 6, 1) + 0.3


def loop(s: Any, x: Tensor) -> Tensor:
    h, outputs = x.new_zeros(x.shape[0], 6), []
    for t in range(x.shape[1]):
        h, _ = s.cell(x[:, t], h, 1.0)
        outputs.append(h)
    return s.head(torch.stack(outputs, 1))


def steps_first(s: Any, x: Tensor) -> Tensor:
    w = x.unfold(1, 8, 4)
    y = s.rnn(w.flatten(0, 1).permute(2, 0, 1))[0]
    return s.head(y[-1]).reshape(*w.shape[:2], -1)


def far_skip(s: Any, x: Tensor) -> Tensor:
    z = x.mT[..., ::2]
    y = functional.relu(s.c2(functional.relu(s.c1(z))[..., ::2]))
    return s.head((y + z[..., 4 : 4 + y.shape[2]]).mT)


def windows(x: Tensor) -> Tensor:
    return x.unfold(1, 6, 3).flatten(0, 1)


CASES: dict[str, tuple[Callable[[Any, Tensor], Any], str, dict[str, Callable[[], nn.Module]]]] = {
    "mean_of_record": (lambda s, x: s.head(x.mean(1)), "has no end on a device", {}),
    "centred": (
        lambda s, x: s.head(x - x.mean(1, keepdim=True)),
        "has no end on a device",
        {},
    ),
    "flip": (lambda s, x: s.head(x.flip(1)), "frame by frame", {}),
    "roll": (lambda s, x: s.head(x.roll(1, 1)), "frame by frame", {}),
    "cumsum": (lambda s, x: s.head(x.cumsum(1)), "frame by frame", {}),
    "softmax_of_time": (lambda s, x: s.head(torch.softmax(x, 1) * x), "frame by frame", {}),
    "same": (
        lambda s, x: s.head(s.conv(x.mT).mT),
        "looks into the future.*F.pad\\(x, \\(2, 0\\)\\)",
        {"conv": lambda: nn.Conv1d(6, 6, 3, padding=1)},
    ),
    "padded_on_both_sides": (
        lambda s, x: s.head(s.conv(functional.pad(x.mT, (2, 2))).mT),
        "only before the first frame",
        {"conv": lambda: nn.Conv1d(6, 6, 5)},
    ),
    "loop": (loop, "a loop over time", {"cell": lambda: CfCCell(6, 6)}),
    "branch": (lambda s, x: s.head(x) if x.sum() > 0 else s.head(-x), "a branch on values", {}),
    "bidirectional": (
        lambda s, x: s.head(s.rnn(x)[0][..., :6]),
        "layer rnn \\(LSTM\\): bidirectional=True reads the future",
        {"rnn": lambda: nn.LSTM(6, 6, batch_first=True, bidirectional=True)},
    ),
    "time_first": (
        lambda s, x: s.head(s.rnn(x)[0]),
        "batch_first=True",
        {"rnn": lambda: nn.GRU(6, 6)},
    ),
    "attention": (
        lambda s, x: s.head(s.att(x, x, x)[0]),
        "frame by frame|has no operator",
        {"att": lambda: nn.MultiheadAttention(6, 2, batch_first=True)},
    ),
    "layer_norm": (
        lambda s, x: s.head(s.norm(x)),
        "LayerNorm has no operator on the device; known layers are .*Conv1d",
        {"norm": lambda: nn.LayerNorm(6)},
    ),
    "flat_record": (
        lambda s, x: s.lin(x.flatten(1)),
        "forward works for 60 frames only: give hop=",
        {"lin": lambda: nn.Linear(360, 2)},
    ),
    "middle": (lambda s, x: s.head(x[:, 10]), "step 10 of a sequence.*\\[:, -1\\]", {}),
    "first": (lambda s, x: s.head(x[:, 0]), "step 0 of a sequence", {}),
    "given_state": (
        lambda s, x: s.head(s.rnn(x, torch.zeros(1, 6))[0]),
        "a device starts from zeros",
        {"rnn": lambda: CfC(6, 6)},
    ),
    "steps_first": (
        steps_first,
        "windows, steps, features.* not windows along axis 1",
        {"rnn": lambda: CfC(6, 6)},
    ),
    "skip_of_frames": (
        lambda s, x: s.head(s.conv(functional.pad(x.mT, (2, 0))).mT + s.lin(x)),
        "joins .* which exist at different times",
        {"conv": lambda: nn.Conv1d(6, 6, 3), "lin": lambda: nn.Linear(6, 6)},
    ),
    "other_rates": (
        far_skip,
        "exist at different times|frame by frame|batch axis|must start at 0",
        {"c1": lambda: nn.Conv1d(6, 6, 3), "c2": lambda: nn.Conv1d(6, 6, 3)},
    ),
    "two_rates": (
        lambda s, x: (s.head(x), s.head(s.conv(x.mT).mT)),
        "outputs come at different rates",
        {"conv": lambda: nn.Conv1d(6, 6, 3, 2)},
    ),
    "over_the_batch": (
        lambda s, x: s.head(x - x.mean(0, keepdim=True)),
        "has no batch axis",
        {},
    ),
    "norm_of_time": (lambda s, x: s.head(functional.normalize(x, dim=1)), "frame by frame", {}),
    "beginning": (lambda s, x: s.head(x[:, -5:]), "must start at 0 or later", {}),
    "leaky": (
        lambda s, x: s.head(functional.leaky_relu(s.lin(x), 0.2)),
        "negative_slope must be 0.01 on a device, not 0.2",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "circular": (
        lambda s, x: s.head(
            functional.relu(s.conv(x.unfold(1, 8, 4).flatten(0, 1))).flatten(1)
        ).reshape(x.shape[0], -1, 2),
        "padding_mode 'circular' has no operator",
        {
            "conv": lambda: nn.Conv1d(6, 6, 3, padding=1, padding_mode="circular"),
            "head": lambda: nn.Linear(48, 2),
        },
    ),
    "short": (
        lambda s, x: s.head(x.unfold(1, 80, 8).mean(-1)),
        r"x\.unfold\(1, 80, 8\).*: forward fails on the calibration data .*give longer sequences",
        {},
    ),
    "channels": (
        lambda s, x: s.head(s.lin(x)),
        "forward fails on the calibration data .*of the channels that it reads",
        {"lin": lambda: nn.Linear(4, 6)},
    ),
    "divided": (lambda s, x: s.head(x) / s.head(x), "divides by a value; a constant other", {}),
    "elman": (
        lambda s, x: s.head(s.rnn(x)[0]),
        "layer rnn \\(RNN\\): its cell is not known here; take nn.GRU",
        {"rnn": lambda: nn.RNN(6, 6, batch_first=True)},
    ),
    "projected": (
        lambda s, x: s.head(s.rnn(x)[0]),
        "put an nn.Linear behind the layer",
        {"rnn": lambda: nn.LSTM(6, 8, proj_size=6, batch_first=True)},
    ),
    "group_norm": (
        lambda s, x: s.head(s.norm(x.mT).mT),
        "frame by frame",
        {"norm": lambda: nn.GroupNorm(2, 6)},
    ),
    "encoder": (
        lambda s, x: s.head(s.layer(x)),
        "frame by frame",
        {"layer": lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)},
    ),
    "upsampled": (
        lambda s, x: s.head(functional.interpolate(x.mT, scale_factor=2).mT),
        "60 outputs frame by frame, forward gives 120",
        {},
    ),
    "largest": (lambda s, x: s.head(x.max(1)[0]), "has no end on a device", {}),
    "comparison": (lambda s, x: s.head(torch.where(x > 0, x, -x)), "has no operator", {}),
    "softmax_inside": (lambda s, x: s.head(torch.softmax(x, -1)), "softmax has no operator", {}),
    "replicated": (
        lambda s, x: s.head(functional.pad(x.mT, (2, 0), mode="replicate").mT),
        "only before the first frame, as in F.pad\\(x, \\(k - 1, 0\\)\\)",
        {},
    ),
    "noise": (lambda s, x: s.head(x + torch.randn_like(x)), "differ from forward", {}),
    "number": (lambda s, x: 3.0, "forward returns something else than tensors", {}),
    "nothing": (lambda s, x: None, "forward returns something else than tensors", {}),
    "mean_of_channels": (
        lambda s, x: s.head(windows(x).mean(1)).reshape(x.shape[0], -1, 2),
        "must be over all frames of a window or pixels of an image",
        {},
    ),
    "four_means": (
        lambda s, x: s.head(functional.adaptive_avg_pool1d(windows(x), 2).flatten(1)).reshape(
            x.shape[0], -1, 2
        ),
        "output_size must be 1 on a device, not 2",
        {"head": lambda: nn.Linear(12, 2)},
    ),
    "rounded": (
        lambda s, x: s.head(torch.div(x, 0.1, rounding_mode="floor")),
        "rounding_mode has no operator; leave it out",
        {},
    ),
    "whole_numbers": (
        lambda s, x: s.head(s.lin(x).to(torch.int32).float()),
        "torch.int32 has no operator; leave the conversion out",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "numbers_of_another": (
        lambda s, x: s.head(s.lin(x).to(torch.ones(1, dtype=torch.int32)).to(x)),
        "torch.int32 has no operator; leave the conversion out",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "early_threshold": (
        lambda s, x: s.head(functional.softplus(s.lin(x), 1, 0.5)),
        "threshold must be 20.0 on a device, not 0.5",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "divisor": (
        lambda s, x: s.head(s.pool(s.conv(windows(x).mT.unsqueeze(1))).flatten(1)).reshape(
            x.shape[0], -1, 2
        ),
        "divisor_override has no operator; leave it out",
        {
            "conv": lambda: nn.Conv2d(1, 1, 1),
            "pool": lambda: nn.AvgPool2d((6, 1), divisor_override=2),
        },
    ),
    "written_view": (
        lambda s, x: (lambda y: s.head(y + y.mT.add_(1.0).mT))(s.lin(x)),
        "writes into a value that is read by another name",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "joined_times": (
        lambda s, x: s.head(torch.cat((s.lin(x), x), 1)),
        "frame by frame",
        {"lin": lambda: nn.Linear(6, 6)},
    ),
    "two_orders": (
        lambda s, x: s.head(
            (lambda w: (s.conv(w) * s.lin(w.flatten(1)).unflatten(1, (6, 6))).flatten(1))(
                windows(x)
            )
        ).reshape(x.shape[0], -1, 2),
        "numbers that lie apart in memory, in two orders",
        {
            "conv": lambda: nn.Conv1d(6, 6, 1),
            "lin": lambda: nn.Linear(36, 36),
            "head": lambda: nn.Linear(36, 2),
        },
    ),
    "nested": (
        lambda s, x: (s.head(x), (s.head(x),)),
        "forward returns something else than tensors",
        {},
    ),
    "lists": (lambda s, x: [], "forward returns something else than tensors", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_no_device_can_do_is_refused_in_a_sentence(name: str) -> None:
    function, sentence, layers = CASES[name]
    made = {"head": nn.Linear(6, 2), **{k: make() for k, make in layers.items()}}
    module = Net(function, **made)
    with pytest.raises(LnnEdgeError, match=sentence) as caught:
        quantize_module(module, X)
    assert isinstance(caught.value, LayerError)
    assert "\n" not in str(caught.value)


def test_the_users_line_is_named() -> None:
    with pytest.raises(LayerError, match=r"test_refusals\.py:\d+: .*x\.flip\(1\)"):
        quantize_module(Net(CASES["flip"][0], head=nn.Linear(6, 2)), X)
