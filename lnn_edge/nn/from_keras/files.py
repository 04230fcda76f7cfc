"""Files of Keras -> variables of layers, and those of a liquid cell by the names of ncps.torch."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lnn_edge.data.readers.hdf5_file import DAMAGE
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.files.finite import check_finite
from lnn_edge.files.read import most_unpacked
from lnn_edge.nn.arrays import AGAIN, Arrays, check_size
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.from_keras.liquid_config import KerasConfig

ALONE = "it must hold one CfC or LTC layer of ncps and no other; save the whole model, as .keras"
IDLE = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout")

KERAS_WEIGHTS, KERAS_CONFIG = "model.weights.h5", "config.json"  # inside a .keras file
MOST_CONFIG = 1 << 21  # bytes
# What zipfile raises on files that are not as they should be; ValueError: of a member's name.
_NO_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
NEW_FILE = "load it in Keras 3 and save it as .keras"
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
    with _open_hdf5(path, raw) as file:
        if "_layer_checkpoint_dependencies" in file:
            raise DataError(f"{path} was saved by Keras 2; {NEW_FILE}")
        items: dict[str, Any] = {}
        file.visititems(items.__setitem__)
        names = [n for n, item in items.items() if hasattr(item, "dtype") and _is_weight(n)]
        _check_size(path, [items[n] for n in names])
        arrays = {
            n: _variable(path, n, items[n]) if items[n].dtype.kind == "f" else None for n in names
        }
    return PlacedVariables(path, arrays)


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
    with _open_hdf5(path, raw) as file:
        config = file.attrs.get("model_config")
        if config is None or "model_weights" not in file:
            return None
        layers = file["model_weights"]
        found = {name: _named(layers[name]) for name in map(_text, layers.attrs["layer_names"])}
        _check_size(path, [item for items in found.values() for item in items])
        arrays = {
            name: [_variable(path, item.name, item) for item in items if item.dtype.kind == "f"]
            for name, items in found.items()
        }
        is_old = _text(file.attrs.get("keras_version", "1")).split(".")[0] in ("1", "2")
    told = config if isinstance(config, bytes) else str(config).encode()
    return OldParts(told, NamedVariables(arrays), is_old)


def _named(group: Any) -> list[Any]:
    return [group[_text(name)] for name in group.attrs["weight_names"]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_size(path: Path, items: Sequence[Any]) -> None:
    check_size(str(path), len(items), sum(item.size or 0 for item in items))


def _natural(name: str) -> tuple[int, str]:
    """Return a key that puts vars/10 behind vars/9."""
    above, _, last = name.rpartition("/")
    return int(last) if last.isdigit() else -1, above


def keras_arrays(path: Path, raw: bytes) -> Arrays:
    """Return the arrays of the one cell in Keras weights, by the names of ncps.torch."""
    with _open_hdf5(path, raw) as file:
        items: dict[str, Any] = {}
        file.visititems(items.__setitem__)
        names = [n for n, item in items.items() if hasattr(item, "dtype") and _is_weight(n)]
        cell = _only_cell(path, names, list(items))
        _check_size(path, [items[n] for n in names])
        variables = {n.removeprefix(cell): _variable(path, n, items[n]) for n in names}
    return cell_arrays(str(path), variables, None)


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


@contextmanager
def _open_hdf5(path: Path, raw: bytes) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            "Keras weights need h5py; install it with `pip install lnn-edge[keras]`"
        ) from None
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            yield file
    except DAMAGE as error:
        raise DataError(f"{path} is damaged ({error}); save the weights again") from None


def _is_weight(name: str) -> bool:
    return "/vars/" in name and not re.search(r"(^|/)(optimizer|seed_generator)/", name)


def _only_cell(path: Path, variables: list[str], items: list[str]) -> str:
    """Return what the names of the one cell's variables begin with."""
    cells = {m[1] for name in variables if (m := re.match(r"(.*?/cell/)", name))}
    if len(cells) != 1:
        raise DataError(f"{path} holds {len(cells)} cells; {ALONE}")
    cell = cells.pop()
    layers = [n for n in items if re.search(r"(^|/)layers/\w+$", n) and not _is_idle(n)]
    stray = [
        n for n in (*variables, *layers) if not (n.startswith(cell) or cell.startswith(n + "/"))
    ]
    if stray:
        raise DataError(f"{path} holds {stray[0]} besides the cell; {ALONE}")
    return cell


def _is_idle(layer: str) -> bool:
    """Return whether a layer, by its place in a file, does nothing outside training."""
    name = layer.split("/")[-1]
    plain = re.sub(r"_\d+$", "", name).replace("_", "")
    return name == "input_layer" or plain in {known.lower() for known in IDLE}


def _variable(path: Path, name: str, item: Any) -> np.ndarray:
    """Return a variable as float64."""
    if item.dtype.kind != "f" or item.is_virtual or item.external:
        raise DataError(
            f"{path}: {name} must be floats in the file itself, not {item.dtype} of shape "
            f"{item.shape}; save the model as it is before any quantization"
        )
    array = np.asarray(item, np.float64)
    check_finite(f"{path}: {name}", array, AGAIN)
    return array


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
