"""Weights of Keras in HDF5 -> arrays. Runs in a process of its own: see data/readers/apart.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.data.readers import hdf5_file
from lnn_edge.data.readers.apart import Groups
from lnn_edge.errors import DataError
from lnn_edge.files.finite import check_finite
from lnn_edge.nn.arrays import AGAIN, check_size

DAMAGE = hdf5_file.DAMAGE  # for apart.py
ALONE = "it must hold one CfC or LTC layer of ncps and no other; save the whole model, as .keras"
IDLE = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout")
NEW_FILE = "load it in Keras 3 and save it as .keras"


def groups_of(path: Path, what: str, where: str) -> Groups:
    """Return weights as floats, in groups.

    Args:
        path: The HDF5 file.
        what: "placed", "whole" or "cell"; see the functions of these names.
        where: What messages call the file.

    Raises:
        DataError: It is too large, or holds something else than numbers.
        Exception: One of DAMAGE. The library may also never return, or crash.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return {"placed": placed, "whole": whole, "cell": cell}[what](where, file)


def placed(where: str, file: Any) -> Groups:
    """Return the variables of a model of Keras 3 by place; in a second group those no floats."""
    if "_layer_checkpoint_dependencies" in file:
        raise DataError(f"{where} was saved by Keras 2; {NEW_FILE}")
    weights, _ = _items(where, file)
    floats = {n for n, item in weights.items() if _is_number(n, item)}
    return {
        "floats": {n: _variable(where, n, weights[n]) for n in weights if n in floats},
        "others": {n: np.zeros(0) for n in weights if n not in floats},
    }


def whole(where: str, file: Any) -> Groups:
    """Return configuration, version and layers' variables of a model in HDF5; else nothing."""
    config = file.attrs.get("model_config")
    if config is None or "model_weights" not in file:
        return {}
    layers = file["model_weights"]
    found = {name: _named(layers[name]) for name in map(_text, layers.attrs["layer_names"])}
    _check_size(where, [item for items in found.values() for item in items])
    text = config if isinstance(config, bytes) else str(config).encode()
    version = np.array(_text(file.attrs.get("keras_version", "1")))
    groups: Groups = {"": {"config": np.frombuffer(text, np.uint8), "version": version}}
    for name, items in found.items():
        kept = [item for item in items if item.dtype.kind == "f"]
        groups[f"layer {name}"] = {str(i): _variable(where, k.name, k) for i, k in enumerate(kept)}
    return groups


def cell(where: str, file: Any) -> Groups:
    """Return the variables of the one cell of ncps by their place in it."""
    weights, items = _items(where, file)
    first = _only_cell(where, list(weights), items)
    return {"": {n.removeprefix(first): _variable(where, n, w) for n, w in weights.items()}}


def _items(where: str, file: Any) -> tuple[dict[str, Any], list[str]]:
    """Return weights by place, no more than a board could hold, and the places of all there is."""
    items: dict[str, Any] = {}
    file.visititems(items.__setitem__)
    weights = {n: item for n, item in items.items() if hasattr(item, "dtype") and _is_weight(n)}
    _check_size(where, list(weights.values()))
    return weights, list(items)


def _check_size(where: str, items: list[Any]) -> None:
    check_size(where, len(items), sum(item.size or 0 for item in items))


def _named(group: Any) -> list[Any]:
    return [group[_text(name)] for name in group.attrs["weight_names"]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _is_weight(name: str) -> bool:
    return "/vars/" in name and not re.search(r"(^|/)(optimizer|seed_generator)/", name)


def _only_cell(where: str, variables: list[str], items: list[str]) -> str:
    """Return what the names of the one cell's variables begin with."""
    cells = {m[1] for name in variables if (m := re.match(r"(.*?/cell/)", name))}
    if len(cells) != 1:
        raise DataError(f"{where} holds {len(cells)} cells; {ALONE}")
    cell = cells.pop()
    layers = [n for n in items if re.search(r"(^|/)layers/\w+$", n) and not _is_idle(n)]
    stray = [
        n for n in (*variables, *layers) if not (n.startswith(cell) or cell.startswith(n + "/"))
    ]
    if stray:
        raise DataError(f"{where} holds {stray[0]} besides the cell; {ALONE}")
    return cell


def _is_idle(layer: str) -> bool:
    """Return whether a layer, by its place in a file, does nothing outside training."""
    name = layer.split("/")[-1]
    plain = re.sub(r"_\d+$", "", name).replace("_", "")
    return name == "input_layer" or plain in {known.lower() for known in IDLE}


def _is_number(name: str, item: Any) -> bool:
    """Return whether a variable holds floats, or signs of a cell: JAX keeps those of an LTC whole.

    Integers of 8 bits are those of a quantized layer.
    """
    kind, size = item.dtype.kind, item.dtype.itemsize
    return kind == "f" or (kind == "i" and size >= 4 and "/cell/" in name)


def _variable(where: str, name: str, item: Any) -> np.ndarray:
    """Return a variable as float64."""
    if not _is_number(name, item) or item.is_virtual or item.external:
        raise DataError(
            f"{where}: {name} must be floats in the file itself, not {item.dtype} of shape "
            f"{item.shape}; save the model as it is before any quantization"
        )
    array = np.asarray(item, np.float64)
    check_finite(f"{where}: {name}", array, AGAIN)
    return array
