"""An imported model: its card, its weights, and the torch module that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.finite import check_finite
from lnn_edge.files.lock import alone_in
from lnn_edge.nn.model_card import WEIGHTS, Kind, read_model, write_model
from lnn_edge.nn.table import Form, Layer, LayerTable, TimedTable

KIND: Kind = "imported"
LONGEST_ROAD = 8  # layers that one line tells


@dataclass(frozen=True)
class ImportCard:
    """What model.toml says of an imported model.

    Attributes:
        lnn_edge: Version of the tool that wrote it.
        name: C prefix.
        source: Name of the file it was imported from.
        source_sha256: Hash of that file.
        weights_sha256: Hash of model.safetensors.
        channels: That the first layer reads.
        dt: Constant elapsed time in seconds; 0 where the last channel of a frame holds it.
        layers: See table.Layer.
        form: What they read, and what leaves them.
    """

    lnn_edge: str
    name: str
    source: str
    source_sha256: str
    weights_sha256: str
    channels: int
    dt: float
    layers: tuple[Layer, ...]
    form: Form = field(default_factory=Form)

    @property
    def road(self) -> str:
        """The layers in a line: a short chain in its order, else how many of each kind."""
        rows = self.layers
        above = ["input", *(row.name for row in rows)]
        is_chain = all(row.inputs == (name,) for row, name in zip(rows, above, strict=False))
        if is_chain and len(rows) <= LONGEST_ROAD:
            return " -> ".join(f"{row.name} ({row.kind})" for row in rows)
        counts = Counter(row.kind for row in rows)
        return ", ".join(f"{count} {kind}" for kind, count in counts.items())


@dataclass(frozen=True)
class Imported:
    """A module with its weights, in evaluation mode, and its card."""

    module: LayerTable
    card: ImportCard

    @property
    def channels(self) -> int:
        """Channels of a frame, elapsed time among them where it comes with every frame."""
        return self.card.channels + (not self.card.dt)

    def inputs(self, frames: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what forward reads of frames (..., channels)."""
        size = self.card.channels
        return (frames,) if self.card.dt else (frames[..., :size], frames[..., size:])

    def run(self, frames: np.ndarray) -> np.ndarray:
        """Return outputs (N, D, O), float64, several side by side, as a device gives them.

        Args:
            frames: Sequences (N, T, channels).
        """
        inputs = [torch.from_numpy(np.ascontiguousarray(x)).float() for x in self.inputs(frames)]
        with torch.no_grad():
            parts = self.module.scores(*inputs).values()
        outputs: np.ndarray = torch.cat(tuple(parts), -1).double().numpy()
        return outputs


def make_imported(card: ImportCard, weights: Mapping[str, Tensor]) -> Imported:
    """Return the model of a card.

    Raises:
        DataError: The card is wrong.
        RuntimeError: The weights do not fit it.
    """
    make, dt = (LayerTable, card.dt) if card.dt else (TimedTable, 1.0)
    module = make(card.layers, dt, card.form)
    module.load_state_dict({k: v.float() for k, v in weights.items()})
    return Imported(module.eval(), card)


def save_imported(folder: Path, model: Imported, *, force: bool = False) -> ImportCard:
    """Write model.toml and model.safetensors, both or none; return the card with their hash.

    Raises:
        UsageError: Another model is there.
    """
    tensors = {k: v.detach().contiguous().cpu() for k, v in model.module.state_dict().items()}
    values = asdict(model.card)
    with alone_in(folder):
        digest = write_model(folder, KIND, values, save_tensors(tensors), force=force)
    return replace(model.card, weights_sha256=digest)


def load_imported(folder: Path) -> Imported:
    """Read an imported model.

    Raises:
        DataError: See model_card.read_model, or weights and card do not fit each other.
    """
    stored = read_model(folder, KIND)
    card = tables.build(ImportCard, stored.values, stored.where, DataError)
    try:
        tensors = load_tensors(stored.weights)
        model = make_imported(card, tensors)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"{folder}/{WEIGHTS} does not fit {stored.where} ({first}); import it again"
        ) from None
    for name, tensor in tensors.items():
        check_finite(f"{folder / WEIGHTS}: {name}", tensor.float().numpy(), "import it again")
    return model
