"""A liquid layer of ncps -> our cell: sizes and form from its weights, the rest from options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import CellSizes, CfcSizes, LtcSizes, MixedMemorySizes, WiredCfcSizes
from lnn_edge.nn.cells.cfc import Activation, CfcConfig, Mode
from lnn_edge.nn.cells.ltc import LtcConfig, Positivity
from lnn_edge.nn.cells.mixed_memory import Place
from lnn_edge.nn.cells.wiring_config import draw_again
from lnn_edge.nn.cells.wirings import Wiring, read_wiring
from lnn_edge.nn.from_keras.liquid_config import KerasConfig

CELL, LSTM, READOUT = "rnn_cell.", "lstm.", "fc."
POSITIVE = ("w", "sensory_w", "cm", "gleak")
FORMS = {
    "torch": CfcConfig(head="tanh", gate_sign=1),
    "keras": CfcConfig(head="linear", gate_sign=-1),
}
"""The gated CfC cell as each framework defines it."""


@dataclass(frozen=True)
class ImportOptions:
    """What a file may not tell; None leaves it to the file.

    Attributes:
        name: C prefix; None takes the file's name.
        layers: Names of the layers of a state dict in their order, where the file does not tell.
        dt: Constant elapsed time; None where the last channel of a frame holds it.
        mode: "default", "no_gate" or "pure".
        activation: Of the backbone.
        wiring: File of the wiring, for Keras weights of a wired or LTC cell.
        unfolds: Solver steps of an LTC cell.
        positivity: What keeps its conductances positive; Keras clips.
        hop: Frames from one window to the next, where a model of Keras or ONNX reads windows.
        time_axis: Axis of frames of an ONNX model's input, where the file does not tell.
    """

    name: str | None = None
    layers: tuple[str, ...] = ()
    dt: float | None = 1.0
    mode: Mode | None = None
    activation: Activation | None = None
    wiring: Path | None = None
    unfolds: int | None = None
    positivity: Positivity | None = None
    hop: int | None = None
    time_axis: int | None = None


@dataclass(frozen=True)
class NcpsFile:
    """What a file of an ncps layer holds.

    Attributes:
        framework: Which library's definitions the weights belong to.
        arrays: Weights by the names of ncps.torch.
        config: What else a .keras file tells.
    """

    framework: Literal["torch", "keras"]
    arrays: Arrays
    config: KerasConfig | None = None


@dataclass(frozen=True)
class Question:
    """What a file does not tell, and the option that does."""

    what: str
    how: str


SOLVER = Question(
    "how its LTC cell is solved",
    "--unfolds (ncps takes 6) and, for ncps.torch, --positivity softplus (LTC) or clip (LTCCell)",
)
MODE = Question(
    "its mode", "--mode default or --mode no_gate (ncps takes default unless told otherwise)"
)
ACTIVATION = Question(
    "the activation of its backbone",
    "--activation (ncps takes lecun_tanh unless told otherwise)",
)


@dataclass(frozen=True)
class Liquid:
    """A liquid cell and what may follow it.

    Attributes:
        sizes: Sizes and form of the cell.
        cell: Its weights, by the names of our cell.
        readout: Weight and bias of the linear map of its output; empty without one.
    """

    sizes: CellSizes
    cell: Arrays
    readout: Arrays

    def make(self) -> tuple[nn.Module, nn.Linear | None]:
        """Return the cell, and the linear map behind it if there is one."""
        cell, readout = self.sizes.cell(), None
        cell.load_state_dict(tensors_of(self.cell))
        if self.readout:
            readout = nn.Linear(self.sizes.output_size, len(self.readout["bias"]))
            readout.load_state_dict(tensors_of(self.readout))
        return cell, readout


def questions(path: Path, file: NcpsFile, options: ImportOptions) -> list[Question]:
    """Return what neither a file nor an option says about its cell.

    Raises:
        DataError: It is no cell that is known here.
        UsageError: An option contradicts the file.
    """
    kind = _kind(path, file.arrays)
    options = _agreed(path, file, kind, options)
    asked = []
    if kind == "ltc":
        if options.unfolds is None or options.positivity is None:
            asked.append(SOLVER)
    else:
        if options.mode is None:
            asked.append(MODE)
        if options.activation is None and _has_backbone(file.arrays):
            asked.append(ACTIVATION)
    if _needs_wiring(file, kind) and options.wiring is None and _drawn(path, file, kind) is None:
        told = None if file.config is None else file.config.wiring
        of = "" if told is None else f" (of class {told[0]}) in full"
        asked.append(Question(f"its wiring{of}", "--wiring FILE"))
    return asked


def liquid_of(path: Path, file: NcpsFile, options: ImportOptions) -> Liquid:
    """Return the cell of arrays that are read; path stands in messages only.

    Raises:
        DataError: It is no cell that is known here.
        UsageError: An option is missing or contradicts the file.
    """
    ask(path, questions(path, file, options))
    kind = _kind(path, file.arrays)
    options = _agreed(path, file, kind, options)
    wiring = _wiring(path, file, kind, options.wiring)
    sizes = _sizes(path, file, kind, options, wiring)
    readout = {k.removeprefix(READOUT): v for k, v in file.arrays.items() if k.startswith(READOUT)}
    return Liquid(sizes, _our_names(file, sizes, wiring), readout)


def ask(path: Path, asked: Sequence[Question]) -> None:
    """Raise UsageError with all questions, if there are any."""
    unlike = list(dict.fromkeys(asked))
    if unlike:
        whats = " and ".join(q.what for q in unlike)
        raise UsageError(f"{path} does not tell {whats}; give {', '.join(q.how for q in unlike)}")


def check_taken(path: Path, files: Sequence[NcpsFile], options: ImportOptions) -> None:
    """Refuse options that say something of no cell.

    Raises:
        UsageError: There is one.
    """
    taken = {name for file in files for name, _ in _facts(file, _kind(path, file.arrays))}
    for name in ("mode", "activation", "wiring", "unfolds", "positivity"):
        if getattr(options, name) is not None and name not in taken:
            raise UsageError(f"{path} holds a cell that takes no --{name}; leave it out")


def tensors_of(arrays: Arrays, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return float32 weights, a prefix before their names."""
    return {f"{prefix}{name}": torch.from_numpy(v.copy()).float() for name, v in arrays.items()}


