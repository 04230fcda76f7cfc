"""A model on disk, trained or imported: `model.toml` and `model.safetensors`. No torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli_w

from lnn_edge.errors import DataError
from lnn_edge.files.names import shown
from lnn_edge.files.read import LARGEST_ARRAYS, read_toml, read_whole
from lnn_edge.files.write import write_together
from lnn_edge.graph.qgraph import QGraph

FORMAT = 2  # 1 told no kind
CARD, WEIGHTS = "model.toml", "model.safetensors"
Kind = Literal["trained", "imported"]
COMMANDS: dict[Kind, str] = {"trained": "train", "imported": "import"}
AGAIN: dict[Kind, str] = {"trained": "train again", "imported": "import it again"}


@dataclass(frozen=True)
class Stored:
    """A model's files.

    Attributes:
        where: Path of the card, for messages.
        values: What the card says, its format and kind left out.
        files: Both by name.
    """

    where: str
    values: dict[str, Any]
    files: dict[str, bytes]

    @property
    def weights(self) -> bytes:
        """The bytes of WEIGHTS."""
        return self.files[WEIGHTS]


def read_card(folder: Path) -> dict[str, Any] | None:
    """Return what the card in a folder says, of any format; None without one.

    Raises:
        DataError: It is damaged.
    """
    path = folder / CARD
    try:
        return read_toml(path)
    except OSError:
        return None
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); make the model again") from None


def kind_of(values: Mapping[str, Any]) -> str:
    """Return the kind of model of a card; one of format 1 shows it by its keys."""
    return str(values.get("kind", "imported" if "cell" in values else "trained"))


def read_model(folder: Path, kind: Kind) -> Stored:
    """Read both files.

    Raises:
        DataError: A file is missing, damaged, of another kind or format, or they do not belong
            together.
    """
    try:
        values = read_toml(folder / CARD)
        files = {name: read_whole(folder / name, LARGEST_ARRAYS) for name in (CARD, WEIGHTS)}
    except OSError as error:
        raise DataError(
            f"{folder}: no {kind} model ({error.strerror}: {Path(error.filename).name}); "
            f"make one with `lnn-edge {COMMANDS[kind]}`"
        ) from None
    except ValueError as error:
        raise DataError(f"{folder}/{CARD} is damaged ({error}); {AGAIN[kind]}") from None
    _check(folder, kind, values)
    if hashlib.sha256(files[WEIGHTS]).hexdigest() != values.get("weights_sha256"):
        raise DataError(f"{folder}/{WEIGHTS} is damaged or not the one of {CARD}; {AGAIN[kind]}")
    told = {k: v for k, v in values.items() if k not in ("format", "kind")}
    return Stored(f"{folder}/{CARD}", told, files)


def _check(folder: Path, kind: Kind, values: Mapping[str, Any]) -> None:
    version, found = values.get("format"), kind_of(values)
    if found != kind:
        raise DataError(
            f"{folder} holds a model of kind {shown(found)}; give a folder of kind {kind}"
        )
    if version == 1 and kind == "imported":
        source = shown(values.get("source", "FILE"))
        raise DataError(
            f"{folder}/{CARD} must have format {FORMAT}, not 1; import it again: `lnn-edge import "
            f"{source} -o {folder} --force`"
        )
    if version not in (1, FORMAT):
        raise DataError(
            f"{folder}/{CARD} must have format {FORMAT}, not {shown(version)}; {AGAIN[kind]}"
        )


def write_model(
    folder: Path, kind: Kind, values: Mapping[str, Any], weights: bytes, *, force: bool = False
) -> str:
    """Write both files or none; return the hash of the weights.

    Args:
        folder: Where they go; the caller is alone in it.
        kind: Of the model.
        values: What the card says beside format, kind and weights_sha256.
        weights: Bytes of WEIGHTS.
        force: Whether to replace another model.

    Raises:
        UsageError: Another model is there.
    """
    digest = hashlib.sha256(weights).hexdigest()
    card = {"format": FORMAT, "kind": kind, **values, "weights_sha256": digest}
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, {WEIGHTS: weights, CARD: tomli_w.dumps(card)}, force=force)
    return digest


def unlearned_beside(path: Path, graph: QGraph) -> tuple[str, ...] | None:
    """Return the classes that the training data of a graph did not label.

    Args:
        path: Of the graph.
        graph: What it holds.

    Returns:
        None where there is no card of the same weights, or it does not say.

    Raises:
        DataError: The card names something else than classes.
    """
    try:
        values = read_card(path.parent) or {}
    except DataError:
        return None
    same = values.get("weights_sha256") == graph.metadata.get("weights_sha256") is not None
    if not same or "unlearned" not in values:
        return None
    names = values["unlearned"]
    if not isinstance(names, list) or not all(name in graph.classes for name in names):
        raise DataError(
            f"{path.with_name(CARD)}: unlearned must be a list of some of "
            f"{', '.join(graph.classes)}, not {names!r}"
        )
    return tuple(names)
