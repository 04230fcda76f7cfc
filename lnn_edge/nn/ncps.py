"""An ncps model -> our cell: sizes and form from its file, what it does not tell from options."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lnn_edge import __version__
from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.cell_files import FORMAT, CellCard
from lnn_edge.nn.cell_folder import (
    CellSizes,
    CfcSizes,
    LtcSizes,
    MixedMemorySizes,
    WiredCfcSizes,
    make_model,
)
from lnn_edge.nn.cell_model import CellModel
from lnn_edge.nn.cells.cfc import Activation, CfcConfig, Mode
from lnn_edge.nn.cells.ltc import LtcConfig, Positivity
from lnn_edge.nn.cells.mixed_memory import Place
from lnn_edge.nn.cells.wiring_config import draw_again
from lnn_edge.nn.cells.wirings import Wiring, read_wiring
from lnn_edge.nn.keras_config import KerasConfig
from lnn_edge.nn.ncps_files import Arrays, NcpsFile, read_ncps

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
        dt: Constant elapsed time; None where the last channel of a frame holds it.
        mode: "default", "no_gate" or "pure".
        activation: Of the backbone.
        wiring: File of the wiring, for Keras weights of a wired or LTC cell.
        unfolds: Solver steps of an LTC cell.
        positivity: What keeps its conductances positive; Keras clips.
    """

    dt: float | None = 1.0
    mode: Mode | None = None
    activation: Activation | None = None
    wiring: Path | None = None
    unfolds: int | None = None
    positivity: Positivity | None = None


def import_ncps(path: Path, options: ImportOptions) -> tuple[CellModel, CellCard]:
    """Return the model in a file, in evaluation mode, and its card.

    Args:
        path: State dict of an ncps.torch CfC or LTC, or weights or a model of an ncps.keras one.
        options: What the file does not tell.

    Raises:
        DataError: The file cannot be read, or is no cell that is known here.
        UsageError: An option is missing, contradicts the file, or says what the cell has not.
    """
    if options.dt is not None and not 0 < options.dt < np.inf:
        raise UsageError(f"dt is {options.dt} s, needed is a positive, finite one, or input")
    file = read_ncps(path)
    try:
        sizes, model = model_of(path, file, options)
    except (KeyError, IndexError, RuntimeError) as error:  # weights of other names or shapes
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no cell that is known here ({reason})") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    head = (FORMAT, __version__, path.name, digest, "", sizes.kind)
    outputs = len(file.arrays.get("fc.bias", ()))
    card = CellCard(*head, asdict(sizes), options.dt or 0.0, outputs)
    return model.eval(), card


def model_of(path: Path, file: NcpsFile, options: ImportOptions) -> tuple[CellSizes, CellModel]:
    """Return sizes and model of arrays that are read; path stands in messages only."""
    kind = _kind(path, file.arrays)
    options = _agreed(path, file, kind, options)
    wiring = _wiring(path, file, kind, options.wiring)
    sizes = _sizes(path, file, kind, options, wiring)
    model = make_model(sizes, options.dt, len(file.arrays.get("fc.bias", ())))
    ours = _our_names(file, sizes, wiring)
    model.load_state_dict({k: torch.from_numpy(v).float() for k, v in ours.items()})
    return sizes, model


def _kind(path: Path, arrays: Arrays) -> str:
    """Return the kind of cell whose weights these are, as in cell_folder.CELLS."""
    mixed = f"{LSTM}input_map.weight" in arrays
    if f"{CELL}gleak" in arrays or f"{CELL}layer_0.ff1.weight" in arrays:
        kind = "ltc" if f"{CELL}gleak" in arrays else "wired_cfc"
        if mixed:
            raise DataError(f"{path}: mixed memory around a cell of kind {kind} is not known here")
        return kind
    if f"{CELL}ff1.weight" not in arrays:
        raise DataError(f"{path} holds no ff1, so no CfC cell; save a CfC or LTC layer of ncps")
    return "mixed_memory" if mixed else "cfc"


def _agreed(path: Path, file: NcpsFile, kind: str, options: ImportOptions) -> ImportOptions:
    """Return the options, completed by what the file tells.

    Raises:
        DataError: A .keras file's configuration is not that of its weights.
        UsageError: An option contradicts the file, or says what such a cell has not.
    """
    arrays, in_keras, is_ltc = file.arrays, file.framework == "keras", kind == "ltc"
    is_pure = any(name.endswith("w_tau") for name in arrays)
    told = file.config or KerasConfig(kind, "pure" if is_pure else None)
    if told.kind != kind or (told.mode is not None and (told.mode == "pure") != is_pure):
        raise DataError(
            f"{path}: config.json tells of {told.kind} {told.mode or ''}, the weights are others; "
            "save the model again"
        )
    facts: tuple[tuple[str, object, bool], ...] = (
        ("mode", told.mode, not is_ltc),
        ("activation", told.activation, bool(_backbone(arrays, CELL))),
        ("unfolds", told.unfolds, is_ltc),
        ("positivity", "clip" if is_ltc and in_keras else None, is_ltc),
        ("wiring", None, in_keras and kind in ("ltc", "wired_cfc")),
    )
    for name, fact, is_known in facts:
        given = getattr(options, name)
        if given is None or given == fact:
            continue
        if fact is not None:
            raise UsageError(f"{path} holds a cell of {name} {fact}; {name} {given} was given")
        if not is_known:
            raise UsageError(f"{path} holds a cell that takes no --{name}; leave it out")
    known = {name: fact for name, fact, _ in facts if fact is not None}
    return replace(options, **known)  # type: ignore[arg-type]


