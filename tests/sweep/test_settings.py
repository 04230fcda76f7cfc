"""Choices become every combination, each as `train --set` takes it."""

from __future__ import annotations

import pytest

from lnn_edge.errors import UsageError
from lnn_edge.sweep.settings import combinations
from lnn_edge.train.recipe import load_recipe


def test_nothing_set_is_one_setting() -> None:
    assert combinations([]) == ((),)


def test_the_last_key_varies_first() -> None:
    assert combinations(["a=1,2", "b=x,y"]) == (
        ("a=1", "b=x"),
        ("a=1", "b=y"),
        ("a=2", "b=x"),
        ("a=2", "b=y"),
    )


def test_commas_inside_of_a_value_part_nothing() -> None:
    values = ("[8, 12]", '[[1, 2], "],"]', "{ F = \"N\", S = 'a,b' }", '"1,2"')
    assert combinations([f"k={','.join(values)}"]) == tuple((f"k={v}",) for v in values)


def test_every_setting_is_one_of_a_recipe() -> None:
    found = combinations(["model.filters=[8,12,16],[4, 4, 4]", "hidden_size=8,16"])
    recipes = [load_recipe("har-cfc", setting) for setting in found]
    sizes = [(r.model["filters"], r.model["hidden_size"]) for r in recipes]
    assert sizes == [([8, 12, 16], 8), ([8, 12, 16], 16), ([4, 4, 4], 8), ([4, 4, 4], 16)]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["hidden_size"], "must be key=value,value"),
        (["=8"], "must be key=value,value"),
        (["hidden_size=8,,16"], "has an empty value"),
        (["hidden_size="], "has an empty value"),
        (["hidden_size=8", "hidden_size=16"], "is given twice"),
    ],
)
def test_what_is_no_choice_is_refused(choices: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        combinations(choices)