def _kind(path: Path, arrays: Arrays) -> str:
    """Return the kind of cell whose weights these are, as in table.KINDS."""
    mixed = f"{LSTM}input_map.weight" in arrays
    if f"{CELL}gleak" in arrays or f"{CELL}layer_0.ff1.weight" in arrays:
        kind = "ltc" if f"{CELL}gleak" in arrays else "wired_cfc"
        if mixed:
            raise DataError(f"{path}: mixed memory around a cell of kind {kind} is not known here")
        return kind
    if f"{CELL}ff1.weight" not in arrays:
        raise DataError(f"{path} holds no ff1, so no CfC cell; save a CfC or LTC layer of ncps")
    return "mixed_memory" if mixed else "cfc"


def _facts(file: NcpsFile, kind: str) -> list[tuple[str, object]]:
    """Return the options that such a cell takes, and what the file says about each."""
    told = file.config or KerasConfig(kind, "pure" if _is_pure(file.arrays) else None)
    in_keras = file.framework == "keras"
    facts: list[tuple[str, object]]
    if kind == "ltc":
        facts = [
            ("unfolds", told.unfolds),
            ("positivity", "clip" if in_keras else None),
        ]
    else:
        facts = [("mode", told.mode)]
        if _has_backbone(file.arrays) or told.activation is not None:
            facts.append(("activation", told.activation))
    return [*facts, ("wiring", None)] if _needs_wiring(file, kind) else facts


def _agreed(path: Path, file: NcpsFile, kind: str, options: ImportOptions) -> ImportOptions:
    """Return the options, completed by what the file tells.

    Raises:
        DataError: A .keras file's configuration is not that of its weights.
        UsageError: An option contradicts the file.
    """
    told = file.config
    if told and (
        told.kind != kind
        or (told.mode is not None and (told.mode == "pure") != _is_pure(file.arrays))
    ):
        raise DataError(
            f"{path}: config.json names {told.kind} {told.mode or ''}, which has other weights; "
            "save the model again"
        )
    known = {name: fact for name, fact in _facts(file, kind) if fact is not None}
    for name, fact in known.items():
        given = getattr(options, name)
        if given is not None and given != fact:
            raise UsageError(f"{path} holds a cell of {name} {fact}; {name} {given} was given")
    return replace(options, **known)  # type: ignore[arg-type]


