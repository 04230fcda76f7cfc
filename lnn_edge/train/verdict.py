"""How good a model is: against labels where there are some, and its integers against its floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from lnn_edge.build.decide import Engine, Runner
from lnn_edge.data.registry import find_dataset
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.shipped import graph_path
from lnn_edge.graph.fidelity import output_error, output_errors, reference_errors
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.nn.beside import imported_outputs
from lnn_edge.nn.model_card import WEIGHTS, kind_of, read_card
from lnn_edge.tasks.beats.additions import Additions
from lnn_edge.tasks.classifiable import Classifiable, judge_classifiable
from lnn_edge.tasks.feed import Feed, Wish, load_feed
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.learned import Overlap, learned_by_folder, learned_by_graph, overlap
from lnn_edge.tasks.metrics.single_label import decided_scores
from lnn_edge.tasks.model_input import takes_recordings
from lnn_edge.tasks.registry import task_of
from lnn_edge.train.recipe import Preprocessing

Errors = Mapping[str, Mapping[str, float]]
"""fidelity.output_error of each output, by name."""
CALIBRATION = "calibration data"
MOST_COMPARED = 8  # recordings on which integers are compared with floats
COMPARED_FRAMES = 4096  # of each: the floats' front end is simulated


@dataclass(frozen=True, eq=False)
class Sequences:
    """Frames by themselves, and what is true of them.

    Attributes:
        frames: (N, T, C) in real units, each sequence from a reset.
        labels: Classes as indices, -1 for none: (N,) of the last decision of each sequence, or
            (N, D) of every decision. None where nothing is labelled.
    """

    frames: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Verdict:
    """What came of judging a model.

    Attributes:
        model: Its path, or its name where it lies in no file.
        form: "float" or "integer".
        dataset: Where the recordings or frames are from.
        count: Recordings or sequences.
        figures: How good it is by labels; None without labels.
        float_errors: What its integers are worth against its floats; empty where not known.
        compared_on: What they were compared on.
        trained_on: Which of the recordings it learned from; None of frames.
        is_generated: Whether the recordings are synthetic.
        engine: What ran an integer model; None for a float one.
        feed: The recordings; None of frames.
        classifiable: Decisions on a signal without flaws, of a model that judges it.
    """

    model: str
    form: Literal["float", "integer"]
    dataset: str
    count: int
    figures: Figures | None = None
    float_errors: Errors = field(default_factory=dict)
    compared_on: str = ""
    trained_on: Overlap | None = None
    is_generated: bool = False
    engine: Engine | None = None
    feed: Feed | None = None
    classifiable: Classifiable | None = None

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        feed, errors = self.feed, {name: dict(e) for name, e in self.float_errors.items()}
        found: dict[str, object] = {
            "trained_on": None if self.trained_on is None else self.trained_on.to_json(),
            "is_generated": self.is_generated,
            "model": self.model,
            "form": self.form,
            "dataset": self.dataset,
            "lead": None if feed is None else feed.lead,
            "engine": self.engine,
            "float_error": next(iter(errors.values())) if len(errors) == 1 else None,
            "outputs": errors,
            "compared_on": self.compared_on,
        }
        if feed is not None and feed.changes is not None:
            found["changes"] = feed.changes.summary()
        if self.classifiable is not None:
            found["classifiable"] = self.classifiable.to_json()
        return found | ({} if self.figures is None else self.figures.to_json())


@dataclass(frozen=True)
class How:
    """How a model is judged.

    Attributes:
        resamples: Of patients, for intervals.
        find_beats: Whether an integer model of beats finds them itself.
        preprocessing: Front end of a float model.
        quality: Whether an integer model of beats judges the signal, and the rails of the ADC that
            it then knows.
    """

    resamples: int = 0
    find_beats: bool = False
    preprocessing: Preprocessing = "causal"
    quality: tuple[int, int] | None = None


def told_data(
    data: Wish | str | np.ndarray | tuple[np.ndarray, np.ndarray] | None,
    split: str,
    data_dir: str | None,
) -> Wish | Sequences:
    """Return what a model is judged on; see lnn_edge.evaluate."""
    if data is None or isinstance(data, str):
        return Wish(data, data_dir=data_dir, split=split)
    if isinstance(data, Wish):
        return data
    frames, labels = data if isinstance(data, tuple) else (data, None)
    frames = np.asarray(frames)
    return Sequences(frames[None] if frames.ndim == 2 else frames, labels)


def evaluate_model(
    model: QGraph | Path | None, data: Wish | Sequences | None = None, how: How | None = None
) -> Verdict:
    """Judge a model; see lnn_edge.evaluate.

    Args:
        model: A graph, a model.qgraph, the folder of a trained or imported model, the name of a
            shipped one, or None for the default.
        data: Recordings or frames. None, or a Wish that names none, takes the data set shown for
            its task; of a model that takes frames, those it was quantized on.
        how: None is the usual way.

    Raises:
        UsageError: There is no such model, an integer one is given a front end, or nothing is
            known to judge it by.
        DataError: The data cannot be read, or do not fit the model.
    """
    how = how or How()
    if isinstance(model, Path) and _is_trained(model):
        if how.quality is not None:
            raise UsageError(f"{model} has no integers that judge a signal; give its model.qgraph")
        return _judge_floats(model, _wish(model, data), how)
    path = None if isinstance(model, QGraph) else graph_path(model)
    graph = model if isinstance(model, QGraph) else load_graph(graph_path(model))
    where = Opened(graph, path)
    if how.preprocessing != "causal":
        raise UsageError(
            f"preprocessing is {how.preprocessing}, and {where.name} has its own, in integers; "
            "judge the folder of a trained model, or leave --preprocessing out"
        )
    is_named = isinstance(data, Wish) and (data.dataset is not None or data.own is not None)
    if isinstance(data, Sequences):
        return _judge_frames(where, data, how)
    if not is_named and not takes_recordings(graph):
        return _recalled(where)
    return _judge_recordings(where, _wish(where.name, data), how)


@dataclass(frozen=True)
class Opened:
    """A graph, and where it lies.

    Attributes:
        graph: The model.
        path: Of its file; None where there is none.
    """

    graph: QGraph
    path: Path | None

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.graph.name if self.path is None else str(self.path)

    @property
    def folder(self) -> Path | None:
        """Where the float model may be."""
        return None if self.path is None else self.path.parent


def _is_trained(folder: Path) -> bool:
    """Return whether a folder is judged as a trained model, or refused as one."""
    if not folder.is_dir():
        return False
    card = read_card(folder)
    return card is None or kind_of(card) != "imported"


def _wish(model: object, data: Wish | Sequences | None) -> Wish:
    if isinstance(data, Sequences):
        raise UsageError(
            f"{model} is judged on recordings; give the model.qgraph in it to judge frames"
        )
    return data or Wish()


def _judge_floats(folder: Path, wish: Wish, how: How) -> Verdict:
    """Judge a trained model in floating point."""
    from lnn_edge.train.checkpoint import facts_of, float_scores, load_trained, prepare

    trained = load_trained(folder)
    feed = load_feed(facts_of(trained), wish, str(folder))
    network = trained.network
    sequences = prepare(network, feed.recordings, how.preprocessing)
    scores, classes = float_scores(network, sequences), list(network.classes)
    return Verdict(
        str(folder),
        "float",
        feed.dataset,
        len(feed.recordings),
        judge(sequences, scores, classes, trained.task, how.resamples),
        trained_on=overlap(learned_by_folder(folder), feed.dataset, sequences),
        is_generated=_is_generated(feed, wish),
        feed=feed,
    )


def _judge_recordings(where: Opened, wish: Wish, how: How) -> Verdict:
    """Judge integers on recordings."""
    graph = where.graph
    feed = load_feed(graph.metadata, wish, where.name, graph)
    graph = Additions(how.find_beats, how.quality).to(graph)
    decided, scores = decided_scores(graph, feed.recordings)
    task = task_of(graph.metadata) or feed.task
    learned = learned_by_graph(graph, where.folder)
    found = Verdict(
        where.name,
        "integer",
        feed.dataset,
        len(feed.recordings),
        judge(decided.sequences, scores, graph.classes, task, how.resamples),
        trained_on=overlap(learned, feed.dataset, decided.sequences),
        is_generated=_is_generated(feed, wish),
        engine=decided.engine,
        feed=feed,
        classifiable=judge_classifiable(graph, decided.sequences, scores, task, how.resamples),
    )
    if where.folder is not None and _has_weights(where.folder, graph):
        errors, place = _trained_errors(where.folder, graph, feed.recordings, decided.sequences)
        if errors:
            return replace(found, float_errors=errors, compared_on=place)
    return _with_reference(found, graph)


def _judge_frames(where: Opened, data: Sequences, how: How) -> Verdict:
    """Judge integers on frames."""
    graph, frames = where.graph, data.frames
    if takes_recordings(graph) or frames.shape[-1] != graph.frame.size:
        raise DataError(
            f"model {graph.name} takes recordings, or frames of {graph.frame.size} channels; the "
            f"frames have {frames.shape[-1]}: give what this model was made for"
        )
    runner, no_events = Runner(graph), np.zeros(0, np.int64)
    steps = graph.frame.quantize(frames).astype(np.int16)
    runs = runner.run([(x, no_events) for x in steps])
    if not all(len(stamps) for stamps, _ in runs):
        first, _ = graph.stage_pace(graph.deciding_stage)
        raise DataError(
            f"{frames.shape[1]} frames lead to no decision of {graph.name}; give {first} or more"
        )
    figures = None
    if data.labels is not None:
        figures = _by_labels(graph, runs, data.labels, how.resamples)
    found = Verdict(where.name, "integer", "frames", len(frames), figures, engine=runner.engine)
    wanted = None if where.folder is None else imported_outputs(where.folder, graph, frames)
    if wanted is None:
        return _with_reference(found, graph)
    q = np.stack([outputs for _, outputs in runs])
    if q.shape != wanted.shape:
        raise DataError(
            f"the float model beside {where.name} makes {wanted.shape[1]} decisions of a sequence "
            f"and the graph {q.shape[1]}; quantize the model again"
        )
    errors = output_errors(graph, q, wanted)
    return replace(found, float_errors=errors, compared_on=f"{len(frames)} sequences")


def _by_labels(
    graph: QGraph,
    runs: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    resamples: int,
) -> Figures:
    """Judge decisions on sequences, all of one length, by the labels of them."""
    scores, count, decisions = graph.scores, len(runs), len(runs[0][0])
    if scores is None:
        raise UsageError(
            f"{graph.name} names no classes, so labels say nothing of it; quantize it with "
            "classes=[...], or leave the labels out"
        )
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape not in ((count,), (count, decisions)):
        raise DataError(
            f"labels must be integers ({count},) of the sequences or ({count}, {decisions}) of "
            f"their decisions, not {labels.dtype} {labels.shape}"
        )
    if labels.min() < -1 or labels.max() >= len(graph.classes):
        raise DataError(
            f"labels must be 0 to {len(graph.classes) - 1}, the indices of "
            f"{', '.join(graph.classes)}, or -1 for none, not {labels.min()} to {labels.max()}"
        )
    each = labels.astype(np.int64).reshape(count, -1)
    taken = each.shape[1]
    sequences = [
        DecisionSequence(str(i), str(i), stamps[-taken:], each[i], {})
        for i, (stamps, _) in enumerate(runs)
    ]
    decided = [scores.part(outputs)[-taken:] for _, outputs in runs]
    return judge(sequences, decided, graph.classes, task_of(graph.metadata), resamples)


def _recalled(where: Opened) -> Verdict:
    """Compare integers with the floats that are kept beside them."""
    reference = where.graph.reference
    if reference is None or not reference.frames:
        raise UsageError(
            f"{where.name} takes frames and keeps none of its own; give some, --input X.npy"
        )
    found = Verdict(where.name, "integer", CALIBRATION, len(reference.frames))
    return _with_reference(found, where.graph)


def _with_reference(found: Verdict, graph: QGraph) -> Verdict:
    """Return a verdict with the errors on calibration data, where they are known."""
    if graph.reference is None or not graph.reference.frames:
        return found
    return replace(found, float_errors=reference_errors(graph), compared_on=CALIBRATION)


def _has_weights(folder: Path, graph: QGraph) -> bool:
    """Return whether the trained weights of a graph lie in a folder, and torch can run them."""
    card = read_card(folder)
    if card is None or kind_of(card) != "trained" or not (folder / WEIGHTS).is_file():
        return False
    is_same = card.get("weights_sha256") == graph.metadata.get("weights_sha256")
    return is_same and find_spec("torch") is not None


def _trained_errors(
    folder: Path,
    graph: QGraph,
    recordings: Sequence[LabelledSignal],
    decided: Sequence[DecisionSequence],
) -> tuple[Errors, str]:
    """Return the errors at the start of a few recordings, and where that is; none without one."""
    from lnn_edge.train.predict import FloatModel

    model, output = FloatModel(folder, graph), judged_output(graph).output
    assert output is not None  # since it was judged
    places = range(0, len(decided), -(-len(decided) // MOST_COMPARED) or 1)
    starts, made = [], [decided[i] for i in places]
    for record in (recordings[i] for i in places):
        frames = record.frames[:COMPARED_FRAMES]
        starts.append((frames, record.events[record.events < len(frames)]))
    wanted = model.first_scores(starts, [s.stamps for s in made])
    got = [
        output.dequantize(output.part(s.values[graph.output.name][: len(w)]))
        for s, w in zip(made, wanted, strict=True)
    ]
    where = f"the first {COMPARED_FRAMES:,} frames of {len(got)} recordings"
    if not any(map(len, got)):
        return {}, where
    return {output.name: output_error(np.concatenate(got), np.concatenate(wanted))}, where


def _is_generated(feed: Feed, wish: Wish) -> bool:
    return wish.own is None and find_dataset(feed.dataset).is_generated
