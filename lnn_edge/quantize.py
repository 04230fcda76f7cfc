"""Float model -> integer graph: calibration on training data, then lowering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lnn_edge.decisions import DecisionSequence, LabelledSignal
from lnn_edge.errors import QuantizationError
from lnn_edge.formats import Ranges
from lnn_edge.graph import QGraph
from lnn_edge.graphio import save_graph
from lnn_edge.networks.stream_net import AbstractStreamNet
from lnn_edge.trained import Trained, one_thread, prepare, real_inputs

TAIL = 1e-4  # part of the values that may lie outside a range at each end, and saturates
MOST_RECORDINGS = 2000  # to calibrate on: more change no range and fill the memory
MARGIN = 1.1  # of the raw scores, which must not saturate: the largest decides


@dataclass
class Calibration:
    """Collects values of tapped tensors."""

    values: dict[str, list[Tensor]] = field(default_factory=dict)

    def tap(self, name: str, value: Tensor) -> Tensor:
        """Record a tensor's values and return it."""
        self.values.setdefault(name, []).append(value.detach().flatten())
        return value

    def ranges(self) -> Ranges:
        """Return the (low, high) of each tensor, tails of TAIL cut off; scores keep theirs."""
        return {name: _range(name, torch.cat(parts)) for name, parts in self.values.items()}


def _range(name: str, values: Tensor) -> tuple[float, float]:
    if not bool(torch.isfinite(values).all()):
        raise QuantizationError(f"{name} is not finite on the calibration data; train again")
    ordered = values.sort().values
    if name == "scores":
        return float(ordered[0]) * MARGIN, float(ordered[-1]) * MARGIN
    cut = int(len(ordered) * TAIL)
    return float(ordered[cut]), float(ordered[len(ordered) - 1 - cut])


def calibrate(network: AbstractStreamNet, sequences: Sequence[DecisionSequence]) -> Ranges:
    """Return the ranges of the network's tensors on prepared recordings."""
    calibration = Calibration()
    network.eval()
    with torch.no_grad(), one_thread():
        for sequence in sequences:
            if not len(sequence.stamps):
                continue
            inputs = {k: v[None] for k, v in real_inputs(network, sequence).items()}
            network(inputs, calibration.tap)
    return calibration.ranges()


def calibration_records(names: Sequence[str]) -> tuple[str, ...]:
    """Return names to calibrate on: all of them, or MOST_RECORDINGS at equal distances."""
    if len(names) <= MOST_RECORDINGS:
        return tuple(names)
    return tuple(names[i * len(names) // MOST_RECORDINGS] for i in range(MOST_RECORDINGS))


def quantize(
    trained: Trained,
    recordings: Sequence[LabelledSignal],
    prepared: Sequence[DecisionSequence] | None = None,
) -> QGraph:
    """Return the integer graph of a trained model.

    Args:
        trained: Model.
        recordings: Calibration data: recordings of the training set, never of a test set.
        prepared: The same, prepared already; None prepares them.

    Raises:
        QuantizationError: A tensor has no range, or a proof fails.
    """
    network, card = trained.network, trained.card
    metadata = {
        "classes": list(network.classes),
        **network.facts,
        "weights_sha256": card.weights_sha256,
        "network": card.recipe.network,
        "dataset": Path(card.recipe.dataset).name,  # no path in a graph
        "calibration_records": sorted(r.name for r in recordings),
    }
    if card.unlearned is not None:
        metadata["unlearned"] = list(card.unlearned)
    sequences = prepare(network, recordings) if prepared is None else prepared
    return network.lower(card.recipe.name, calibrate(network, sequences), metadata)


def quantize_folder(trained: Trained, recordings: Sequence[LabelledSignal], path: Path) -> QGraph:
    """Quantize and write the graph."""
    graph = quantize(trained, recordings)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_graph(graph, path)
    return graph
