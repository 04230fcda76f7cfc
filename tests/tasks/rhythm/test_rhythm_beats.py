"""The rhythm of a record by the beats that the network finds itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.beats.augmentation import BeatAugmentation
from lnn_edge.tasks.beats.network import BeatNetConfig
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.tasks.registry import find_task, make_network
from lnn_edge.tasks.rhythm.network import ONE_LEAD, rhythm_net
from lnn_edge.tasks.task import Task
from lnn_edge.train.checkpoint import load_trained
from lnn_edge.train.loop import train
from lnn_edge.train.predict import FloatModel
from lnn_edge.train.recipe import load_recipe
from tests.support.host_c import compile_model, record_items, run_c, run_reference

RHYTHM = find_task("rhythm")
RATE = ONE_LEAD.rate_hz
NO_EVENTS = np.zeros(0, np.int64)
LEARNING = 3 * RATE  # of the detector


def record_of(name: str, label: str, seed: int) -> tuple[Labelled, np.ndarray]:
    """Return 8 s of spikes, of "A" at irregular distances, and where they are."""
    rng = np.random.default_rng(seed)
    spread = 0.3 if label == "A" else 0.02
    peaks = np.cumsum(0.8 * RATE * np.exp(spread * rng.normal(size=14))).astype(int)
    time = np.arange(8 * RATE)
    ecg = sum(800 * np.exp(-(((time - p) / 4.0) ** 2)) for p in peaks)
    ecg = ecg + rng.normal(0, 8, len(time))
    frames = np.asarray(ecg).round().astype(np.int16)[:, None]
    channels = (Channel("ECG", "mV", 1000.0, 0.0),)
    record = Record(name, name, frames, float(RATE), channels, labels=(label,))
    return Labelled(record, RHYTHM), peaks[peaks < len(time)]


@pytest.fixture(scope="module")
def records() -> list[Labelled]:
    return [record_of(f"r{i}", "NA"[i], i)[0] for i in range(2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, records: list[Labelled]) -> Path:
    """Return a trained model's."""
    recipe = load_recipe("rhythm-beats-cfc")
    sizes = {"filters": [4], "kernel_sizes": [9], "strides": [6], "embedding_size": 8}
    plan = replace(recipe.training, epochs=1, batch_size=1, sequence_length=3)
    made = tmp_path_factory.mktemp("rhythm")
    train(
        replace(recipe, model={**recipe.model, **sizes}, training=plan), records, (), made, seed=0
    )
    return made


@pytest.fixture(scope="module")
def graph(folder: Path, records: list[Labelled]) -> QGraph:
    return quantize(load_trained(folder), records)


def test_it_decides_at_the_beats_that_it_finds() -> None:
    record, peaks = record_of("x", "A", 3)
    network = make_network("rhythm-beats-cfc", load_recipe("rhythm-beats-cfc").model)
    (found,) = run_decisions(network.front, [record], ("dt",))
    stamps, peaks = (x[(x > LEARNING) & (x < 6 * RATE)] for x in (found.stamps, peaks))
    assert len(stamps) == len(peaks) >= 2
    assert np.abs(stamps - peaks).max() <= 0.02 * RATE
    dt = found.values["dt"][1:, 0]
    assert np.array_equal(dt, np.diff(found.stamps).clip(*ONE_LEAD.dt_range))


def test_generated_c_says_what_the_simulator_says(
    graph: QGraph, records: list[Labelled], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    loud = records[1].frames.astype(np.int64)
    loud[1200:1400] += rng.integers(-32000, 32000, (200, 1))
    frames = loud.clip(-32768, 32767).astype(np.int16)
    items = [*record_items(frames, NO_EVENTS), ("G", None)]
    items[1500:1500] = [("S", 40)]  # lost frames
    expected = run_reference(graph, items)
    assert expected.count(b"D") >= 3
    assert run_c(compile_model(graph, tmp_path), items) == expected


def test_floats_stand_beside_the_integers(
    graph: QGraph, folder: Path, records: list[Labelled]
) -> None:
    """Its front end has a detector already: none is put before it."""
    (sequence,), (scores,) = integer_scores(graph, records[:1])
    floats = FloatModel(folder, graph).scores((records[0].frames, NO_EVENTS), sequence.stamps)
    assert np.abs(floats - graph.output.dequantize(scores)).max() < 0.05


def test_its_augmentation_is_that_of_beats() -> None:
    assert isinstance(load_recipe("rhythm-beats-cfc").augmentation, BeatAugmentation)
    assert not isinstance(load_recipe("rhythm-cfc").augmentation, BeatAugmentation)


@pytest.mark.parametrize("task", [find_task("activity"), find_task("beats")])
def test_a_task_that_it_was_not_made_for_is_named(task: Task) -> None:
    with pytest.raises(UsageError, match="need events or records at 300 Hz of 1 in mV, 1000 steps"):
        rhythm_net(BeatNetConfig(wait=0), task)


def test_a_wait_that_the_rate_does_not_hold_is_named() -> None:
    with pytest.raises(UsageError, match="wait must be 0 to 450 at 300 Hz, not 451"):
        rhythm_net(BeatNetConfig(wait=451))