def _wiring(path: Path, file: NcpsFile, kind: str, given: Path | None) -> Wiring | None:
    """Return the wiring of a Keras cell that has one; state dicts hold their masks.

    Raises:
        UsageError: Neither the file nor an option tells it, both tell another, or it does not fit.
    """
    if file.framework == "torch" or kind not in ("ltc", "wired_cfc"):
        return None
    wanted = _layers(file.arrays, kind)
    told = None if file.config is None else file.config.wiring
    drawn = None
    if told is not None:
        units = sum(wanted[1:])
        drawn = draw_again(*told, (wanted[0], units), f"{path}/config.json: wiring {told[0]}")
    wiring = drawn if given is None else read_wiring(given)
    if wiring is None:
        of = "" if told is None else f" (of class {told[0]}) in full"
        raise UsageError(f"{path} does not save its wiring{of}; give --wiring FILE")
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
        UsageError: An option is missing.
    """
    arrays = file.arrays
    if options.unfolds is None or options.positivity is None:
        raise UsageError(
            f"{path} does not tell how its LTC cell is solved; give --unfolds (ncps takes 6) and, "
            "for ncps.torch, --positivity softplus (LTC) or clip (LTCCell)"
        )
    if options.positivity == "clip" and min(arrays[CELL + n].min() for n in POSITIVE) < 0:
        remedy = "call apply_weight_constraints() before saving, or give --positivity softplus"
        if file.framework == "keras":
            remedy = "its constraints clip them in training, so train it, or clip them"
        raise DataError(f"{path} holds negative conductances or capacities; {remedy}")
    inputs, units = arrays[f"{CELL}sensory_w"].shape
    outputs = wiring.output_size if wiring else len(arrays.get(f"{CELL}output_w", ()))
    config = LtcConfig(options.unfolds, options.positivity)
    if file.config is not None and file.config.epsilon is not None:
        config = replace(config, epsilon=file.config.epsilon)
    return LtcSizes(inputs, units, outputs or units, config)


def _config(path: Path, file: NcpsFile, prefix: str, options: ImportOptions) -> CfcConfig:
    """Return the form of a cell.

    Raises:
        UsageError: Neither the file nor an option tells it, or an option contradicts the weights.
    """
    layers = len(_backbone(file.arrays, prefix))
    activation = options.activation
    if layers and activation is None:
        raise UsageError(
            f"{path} does not tell the activation of its backbone; give --activation (ncps takes "
            "lecun_tanh unless told otherwise)"
        )
    form = FORMS[file.framework]
    config = replace(form, backbone_layers=layers, activation=activation or "lecun_tanh")
    if f"{prefix}w_tau" in file.arrays:
        return replace(config, mode="pure", head="linear", gate_sign=1)
    if options.mode is None:
        raise UsageError(
            f"{path} does not tell its mode; give --mode default or --mode no_gate (ncps takes "
            "default unless told otherwise)"
        )
    if options.mode == "pure":
        raise UsageError(f"{path} holds a gated cell; give --mode default or --mode no_gate")
    return replace(config, mode=options.mode)


def _backbone(arrays: Arrays, prefix: str) -> list[int]:
    """Return the indices of a backbone's linear layers, activations and dropout left out."""
    pattern = re.compile(re.escape(prefix) + r"backbone\.(\d+)\.weight")
    return sorted(int(m[1]) for name in arrays if (m := pattern.fullmatch(name)))


def _our_names(file: NcpsFile, sizes: CellSizes, wiring: Wiring | None) -> Arrays:
    """Return the arrays by the names of CellModel."""
    indices = _backbone(file.arrays, CELL)
    inside = "cell.rnn_cell." if isinstance(sizes, MixedMemorySizes) else "cell."
    ours: Arrays = _identities(sizes) if isinstance(sizes, LtcSizes) else {}
    for name, value in file.arrays.items():
        if name.startswith(READOUT):
            ours["readout." + name.removeprefix(READOUT)] = value
        elif name.startswith(LSTM):
            ours["cell." + name] = value
        else:
            ours[inside + _backbone_name(name.removeprefix(CELL), indices)] = value
    if wiring is not None:
        ours |= _masks(sizes, wiring)
    if file.config is not None and file.config.forget_bias is not None:
        forget = slice(2 * sizes.output_size, 3 * sizes.output_size)  # ours adds 1.0
        ours["cell.lstm.input_map.bias"][forget] += file.config.forget_bias - 1.0
    return ours


def _identities(sizes: LtcSizes) -> Arrays:
    """Return the input and output map of an LTC cell that has none, or one without an offset."""
    one, zero = np.ones, np.zeros
    return {
        "cell.input_w": one(sizes.input_size),
        "cell.input_b": zero(sizes.input_size),
        "cell.output_w": one(sizes.output_size),
        "cell.output_b": zero(sizes.output_size),
    }


def _masks(sizes: CellSizes, wiring: Wiring) -> Arrays:
    """Return the masks that Keras makes of a wiring."""
    if isinstance(sizes, LtcSizes):
        return {
            "cell.sparsity_mask": np.abs(wiring.adjacency).astype(float),
            "cell.sensory_sparsity_mask": np.abs(wiring.sensory).astype(float),
        }
    masks = [wiring.mask(i, signed=True).astype(float) for i in range(len(wiring.layers))]
    return {f"cell.layer_{i}.sparsity_mask": mask for i, mask in enumerate(masks)}


def _backbone_name(name: str, indices: list[int]) -> str:
    """Return our name of a variable: the first layer of a backbone is no list's member."""
    found = re.match(r"backbone\.(\d+)\.", name)
    if found is None:
        return name
    place = indices.index(int(found[1]))
    return name.replace(found[0], "backbone." if place == 0 else f"deeper.{place - 1}.")