def _is_pure(arrays: Arrays) -> bool:
    return any(name.endswith("w_tau") for name in arrays)


def _has_backbone(arrays: Arrays) -> bool:
    return any(_backbone(arrays, prefix) for prefix in (CELL, f"{CELL}layer_0."))


def _needs_wiring(file: NcpsFile, kind: str) -> bool:
    """Return whether the weights do not tell their wiring; state dicts hold their masks."""
    return file.framework == "keras" and kind in ("ltc", "wired_cfc")


def _drawn(path: Path, file: NcpsFile, kind: str) -> Wiring | None:
    """Draw the wiring that a .keras file names again; None where it cannot be drawn."""
    told = None if file.config is None else file.config.wiring
    if told is None:
        return None
    inputs, *layers = _layers(file.arrays, kind)
    return draw_again(*told, (inputs, sum(layers)), f"{path}/config.json: wiring {told[0]}")


def _wiring(path: Path, file: NcpsFile, kind: str, given: Path | None) -> Wiring | None:
    """Return the wiring of a Keras cell that has one.

    Raises:
        UsageError: The file and the option tell another, or it does not fit.
    """
    if not _needs_wiring(file, kind):
        return None
    drawn, wanted = _drawn(path, file, kind), _layers(file.arrays, kind)
    wiring = drawn if given is None else read_wiring(given)
    assert wiring is not None  # it would have been asked for
    told = file.config.wiring if file.config else None
    if told is not None and drawn is not None and not wiring.equals(drawn):
        drawn_as = f"{told[0]}({', '.join(f'{k!r}: {v}' for k, v in told[1].items())})"
        raise UsageError(f"{given} is another wiring than {drawn_as} of {path}; leave it out")
    layers = [len(v) for v in wiring.layers] if kind == "wired_cfc" else [wiring.units]
    if [wiring.input_size, *layers] != wanted:
        raise UsageError(
            f"{given or path} wires {wiring.input_size} inputs to layers of {layers} neurons, the "
            f"weights {wanted[0]} to {wanted[1:]}; give the wiring of this cell"
        )
    return wiring


def _layers(arrays: Arrays, kind: str) -> list[int]:
    """Return the number of inputs of a wired or LTC cell, then of neurons in each layer."""
    if kind == "ltc":
        return list(arrays[f"{CELL}sensory_w"].shape)
    layers = len([n for n in arrays if re.fullmatch(r"rnn_cell\.layer_\d+\.ff1\.bias", n)])
    sizes = [len(arrays[f"{CELL}layer_{i}.ff1.bias"]) for i in range(layers)]
    return [arrays[f"{CELL}layer_0.ff1.weight"].shape[1] - sizes[0], *sizes]


def _sizes(
    path: Path, file: NcpsFile, kind: str, options: ImportOptions, wiring: Wiring | None
) -> CellSizes:
    arrays = file.arrays
    if kind == "ltc":
        return _ltc_sizes(path, file, options, wiring)
    if kind == "wired_cfc":
        inputs, *sizes = _layers(arrays, kind)
        config = _config(path, file, f"{CELL}layer_0.", options)
        return WiredCfcSizes(inputs, tuple(sizes), config, wiring.output_size if wiring else 0)
    layers = len(_backbone(arrays, CELL))
    hidden = len(arrays[f"{CELL}ff1.bias"])
    first = arrays[f"{CELL}backbone.{_backbone(arrays, CELL)[0]}.weight"] if layers else None
    columns = (arrays[f"{CELL}ff1.weight"] if first is None else first).shape[1] - hidden
    units = 0 if first is None else len(first)
    config = _config(path, file, CELL, options)
    if kind == "cfc":
        return CfcSizes(columns, hidden, units, config)
    inputs = arrays[f"{LSTM}input_map.weight"].shape[1]
    place: Place = "state" if file.framework == "torch" else "input"
    return MixedMemorySizes(inputs, hidden, units, place, config)


