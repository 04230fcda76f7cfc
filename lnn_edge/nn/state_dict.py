"""A torch file -> the layers of its state dict, in their order. Loaded safely: no code is run."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.finite import check_finite
from lnn_edge.files.names import shown
from lnn_edge.nn.arrays import AGAIN, Arrays, check_size

Kind = Literal["ncps", "lstm", "gru", "linear"]
NCPS_PARTS = ("rnn_cell.", "lstm.", "fc.")
USUAL = ("state_dict", "model_state_dict")  # of a model in a training checkpoint
MOST_LAYERS = 6  # whose order is looked for
_MOST_HEAD = 1 << 20  # bytes of the list of tensors
SAVE = "save one with torch.save(model.state_dict(), FILE)"
ELSE = "quantize the module itself: lnn_edge.quantize(module, X)"
_RNN = re.compile(r"(.*?)(?:weight|bias)_(?:ih|hh|hr)_l\d+(_reverse)?")


@dataclass(frozen=True)
class Part:
    """A layer of a state dict.

    Attributes:
        name: Its place in the module; "" of the module itself.
        kind: "ncps" is a CfC or LTC of ncps.torch, all others are torch's own.
        arrays: Weights by their names in the layer, float64, finite.
    """

    name: str
    kind: Kind
    arrays: Arrays

    @property
    def sizes(self) -> tuple[int, int]:
        """Length of an input and of an output."""
        a = self.arrays
        if self.kind == "linear":
            return a["weight"].shape[1], len(a["weight"])
        if self.kind != "ncps":
            last = max(n for n in a if n.startswith("weight_hh"))
            return a["weight_ih_l0"].shape[1], a[last].shape[1]
        return _ncps_inputs(a), _ncps_outputs(a)


def read_parts(path: Path, raw: bytes, order: Sequence[str] = ()) -> list[Part]:
    """Return the layers in a state dict, the first to be run first.

    Args:
        path: File, for messages; its suffix tells safetensors.
        raw: Its bytes: a state dict, or a training checkpoint with one inside.
        order: Names of the layers in their order; none leaves it to the file.

    Raises:
        DataError: The file is damaged, holds code, or a layer that a state dict does not place.
        UsageError: The order is not known, or the one given is not that of these layers.
    """
    is_sorted = path.suffix == ".safetensors"
    tensors = _safetensors(path, raw) if is_sorted else _state_dict(path, raw)
    check_size(str(path), len(tensors), sum(tensor.numel() for tensor in tensors.values()))
    arrays = {name: _plain_numbers(path, name, value) for name, value in tensors.items()}
    parts = [_part(path, *place, names, arrays) for place, names in _places(path, arrays).items()]
    return _ordered(path, parts, order, is_sorted)


def _safetensors(path: Path, raw: bytes) -> dict[str, Any]:
    if int.from_bytes(raw[:8], "little") > _MOST_HEAD:
        raise DataError(
            f"{path} is damaged, or names more weights than a board holds; save one cell"
        )
    try:
        return dict(load_tensors(raw))
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}); save it again") from None


def _check_archive(path: Path, raw: bytes) -> None:
    """See that a torch file is as torch writes it: its tensors unpacked, the list of them short."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        return  # of an old torch, or damaged, which torch.load tells
    lists = sum(info.file_size for info in infos if info.filename.endswith("data.pkl"))
    if sum(info.file_size for info in infos) > len(raw) or lists > _MOST_HEAD:
        raise DataError(f"{path} is packed, or lists more than a board holds; {SAVE}")


def _state_dict(path: Path, raw: bytes) -> dict[str, Any]:
    _check_archive(path, raw)
    try:
        loaded = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path} is no plain state dict (a whole module holds code, which is not run); {SAVE}"
        ) from None
    except Exception as error:  # whatever torch raises on a damaged file
        reason = shown(" ".join(str(error).split()), 200)
        raise DataError(f"{path} is damaged or no torch file ({reason}); {SAVE}") from None
    if not isinstance(loaded, dict):
        raise DataError(f"{path} must hold a state dict, not {type(loaded).__name__}; {SAVE}")
    if _is_state(loaded):
        return loaded
    inner = {str(name): value for name, value in loaded.items() if _is_state(value)}
    usual = {name: inner[name] for name in USUAL if name in inner}
    found = usual if len(usual) == 1 else inner
    if len(found) != 1:
        names = ", ".join(map(shown, inner)) or "none"
        raise DataError(f"{path} holds {len(inner)} state dicts ({names}), not one; {SAVE}")
    return next(iter(found.values()))


def _is_state(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
    )


