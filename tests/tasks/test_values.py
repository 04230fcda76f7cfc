"""Labels of kind value: which number a decision is judged by, and what a model says it in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.data.inspection import inspect
from lnn_edge.data.record import Channel, Interval, Mark, Record
from lnn_edge.data.task_file import propose
from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import document_of, task_of_document
from lnn_edge.train.losses import make_loss, unlearned
from lnn_edge.train.recipe import load_recipe
from lnn_edge.train.value_scale import ValueScale

FRAME = Frame(10.0, (FrameChannel("x"),))
TASK = Task("rate", "", FRAME, "frames", "value", ("rate",), units=("1/min",))
NAN = float("nan")


def labelled(task: Task = TASK, **facts: Any) -> Labelled:
    plain = Record("r", "p", np.zeros((10, 1), np.int16), 10.0, (Channel("x"),))
    return Labelled(replace(plain, **facts), task)


def test_an_interval_says_the_value_of_its_samples() -> None:
    told = labelled(
        intervals=(Interval(0, 3, "61.5"), Interval(4, 5, "pause"), Interval(6, 7, "7"))
    )
    values = [61.5] * 4 + [NAN] * 2 + [7] * 2 + [NAN] * 2
    assert np.array_equal(told.labels[:, 0], values, equal_nan=True)
    found = told.labels_at(np.array([3, 5, 9]))
    assert np.array_equal(found, [[61.5], [NAN], [NAN]], equal_nan=True)
    assert np.array_equal(told.targets_at(np.array([6])), [[7.0]])
    assert (told.count(), told.left_out()) == ({"rate": 6}, {"pause": 1})


def test_a_mark_says_the_value_of_the_stretch_before_it() -> None:
    marks = (Mark(3, "5"), Mark(4, "N"), Mark(8, "6"))
    found = labelled(marks=marks).labels[:, 0]
    assert np.array_equal(found, [5.0] * 4 + [6] * 5 + [NAN], equal_nan=True)
    short = labelled(replace(TASK, stretch_s=0.2), marks=marks)
    values = [NAN, NAN, 5, 5, NAN, NAN, NAN, 6, 6, NAN]
    assert np.array_equal(short.labels[:, 0], values, equal_nan=True)


def test_a_label_of_several_numbers_is_as_many_values() -> None:
    task = replace(TASK, classes=("systolic", "diastolic"), units=("mmHg", "mmHg"))
    told = labelled(task, intervals=(Interval(0, 1, "120 80"), Interval(2, 3, "nan 70.5"),
                                     Interval(4, 5, "99")))  # fmt: skip
    wanted = [[120, 80]] * 2 + [[NAN, 70.5]] * 2 + [[NAN, NAN]] * 6
    assert np.array_equal(told.labels, wanted, equal_nan=True)
    assert (told.count(), told.left_out()) == ({"systolic": 2, "diastolic": 4}, {"99": 1})


def test_an_event_says_values_of_the_decision_at_it() -> None:
    task = replace(TASK, decide="events", unscored=("N",))
    marks = (Mark(2, "5"), Mark(5, "N"), Mark(7, "walk"), Mark(9, "6.5"))
    told = labelled(task, marks=marks)
    assert told.events.tolist() == [2, 5, 9]
    found = told.labels_at(np.array([3, 5, 8]))
    assert np.array_equal(found, [[5], [NAN], [6.5]], equal_nan=True)
    assert (told.count(), told.left_out()) == ({"rate": 2}, {"walk": 1})


def test_a_record_says_one_value() -> None:
    task = replace(TASK, decide="record")
    told = labelled(task, labels=("healthy", "43"))
    assert np.array_equal(told.labels_at(np.array([1, 2])), [[43.0], [43.0]])
    assert told.left_out() == {"healthy": 1}
    assert np.isnan(labelled(task).labels_at(np.array([1]))).all()


def test_the_task_comes_back_from_its_document() -> None:
    assert document_of(TASK)["labels"]["units"] == ["1/min"]
    assert document_of(task_of_document(document_of(TASK), "")) == document_of(TASK)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ("a", "b")}, "has 1 units; give one for each of its values"),
        ({"classes": ("a", "a")}, "must have at least one and their names must differ"),
        ({"classes": ()}, "must have at least one"),
        ({"map": {"a": "rate"}}, "leave map and rare out"),
        ({"labels": "sample", "classes": ("a", "b")}, "classes have no unit"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        replace(TASK, **changes)


def test_numbers_are_proposed_as_a_value_and_numbers_of_classes_are_not(tmp_path: Path) -> None:
    def proposed(labels: list[str]) -> Any:
        rows = (f"{i / 10},{i % 7},{label}" for i, label in enumerate(labels))
        (tmp_path / "a.csv").write_text("time,x,label\n" + "\n".join(rows) + "\n")
        return propose(inspect(tmp_path / "a.csv"), "rate").document

    found = proposed([str(60 + i // 4) for i in range(100)])
    assert found["labels"] == {"kind": "value", "classes": ["rate"], "units": [""]}
    assert found["decide"]["on"] == "frames"
    pairs = propose(inspect(tmp_path / "a.csv"), "rate (1/min)").document["labels"]
    assert pairs == {"kind": "value", "classes": ["rate"], "units": ["1/min"]}
    assert proposed(["0.5", "0.5", "1", "1"] * 9)["labels"]["kind"] == "value"
    assert proposed(["1", "1", "2", "2"] * 9)["labels"]["kind"] == "sample"


def test_the_loss_is_the_squared_error_of_known_values() -> None:
    plan = replace(load_recipe("har-cfc").training, burn_in=1)
    labels = torch.tensor([[[9.0], [1], [2], [NAN]]])
    loss = make_loss(labels[0], plan, ("rate",))
    said = torch.tensor([[[0.0], [1], [4], [8]]], requires_grad=True)
    value = loss(said, labels)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == pytest.approx((0 + 4) / 2)
    assert said.grad is not None
    assert said.grad.flatten().tolist() == [0, 0, 2, 0]
    assert unlearned(labels[0], plan, ("rate",)) == ()


def test_the_last_layer_says_a_value_in_its_unit() -> None:
    task = replace(TASK, classes=("rate", "depth"), units=())
    network = make_network("har-cfc", {"window": 64, "filters": (4, 4, 4)}, task).eval()
    labels = torch.tensor([[60.0, 1], [80, NAN], [NAN, 2], [70, 3]], dtype=torch.float64)
    scale = ValueScale.of(labels, network)
    window = torch.randn(1, 3, 64, 1)
    learned = network(window)
    network.load_state_dict(scale.said(network.state_dict()))
    wanted = learned * scale.deviation.float() + scale.mean.float()
    assert torch.allclose(network(window), wanted, atol=1e-4)
    first, second = scale.learned(labels).T
    assert first[:2].tolist() == pytest.approx([-(1.5**0.5), 1.5**0.5], rel=1e-6)
    assert second[[0, 2, 3]].tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5], rel=1e-6)


def test_what_cannot_be_learned_is_refused() -> None:
    network = make_network("har-cfc", {"window": 64, "filters": (4, 4, 4)}, TASK)
    with pytest.raises(DataError, match="every label of rate is 7; there is nothing to learn"):
        ValueScale.of(torch.tensor([[7.0], [7.0], [NAN]]), network)
    with pytest.raises(DataError, match="nothing has a label of rate"):
        ValueScale.of(torch.tensor([[NAN]]), network)
    with pytest.raises(UsageError, match="has no linear last layer"):
        ValueScale.of(torch.tensor([[7.0], [8.0]]), _Headless())


class _Headless(AbstractStreamNet):
    front = property(lambda _self: None)  # type: ignore[assignment]
