"""A SavedModel of Keras 2 -> its configuration and variables. Nothing of its program is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.files.finite import check_finite
from lnn_edge.files.read import read_whole
from lnn_edge.nn.arrays import AGAIN, check_size
from lnn_edge.nn.from_keras.checkpoint import OBJECTS, Checkpoint, Node, nodes_of
from lnn_edge.nn.from_keras.files import NamedVariables, OldParts
from lnn_edge.nn.from_keras.wire import texts

METADATA = "keras_metadata.pb"
INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"
_ROOT = "root"


def saved_model_files(path: Path, most: int) -> dict[str, bytes]:
    """Return the files that are read of a SavedModel, by name.

    Args:
        path: Its folder.
        most: Bytes of a file.

    Raises:
        DataError: The folder is none of Keras 2.
    """
    try:
        return {name: read_whole(path / name, most) for name in (METADATA, INDEX, DATA)}
    except OSError as error:
        raise DataError(
            f"{path} is a folder and no SavedModel of Keras 2 "
            f"({Path(str(error.filename)).name}: {error.strerror}); give a model's file, or what "
            "model.save(folder) of Keras 2 wrote"
        ) from None


def saved_model_parts(path: Path, files: dict[str, bytes]) -> OldParts:
    """Return configuration and variables of a SavedModel.

    Raises:
        DataError: It is damaged, too large, or holds something else than numbers.
    """
    try:
        names, config = _told(files[METADATA])
        checkpoint = Checkpoint(files[INDEX], files[DATA])
        nodes = nodes_of(checkpoint.text(OBJECTS))
        kept = {name: _keys(nodes, place) for place, name in names.items()}
        sizes = [checkpoint.entries[key].size // 4 for keys in kept.values() for key in keys]
    except (KeyError, IndexError, ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} is damaged ({reason[:160]}); save the model again") from None
    check_size(str(path), len(sizes), sum(sizes))
    try:
        arrays = {name: _arrays(path, checkpoint, keys) for name, keys in kept.items()}
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); save the model again") from None
    return OldParts(json.dumps(config).encode(), NamedVariables(arrays), is_old=True)


def _told(metadata: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return names of layers by their place in the tree of objects, and the model's config."""
    names, config = dict[str, str](), dict[str, Any]()
    for node in texts(metadata, 1):
        place, told = texts(node, 3)[0].decode(), json.loads(texts(node, 5)[0])
        if place == _ROOT:
            config = {key: _plain(told[key]) for key in ("class_name", "config")}
        elif place.count(".") == 1:
            names[place.removeprefix(f"{_ROOT}.")] = told["name"]
    if not config:
        raise ValueError(f"{METADATA} names no model")
    return names, config


def _plain(value: Any) -> Any:
    """Return a configuration with tuples as lists, as the other files of Keras have them."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return [_plain(v) for v in value["items"]]
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _keys(nodes: list[Node], place: str) -> list[str]:
    """Return the names of a layer's variables in their order."""
    layer = nodes[nodes[0].children[place]] if place in nodes[0].children else None
    if layer is None or "variables" not in layer.children:
        return []
    held = nodes[layer.children["variables"]].children
    return [nodes[held[i]].keys[0] for i in sorted(held, key=int)]


def _arrays(path: Path, checkpoint: Checkpoint, keys: list[str]) -> list[np.ndarray]:
    found = [(key, checkpoint.array(key)) for key in keys]
    for key, array in found:
        if array is not None:
            check_finite(f"{path}: {key}", array, AGAIN)
    return [array for _, array in found if array is not None]
