"""Float model -> integer graph: calibration on training data, then lowering."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn_edge.errors import UsageError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.shipped import GRAPH
from lnn_edge.files.write import write_together
from lnn_edge.graph.fidelity import Resolution, error_warnings, resolution, warnings
from lnn_edge.graph.file import graph_bytes, graph_sha256
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import Range
from lnn_edge.graph.reference import Reference, reference_beside
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal, run_records
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.model_card import kind_of, read_card
from lnn_edge.nn.plan import Plan
from lnn_edge.nn.threads import one_thread
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize.assemble import lower_behind
from lnn_edge.quantize.observe import Calibration, calibrate, observe
from lnn_edge.quantize.worth import facts_behind
from lnn_edge.tasks.feed import Feed, Wish, dataset_feed, load_own_feed
from lnn_edge.tasks.own_data import is_own, source_of
from lnn_edge.train.checkpoint import Trained, facts_of, load_trained, prepare, real_inputs

REPORT = "quantize.json"  # beside the graph
MOST_RECORDINGS = 2000  # to calibrate on: more change no range and fill the memory
MOST_COMPARED = 8  # recordings on which integers are compared with the network, each from a reset
MOST_DECISIONS = 256  # on each of them
PLANNED = 5  # decisions of a sequence on which a network is planned


def plan_of(network: AbstractStreamNet) -> Plan:
    """Return when what of a network runs; every layer once a decision."""
    steps = [torch.zeros(1, PLANNED, *tensor.shape) for tensor in network.inputs]
    return make_plan(trace(network, steps), steps)


def sequences_of(
    network: AbstractStreamNet, prepared: Sequence[DecisionSequence]
) -> Iterator[tuple[Tensor, ...]]:
    """Yield a network's inputs in real units, (1, D, *shape) each, of what decides at all."""
    for sequence in prepared:
        if len(sequence.stamps):
            yield tuple(x[None] for x in real_inputs(network, sequence).values())


class _Asked(dict[str, Range]):
    """Ranges that note which of them a lowering asks for; one that never varied is any."""

    def __init__(self, ranges: Ranges) -> None:
        super().__init__(
            {k: (lo, hi) if lo < hi else (-1.0, 1.0) for k, (lo, hi) in ranges.items()}
        )
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Note the name."""
        self.names.add(name)
        return super().get(name, default)


def calibrated(plan: Plan, front: Pipeline, sequences: Iterable[tuple[Tensor, ...]]) -> Calibration:
    """Return the values whose ranges the lowering asks for: all of them would fill the memory."""
    rest = iter(sequences)
    first = [*islice(rest, 1)]
    with one_thread():
        asked = _Asked(observe(plan, first))
        lower_behind(plan, asked, front, "net", {})
        return calibrate(plan, chain(first, rest), asked.names)


def calibration_records(names: Sequence[str]) -> tuple[str, ...]:
    """Return names to calibrate on: all of them, or MOST_RECORDINGS at equal distances."""
    if len(names) <= MOST_RECORDINGS:
        return tuple(names)
    return tuple(names[i * len(names) // MOST_RECORDINGS] for i in range(MOST_RECORDINGS))


def quantize_trained(folder: Path, wish: Wish, *, force: bool = False) -> tuple[QGraph, str]:
    """Quantize the model in a folder on its own training recordings; write its model.qgraph.

    Args:
        folder: Of a trained model.
        wish: Where those recordings are now; without a data set and own recordings as its card
            says.
        force: Whether to replace another graph.

    Returns:
        The graph, and a warning if the recordings have another lead than the model learned from.

    Raises:
        DataError: There is no trained model, or its recordings cannot be read.
        UsageError: It is an imported model, or another graph is there.
    """
    card = read_card(folder)
    if card is not None and kind_of(card) == "imported":
        raise UsageError(
            f"{folder} is an imported model, which has no training recordings; give --calibration "
            "X.npy with sequences that it will see"
        )
    trained = load_trained(folder)
    wish = replace(wish, names=calibration_records(trained.card.training_records))
    own = wish.own
    if own is None and is_own(trained.card.data) and wish.dataset is None:
        own = source_of(trained.card.data)
    if own is not None:
        feed = Feed(load_own_feed(own, wish, trained.task).recordings, str(own.path), wish.lead)
    else:
        feed = dataset_feed(facts_of(trained), wish, wish.dataset or trained.card.recipe.dataset)
    graph = quantize_folder(trained, feed.recordings, folder / GRAPH, force=force)
    return graph, feed.warning


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
        **({} if trained.task.is_value else {"classes": list(network.classes)}),
        **facts_of(trained),
        "weights_sha256": card.weights_sha256,
        "network": card.recipe.network,
        "dataset": Path(card.recipe.dataset).name,  # no path in a graph
        "calibration_records": sorted(r.name for r in recordings),
    }
    if card.unlearned is not None:
        metadata["unlearned"] = list(card.unlearned)
    sequences = prepare(network, recordings) if prepared is None else prepared
    plan = plan_of(network)
    calibration = calibrated(plan, network.front, sequences_of(network, sequences))
    ranges = calibration.ranges()
    read = _read(trained, sequences)
    graph, values = lower_behind(plan, ranges, network.front, card.recipe.name, metadata, read)
    compared = _compared(graph, network, recordings, sequences)
    facts = facts_behind(plan, values, graph, compared) if compared else {}
    resolutions = (*_of_time(graph, sequences), *_of_tensors(graph, calibration))
    return replace(graph, reference=Reference((), (), facts) if facts else None), resolutions


def _read(trained: Trained, prepared: Sequence[DecisionSequence]) -> list[Values]:
    """Return what weights are rounded by; nothing where a network learned from its integers."""
    if trained.card.recipe.training.aware_epochs:
        return []
    names = [tensor.name for tensor in trained.network.inputs]
    return [{name: s.values[name] for name in names} for s in prepared if len(s.stamps)]


def _compared(
    graph: QGraph,
    network: AbstractStreamNet,
    recordings: Sequence[LabelledSignal],
    prepared: Sequence[DecisionSequence],
) -> list[tuple[Values, tuple[Tensor, ...]]]:
    """Return the first decisions on a few recordings: integers, and the network's inputs."""
    places = [i for i, s in enumerate(prepared) if len(s.stamps)]
    places = places[:: -(-len(places) // MOST_COMPARED)] if places else []
    made = tuple(t.name for op in graph.deciding_stage.ops for t in op.outputs)
    chosen = [(recordings[i].frames, recordings[i].events) for i in places]
    decided = run_records(graph, chosen, made, MOST_DECISIONS)
    few = slice(MOST_DECISIONS)
    return [
        (integers, tuple(x[None, few] for x in real_inputs(network, prepared[i]).values()))
        for i, (_, integers) in zip(places, decided, strict=True)
    ]


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
