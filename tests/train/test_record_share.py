"""The part of the loss that judges a sequence as a record is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.train.loop import train
from lnn_edge.train.losses import make_loss
from lnn_edge.train.recipe import Training, load_recipe
from tests.support.recordings import invented

CLASSES = ("a", "b")
LABELS = torch.tensor([0, 1])
SCORES = torch.tensor(
    [[[9.0, 0.0], [3.0, 0.0], [-1.0, 0.0]], [[0.0, 2.0], [0.0, 0.5], [0.0, -1.0]]]
)
TRUE = torch.tensor([[0] * 3, [1] * 3])


def plan_of(share: float, burn_in: int = 1) -> Training:
    plan = load_recipe("rhythm-beats-cfc").training
    return replace(
        plan, record_share=share, burn_in=burn_in, label_smoothing=0.0, class_weight_power=0.0
    )


def test_a_share_of_one_judges_the_mean_after_burn_in() -> None:
    wanted = functional.cross_entropy(SCORES[:, 1:].mean(1), LABELS)
    assert float(make_loss(LABELS, plan_of(1.0), CLASSES)(SCORES, TRUE)) == pytest.approx(
        float(wanted)
    )


def test_what_is_left_judges_every_decision() -> None:
    each = make_loss(LABELS, plan_of(0.0), CLASSES)(SCORES, TRUE)
    whole = make_loss(LABELS, plan_of(1.0), CLASSES)(SCORES, TRUE)
    both = make_loss(LABELS, plan_of(0.25), CLASSES)(SCORES, TRUE)
    assert float(each) != pytest.approx(float(whole))
    assert float(both) == pytest.approx(0.75 * float(each) + 0.25 * float(whole))


def test_a_task_of_other_decisions_is_named(tmp_path: Path) -> None:
    recipe = load_recipe("ecg-beats-demo", ("training.record_share=0.5",))
    with pytest.raises(UsageError, match="task beats decides on events; it must be 0"):
        train(recipe, [invented("a", 60, 1)], (), tmp_path, seed=0)