def _plain_numbers(path: Path, name: str, tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
        raise DataError(
            f"{path}: {shown(name)} must be plain floats, not {tensor.dtype} ({tensor.layout}, "
            f"{tensor.device}); save the model as it is before any quantization"
        )
    array: np.ndarray = tensor.detach().double().numpy()
    check_finite(f"{path}: {shown(name)}", array, AGAIN)
    return array


def _places(path: Path, arrays: Arrays) -> dict[tuple[str, str], list[str]]:
    """Return the names of the weights of each layer, by what they begin with and its kind."""
    cells = {name[: name.index("rnn_cell.")] for name in arrays if "rnn_cell." in name}
    found: dict[tuple[str, str], list[str]] = {}
    for name in arrays:
        cell = next((c for c in cells if name.startswith(tuple(c + p for p in NCPS_PARTS))), None)
        rnn = _RNN.fullmatch(name)
        above, _, last = name.rpartition(".")
        if cell is not None:
            place = (cell, "ncps")
        elif rnn is not None:
            if rnn[2]:
                raise DataError(f"{path}: {shown(name)} reads the future (bidirectional); {ELSE}")
            place = (rnn[1], "rnn")
        elif last in ("weight", "bias") and arrays.get(f"{above}.weight", np.zeros(0)).ndim == 2:
            place = (f"{above}.", "linear")
        else:
            raise DataError(
                f"{path} holds {shown(name)}: of such a layer a state dict tells no place; known "
                f"are CfC and LTC of ncps, LSTM, GRU and one Linear behind them; {ELSE}"
            )
        found.setdefault(place, []).append(name)
    return found


def _part(path: Path, prefix: str, kind: str, names: Sequence[str], arrays: Arrays) -> Part:
    own = {name.removeprefix(prefix): arrays[name] for name in names}
    where = prefix.rstrip(".")
    if kind == "ncps":
        return Part(where, "ncps", own)
    if kind == "linear":
        return Part(where, "linear", own)
    gates = {"weight_ih_l0", "weight_hh_l0"} <= own.keys() and (
        len(own["weight_hh_l0"]) / max(own["weight_hh_l0"].shape[1], 1)
    )
    if gates not in (3, 4) or any("_hr_" in name for name in own):
        raise DataError(f"{path}: {shown(where)} is no LSTM or GRU without a projection; {ELSE}")
    return Part(where, "lstm" if gates == 4 else "gru", own)


def _ordered(
    path: Path, parts: Sequence[Part], order: Sequence[str], is_sorted: bool
) -> list[Part]:
    named = {part.name: part for part in parts}
    names = ", ".join(shown(name or "(itself)") for name in named)
    if order:
        if sorted(order) != sorted(named):
            raise UsageError(f"{path} holds the layers {names}; --layers must name each once")
        parts = [named[name] for name in order]
        found = [parts] if _fits(parts) else []
    else:
        tried = [tuple(parts)] if not is_sorted and _fits(parts) else permutations(parts)
        if len(parts) > MOST_LAYERS:
            tried = [tuple(parts)]
        found = [list(p) for p in tried if _fits(p)]
    if len(found) != 1:
        raise UsageError(
            f"{path} holds the layers {names}, which can follow each other in {len(found)} ways; "
            f"give --layers with their names in order, or {ELSE}"
        )
    heads = [part.name for part in found[0][:-1] if part.kind == "linear"]
    if heads or found[0][0].kind == "linear":
        raise DataError(
            f"{path}: what lies between {shown(found[0][0].name)} and the next layer, such as an "
            f"activation, no state dict tells; only one Linear at the end is known; {ELSE}"
        )
    return found[0]


def _fits(parts: Sequence[Part]) -> bool:
    return all(a.sizes[1] == b.sizes[0] for a, b in pairwise(parts))


def _ncps_inputs(a: Arrays) -> int:
    if "lstm.input_map.weight" in a:
        return int(a["lstm.input_map.weight"].shape[1])
    if "rnn_cell.sensory_w" in a:
        return len(a["rnn_cell.sensory_w"])
    for cell in ("rnn_cell.", "rnn_cell.layer_0."):
        for first in ("backbone.0.weight", "ff1.weight"):
            if cell + first in a:
                return int(a[cell + first].shape[1] - len(a.get(f"{cell}ff1.bias", ())))
    return 0


def _ncps_outputs(a: Arrays) -> int:
    for name in ("fc.bias", "rnn_cell.output_w", "rnn_cell.ff1.bias"):
        if name in a:
            return len(a[name])
    layers = [n for n in a if re.fullmatch(r"rnn_cell\.layer_\d+\.ff1\.bias", n)]
    if layers:
        return len(a[max(layers, key=lambda n: int(n.split("_")[2].split(".")[0]))])
    return len(a.get("rnn_cell.gleak", ()))
