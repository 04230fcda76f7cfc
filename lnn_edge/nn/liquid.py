"""Liquid layers for networks of one's own, with the arguments of ncps.torch."""

from __future__ import annotations

from torch import nn

from lnn_edge.errors import UsageError
from lnn_edge.nn.cells.cfc import Activation, Cfc, CfcConfig, Mode
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig, Positivity
from lnn_edge.nn.cells.mixed_memory import MixedMemory
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import NcpConfig, Wiring, fully_connected, ncp
from lnn_edge.nn.recurrent import Recurrent

UNITS = 128  # of a backbone, as in ncps


class CfC(Recurrent):
    """h' = f1 (1 - g) + f2 g,  g = sigmoid(time_a dt + time_b), of every step; see cells.cfc.Cfc.

    forward(x, timespans=dt) returns outputs (B, T, O) and the last state, of x (B, T, I) and dt
    (B, T) or (B, T, 1), the seconds since the step before.

    Args:
        input_size: I.
        units: Number of neurons, or a wiring, whose layers then have no backbone.
        proj_size: Outputs of a linear map behind the cell; None for the neurons themselves.
        return_sequences: Whether outputs are those of all steps, and not (B, O) of the last.
        mixed_memory: Whether an LSTM stands beside the cell.
        mode: "default", "no_gate" or "pure".
        activation: Of the backbone.
        backbone_units: Of each layer of the backbone.
        backbone_layers: Number of layers; 0 for none.
        dt: Seconds of a step where forward is given no timespans.

    Raises:
        UsageError: The arguments exclude each other.
    """

    def __init__(
        self,
        input_size: int,
        units: int | Wiring | NcpConfig,
        *,
        proj_size: int | None = None,
        return_sequences: bool = True,
        mixed_memory: bool = False,
        mode: Mode = "default",
        activation: Activation = "lecun_tanh",
        backbone_units: int | None = None,
        backbone_layers: int | None = None,
        dt: float = 1.0,
    ) -> None:
        is_wired = not isinstance(units, int)
        layers = (0 if is_wired else 1) if backbone_layers is None else backbone_layers
        width = (UNITS if layers else 0) if backbone_units is None else backbone_units
        config = CfcConfig(mode, layers, activation, "linear" if mode == "pure" else "tanh")
        cell: nn.Module
        if not isinstance(units, int):
            if mixed_memory or width:
                raise UsageError(
                    "a wired CfC takes neither a backbone nor mixed_memory; leave them out, or "
                    "give a number of units"
                )
            cell = WiredCfc(wired := _wiring(input_size, units), config, wired.output_size)
            size = wired.output_size
        else:
            sizes = (input_size, units, width)
            cell = MixedMemory(*sizes, "state", config) if mixed_memory else Cfc(*sizes, config)
            size = units
        readout = None if proj_size is None else nn.Linear(size, proj_size)
        super().__init__([cell], readout, last=not return_sequences, dt=_checked(dt))


class LTC(Recurrent):
    """cm dv/dt = gleak (vleak - v) + sum_i a_i (erev_i - v), solved in every step; see cells.ltc.

    forward(x, timespans=dt) returns outputs (B, T, O) and the last state, of x (B, T, I) and dt
    (B, T) or (B, T, 1), the seconds since the step before.

    Args:
        input_size: I.
        units: Number of neurons, all connected, or a wiring.
        return_sequences: Whether outputs are those of all steps, and not (B, O) of the last.
        ode_unfolds: Steps of the solver in one step of the cell.
        positivity: What keeps conductances positive: "softplus" or "clip".
        dt: Seconds of a step where forward is given no timespans.

    Raises:
        UsageError: The wiring does not fit, or there is no unfold.
    """

    def __init__(
        self,
        input_size: int,
        units: int | Wiring | NcpConfig,
        *,
        return_sequences: bool = True,
        ode_unfolds: int = 6,
        positivity: Positivity = "softplus",
        dt: float = 1.0,
    ) -> None:
        wiring = _wiring(input_size, units)
        cell = Ltc(wiring, LtcConfig(ode_unfolds, positivity))
        super().__init__([cell], last=not return_sequences, dtype="int16", dt=_checked(dt))


def _wiring(input_size: int, units: int | Wiring | NcpConfig) -> Wiring:
    if isinstance(units, int):
        return fully_connected(input_size, units)
    wiring = ncp(input_size, units) if isinstance(units, NcpConfig) else units
    if wiring.input_size != input_size:
        raise UsageError(
            f"the wiring has {wiring.input_size} inputs, input_size is {input_size}; make them "
            "alike"
        )
    return wiring


def _checked(dt: float) -> float:
    if not 0 < dt < float("inf"):
        raise UsageError(f"dt is {dt} s; it must be positive and finite")
    return dt
