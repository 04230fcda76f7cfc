"""Files of Keras -> variables of layers, and those of a liquid cell by the names of ncps.torch."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from lnn_edge.data.readers.apart import Groups, read_apart
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.read import most_unpacked
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.from_keras import hdf5
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.from_keras.hdf5 import ALONE, NEW_FILE
from lnn_edge.nn.from_keras.liquid_config import KerasConfig

KERAS_WEIGHTS, KERAS_CONFIG = "model.weights.h5", "config.json"  # inside a .keras file
MOST_CONFIG = 1 << 21  # bytes
# What zipfile raises on files that are not as they should be; ValueError: of a member's name.
_NO_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# variables of LTCCell in the order in which ncps.keras makes them
LTC_VARIABLES = (
    "gleak vleak cm sigma mu w erev sensory_sigma sensory_mu sensory_w sensory_erev".split()
)


def keras_parts(path: Path, raw: bytes) -> dict[str, bytes] | None:
    """Return the files in a .keras file, None if it is not one."""
    try:
        if not zipfile.is_zipfile(io.BytesIO(raw)):
            return None
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            found = {n.filename: n for n in archive.infolist()}
            if KERAS_WEIGHTS not in found:
                return None
            limits = {KERAS_WEIGHTS: most_unpacked(len(raw)), KERAS_CONFIG: MOST_CONFIG}
            wanted = [found[n] for n in limits if n in found]
            for part in wanted:
                if part.file_size > (most := limits[part.filename]):
                    raise DataError(
                        f"{path}: {part.filename} has {part.file_size} bytes, known are at most "
                        f"{most}; {ALONE}"
                    )
            return {part.filename: archive.read(part) for part in wanted}
    except _NO_ARCHIVE as error:
        raise DataError(f"{path} is damaged ({error}); save the model again") from None


class Variables(Protocol):
    """Variables of a model's layers."""

    def of(self, layer: KerasLayer) -> list[np.ndarray]:
        """Return the variables of a layer in their order."""


@dataclass(frozen=True)
class PlacedVariables:
    """Variables of Keras 3, by their place in the file; None for those that are no floats."""

    path: Path
    arrays: Mapping[str, np.ndarray | None]

    def of(self, layer: KerasLayer) -> list[np.ndarray]:
        """Return the variables of a layer in their order.

        Raises:
            DataError: They are no floats.
        """
        names = [name for name in self.arrays if name.startswith(f"{layer.place}/")]
        found = [self.arrays[name] for name in sorted(names, key=_natural)]
        if any(array is None for array in found[:1]):
            raise layer.refuse("its weights are no floats; save the model before any quantization")
        return [array for array in found if array is not None]

    def of_cell(self, layer: KerasLayer) -> Arrays:
        """Return the variables of a layer's cell, by their place in it."""
        found = {k: v for k, v in self.arrays.items() if v is not None}
        return _within(found, f"{layer.place}/cell/")


@dataclass(frozen=True)
class NamedVariables:
    """Variables of the HDF5 files of Keras 2, by the name of the layer."""

    arrays: Mapping[str, list[np.ndarray]]

    def of(self, layer: KerasLayer) -> list[np.ndarray]:
        """Return the variables of a layer in their order.

        Raises:
            DataError: It lies in a model inside the model.
        """
        if "/layers" in layer.place.removeprefix("layers"):
            raise layer.refuse(f"lies in a model inside the model; {NEW_FILE}")
        return list(self.arrays.get(layer.name.split("/")[0], []))


def placed_variables(path: Path, raw: bytes) -> PlacedVariables:
    """Return the variables in model.weights.h5 of a .keras file.

    Raises:
        DataError: It is damaged, too large, or holds something else than numbers.
    """
    groups = _read_hdf5(path, raw, "placed")
    others = dict.fromkeys(groups.get("others", {}))
    return PlacedVariables(path, {**groups.get("floats", {}), **others})


@dataclass(frozen=True)
class OldParts:
    """A whole model in HDF5.

    Attributes:
        config: JSON.
        variables: Of its layers.
        is_old: Whether Keras 2 or 1 wrote it.
    """

    config: bytes
    variables: NamedVariables
    is_old: bool


def old_parts(path: Path, raw: bytes) -> OldParts | None:
    """Return a whole model in HDF5; None if it is none.

    Raises:
        DataError: It is damaged, too large, or holds something else than numbers.
    """
    groups = _read_hdf5(path, raw, "whole")
    if not groups:
        return None
    told = groups.pop("")
    named = {g.removeprefix("layer "): list(arrays.values()) for g, arrays in groups.items()}
    is_old = str(told["version"]).split(".")[0] in ("1", "2")
    return OldParts(told["config"].tobytes(), NamedVariables(named), is_old)


def keras_arrays(path: Path, raw: bytes) -> Arrays:
    """Return the arrays of the one cell in Keras weights, by the names of ncps.torch."""
    return cell_arrays(str(path), _read_hdf5(path, raw, "cell").get("", {}), None)


def _read_hdf5(path: Path, raw: bytes, what: str) -> Groups:
    if find_spec("h5py") is None:
        raise MissingToolError(
            "Keras weights need h5py; install it with `pip install lnn-edge[keras]`"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "weights.h5"
        file.write_bytes(raw)
        try:
            return read_apart(hdf5.__name__, file, what, str(path))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); save the weights again") from None


def _natural(name: str) -> tuple[int, str]:
    """Return a key that puts vars/10 behind vars/9."""
    above, _, last = name.rpartition("/")
    return int(last) if last.isdigit() else -1, above


def cell_arrays(where: str, variables: Arrays, config: KerasConfig | None) -> Arrays:
    """Return the arrays of a cell by the names of ncps.torch.

    Raises:
        DataError: It is none of ncps.
    """
    try:
        return dict(_renamed(where, variables, config))
    except KeyError as error:
        raise DataError(
            f"{where} holds a cell without {error.args[0]}, so no CfC or LTC of ncps; {ALONE}"
        ) from None


def _renamed(
    where: str, variables: Arrays, config: KerasConfig | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of a Keras cell by the names of ncps.torch."""
    if "vars/10" in variables:
        yield from _ltc_names(where, variables, config)
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


def _ltc_names(
    where: str, variables: Arrays, config: KerasConfig | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of an LTCCell; a mapping that is not affine has less of them."""
    names = list(LTC_VARIABLES)
    mappings = ("affine", "affine") if config is None else config.mappings
    for place, mapping in zip(("input", "output"), mappings, strict=True):
        letters = {"affine": "wb", "linear": "w"}.get(str(mapping), "")
        names += [f"{place}_{letter}" for letter in letters]
    if len(variables) != len(names):
        raise DataError(
            f"{where} holds an LTC cell of {len(variables)} variables, {len(names)} were expected "
            f"of mappings {mappings}; save the whole model, as .keras"
        )
    for index, name in enumerate(names):
        yield f"rnn_cell.{name}", variables[f"vars/{index}"]


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
