"""What a training learns from: read a few at a time, kept on disk, cut into batches."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.errors import DataError
from lnn_edge.graph.sim import predict
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.batches import make_examples
from lnn_edge.train.checkpoint import prepare, real_inputs
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import load_recipe
from tests.data.test_ptbxl import write_small
from tests.data.test_tnmg import write_ordered
from tests.support.recordings import invented

RECIPE = load_recipe("ecg-beats-demo")
LENGTH = RECIPE.training.sequence_length


class OnDemand(Sequence[Labelled]):
    """Recordings made when they are asked for; counts those that are alive."""

    def __init__(self, count: int) -> None:
        self.count, self.alive = count, weakref.WeakSet[Labelled]()
        self.most = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        made = invented(f"r{index}", LENGTH + 8 * index, index)
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        return made


def test_recordings_are_read_a_chunk_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "CHUNK", 2)
    recordings = OnDemand(9)
    network = make_network(RECIPE.network, RECIPE.model)
    examples = make_examples(network, recordings, RECIPE, tmp_path)
    assert examples.names == tuple(f"r{i}" for i in range(9))
    assert recordings.most <= 5  # two, and the two before them that wait for the collector
    assert not any(tmp_path.iterdir())
    assert all(isinstance(v.base, np.memmap) or v.base is None for v in examples.values.values())


def test_a_spliced_sequence_goes_on_elsewhere_in_its_recording(tmp_path: Path) -> None:
    recordings = [invented("a", 120, 1), invented("b", 90, 3)]
    network = make_network(RECIPE.network, RECIPE.model)
    examples = make_examples(network, recordings, RECIPE, tmp_path)
    examples = replace(examples, labels=torch.arange(len(examples.labels)))  # which decision it is
    torch.manual_seed(0)
    for chance, least, most in ((0.0, 0, 0), (0.5, 20, 44), (1.0, 58, 64)):
        _, rows = examples.batch(64, LENGTH, chance)
        jumps = rows.diff(dim=1) != 1
        assert least <= int(jumps.any(1).sum()) <= most
        assert int(jumps.sum(1).max()) <= 1
        assert ((rows < 120).all(1) | (rows >= 120).all(1)).all()


def test_batches_are_pieces_of_the_prepared_recordings(tmp_path: Path) -> None:
    recordings = [invented("a", 120, 1), invented("short", 5, 2), invented("b", 90, 3)]
    network = make_network(RECIPE.network, RECIPE.model)
    examples = make_examples(network, recordings, RECIPE, tmp_path)
    whole = [real_inputs(network, s) for s in prepare(network, recordings)]
    assert examples.counts.tolist() == [120, 90]
    torch.manual_seed(0)
    inputs, labels = examples.batch(16, LENGTH)
    assert labels.shape == (16, LENGTH)
    found = set()
    for piece, label in zip(inputs["window"], labels, strict=True):
        for index in (0, 2):
            windows = whole[index]["window"].unfold(0, LENGTH, 1).movedim(-1, 1)
            for start in torch.nonzero((windows == piece).flatten(1).all(1)).flatten().tolist():
                found.add((index, start))
                wanted = recordings[index].targets_at(recordings[index].events)
                assert label.tolist() == wanted[start : start + LENGTH].tolist()
    assert {index for index, _ in found} == {0, 2}
    assert len(found) > 8


@pytest.mark.parametrize("name", ["tnmg", "ptbxl"])
def test_large_data_sets_are_trained_on_from_disk(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    {"tnmg": write_ordered, "ptbxl": write_small}[name](folder)
    recipe = load_recipe("ccfc")
    recipe = replace(recipe, training=replace(recipe.training, epochs=1, batch_size=2))
    recordings = load_labelled(name, tmp_path)
    trained = train(recipe, recordings, (), tmp_path / "run", seed=0)
    assert trained.card.training_records == tuple(r.name for r in recordings)
    sequences = prepare(trained.network, recordings)
    assert all(len(s.stamps) == 1 for s in sequences)  # ten seconds are one window


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Full())
    network = make_network(RECIPE.network, RECIPE.model)
    with pytest.raises(DataError, match=r"cannot be written .*No space left.*make room"):
        make_examples(network, [invented("a", LENGTH + 5, 1)], RECIPE, tmp_path)
