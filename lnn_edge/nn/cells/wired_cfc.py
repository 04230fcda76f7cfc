"""Wired CfC cell: one CfC cell without backbone per layer of a wiring (NCP)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.nn.cell import LoweredCell, Tap, no_tap
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.wirings import Wiring

NO_BACKBONE = CfcConfig(backbone_layers=0)


class WiredCfc(nn.Module):
    """CfC cells in a row, each reading the one before it in the same step.

    h_i' = CfC_i(h_(i-1)', h_i, dt),  h_0' = x;  output = h' of the last layer's first neurons

    The wiring masks what ff1 and ff2 read of the layer before. time_a, time_b and the recurrence
    inside a layer are dense; signs and synapses among command neurons have no effect.

    Args:
        wiring: Layers and synapses.
        config: Form of each layer, without backbone.
        outputs: How many neurons of the last layer are the output; None means all.

    Raises:
        UsageError: The configuration has a backbone, or there are fewer neurons.

    Source: names as in ncps WiredCfCCell (layer_0, layer_1, layer_2).
    """

    def __init__(
        self, wiring: Wiring, config: CfcConfig = NO_BACKBONE, outputs: int | None = None
    ) -> None:
        super().__init__()
        if config.backbone_layers:
            raise UsageError(
                f"a wired CfC must have 0 backbone layers, not {config.backbone_layers}"
            )
        self.sizes = [len(neurons) for neurons in wiring.layers]
        self.outputs = self.sizes[-1] if outputs is None else outputs
        if not 1 <= self.outputs <= self.sizes[-1]:
            raise UsageError(
                f"a wired CfC with {self.sizes[-1]} neurons in its last layer must have 1 to "
                f"{self.sizes[-1]} outputs, not {self.outputs}"
            )
        inputs = [wiring.input_size, *self.sizes[:-1]]
        for index, (features, size) in enumerate(zip(inputs, self.sizes, strict=True)):
            mask = torch.from_numpy(wiring.mask(index)).to(torch.get_default_dtype())
            self.add_module(f"layer_{index}", Cfc(features, size, 0, config, mask))

    @property
    def layers(self) -> tuple[Cfc, ...]:
        """The layers' cells, first to last."""
        return tuple(m for m in self.children() if isinstance(m, Cfc))

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, N)."""
        return torch.cat([layer.initial_state(batch) for layer in self.layers], -1)

    def step(self, x: Tensor, h: Tensor, dt: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Return output (B, O) and state (B, N) of x (B, I), h (B, N), dt (B, 1) in seconds."""
        states = []
        for index, old in enumerate(torch.split(h, self.sizes, -1)):
            x = self.layers[index].step(x, old, dt, _within(index, tap))
            states.append(x)
        return x[..., : self.outputs], torch.cat(states, -1)

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan `step` over time, a whole layer after the other.

        Args:
            x: (B, T, I).
            dt: (B, T, 1) seconds.
            h: (B, N) state before the first step.
            tap: See Tap.

        Returns:
            Outputs of each step (B, T, O), and the last state (B, N).
        """
        states = []
        for index, old in enumerate(torch.split(h, self.sizes, -1)):
            layer_tap = tap if tap is no_tap else _within(index, tap)
            x, state = self.layers[index](x, dt, old, layer_tap)
            states.append(state)
        return x[..., : self.outputs], torch.cat(states, -1)

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators, see Cfc.lower; one state per layer.

        Between layers the state is read as int8, in the format in which its own layer reads it.
        """
        cells: list[LoweredCell] = []
        bridges: list[AbstractOp] = []
        for index, layer in enumerate(self.layers):
            if cells:
                bridges.append(_bridge(_prefix(index), cells[-1].output))
                parts = bridges[-1].outputs
            cells.append(layer.lower(parts, dt, ranges, _prefix(index)))
        ops = list(cells[0].ops)
        for bridge, cell in zip(bridges, cells[1:], strict=True):
            ops += [bridge, *cell.ops]
        output = cells[-1].output
        if self.outputs < output.size:
            motor = replace(output, name="motor", shape=(self.outputs,))
            ops.append(Slice.quantize("pick_motor", output, motor))
            output = motor
        return LoweredCell(tuple(ops), tuple(s for cell in cells for s in cell.states), output)


def _prefix(index: int) -> str:
    return f"layer{index}_"


def _within(index: int, tap: Tap) -> Tap:
    return lambda name, value: tap(_prefix(index) + name, value)


def _bridge(prefix: str, h: QTensor) -> Requantize:
    """Return the operator that narrows the state of the layer before."""
    bound = h.qmax * h.scales[0]
    return Requantize.quantize(
        f"{prefix}narrow", h, symmetric(f"{prefix}x", h.shape, "int8", bound)
    )