def _ltc_sizes(
    path: Path, file: NcpsFile, options: ImportOptions, wiring: Wiring | None
) -> LtcSizes:
    """Return the sizes and form of an LTC cell.

    Raises:
        DataError: It has conductances that were never clipped.
    """
    arrays, unfolds, positivity = file.arrays, options.unfolds, options.positivity
    assert unfolds is not None  # asked for
    assert positivity is not None
    if options.positivity == "clip" and min(arrays[CELL + n].min() for n in POSITIVE) < 0:
        remedy = "call apply_weight_constraints() before saving, or give --positivity softplus"
        if file.framework == "keras":
            remedy = "its constraints clip them in training, so train it, or clip them"
        raise DataError(f"{path} holds negative conductances or capacities; {remedy}")
    inputs, units = arrays[f"{CELL}sensory_w"].shape
    outputs = wiring.output_size if wiring else len(arrays.get(f"{CELL}output_w", ()))
    config = LtcConfig(unfolds, positivity)
    if file.config is not None and file.config.epsilon is not None:
        config = replace(config, epsilon=file.config.epsilon)
    return LtcSizes(inputs, units, outputs or units, config)


def _config(path: Path, file: NcpsFile, prefix: str, options: ImportOptions) -> CfcConfig:
    """Return the form of a cell.

    Raises:
        UsageError: The option contradicts the weights.
    """
    layers, form = len(_backbone(file.arrays, prefix)), FORMS[file.framework]
    activation = options.activation or "lecun_tanh"
    config = replace(form, backbone_layers=layers, activation=activation)
    if f"{prefix}w_tau" in file.arrays:
        return replace(config, mode="pure", head="linear", gate_sign=1)
    if options.mode == "pure":
        raise UsageError(f"{path} holds a gated cell; give --mode default or --mode no_gate")
    assert options.mode is not None  # asked for
    return replace(config, mode=options.mode)


def _backbone(arrays: Arrays, prefix: str) -> list[int]:
    """Return the indices of a backbone's linear layers, activations and dropout left out."""
    pattern = re.compile(re.escape(prefix) + r"backbone\.(\d+)\.weight")
    return sorted(int(m[1]) for name in arrays if (m := pattern.fullmatch(name)))


def _our_names(file: NcpsFile, sizes: CellSizes, wiring: Wiring | None) -> Arrays:
    """Return the arrays of the cell by the names that ours has."""
    indices = _backbone(file.arrays, CELL)
    inside = "rnn_cell." if isinstance(sizes, MixedMemorySizes) else ""
    ours: Arrays = _identities(sizes) if isinstance(sizes, LtcSizes) else {}
    for name, value in file.arrays.items():
        if name.startswith(LSTM):
            ours[name] = value
        elif not name.startswith(READOUT):
            ours[inside + _backbone_name(name.removeprefix(CELL), indices)] = value
    if wiring is not None:
        ours |= _masks(sizes, wiring)
    if file.config is not None and file.config.forget_bias is not None:
        forget = slice(2 * sizes.output_size, 3 * sizes.output_size)  # ours adds 1.0
        ours["lstm.input_map.bias"][forget] += file.config.forget_bias - 1.0
    return ours


def _identities(sizes: LtcSizes) -> Arrays:
    """Return the input and output map of an LTC cell that has none, or one without an offset."""
    one, zero = np.ones, np.zeros
    return {
        "input_w": one(sizes.input_size),
        "input_b": zero(sizes.input_size),
        "output_w": one(sizes.output_size),
        "output_b": zero(sizes.output_size),
    }


def _masks(sizes: CellSizes, wiring: Wiring) -> Arrays:
    """Return the masks that Keras makes of a wiring."""
    if isinstance(sizes, LtcSizes):
        return {
            "sparsity_mask": np.abs(wiring.adjacency).astype(float),
            "sensory_sparsity_mask": np.abs(wiring.sensory).astype(float),
        }
    masks = [wiring.mask(i, signed=True).astype(float) for i in range(len(wiring.layers))]
    return {f"layer_{i}.sparsity_mask": mask for i, mask in enumerate(masks)}


def _backbone_name(name: str, indices: list[int]) -> str:
    """Return our name of a variable: the first layer of a backbone is no list's member."""
    found = re.match(r"backbone\.(\d+)\.", name)
    if found is None:
        return name
    place = indices.index(int(found[1]))
    return name.replace(found[0], "backbone." if place == 0 else f"deeper.{place - 1}.")
