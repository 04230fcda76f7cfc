"""Configuration of a liquid layer of Keras -> the form of its cell. Nothing in it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, get_args

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.nn.cells.cfc import Activation, Mode

KINDS = {"ncps>CfCCell": "cfc", "ncps>WiredCfCCell": "wired_cfc", "ncps>LTCCell": "ltc"}
ELSE = "take a CfC or LTC of ncps.keras"
Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class KerasConfig:
    """What config.json says about a cell; None where it says nothing.

    Attributes:
        kind: Kind of cell, as in table.KINDS.
        mode: Of a CfC.
        activation: Of its backbone.
        unfolds: Solver steps of an LTC.
        epsilon: In the denominator of its solver.
        mappings: Of its input and output, "affine", "linear" or none.
        forget_bias: What an LSTM around the cell adds to its forget gate.
        wiring: Name of its class, and what its get_config() returned; None also if it has no name.
    """

    kind: str
    mode: Mode | None = None
    activation: Activation | None = None
    unfolds: int | None = None
    epsilon: float | None = None
    mappings: tuple[str | None, str | None] = ("affine", "affine")
    forget_bias: float | None = None
    wiring: tuple[str, Json] | None = None


@dataclass(frozen=True)
class _Object:
    """How Keras writes a layer, a model, a function or a wiring."""

    class_name: str
    config: dict[str, Any]
    module: str | None = None
    registered_name: str | None = None


@dataclass(frozen=True)
class _Rnn:
    cell: dict[str, Any]


@dataclass(frozen=True)
class _MixedMemory:
    rnn_cell: dict[str, Any]
    forget_gate_bias: float


@dataclass(frozen=True)
class _Cfc:
    mode: Mode
    backbone_layers: int


@dataclass(frozen=True)
class _WiredCfc:
    mode: Mode
    fully_recurrent: bool


@dataclass(frozen=True)
class _Ltc:
    ode_unfolds: int
    epsilon: float
    input_mapping: str | None
    output_mapping: str | None


def liquid_config(where: str, config: Json) -> KerasConfig:
    """Return what the configuration of a liquid layer, or of an RNN around a cell, tells.

    Args:
        where: Layer and file that it is from, for messages.
        config: What its get_config() returned.

    Raises:
        DataError: It is damaged, or no liquid cell of ncps.
    """
    rnn = _pick(_Rnn, config, where)
    cell = _pick(_Object, rnn.cell, where)
    if cell.registered_name == "ncps>MixedMemoryRNN":
        memory = _pick(_MixedMemory, cell.config, where)
        if "backbone_layers" not in memory.rnn_cell:
            raise DataError(f"{where}: mixed memory is known around a CfCCell alone; {ELSE}")
        inside = _of_cell(where, "ncps>CfCCell", memory.rnn_cell, None)
        return replace(inside, kind="mixed_memory", forget_bias=memory.forget_gate_bias)
    wiring = config.get("units", cell.config.get("wiring"))
    return _of_cell(where, str(cell.registered_name), cell.config, wiring)


def _pick(cls: type[T], values: Any, where: str) -> T:
    """Return the fields of a dataclass out of a mapping that holds more."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    known = {k: v for k, v in values.items() if k in names} if isinstance(values, dict) else values
    return tables.build(cls, known, where, DataError)


def _of_cell(where: str, name: str, config: Json, wiring: Any) -> KerasConfig:
    if name not in KINDS:
        raise DataError(f"{where}: a cell {name} is no liquid cell of ncps; {ELSE}")
    kind = KINDS[name]
    drawn = _wiring(where, wiring)
    if kind == "ltc":
        ltc = _pick(_Ltc, config, where)
        mappings = ltc.input_mapping, ltc.output_mapping
        return KerasConfig(kind, None, None, ltc.ode_unfolds, ltc.epsilon, mappings, wiring=drawn)
    if kind == "wired_cfc":
        wired = _pick(_WiredCfc, config, where)
        if not wired.fully_recurrent:
            raise DataError(f"{where}: fully_recurrent is false, which is not known; set it true")
        activation = _known(_function_name(config.get("activation")))
        return KerasConfig(kind, wired.mode, activation, wiring=drawn)
    cfc = _pick(_Cfc, config, where)
    if config.get("sparsity_mask") is not None:
        raise DataError(f"{where}: a sparsity_mask of its own is not known; give CfC a wiring")
    name = _function_name(config.get("activation"))
    if cfc.backbone_layers and _known(name) is None:
        raise DataError(
            f"{where}: the backbone's activation {name} is not known; train it with one of "
            f"{', '.join(get_args(Activation))}"
        )
    return KerasConfig(kind, cfc.mode, _known(name))


def _function_name(value: Any) -> str:
    """Return the name of a function; ncps registers lecun_tanh in a package without a name."""
    name = value.get("config") if isinstance(value, dict) else value
    return name.removeprefix(">") if isinstance(name, str) else "without a name"


def _known(name: str) -> Activation | None:
    known: tuple[Activation, ...] = get_args(Activation)
    return next((v for v in known if v == name), None)


def _wiring(where: str, value: Any) -> tuple[str, Json] | None:
    """Return class and arguments; keras.layers.RNN(LTCCell) tells no class."""
    if not isinstance(value, dict) or "class_name" not in value:
        return None
    wiring = _pick(_Object, value, where)
    return (wiring.class_name, wiring.config) if (wiring.module or "").startswith("ncps.") else None
