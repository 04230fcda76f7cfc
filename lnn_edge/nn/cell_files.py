"""A cell model on disk: `model.safetensors` and `model.toml` side by side. No torch here."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files import tables

FORMAT = 1
CARD, WEIGHTS = "model.toml", "model.safetensors"


@dataclass(frozen=True)
class CellCard:
    """What model.toml says of a cell model.

    Attributes:
        format: Version of this file.
        lnn_edge: Version of the tool that wrote it.
        source: Name of the file it was imported from.
        source_sha256: Hash of that file.
        weights_sha256: Hash of model.safetensors.
        cell: Kind of cell, a name in CELLS.
        sizes: Fields of that kind.
        dt: Constant elapsed time; 0 where the last channel of a frame holds it.
        outputs: Length of the output where a linear readout follows the cell, else 0.
    """

    format: int
    lnn_edge: str
    source: str
    source_sha256: str
    weights_sha256: str
    cell: str
    sizes: dict[str, object]
    dt: float
    outputs: int


def is_cell_folder(folder: Path) -> bool:
    """Tell whether a folder's model.toml is that of a cell model."""
    try:
        values = tomllib.loads((folder / CARD).read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return "cell" in values


def read_cell_files(folder: Path) -> tuple[CellCard, dict[str, bytes]]:
    """Return a cell model's card and both files by name.

    Raises:
        DataError: A file is missing, damaged, of another format, or they do not belong together.
    """
    again = "import it again"
    try:
        files = {name: (folder / name).read_bytes() for name in (CARD, WEIGHTS)}
        values = tomllib.loads(files[CARD].decode())
    except OSError as error:
        raise DataError(
            f"{folder}: no cell model ({error.strerror}: {Path(error.filename).name}); make one "
            "with `lnn-edge import`"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{folder}/{CARD} is damaged ({error}); {again}") from None
    if values.get("format") != FORMAT:
        raise DataError(
            f"{folder}/{CARD} has format {values.get('format')}, needed {FORMAT}; {again}"
        )
    card = tables.build(CellCard, values, f"{folder}/{CARD}", DataError)
    if hashlib.sha256(files[WEIGHTS]).hexdigest() != card.weights_sha256:
        raise DataError(f"{folder}/{WEIGHTS} is damaged or not the one of {CARD}; {again}")
    return card, files
