"""Stored vectors: an operator's meaning does not change by accident."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from array_api_compat import array_namespace

from tests.graph.ops.cases import MAKERS, kind_of
from tests.support.make_vectors import FOLDER, SEEDS, make_vectors, unpack


@pytest.mark.parametrize("name", MAKERS)
def test_reference_gives_the_stored_bits(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        for seed in SEEDS:
            op, inputs, expected = unpack(kind_of(name), dict(arrays), str(seed))
            for got, wanted in zip(op.reference(*inputs), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", [n for n in MAKERS if n != "constant"])  # it reads nothing
def test_reference_is_the_same_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        op, inputs, expected = unpack(kind_of(name), dict(arrays), str(SEEDS[0]))
    outputs = op.reference(*(torch.from_numpy(x) for x in inputs))
    for got, wanted in zip(outputs, expected, strict=True):
        assert array_namespace(got).__name__.endswith("torch")
        np.testing.assert_array_equal(got.numpy(), wanted)


def test_vectors_are_written_the_same_each_time(tmp_path: Path) -> None:
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
        make_vectors(tmp_path / name)
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "twice" / file.name).read_bytes()


def test_vectors_stay_small() -> None:
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) < 300_000
