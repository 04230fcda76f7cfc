"""A recurrent layer of a module: cells one behind the other, over a sequence or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lnn_edge.errors import UsageError
from lnn_edge.nn.cell import Tap, no_tap

Result = Literal["outputs", "with_state", "with_states", "with_memory"]
"""What forward returns: y; (y, state); (y, h of all layers); (y, (h, c) of all layers)."""


class Recurrent(nn.Module):
    """y_t, s_t = cell_n(... cell_1(x_t, dt_t, s_{t-1})): cells from a reset, then a linear map.

    Args:
        cells: Each offers `cell(x, dt, state, tap)`, `initial_state` and `lower`.
        readout: Linear map of the last cell's output; None leaves it as it is.
        result: What forward returns, as the layer that it stands for.
        last: Whether y is that of the last step, (B, O), and not of all, (B, T, O).
        dtype: In which the first cell reads its inputs: int8 or int16.
        dt: Elapsed time where forward is given none.
    """

    def __init__(
        self,
        cells: Sequence[nn.Module],
        readout: nn.Linear | None = None,
        *,
        result: Result = "with_state",
        last: bool = False,
        dtype: str = "int8",
        dt: float = 1.0,
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.readout = readout
        self.result, self.last, self.dtype, self.dt = result, last, dtype, dt

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load weights; those of a cell that stood in the layer's place are the first cell's."""
        for key in [k for k in state_dict if k.startswith(prefix)]:
            name = key.removeprefix(prefix)
            if not name.startswith(("cells.", "readout.")):
                state_dict[f"{prefix}cells.0.{name}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor, hx: Any = None, timespans: Any = None) -> Any:
        """Return what the layer returns for sequences (B, T, I) that start from a reset.

        Raises:
            UsageError: A state to start from is given.
        """
        if hx is not None:
            raise UsageError("the layer is given a state; a device starts from zeros, so give none")
        y, states = self.run(x, timespans, None)
        return self.returned(y, states)

    def run(
        self, x: Tensor, timespans: Any, states: list[Any] | None, tap: Tap = no_tap
    ) -> tuple[Tensor, list[Any]]:
        """Return outputs (B, T, O) and last states, one a cell, of a part of a sequence.

        Args:
            x: (B, T, I).
            timespans: Elapsed time: None, a number, or (B, T) or (B, T, 1).
            states: Of the part before; None after a reset.
            tap: Sees tensors inside, by index of the cell and name; see cells.cfc.Tap.
        """
        dt = self.elapsed(x, timespans)
        last: list[Any] = []
        for index, module in enumerate(self.cells):
            cell = cast(Any, module)
            state = cell.initial_state(len(x)) if states is None else states[index]
            within = no_tap if tap is no_tap else _within(index, tap)
            x, state = cell(x, dt, state, within)
            last.append(state)
        return (x if self.readout is None else self.readout(x)), last

    def returned(self, y: Tensor, states: list[Any]) -> Any:
        """Return the outputs and states of `run` in the form of `result`."""
        y = y[:, -1] if self.last else y
        if self.result == "outputs":
            return y
        if self.result == "with_state":
            return y, states[-1]
        if self.result == "with_states":
            return y, torch.stack(states)
        return y, tuple(torch.stack(parts) for parts in zip(*states, strict=True))

    def elapsed(self, x: Tensor, timespans: Any) -> Tensor:
        """Return elapsed times (B, T, 1) of x (B, T, I): those given, or the layer's own."""
        if isinstance(timespans, Tensor):
            return timespans.reshape(*x.shape[:2], 1)
        return x.new_full((*x.shape[:2], 1), self.dt if timespans is None else float(timespans))


def afresh(layer: nn.Module, x: Tensor, timespans: Tensor | None = None) -> Tensor:
    """Return outputs (B, T, O) of a layer that starts from a reset at every step.

    Args:
        layer: A Recurrent that returns its outputs.
        x: (B, T, ...).
        timespans: (B, T, 1), or None.
    """
    batch, steps = x.shape[:2]
    if timespans is not None:
        timespans = timespans.flatten(0, 1).unsqueeze(1)
    y = layer(x.flatten(0, 1).unsqueeze(1), timespans=timespans)
    return y.reshape(batch, steps, -1)  # type: ignore[no-any-return]


def cell_prefix(index: int) -> str:
    """Return what begins the names of a cell's tensors."""
    return f"{index}_"


def _within(index: int, tap: Tap) -> Tap:
    return lambda name, value: tap(cell_prefix(index) + name, value)
