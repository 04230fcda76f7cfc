"""Convolutional LSTM (Shi et al. 2015) with the semantics of Keras ConvLSTM2D."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.elementwise import Add, Requantize
from lnn_edge.graph.ops.geometry import Geometry, geometry_of
from lnn_edge.graph.ops.lut import HARD_BOUNDS
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.scales import (
    Q15,
    Ranges,
    range_of,
    rectified,
    symmetric,
    symmetric_of,
    whole,
)
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import SIGMOID_BOUND, TANH_BOUND, LoweredCell, Tap, no_tap, table_op

Activation = Literal["tanh", "relu"]
RecurrentActivation = Literal["sigmoid", "hard_sigmoid", "steep_hard_sigmoid"]
Pair = tuple[int, int]
GATES = ("input_gate", "forget_gate", "value", "output_gate")  # the order of Keras
MEMORY_BITS = 24  # see mixed_memory: 2**9 times as fine as the value that enters


@dataclass(frozen=True)
class ConvLstm2dConfig:
    """Which form a cell has.

    Attributes:
        filters: F, channels of state and output.
        kernel_size: Rows and columns of both kernels.
        strides: Of the input's kernel, along rows and columns; the recurrent one has 1.
        padding: Of the input's kernel, "valid" or "same"; the recurrent one has "same".
        activation: Of new value and output, "tanh" or "relu".
        recurrent_activation: Of the gates; hard_sigmoid is that of Keras 3, x / 6 + 1 / 2,
            steep_hard_sigmoid that of Keras 2, x / 5 + 1 / 2.
    """

    filters: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Literal["valid", "same"] = "valid"
    activation: Activation = "tanh"
    recurrent_activation: RecurrentActivation = "sigmoid"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed.

        Raises:
            UsageError: A size is below 1 or a name unknown.
        """
        if min(self.filters, *self.kernel_size, *self.strides) < 1:
            raise UsageError("ConvLSTM2D: every size must be at least 1")
        for name, options in (
            ("padding", ("valid", "same")),
            ("activation", get_args(Activation)),
            ("recurrent_activation", get_args(RecurrentActivation)),
        ):
            if getattr(self, name) not in options:
                raise UsageError(
                    f"ConvLSTM2D {name} must be one of {options}, not {getattr(self, name)!r}"
                )


