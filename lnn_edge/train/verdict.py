"""How good a model is on recordings, in floating point or in integers, and what it learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.build.decide import Engine
from lnn_edge.data.registry import find_dataset
from lnn_edge.errors import UsageError
from lnn_edge.files.shipped import graph_path
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.tasks.beats.find_beats import find_beats as with_detector
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.learned import Overlap, learned_by_folder, learned_by_graph, overlap
from lnn_edge.tasks.metrics.single_label import decided_scores
from lnn_edge.tasks.registry import task_of
from lnn_edge.train.recipe import Preprocessing


@dataclass(frozen=True)
class Verdict:
    """What came of judging a model.

    Attributes:
        form: "float" or "integer".
        path: Of the model.
        trained_on: Which of the recordings it learned from.
        is_generated: Whether they are synthetic.
        figures: How good it is.
        engine: What ran an integer model; None for a float one.
    """

    form: str
    path: Path
    trained_on: Overlap
    is_generated: bool
    figures: Figures
    engine: Engine | None = None


def facts_of_model(model: Path | None) -> Mapping[str, object]:
    """Return what a user of a model's inputs must know: see judge_model and graph.metadata."""
    if model is not None and model.is_dir():
        from lnn_edge.train.checkpoint import facts_of, load_trained

        return facts_of(load_trained(model))
    return load_graph(graph_path(model)).metadata


def judge_model(
    model: Path | None,
    dataset: str,
    recordings: Sequence[LabelledSignal],
    resamples: int,
    find_beats: bool = False,
    preprocessing: Preprocessing = "causal",
    *,
    is_own: bool = False,
) -> Verdict:
    """Run a model over recordings of a data set and compare what it decides with their labels.

    Args:
        model: A model.qgraph, the folder of a trained model, the name of a shipped one, or None for
            the default.
        dataset: Where the recordings are from.
        recordings: In the contract of the model.
        resamples: Of patients, for intervals.
        find_beats: Whether an integer model of beats finds them itself.
        preprocessing: Front end of a float model.
        is_own: Whether `dataset` is a path of own recordings and no name.

    Raises:
        UsageError: There is no such model, or an integer one is given a front end.
    """
    path = model if model is not None and model.is_dir() else graph_path(model)
    is_generated = not is_own and find_dataset(dataset).is_generated
    if path.is_dir():
        from lnn_edge.train.checkpoint import float_scores, load_trained, prepare

        trained = load_trained(path)
        network = trained.network
        sequences = prepare(network, recordings, preprocessing)
        scores, classes = float_scores(network, sequences), list(network.classes)
        judged = judge(sequences, scores, classes, trained.task, resamples)
        trained_on = overlap(learned_by_folder(path), dataset, sequences)
        return Verdict("float", path, trained_on, is_generated, judged)
    if preprocessing != "causal":
        raise UsageError(
            f"preprocessing is {preprocessing}, and {path} has its own, in integers; judge the "
            "folder of a trained model, or leave --preprocessing out"
        )
    graph = load_graph(path)
    if find_beats:
        graph = with_detector(graph)
    decided, scores = decided_scores(graph, recordings)
    judged = judge(decided.sequences, scores, graph.classes, task_of(graph.metadata), resamples)
    trained_on = overlap(learned_by_graph(graph, path.parent), dataset, decided.sequences)
    return Verdict("integer", path, trained_on, is_generated, judged, decided.engine)
