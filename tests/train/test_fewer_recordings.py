"""A recipe can learn from a part of its recordings: the same part each time, smaller ones in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.errors import UsageError
from lnn_edge.sweep.plan import plan_sweep
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.own_records import load_own
from lnn_edge.train.own import Asked
from lnn_edge.train.plan import Plan, adjusted, plan_training
from tests.cli.command import call_json
from tests.sweep.walks import COLUMNS, HINTS, SMALL, asked, write_walks


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walks(tmp_path_factory.mktemp("walks"))


def planned(count: int, walks: Path | None = None) -> Plan:
    recipe = adjusted("har-cfc", (*SMALL, f"training.recordings={count}"))
    if walks is None:
        return plan_training(recipe, None, Asked(), dataset="synthetic-activity", fold=0)
    return plan_training(recipe, Source(walks, HINTS), Asked(), fold=0)


def names(recordings: Sequence[object]) -> list[str]:
    return [recordings[i].name for i in range(len(recordings))]  # type: ignore[attr-defined]


def test_smaller_parts_lie_in_larger_ones_and_the_same_are_held_out() -> None:
    every = planned(0)
    order, parts = names(every.training), [names(planned(n).training) for n in (2, 3, 5)]
    assert [len(part) for part in parts] == [2, 3, 5]
    assert set(parts[0]) < set(parts[1]) < set(parts[2]) < set(order)
    for part in parts:
        assert part == sorted(part, key=order.index)
    assert parts[2] != order[:5]  # by chance, not the first ones
    assert names(planned(3).training) == parts[1]
    assert names(planned(3).held_out) == names(every.held_out)
    assert planned(3).told[-1] == f"learned from: 3 of {len(order)} recordings, drawn at random"
    with pytest.raises(UsageError, match=f"there are {len(order)} to learn from; lower it"):
        planned(len(order) + 1)


def test_recordings_that_stay_on_disk_are_parted_unread(
    walks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = names(planned(2, walks).training)
    monkeypatch.setattr("lnn_edge.train.plan.load_own", partial(load_own, most=0))
    part = planned(2, walks).training
    assert isinstance(part, LazyRecords)
    assert names(part) == few


def test_the_card_names_those_that_were_learned_from(walks: Path, tmp_path: Path) -> None:
    words = [w for s in (*SMALL, "training.epochs=1", "training.recordings=2")
             for w in ("--set", s)]  # fmt: skip
    call_json("train", "har-cfc", "--data", walks, *COLUMNS, *words, "--fold", 0, "-o", tmp_path)
    card = (tmp_path / "model.toml").read_text()
    wanted = names(planned(2, walks).training)
    assert f"training_records = [\n    {wanted[0]!r}".replace("'", '"') in card
    assert all(f'"{name}"' in card for name in wanted)


def test_a_sweep_tells_parts_apart(walks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNN_ARM_GCC", "no-such-compiler")
    few, some = plan_sweep(asked(walks, "training.recordings=2,3")).settings
    assert few.trials[0][0].data_sha256 != some.trials[0][0].data_sha256
