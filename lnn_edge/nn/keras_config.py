"""config.json of a .keras file -> what it tells of its one liquid cell. Nothing in it is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, get_args

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.nn.cells.cfc import Activation, Mode

MODELS = ("Sequential", "Functional")
KINDS = {"ncps>CfCCell": "cfc", "ncps>WiredCfCCell": "wired_cfc", "ncps>LTCCell": "ltc"}
IDLE = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout")
ALONE = "needed is one CfC or LTC layer of ncps by itself; save a model of that layer alone"
Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class KerasConfig:
    """What config.json tells of a cell; None where there is no such thing.

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
    inbound_nodes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class _Model:
    layers: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class _Rnn:
    cell: dict[str, Any]
    go_backwards: bool


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


def read_keras_config(where: str, raw: bytes) -> KerasConfig:
    """Return what the configuration of a saved Keras model tells.

    Args:
        where: File that it is from, for messages.
        raw: JSON.

    Raises:
        DataError: It is damaged, or no model of one liquid layer by itself that a stream can have.
    """
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is damaged ({error!r}); save the model again") from None
    layer = _only_layer(where, _pick(_Object, values, where))
    if layer.class_name not in ("CfC", "LTC", "RNN"):
        raise DataError(f"{where}: a layer {layer.class_name} is no liquid layer; {ALONE}")
    rnn = _pick(_Rnn, layer.config, where)
    if rnn.go_backwards:
        raise DataError(
            f"{where}: {layer.class_name} has go_backwards, so it reads from the end, which no "
            "stream can; train it forwards"
        )
    cell = _pick(_Object, rnn.cell, where)
    if cell.registered_name == "ncps>MixedMemoryRNN":
        memory = _pick(_MixedMemory, cell.config, where)
        if "backbone_layers" not in memory.rnn_cell:
            raise DataError(f"{where}: mixed memory is known around a CfCCell alone; {ALONE}")
        inside = _of_cell(where, "ncps>CfCCell", memory.rnn_cell, None)
        return replace(inside, kind="mixed_memory", forget_bias=memory.forget_gate_bias)
    wiring = layer.config.get("units", cell.config.get("wiring"))
    return _of_cell(where, str(cell.registered_name), cell.config, wiring)


def _pick(cls: type[T], values: Any, where: str) -> T:
    """Return the fields of a dataclass out of a mapping that holds more."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    known = {k: v for k, v in values.items() if k in names} if isinstance(values, dict) else values
    return tables.build(cls, known, where, DataError)


def _only_layer(where: str, model: _Object) -> _Object:
    """Return the one layer of a model that computes something when nothing is trained."""
    if model.class_name not in MODELS:
        raise DataError(f"{where}: a model of class {model.class_name} is not known; {ALONE}")
    layers = [_pick(_Object, v, where) for v in _pick(_Model, model.config, where).layers]
    inputs = [v for v in layers if v.class_name == "InputLayer"]
    others = [v for v in layers if v.class_name not in ("InputLayer", *IDLE)]
    if len(inputs) > 1:
        raise DataError(f"{where}: the model has {len(inputs)} inputs; {ALONE}")
    if len(others) != 1:
        raise DataError(f"{where}: layers {', '.join(v.class_name for v in others)}; {ALONE}")
    layer = others[0]
    if len(layer.inbound_nodes) > 1:
        raise DataError(
            f"{where}: {layer.class_name} is applied {len(layer.inbound_nodes)} times; {ALONE}"
        )
    return _only_layer(where, layer) if layer.class_name in MODELS else layer


def _of_cell(where: str, name: str, config: Json, wiring: Any) -> KerasConfig:
    if name not in KINDS:
        raise DataError(f"{where}: a cell {name} is no liquid cell of ncps; {ALONE}")
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
