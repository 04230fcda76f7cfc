"""Closed-form continuous-time cell (Hasani et al. 2022) in every published form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.elementwise import Concat, GatedSum, Mix, Requantize, TimeGate
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.scales import (
    Ranges,
    q15,
    q15_gate,
    range_of,
    rectified,
    symmetric,
    symmetric_of,
)
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import (
    SIGMOID_BOUND,
    TABLE_STEP_BITS,
    TANH_BOUND,
    LoweredCell,
    Tap,
    array_of,
    linear_op,
    no_tap,
)
from lnn_edge.nn.cells.cfc_scan import Form, scale_of, scan

Mode = Literal["default", "no_gate", "pure"]
Activation = Literal["lecun_tanh", "tanh", "relu", "silu", "gelu"]
Head = Literal["tanh", "lecun_tanh", "linear"]

LECUN_BOUND = 9.0  # 0.666 * 9 = 6
LECUN_TOP = 1.7159
EXP_BOUND = 12.0  # exp(-12) = 6.1e-6, below one step of Q15
EXP_STEP_BITS = 6  # 512 intervals over half an int16 range: exp bends most at its upper end
PRE_BOUNDS = {"tanh": TANH_BOUND, "lecun_tanh": LECUN_BOUND}
TOPS = {"tanh": 1.0, "lecun_tanh": LECUN_TOP}
LOWEST = {"silu": -0.2785, "gelu": -0.1700}  # their minima


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
                tap(_numbered("backbone_pre", index), pre)
            b = FUNCTIONS[activation](pre)
            if activation == "relu":
                tap(_numbered("b", index), b)
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
        flat = (value for pair in later for value in pair)
        states = scan(form, frames, h, elapsed, *first, *flat, *extra)
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
        return _Lowering(self, ranges, prefix).lower(parts, dt, memory)


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


@dataclass(frozen=True)
class _Lowering:
    """One cell on its way to integers."""

    cell: Cfc
    ranges: Ranges
    prefix: str

    def lower(
        self, parts: tuple[QTensor, ...], dt: QTensor | float, memory: QTensor | None
    ) -> LoweredCell:
        """See Cfc.lower."""
        bound = self._state_bound(dt)
        h, h_next = self._state("h", bound), self._state("h_next", bound)
        ops: list[AbstractOp] = []
        if memory is None:
            memory = symmetric(self._name("h8"), h.shape, "int8", bound)
            ops.append(Requantize.quantize(self._name("narrow_h"), h, memory))
        join = Concat.join(self._name("cell_input"), (*parts, memory), self._name("z"))
        ops.append(join)
        backbone, b = self._backbone(join.outputs[0])
        heads = self._pure if self.cell.config.mode == "pure" else self._gated
        ops += [*backbone, *heads(b, dt, h_next)]
        return LoweredCell(tuple(ops), (State(h, h_next, 0),), h_next)

    def _name(self, name: str) -> str:
        return self.prefix + name

    @property
    def _shape(self) -> tuple[int]:
        return (self.cell.hidden_size,)

    def _backbone(self, b: QTensor) -> tuple[list[AbstractOp], QTensor]:
        ops: list[AbstractOp] = []
        for index, layer in enumerate(self.cell.layers):
            name, pre, y = self._layer_formats(index, layer.out_features)
            ops.append(linear_op(name, (layer.weight, layer.bias), b, pre))
            if pre != y:
                table = self.cell.config.activation
                ops.append(Lut.quantize(f"{name}_act", pre, y, table, TABLE_STEP_BITS))
            b = y
        return ops, b

    def _layer_formats(self, index: int, units: int) -> tuple[str, QTensor, QTensor]:
        """Return name, format before and format after the activation of a backbone layer."""
        name, before, after = (
            self._name(_numbered(n, index)) for n in ("backbone", "backbone_pre", "b")
        )
        activation, shape = self.cell.config.activation, (units,)
        if activation == "relu":
            y = rectified(after, shape, range_of(self.ranges, after)[1])
            return name, y, y  # the matrix-vector product saturates at its zero point
        if activation in LOWEST:
            pre = symmetric_of(before, shape, "int16", self.ranges)
            high = max(range_of(self.ranges, before)[1], 0.1)
            return name, pre, _spanning(after, shape, LOWEST[activation], high)
        pre = symmetric(before, shape, "int16", PRE_BOUNDS[activation])
        return name, pre, symmetric(after, shape, "int8", TOPS[activation])

    def _state_bound(self, dt: QTensor | float) -> float:
        """Return the bound of |h| that the state's format holds (docs/numerics.md)."""
        config = self.cell.config
        if config.mode == "pure":
            return self._pure_bound(dt)
        if config.head != "linear":
            return (2 if config.mode == "no_gate" else 1) * TOPS[config.head]
        if config.mode == "no_gate":
            return max(map(abs, range_of(self.ranges, self._name("h"))))
        return self._head_bound("ff1", "ff2")  # a mix never leaves what is mixed

    def _head_bound(self, *names: str) -> float:
        """Return the calibrated bound of heads that are linear and share a scale."""
        ranges = [range_of(self.ranges, self._name(name)) for name in names]
        return max(abs(value) for pair in ranges for value in pair)

    def _pure_bound(self, dt: QTensor | float) -> float:
        """Return |A| (1 + max of f exp(-dt f)) over 0 <= f <= F at the smallest dt.

        The maximum is 1 / (e dt) at f = 1 / dt, or at F where the head saturates before.
        """
        low = dt if isinstance(dt, float) else float(dt.dequantize(np.int64(dt.qmin))[0])
        top = self._head_bound("ff1")
        peak = min(top, 1 / low) if low > 0 else top
        amplitude = float(self.cell.A.detach().abs().max())
        if amplitude == 0:
            raise QuantizationError("CfC mode 'pure': A is all zero, so is the state; train first")
        return amplitude * (1 + peak * math.exp(-low * peak))

    def _state(self, name: str, bound: float) -> QTensor:
        """Return the state's format: a power of two where |h| stays below one, else the bound."""
        size = self.cell.hidden_size
        if bound == 1.0 and self.cell.config.head == "tanh":
            return q15(self._name(name), size)
        if bound == 2.0 and self.cell.config.head == "tanh":
            return QTensor(self._name(name), (size,), "int16", 2.0**-14, 0, -32767, 32767)
        return symmetric(self._name(name), (size,), "int16", bound)

    def _gated(self, b: QTensor, dt: QTensor | float, h_next: QTensor) -> list[AbstractOp]:
        config, f1, f2 = self.cell.config, self._head("f1"), self._head("f2")
        gate_pre = symmetric(self._name("gate_pre"), self._shape, "int16", SIGMOID_BOUND)
        gate = q15_gate(self._name("gate"), self.cell.hidden_size)
        products, tables = [], []
        for name, f in (("ff1", f1), ("ff2", f2)):
            pre = f
            if config.head != "linear":
                bound = PRE_BOUNDS[config.head]
                pre = symmetric(f"{f.name}_pre", self._shape, "int16", bound)
                act = self._name(f"{name}_act")
                tables.append(Lut.quantize(act, pre, f, config.head, TABLE_STEP_BITS))
            products.append(linear_op(self._name(name), self.cell.masked(name), b, pre))
        times, join = self._time(b, dt, gate_pre)
        combine = GatedSum if config.mode == "no_gate" else Mix
        return [
            *products,
            *times,
            *tables,
            *join,
            Lut.quantize(self._name("gate_act"), gate_pre, gate, "sigmoid", TABLE_STEP_BITS),
            combine.quantize(self._name("mix"), f1, f2, gate, h_next),
        ]

    def _head(self, name: str) -> QTensor:
        head = self.cell.config.head
        if head == "tanh":
            return q15(self._name(name), self.cell.hidden_size)
        bound = self._head_bound("ff1", "ff2") if head == "linear" else TOPS[head]
        return symmetric(self._name(name), self._shape, "int16", bound)

    def _time(
        self, b: QTensor, dt: QTensor | float, gate_pre: QTensor
    ) -> tuple[list[AbstractOp], list[AbstractOp]]:
        """Return the matrix products of the gate's argument, and what joins them."""
        cell = self.cell
        if isinstance(dt, float):
            return [linear_op(self._name("time"), cell.folded_gate(dt), b, gate_pre)], []
        a, c = (
            symmetric_of(self._name(name), self._shape, "int16", self.ranges)
            for name in ("time_a", "time_b")
        )
        sign = cell.config.gate_sign  # goes into the weights
        return [
            linear_op(a.name, (sign * cell.time_a.weight, sign * cell.time_a.bias), b, a),
            linear_op(c.name, (cell.time_b.weight, cell.time_b.bias), b, c),
        ], [TimeGate.quantize(self._name("time"), a, c, dt, gate_pre)]

    def _pure(self, b: QTensor, dt: QTensor | float, h_next: QTensor) -> list[AbstractOp]:
        rate, amplitude = array_of(self.cell.w_tau)[0], array_of(self.cell.A)[0]
        top = self._head_bound("ff1")
        # |f| + |w_tau| then fits 15 bits, and its product with any uint16 dt fits 32
        scale = (top + float(np.abs(rate).max())) / 32767
        limit = int(top / scale)
        f = QTensor(self._name("f1"), self._shape, "int16", scale, 0, -limit, limit)
        pre = QTensor(
            self._name("decay_pre"), self._shape, "int16", EXP_BOUND / 32768, 0, -32768, 0
        )
        decay = q15_gate(self._name("decay"), self.cell.hidden_size)
        return [
            linear_op(self._name("ff1"), self.cell.masked("ff1"), b, f),
            Decay.quantize(self._name("rate"), f, dt, pre, rate),
            Lut.quantize(self._name("decay_act"), pre, decay, "exp", EXP_STEP_BITS),
            Relax.quantize(self._name("relax"), decay, f, h_next, amplitude),
        ]


def _constant(dt: Tensor) -> float | None:
    """Return the elapsed time if it is the same everywhere and needs no gradient."""
    if dt.requires_grad or not bool((dt == dt.flatten()[0]).all()):
        return None
    return float(dt.flatten()[0])


def _numbered(name: str, index: int) -> str:
    """Return the name of a layer's part; the first layer has no number."""
    return name if index == 0 else f"{name}_{index}"


def _spanning(name: str, shape: tuple[int, ...], low: float, high: float) -> QTensor:
    """Return an int8 tensor for [low, high], all 256 values, 0 among them exactly."""
    scale = (high - low) / 254  # one value to spare: the zero point is rounded
    return QTensor(name, shape, "int8", scale, round(-127 - low / scale))
