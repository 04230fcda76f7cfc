"""Files of ncps models -> arrays under the names that ncps.torch gives them. Loaded safely."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from lnn_edge.errors import DataError, MissingToolError

Framework = Literal["torch", "keras"]
Arrays = dict[str, np.ndarray]
TORCH_PARTS = ("rnn_cell.", "lstm.", "fc.")
KERAS_WEIGHTS = "model.weights.h5"  # inside a .keras file
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# variables of LTCCell in the order in which ncps.keras makes them
LTC_VARIABLES = (
    "gleak vleak cm sigma mu w erev sensory_sigma sensory_mu sensory_w sensory_erev input_w "
    "input_b output_w output_b"
).split()


@dataclass(frozen=True)
class NcpsFile:
    """What a file of an ncps model holds.

    Attributes:
        framework: Which library's definitions the weights belong to.
        arrays: Weights by the names of ncps.torch, float64; matrices are (out, in).
    """

    framework: Framework
    arrays: Arrays


def read_ncps(path: Path) -> NcpsFile:
    """Read a state dict (torch.save or safetensors) or weights saved by Keras 3.

    Raises:
        DataError: The file is missing, damaged, holds code instead of weights, or is no ncps model.
        MissingToolError: h5py is needed and not installed.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give an ncps file") from None
    if path.suffix == ".safetensors":
        return NcpsFile("torch", _torch_names(path, _safetensors(path, raw)))
    keras = raw if raw.startswith(HDF5_SIGNATURE) else _keras_archive(raw)
    if keras is not None:
        return NcpsFile("keras", _keras_arrays(path, keras))
    return NcpsFile("torch", _torch_names(path, _state_dict(path, raw)))


def _safetensors(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        return dict(load_tensors(raw))
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}); save it again") from None


def _keras_archive(raw: bytes) -> bytes | None:
    """Return the weights in a .keras file, None if it is not one."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return archive.read(KERAS_WEIGHTS)
    except (zipfile.BadZipFile, KeyError):
        return None


def _state_dict(path: Path, raw: bytes) -> dict[str, Any]:
    save = "save one with torch.save(model.state_dict(), FILE)"
    try:
        loaded = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path} is no plain state dict (a whole module holds code, which is not run); {save}"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{path} is damaged or no torch file ({error!r}); {save}") from None
    if not isinstance(loaded, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items()
    ):
        raise DataError(f"{path} holds {type(loaded).__name__}, needed a state dict; {save}")
    return loaded


def _torch_names(path: Path, tensors: dict[str, Any]) -> Arrays:
    """Return the arrays of the one cell in a state dict, what lies above it taken off the names."""
    above = {key[: key.index("rnn_cell.")] for key in tensors if "rnn_cell." in key}
    if len(above) != 1:
        raise DataError(
            f"{path} holds {len(above)} cells of ncps (keys rnn_cell.*), needed is one; save the "
            "state dict of the CfC or LTC layer by itself"
        )
    prefix = above.pop()
    stray = [k for k in tensors if not k.startswith(tuple(prefix + part for part in TORCH_PARTS))]
    if stray:
        raise DataError(
            f"{path} holds {stray[0]} besides the cell; save the state dict of the CfC or LTC "
            "layer by itself"
        )
    return {k.removeprefix(prefix): v.double().numpy() for k, v in tensors.items()}


def _keras_arrays(path: Path, raw: bytes) -> Arrays:
    """Return the arrays of the one cell in Keras weights, by the names of ncps.torch."""
    variables = _keras_variables(path, raw)
    cells = {m[1] for name in variables if (m := re.match(r"(.*?/cell/)", name))}
    stray = [name for name in variables if not any(name.startswith(c) for c in cells)]
    if len(cells) != 1 or stray:
        found = f"{stray[0]} besides the cell" if cells and stray else f"{len(cells)} cells"
        raise DataError(
            f"{path} holds {found}, needed is one CfC or LTC layer by itself; build a model of "
            "that layer alone and save its weights"
        )
    prefix = cells.pop()
    return dict(_renamed({k.removeprefix(prefix): v for k, v in variables.items()}))


def _keras_variables(path: Path, raw: bytes) -> Arrays:
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            "Keras weights need h5py; install it with `pip install lnn-edge[keras]`"
        ) from None
    found: Arrays = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item, np.float64)

    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            file.visititems(note)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); save the weights again") from None
    return {name: value for name, value in found.items() if "/vars/" in name}


def _renamed(variables: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of a Keras cell by the names of ncps.torch."""
    if "vars/14" in variables:
        for index, name in enumerate(LTC_VARIABLES):
            yield f"rnn_cell.{name}", variables[f"vars/{index}"]
        return
    if "vars/2" in variables and "rnn_cell/vars/0" in variables:  # LSTM around a cell
        yield "lstm.input_map.weight", variables["vars/0"].T
        yield "lstm.recurrent_map.weight", variables["vars/1"].T
        yield "lstm.input_map.bias", variables["vars/2"]
        variables = _within(variables, "rnn_cell/")
    layers = {m[1] for name in variables if (m := re.match(r"_cfc_layers/(\w+)/", name))}
    for index, layer in enumerate(sorted(layers, key=_number)):
        cell = _within(variables, f"_cfc_layers/{layer}/")
        yield from _cfc_names(cell, f"rnn_cell.layer_{index}.")
    if not layers:
        yield from _cfc_names(variables, "rnn_cell.")


def _cfc_names(variables: Arrays, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of one CfCCell: ff1, then ff2 or w_tau and A, then its layers."""
    second = variables["vars/2"], variables["vars/3"]
    yield f"{prefix}ff1.weight", variables["vars/0"].T
    yield f"{prefix}ff1.bias", variables["vars/1"]
    if "time_a/vars/0" in variables:
        yield f"{prefix}ff2.weight", second[0].T
        yield f"{prefix}ff2.bias", second[1]
        for name in ("time_a", "time_b"):
            yield from _dense(variables, f"{name}/", f"{prefix}{name}.")
    else:
        yield f"{prefix}w_tau", second[0]
        yield f"{prefix}A", second[1]
    backbone = {
        m[1] for name in variables if (m := re.match(r"backbone_fn/layers/(dense\w*)/", name))
    }
    for index, layer in enumerate(sorted(backbone, key=_number)):
        yield from _dense(variables, f"backbone_fn/layers/{layer}/", f"{prefix}backbone.{index}.")


def _dense(variables: Arrays, path: str, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{prefix}weight", variables[f"{path}vars/0"].T
    yield f"{prefix}bias", variables[f"{path}vars/1"]


def _within(variables: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in variables.items() if k.startswith(prefix)}


def _number(name: str) -> int:
    """Return the number at the end of a Keras name; the first has none."""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0
