"""An ncps model -> our cell: sizes and form from its weights, the rest from options."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lnn_edge import __version__
from lnn_edge.cell_files import FORMAT, CellCard
from lnn_edge.cell_folder import (
    CellSizes,
    CfcSizes,
    LtcSizes,
    MixedMemorySizes,
    WiredCfcSizes,
    make_model,
)
from lnn_edge.cells.cfc import Activation, CfcConfig, Mode
from lnn_edge.cells.ltc import LtcConfig, Positivity
from lnn_edge.cells.mixed_memory import Place
from lnn_edge.cells.wirings import read_wiring
from lnn_edge.errors import DataError, UsageError
from lnn_edge.ncps_files import Arrays, NcpsFile, read_ncps
from lnn_edge.networks.cell_model import CellModel

CELL, LSTM, READOUT = "rnn_cell.", "lstm.", "fc."
POSITIVE = ("w", "sensory_w", "cm", "gleak")
FORMS = {
    "torch": CfcConfig(head="tanh", gate_sign=1),
    "keras": CfcConfig(head="linear", gate_sign=-1),
}
"""The gated CfC cell as each framework defines it."""


@dataclass(frozen=True)
class ImportOptions:
    """What the weights do not tell.

    Attributes:
        dt: Constant elapsed time; None where the last channel of a frame holds it.
        mode: "default", "no_gate" or "pure"; None infers it where that is possible.
        activation: Of the backbone; None if there is none.
        wiring: File of the wiring, for Keras weights of a wired cell.
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
        path: State dict of an ncps.torch CfC or LTC, or weights of an ncps.keras one.
        options: What the weights do not tell.

    Raises:
        DataError: The file cannot be read, or is no cell that is known here.
        UsageError: An option is missing or contradicts the weights.
    """
    if options.dt is not None and not 0 < options.dt < np.inf:
        raise UsageError(f"dt is {options.dt} s, needed is a positive, finite one, or input")
    file = read_ncps(path)
    sizes = _sizes(path, file, options)
    outputs = len(file.arrays.get("fc.bias", ()))
    model = make_model(sizes, options.dt, outputs)
    tensors = {k: torch.from_numpy(v).float() for k, v in _our_names(path, file, options).items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no cell that is known here ({reason})") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    head = (FORMAT, __version__, path.name, digest, "", sizes.kind)
    card = CellCard(*head, asdict(sizes), options.dt or 0.0, outputs)
    return model.eval(), card


def _sizes(path: Path, file: NcpsFile, options: ImportOptions) -> CellSizes:
    arrays = file.arrays
    if f"{CELL}gleak" in arrays:
        return _ltc_sizes(path, file, options)
    if f"{CELL}layer_0.ff1.weight" in arrays:
        return _wired_sizes(path, file, options)
    if f"{CELL}ff1.weight" not in arrays:
        raise DataError(f"{path} holds no ff1, so no CfC cell; save a CfC or LTC layer of ncps")
    layers = len(_backbone(arrays, CELL))
    hidden = len(arrays[f"{CELL}ff1.bias"])
    first = arrays[f"{CELL}backbone.{_backbone(arrays, CELL)[0]}.weight"] if layers else None
    columns = (arrays[f"{CELL}ff1.weight"] if first is None else first).shape[1] - hidden
    units = 0 if first is None else len(first)
    config = _config(path, file, CELL, options)
    if f"{LSTM}input_map.weight" not in arrays:
        return CfcSizes(columns, hidden, units, config)
    inputs = arrays[f"{LSTM}input_map.weight"].shape[1]
    place: Place = "state" if file.framework == "torch" else "input"
    return MixedMemorySizes(inputs, hidden, units, place, config)


def _ltc_sizes(path: Path, file: NcpsFile, options: ImportOptions) -> LtcSizes:
    """Return the sizes and form of an LTC cell.

    Raises:
        DataError: It has mixed memory, or conductances that were never clipped.
        UsageError: An option is missing.
    """
    arrays = file.arrays
    if f"{LSTM}input_map.weight" in arrays:
        raise DataError(f"{path}: mixed memory around an LTC cell is not known here")
    positivity = options.positivity or ("clip" if file.framework == "keras" else None)
    if options.unfolds is None or positivity is None:
        raise UsageError(
            f"{path} does not tell how its LTC cell is solved; give --unfolds (ncps takes 6) and, "
            "for ncps.torch, --positivity softplus (LTC) or clip (LTCCell)"
        )
    if positivity == "clip" and min(arrays[CELL + n].min() for n in POSITIVE) < 0:
        raise DataError(
            f"{path} holds negative conductances or capacities; call apply_weight_constraints() "
            "before saving, or give --positivity softplus"
        )
    inputs, units = arrays[f"{CELL}sensory_w"].shape
    outputs = len(arrays.get(f"{CELL}output_w", arrays[f"{CELL}gleak"]))
    return LtcSizes(inputs, units, outputs, LtcConfig(options.unfolds, positivity))


def _wired_sizes(path: Path, file: NcpsFile, options: ImportOptions) -> WiredCfcSizes:
    arrays = file.arrays
    if f"{LSTM}input_map.weight" in arrays:
        raise DataError(f"{path}: mixed memory around a wired cell is not known here")
    sizes = [len(arrays[f"{CELL}layer_{i}.ff1.bias"]) for i in range(_layer_count(arrays))]
    inputs = arrays[f"{CELL}layer_0.ff1.weight"].shape[1] - sizes[0]
    config = _config(path, file, f"{CELL}layer_0.", options)
    return WiredCfcSizes(inputs, tuple(sizes), config)


def _config(path: Path, file: NcpsFile, prefix: str, options: ImportOptions) -> CfcConfig:
    """Return the form of a cell.

    Raises:
        UsageError: The weights do not tell it and no option does, or the two contradict.
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
        if options.mode not in (None, "pure"):
            raise UsageError(f"{path} holds a cell of mode pure; mode {options.mode} was given")
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


