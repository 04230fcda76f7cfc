"""Closed-form continuous-time cell (Hasani et al. 2022) in every published form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.cell import LoweredCell, Tap, no_tap
from lnn_edge.nn.cells.cfc_compiled import compiled_scan
from lnn_edge.nn.cells.cfc_integers import LOWEST, CfcLowering, numbered
from lnn_edge.nn.cells.cfc_scan import Form, scale_of, scan

Mode = Literal["default", "no_gate", "pure"]
Activation = Literal["lecun_tanh", "tanh", "relu", "silu", "gelu"]
Head = Literal["tanh", "lecun_tanh", "linear"]


def lecun_tanh(x: Tensor) -> Tensor:
    """Return 1.7159 tanh(0.666 x)."""
    return 1.7159 * torch.tanh(0.666 * x)


def _identity(x: Tensor) -> Tensor:
    return x


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "lecun_tanh": lecun_tanh,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "linear": _identity,
}


@dataclass(frozen=True)
class CfcConfig:
    """Which of the published forms a cell has.

    | source | head | gate_sign |
    |---|---|---|
    | ncps.torch | tanh | 1 |
    | ncps.tf, ncps.keras | linear | -1 |
    | raminmh/CfC, tf | lecun_tanh | -1 |
    | raminmh/CfC, torch | tanh | 1 |

    Attributes:
        mode: "default" h' = f1 (1 - g) + f2 g; "no_gate" h' = f1 + f2 g;
            "pure" h' = A - A exp(-dt (|w_tau| + |ff1|)) ff1.
        backbone_layers: Number of layers before the heads; 0 feeds [x; h] to the heads.
        activation: After every backbone layer.
        head: f of the heads ff1 and ff2.
        gate_sign: Sign of time_a in the gate.
    """

    mode: Mode = "default"
    backbone_layers: int = 1
    activation: Activation = "lecun_tanh"
    head: Head = "tanh"
    gate_sign: Literal[1, -1] = 1

    def __post_init__(self) -> None:
        """Refuse what was never published or cannot be computed.

        Raises:
            UsageError: A value is unknown, or two of them exclude each other.
        """
        known = (
            ("mode", self.mode, get_args(Mode)),
            ("activation", self.activation, get_args(Activation)),
            ("head", self.head, get_args(Head)),
            ("gate_sign", self.gate_sign, (1, -1)),
        )
        for name, value, options in known:
            if value not in options:
                raise UsageError(f"CfC {name} must be one of {options}, not {value!r}")
        if self.backbone_layers < 0:
            raise UsageError(f"CfC backbone_layers must be 0 or more, not {self.backbone_layers}")
        if self.mode == "pure" and (self.head, self.gate_sign) != ("linear", 1):
            raise UsageError(
                f"CfC mode 'pure' has no gate and a linear head; given head {self.head!r}, "
                f"gate_sign {self.gate_sign}; take head 'linear' and gate_sign 1"
            )


class Cfc(nn.Module):
    """CfC cell.

    z = [x; h],  b = act(W z + w), layer after layer
    default: h' = f1 (1 - g) + f2 g
    no_gate: h' = f1 + f2 g
    pure:    h' = A - A exp(-dt (|w_tau| + |ff1(b)|)) ff1(b)
    with f = head(ff(b)),  g = sigmoid(sign time_a(b) dt + time_b(b))

    Args:
        input_size: I.
        hidden_size: H.
        backbone_units: U; 0 exactly where the backbone has no layers.
        config: Form of the cell.
        mask: (H, U) or, without backbone, (H, I + H): multiplies the weights of ff1 and ff2.

    Raises:
        UsageError: A size is impossible, or does not fit the configuration.

    Source: Hasani et al. 2022, Nature Machine Intelligence 4, eq. 2; names as in ncps CfCCell.
    """

    sparsity_mask: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        backbone_units: int,
        config: CfcConfig = CfcConfig(),
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(input_size, hidden_size, backbone_units, config)
        self.hidden_size = hidden_size
        self.config = config
        features = input_size + hidden_size
        if config.backbone_layers:
            self.backbone = nn.Linear(features, backbone_units)
            features = backbone_units
        self.ff1 = nn.Linear(features, hidden_size)
        if config.mode != "pure":
            self.ff2 = nn.Linear(features, hidden_size)
            self.time_a = nn.Linear(features, hidden_size)
            self.time_b = nn.Linear(features, hidden_size)
        self.deeper = nn.ModuleList(
            nn.Linear(features, features) for _ in range(config.backbone_layers - 1)
        )
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.xavier_uniform_(weight)
        if config.mode == "pure":
            self.w_tau = nn.Parameter(torch.zeros(1, hidden_size))
            self.A = nn.Parameter(torch.ones(1, hidden_size))
        if mask is not None and mask.shape != self.ff1.weight.shape:
            raise UsageError(
                f"CfC mask must have shape {tuple(self.ff1.weight.shape)}, not {tuple(mask.shape)}"
            )
        self.register_buffer("sparsity_mask", mask)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, H)."""
        return self.ff1.weight.new_zeros(batch, self.hidden_size)

    def step(self, x: Tensor, h: Tensor, dt: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return h' (B, H) of x (B, I), h (B, H), dt (B, 1) in seconds."""
        b = self._encode(torch.cat((x, h), -1), tap)
        if self.config.mode == "pure":
            ff1 = tap("ff1", self._head("ff1", b))
            decay = torch.exp(-dt * (torch.abs(self.w_tau) + torch.abs(ff1)))
            return self.A - self.A * decay * ff1
        head = FUNCTIONS[self.config.head]
        f1, f2 = head(self._head("ff1", b)), head(self._head("ff2", b))
        time_a, time_b = tap("time_a", self.time_a(b)), tap("time_b", self.time_b(b))
        gate = torch.sigmoid(self.config.gate_sign * time_a * dt + time_b)
        if self.config.head == "linear":
            tap("ff1", f1)
            tap("ff2", f2)
        if self.config.mode == "no_gate":
            h = f1 + gate * f2
            return tap("h", h) if self.config.head == "linear" else h
        return f1 + gate * (f2 - f1)

    def _encode(self, b: Tensor, tap: Tap) -> Tensor:
        """Return the backbone's output of [x; h]."""
        activation = self.config.activation
        for index, layer in enumerate(self.layers):
            pre = layer(b)
            if activation in LOWEST:
                tap(numbered("backbone_pre", index), pre)
            b = FUNCTIONS[activation](pre)
            if activation == "relu":
                tap(numbered("b", index), b)
        return b

    def _head(self, name: str, b: Tensor) -> Tensor:
        return functional.linear(b, *self.masked(name))

    @property
    def layers(self) -> tuple[nn.Linear, ...]:
        """The backbone's layers, first to last."""
        first = [self.backbone] if self.config.backbone_layers else []
        return tuple(m for m in (*first, *self.deeper) if isinstance(m, nn.Linear))

    def masked(self, name: str) -> tuple[Tensor, Tensor]:
        """Return weight, mask applied, and bias of "ff1" or "ff2"."""
        module = self.ff1 if name == "ff1" else self.ff2
        mask = self.sparsity_mask
        return (module.weight if mask is None else module.weight * mask), module.bias

    def folded_gate(self, dt: float) -> tuple[Tensor, Tensor]:
        """Return W = sign dt Wa + Wb (H, U) and w = sign dt wa + wb (H,) of a constant dt."""
        factor = self.config.gate_sign * dt
        return (
            factor * self.time_a.weight + self.time_b.weight,
            factor * self.time_a.bias + self.time_b.bias,
        )

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan `step` over time.

        Args:
            x: (B, T, I).
            dt: (B, T, 1) seconds.
            h: (B, H) state before the first step.
            tap: See Tap.

        Returns:
            States after each step (B, T, H), and the last one (B, H).
        """
        if tap is no_tap:
            return self._scan(x, dt, h)
        states = []
        for t in range(x.shape[1]):
            h = self.step(x[:, t], h, dt[:, t], tap)
            states.append(h)
        return torch.stack(states, 1), h

    def _scan(self, x: Tensor, dt: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Scan without taps, see cfc_scan; factors of activations go into the weights."""
        config, size = self.config, x.shape[-1]
        scale, head_scale = scale_of(config.activation), scale_of(config.head)
        constant = None if self._is_pure else _constant(dt)
        products = [(m.weight * scale.inside, m.bias * scale.inside) for m in self.layers]
        (weight, bias), *later = [*products, self._stacked_heads(head_scale.inside, constant)]
        later = [(w * scale.outside, b) for w, b in later]
        frames = x.transpose(0, 1).contiguous()
        extra = (self.w_tau[0].abs(), self.A[0]) if self._is_pure else ()
        form = Form(
            config.mode,
            config.activation,
            "linear" if config.head == "linear" else "tanh",
            head_scale.outside,
            constant is not None,
        )
        elapsed = (config.gate_sign * dt.transpose(0, 1)).expand(*frames.shape[:2], 1)
        first = (weight[:, :size], weight[:, size:], bias)
        weights = (*first, *(value for pair in later for value in pair), *extra)
        states = compiled_scan(form, frames, h, elapsed, weights)
        if states is None:
            states = scan(form, frames, h, elapsed, *weights)
        return states.transpose(0, 1), states[-1]

    def _stacked_heads(self, inside: float, dt: float | None) -> tuple[Tensor, Tensor]:
        """Return weight and bias of all heads; a constant dt makes one of time_a and time_b."""
        pairs = [self.masked("ff1")] if self._is_pure else [self.masked("ff1"), self.masked("ff2")]
        pairs = [(w * inside, b * inside) for w, b in pairs]
        if not self._is_pure:
            times = [(m.weight, m.bias) for m in (self.time_a, self.time_b)]
            pairs += times if dt is None else [self.folded_gate(dt)]
        weights, biases = zip(*pairs, strict=True)
        return torch.cat(weights), torch.cat(biases)

    @property
    def _is_pure(self) -> bool:
        return self.config.mode == "pure"

    def lower(
        self,
        parts: tuple[QTensor, ...],
        dt: QTensor | float,
        ranges: Ranges,
        prefix: str = "",
        memory: QTensor | None = None,
    ) -> LoweredCell:
        """Lower one step to integer operators.

        The state overwrites itself (it enters through the matrix only), so there is no dead zone:
        int16 over its static bound (see _state), calibrated and saturating only where heads are
        linear. The backbone reads it as int8.

        Args:
            parts: int8 vectors that make up x, in the order of x.
            dt: Elapsed time, uint16; or the constant, in seconds, which folds into the weights.
            ranges: Calibrated ranges of the tapped tensors, their names with the prefix.
            prefix: Goes before the name of every operator and tensor.
            memory: int8 vector (H,) that is read in place of the state.

        Raises:
            QuantizationError: A range was not observed, or a constant dt is not positive.
        """
        if not isinstance(dt, QTensor):
            dt = float(dt)  # 1 means 1.0
        if isinstance(dt, float) and not (dt > 0 and math.isfinite(dt)):
            raise QuantizationError(f"a constant dt must be positive and finite, not {dt} s")
        return CfcLowering(self, ranges, prefix).lower(parts, dt, memory)


def _check_sizes(input_size: int, hidden_size: int, backbone_units: int, config: CfcConfig) -> None:
    if min(input_size, hidden_size) < 1:
        raise UsageError(
            f"CfC input_size {input_size} and hidden_size {hidden_size} must be at least 1"
        )
    if (backbone_units > 0) != (config.backbone_layers > 0) or backbone_units < 0:
        raise UsageError(
            "CfC backbone_units and backbone_layers must be both positive or both 0, not "
            f"{backbone_units} and {config.backbone_layers}"
        )


def _constant(dt: Tensor) -> float | None:
    """Return the elapsed time if it is the same everywhere and needs no gradient."""
    if dt.requires_grad or not bool((dt == dt.flatten()[0]).all()):
        return None
    return float(dt.flatten()[0])
