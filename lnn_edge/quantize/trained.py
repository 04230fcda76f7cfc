"""Float model -> integer graph: calibration on training data, then lowering."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lnn_edge.errors import QuantizationError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together
from lnn_edge.graph.fidelity import Resolution, error_warnings, resolution, warnings
from lnn_edge.graph.file import graph_bytes, graph_sha256
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import TAIL as TAIL
from lnn_edge.graph.ranges import range_without_tails
from lnn_edge.graph.reference import reference_beside
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.threads import one_thread
from lnn_edge.train.checkpoint import Trained, facts_of, prepare, real_inputs

REPORT = "quantize.json"  # beside the graph
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
        """Return the (low, high) of each tensor without its tails; scores keep theirs."""
        return {name: _range(name, torch.cat(parts)) for name, parts in self.values.items()}


def _range(name: str, values: Tensor) -> tuple[float, float]:
    if not bool(torch.isfinite(values).all()):
        raise QuantizationError(f"{name} is not finite on the calibration data; train again")
    if name == "scores":
        return float(values.min()) * MARGIN, float(values.max()) * MARGIN
    return range_without_tails(values.numpy())


def observe(network: AbstractStreamNet, sequences: Sequence[DecisionSequence]) -> Calibration:
    """Return what the network computes on prepared recordings."""
    calibration = Calibration()
    network.eval()
    with torch.no_grad(), one_thread():
        for sequence in sequences:
            if not len(sequence.stamps):
                continue
            inputs = {k: v[None] for k, v in real_inputs(network, sequence).items()}
            network(inputs, calibration.tap)
    return calibration


def calibrate(network: AbstractStreamNet, sequences: Sequence[DecisionSequence]) -> Ranges:
    """Return the ranges of the network's tensors on prepared recordings."""
    return observe(network, sequences).ranges()


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
    return _quantize(trained, recordings, prepared)[0]


def quantize_folder(
    trained: Trained, recordings: Sequence[LabelledSignal], path: Path, *, force: bool = False
) -> QGraph:
    """Quantize, write the graph, and beside it what its integers hold; see save_quantized."""
    graph, resolutions = _quantize(trained, recordings)
    save_quantized(path, graph, resolutions, force=force)
    return graph


def save_quantized(
    path: Path,
    graph: QGraph,
    resolutions: Sequence[Resolution],
    errors: Mapping[str, Mapping[str, float]] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a graph, its reference and REPORT beside it, all or none.

    Args:
        path: Of the graph.
        graph: To be written.
        resolutions: Of time, of the input's channels and of tensors inside, on calibration data.
        errors: fidelity.output_error of each output on calibration data; None where not known.
        force: Whether to replace another graph.

    Raises:
        UsageError: Another graph is there.
    """
    known = errors or {}
    told = [w for name, e in known.items() for w in error_warnings(e, name if graph.heads else "")]
    digest = graph_sha256(graph)
    report = {
        "model_sha256": digest,
        "resolution": [asdict(r) for r in resolutions],
        "float_error": next(iter(known.values())) if len(known) == 1 else None,
        "outputs": known,
        "warnings": [*warnings(resolutions), *told],
    }
    files: dict[str, bytes | str] = {
        path.name: graph_bytes(graph),
        REPORT: json.dumps(report, indent=1) + "\n",
    }
    if graph.reference is not None:
        files[reference_beside(path).name] = graph.reference.to_bytes(digest)
    with alone_in(path.parent):
        write_together(path.parent, files, force=force)


def _quantize(
    trained: Trained,
    recordings: Sequence[LabelledSignal],
    prepared: Sequence[DecisionSequence] | None = None,
) -> tuple[QGraph, tuple[Resolution, ...]]:
    """Return the graph, and what it holds of elapsed time and of the tensors inside."""
    network, card = trained.network, trained.card
    metadata = {
        "classes": list(network.classes),
        **facts_of(trained),
        "weights_sha256": card.weights_sha256,
        "network": card.recipe.network,
        "dataset": Path(card.recipe.dataset).name,  # no path in a graph
        "calibration_records": sorted(r.name for r in recordings),
    }
    if card.unlearned is not None:
        metadata["unlearned"] = list(card.unlearned)
    sequences = prepare(network, recordings) if prepared is None else prepared
    calibration = observe(network, sequences)
    graph = network.lower(card.recipe.name, calibration.ranges(), metadata)
    return graph, (*_of_time(graph, sequences), *_of_tensors(graph, calibration))


def _of_time(graph: QGraph, sequences: Sequence[DecisionSequence]) -> tuple[Resolution, ...]:
    """Return what a model on events holds of the times between them."""
    trigger = graph.deciding_trigger
    elapsed = np.concatenate([np.diff(s.stamps) for s in sequences])
    if not isinstance(trigger, EventTrigger) or not elapsed.size:
        return ()
    return (resolution(trigger.dt.name, trigger.dt, elapsed * trigger.dt.scales[0]),)


def _of_tensors(graph: QGraph, calibration: Calibration) -> tuple[Resolution, ...]:
    """Return what the tensors of a graph hold of the values that were tapped by their names."""
    tensors = {t.name: t for op in graph.ops for t in op.outputs if len(set(t.scales)) == 1}
    return tuple(
        resolution(name, tensors[name], torch.cat(parts).numpy())
        for name, parts in calibration.values.items()
        if name in tensors
    )