def _our_names(path: Path, file: NcpsFile, options: ImportOptions) -> Arrays:
    """Return the arrays by the names of CellModel."""
    arrays = file.arrays
    indices = _backbone(arrays, CELL)
    mixed = f"{LSTM}input_map.weight" in arrays
    inside = "cell.rnn_cell." if mixed else "cell."
    ours: Arrays = {}
    for name, value in arrays.items():
        if name.startswith(READOUT):
            ours["readout." + name.removeprefix(READOUT)] = value
        elif name.startswith(LSTM):
            ours["cell." + name] = value
        else:
            ours[inside + _backbone_name(name.removeprefix(CELL), indices)] = value
    if file.framework == "keras" and f"{CELL}layer_0.ff1.weight" in arrays:
        ours |= _masks(path, arrays, options)
    if file.framework == "keras" and f"{CELL}gleak" in arrays:
        ours |= _ltc_masks(path, arrays, options)
    return ours


def _backbone_name(name: str, indices: list[int]) -> str:
    """Return our name of a variable: the first layer of a backbone is no list's member."""
    found = re.match(r"backbone\.(\d+)\.", name)
    if found is None:
        return name
    place = indices.index(int(found[1]))
    return name.replace(found[0], "backbone." if place == 0 else f"deeper.{place - 1}.")


def _masks(path: Path, arrays: Arrays, options: ImportOptions) -> Arrays:
    """Return the masks of a wired cell, which Keras does not save."""
    if options.wiring is None:
        raise UsageError(
            f"{path} holds a wired cell, and Keras does not save its wiring; give --wiring FILE"
        )
    wiring = read_wiring(options.wiring)
    masks = [wiring.mask(i, signed=True).astype(float) for i in range(len(wiring.layers))]
    wanted = [arrays[f"{CELL}layer_{i}.ff1.weight"].shape for i in range(_layer_count(arrays))]
    if [m.shape for m in masks] != wanted:
        raise UsageError(
            f"{options.wiring} has layers of shapes {[m.shape for m in masks]}, {path} of "
            f"{wanted}; give the wiring of this cell"
        )
    return {f"cell.layer_{i}.sparsity_mask": mask for i, mask in enumerate(masks)}


def _ltc_masks(path: Path, arrays: Arrays, options: ImportOptions) -> Arrays:
    """Return the masks of an LTC cell, which Keras does not save."""
    wanted = [arrays[f"{CELL}w"].shape, arrays[f"{CELL}sensory_w"].shape]
    if options.wiring is None:
        raise UsageError(
            f"{path} holds an LTC cell, and Keras does not save its wiring; give --wiring FILE"
        )
    wiring = read_wiring(options.wiring)
    if [wiring.adjacency.shape, wiring.sensory.shape] != wanted:
        raise UsageError(
            f"{options.wiring} joins {wiring.input_size} inputs and {wiring.units} neurons, {path} "
            f"{wanted[1][0]} and {wanted[1][1]}; give the wiring of this cell"
        )
    names = ("cell.sparsity_mask", "cell.sensory_sparsity_mask")
    masks = (np.abs(m).astype(float) for m in (wiring.adjacency, wiring.sensory))
    return dict(zip(names, masks, strict=True))


def _layer_count(arrays: Arrays) -> int:
    return len([name for name in arrays if re.fullmatch(r"rnn_cell\.layer_\d+\.ff1\.bias", name)])