class ConvLstm2d(nn.Module):
    """ConvLSTM2D cell on inputs of R rows, C columns and I channels, channels last.

    i, f, v, o = chunks of (x * kernel + h * recurrent_kernel + bias)
    c' = r(f) c + r(i) a(v),  h' = r(o) a(c')         a activation, r recurrent activation

    Args:
        shape: (R, C, I).
        config: Form.

    Raises:
        UsageError: The kernel does not fit the input.

    Source: Keras ConvLSTM2D, its names and layouts: kernel (kh, kw, I, 4F), recurrent_kernel
    (kh, kw, F, 4F), bias (4F,), with 1 in the forget gate's.
    """

    def __init__(self, shape: tuple[int, int, int], config: ConvLstm2dConfig) -> None:
        super().__init__()
        self.shape, self.config = shape, config
        rows, columns, channels = shape
        fits = all(k <= n for k, n in zip(config.kernel_size, shape, strict=False))
        if config.padding == "valid" and not fits:
            raise UsageError(
                f"ConvLSTM2D kernel {config.kernel_size} does not fit an input of {rows} rows and "
                f"{columns} columns; take a smaller one, or padding same"
            )
        self.geometry = geometry_of(
            (rows, columns), config.kernel_size, config.strides, config.padding
        )
        filters, size = config.filters, config.kernel_size
        self.kernel = nn.Parameter(torch.empty(*size, channels, 4 * filters))
        self.recurrent_kernel = nn.Parameter(torch.empty(*size, filters, 4 * filters))
        self.bias = nn.Parameter(torch.zeros(4 * filters))
        for kernel in (self.kernel, self.recurrent_kernel):
            area = size[0] * size[1]
            bound = (6 / (area * (kernel.shape[2] + 4 * filters))) ** 0.5
            nn.init.uniform_(kernel, -bound, bound)
        nn.init.ones_(self.bias[filters : 2 * filters])

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of state and output."""
        return (*self.geometry.output, self.config.filters)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros h and c, (B, R', C', F) each."""
        zeros = self.bias.new_zeros(batch, *self.output_shape)
        return zeros, zeros

    def step(
        self, x: Tensor, state: tuple[Tensor, Tensor], tap: Tap = no_tap
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return h' and (h', c') of x (B, R, C, I) and (h, c)."""
        return self._step(self._convolve(x, tap), state, tap)

    def forward(
        self, x: Tensor, dt: Tensor, state: tuple[Tensor, Tensor], tap: Tap = no_tap
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Scan `step` over time.

        Args:
            x: (B, T, R, C, I).
            dt: Not read: every step is one.
            state: h and c before the first step.
            tap: See Tap.

        Returns:
            h' of each step (B, T, R', C', F), and the last state.
        """
        batch, steps = x.shape[:2]
        driven = self._convolve(x.flatten(0, 1), tap)
        driven = driven.reshape(batch, steps, *driven.shape[1:])
        outputs = []
        for t in range(steps):
            output, state = self._step(driven[:, t], state, tap)
            outputs.append(output)
        return torch.stack(outputs, 1), state

    def _step(
        self, driven: Tensor, state: tuple[Tensor, Tensor], tap: Tap
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        act = torch.tanh if self.config.activation == "tanh" else functional.relu
        h, c = state
        recurrent = self._recur(h)
        for name, part in zip(GATES, recurrent.chunk(4, -1), strict=True):
            tap(f"h_{name}", part)
        i, f, v, o = (driven + recurrent).chunk(4, -1)
        gate = self._gate
        c = gate(f) * c + gate(i) * tap("value", act(v))
        h = tap("h", gate(o) * tap("shown", act(c)))
        return h, (h, c)

    def _gate(self, x: Tensor) -> Tensor:
        kind = self.config.recurrent_activation
        if kind == "sigmoid":
            return torch.sigmoid(x)
        return (x / (2 * HARD_BOUNDS[kind]) + 0.5).clamp(0, 1)

    def _convolve(self, x: Tensor, tap: Tap) -> Tensor:
        """Return the input's part of all gates, (B, R', C', 4F)."""
        g = self.geometry
        margins: list[int] = []
        for n, out, k, s, before in zip(
            x.shape[1:3], g.output, g.kernel_size, g.strides, g.before, strict=True
        ):
            after = max((out - 1) * s + k - n - before, 0)
            margins = [before, after, *margins]  # torch begins with the last axis
        padded = functional.pad(x.movedim(-1, 1), margins)
        driven = functional.conv2d(padded, self.kernel.permute(3, 2, 0, 1), self.bias, g.strides)
        driven = driven.movedim(1, -1)
        for name, part in zip(GATES, driven.chunk(4, -1), strict=True):
            tap(f"x_{name}", part)
        return driven

    def _recur(self, h: Tensor) -> Tensor:
        weight = self.recurrent_kernel.permute(3, 2, 0, 1)
        size = self.config.kernel_size
        before = geometry_of(self.geometry.output, size, (1, 1), "same").before
        margins = [before[1], size[1] - 1 - before[1], before[0], size[0] - 1 - before[0]]
        padded = functional.pad(h.movedim(-1, 1), margins)
        return functional.conv2d(padded, weight).movedim(1, -1)

    def scaled(self, gain: Tensor) -> ConvLstm2d:
        """Return a cell that computes on x what this one computes on gain x, gain (I,)."""
        cell = copy.deepcopy(self)
        with torch.no_grad():
            cell.kernel.mul_(gain[:, None])
        return cell

    def read_as(self, name: str, ranges: Ranges) -> QTensor:
        """Return the int8 tensor in which its output is read, by itself and by others."""
        if self.config.activation == "tanh":
            return symmetric(name, self.output_shape, "int8", 1.0)
        return rectified(name, self.output_shape, range_of(ranges, "h")[1])

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators.

        The memory integrates: int32, 2**9 times as fine as the values that enter. With tanh its
        reader saturates; with relu values, memory and output are calibrated, and saturate. The
        output is int16, which the recurrent kernel reads as int8.

        Args:
            parts: x alone, (R, C, I).
            dt: Not read.
            ranges: Calibrated ranges of the tapped tensors.
        """
        return _Lowering(self, ranges).lower(*parts)


@dataclass(frozen=True)
class _Lowering:
    """One cell on its way to integers."""

    cell: ConvLstm2d
    ranges: Ranges

    def lower(self, x: QTensor) -> LoweredCell:
        """See ConvLstm2d.lower."""
        h, h_next = self._output("h"), self._output("h_next")
        h8 = self.cell.read_as("h8", self.ranges)
        ops: list[AbstractOp] = [Requantize.quantize("narrow_h", h, h8)]
        gates: dict[str, QTensor] = {}
        for index, name in enumerate(GATES):
            made, gates[name] = self._gate(index, name, x, h8)
            ops += made
        memory, shown, state = self._memory(gates)
        show = Gate.quantize("show", shown, gates["output_gate"], h_next)
        return LoweredCell((*ops, *memory, show), (State(h, h_next, 0), state), h_next)

    @property
    def _is_bounded(self) -> bool:
        return self.cell.config.activation == "tanh"

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.cell.output_shape

    def _high(self, name: str) -> float:
        return range_of(self.ranges, name)[1]

    def _output(self, name: str) -> QTensor:
        bound = 1.0 if self._is_bounded else self._high("h")
        return symmetric(name, self._shape, "int16", bound)

    def _driven(self, source: str, gate: str) -> QTensor:
        """Return the format of what the input, "x", or the state, "h", adds to a gate."""
        name = f"{source}_{gate}"
        if source == "h" and self.ranges.get(name) == (0.0, 0.0):  # from rest: any range will do
            return symmetric(name, self._shape, "int16", 1.0)
        return symmetric_of(name, self._shape, "int16", self.ranges)

    def _gate(
        self, index: int, name: str, x: QTensor, h8: QTensor
    ) -> tuple[list[AbstractOp], QTensor]:
        """Return one chunk of all gates, its function applied."""
        filters = self.cell.config.filters
        chunk = slice(index * filters, (index + 1) * filters)
        pre, y, table = self._formats(name)
        kernel = self.cell.kernel[..., chunk], self.cell.bias[chunk]
        driven, recurred = self._driven("x", name), self._driven("h", name)
        size = self.cell.config.kernel_size
        same = geometry_of(self.cell.geometry.output, size, (1, 1), "same")
        recurrent = self.cell.recurrent_kernel[..., chunk], torch.zeros(filters)
        ops: list[AbstractOp] = [
            _conv(f"x_{name}", kernel, x, driven, self.cell.geometry),
            _conv(f"h_{name}", recurrent, h8, recurred, same),
            Add.quantize(f"{name}_sum", driven, recurred, pre),
        ]
        if table:
            ops.append(table_op(f"{name}_act", pre, y, table))
        return ops, y

    def _formats(self, name: str) -> tuple[QTensor, QTensor, str]:
        """Return the formats before and after a gate's function, and that; relu needs none."""
        before, after = f"{name}_pre", f"{name}_value"
        if name != "value":
            table = self.cell.config.recurrent_activation
            bound = HARD_BOUNDS.get(table, SIGMOID_BOUND)
            y = QTensor(after, self._shape, "uint16", Q15, 0, 0, 1 << 15)
            return whole(before, self._shape, bound), y, table
        if self._is_bounded:
            y = QTensor(after, self._shape, "int16", Q15, 0, -32767, 32767)
            return whole(before, self._shape, TANH_BOUND), y, "tanh"
        y = QTensor(after, self._shape, "int16", self._high("value") / 32767, 0, 0, 32767)
        return y, y, ""

    def _memory(self, gates: dict[str, QTensor]) -> tuple[list[AbstractOp], QTensor, State]:
        """Return the operators up to a(c'), that, and the state of the memory."""
        value, fresh = gates["value"], gates["input_gate"]
        top, scale = (1 << 31) - 1, value.scales[0] * 2.0 ** (15 - MEMORY_BITS)
        c, c_next = (QTensor(n, self._shape, "int32", scale, 0, -top, top) for n in ("c", "c_next"))
        inputs = (c, gates["forget_gate"], value, fresh)
        remember = Remember("memory", inputs, (c_next,), MEMORY_BITS)
        ops, shown = self._shown(c_next)
        return [remember, *ops], shown, State(c, c_next, 0)

    def _shown(self, c: QTensor) -> tuple[list[AbstractOp], QTensor]:
        """Return the operators of a(c), and that."""
        if not self._is_bounded:
            high = self._high("shown") / 32767
            shown = QTensor("shown", self._shape, "int16", high, 0, 0, 32767)
            return [Requantize.quantize("view", c, shown)], shown
        view = whole("c16", self._shape, TANH_BOUND)
        shown = QTensor("shown", self._shape, "int16", Q15, 0, -32767, 32767)
        table = table_op("shown_act", view, shown, "tanh")
        return [Requantize.quantize("view", c, view), table], shown


def _conv(
    name: str, kernel: tuple[Tensor, Tensor], x: QTensor, y: QTensor, geometry: Geometry
) -> Conv2d:
    """Quantize a kernel (kh, kw, I, F) and bias (F,)."""
    weight, bias = (value.detach().cpu().double().numpy() for value in kernel)
    return Conv2d.quantize(f"{name}_conv", x, y, weight, bias, geometry)
