"""Tables become dataclasses only if every key is known and every type is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from lnn_edge.errors import BoardError, LnnEdgeError, UsageError
from lnn_edge.files import tables


@dataclass(frozen=True)
class Leaf:
    size: int
    ratio: float = 0.5


@dataclass(frozen=True)
class Tree:
    name: str
    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    sizes: tuple[int, ...] = ()
    kind: Literal["oak", "elm"] = "oak"
    limit: int | None = None
    is_old: bool = False
    extra: dict[str, object] = field(default_factory=dict)


GOOD: dict[str, object] = {"name": "a", "leaf": {"size": 1}}


def build(**changes: object) -> Tree:
    return tables.build(Tree, {**GOOD, **changes}, "tree.toml", UsageError)


def refusal(**changes: object) -> str:
    with pytest.raises(UsageError) as caught:
        build(**changes)
    return str(caught.value)


def test_missing_keys_take_their_defaults() -> None:
    assert build() == Tree("a", Leaf(1))
    assert build().extra is not build().extra


def test_everything_nests() -> None:
    tree = build(
        leaf={"size": 2, "ratio": 1.5},
        leaves=[{"size": 3}, {"size": 4}],
        sizes=[1, 2],
        kind="elm",
        limit=7,
        is_old=True,
        extra={"any": ["thing"]},
    )
    leaves = (Leaf(3), Leaf(4))
    assert tree == Tree("a", Leaf(2, 1.5), leaves, (1, 2), "elm", 7, True, {"any": ["thing"]})
    assert isinstance(tree.leaves, tuple)


def test_a_whole_number_may_stand_for_a_real_one() -> None:
    ratio = build(leaf={"size": 1, "ratio": 2}).leaf.ratio
    assert (ratio, type(ratio)) == (2.0, float)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"nmae": "a"}, "tree.toml: unknown key 'nmae'; known are name, leaf, leaves"),
        ({"leaf": {}}, "tree.toml: leaf: key 'size' is missing"),
        ({"leaf": {"size": 1, "colour": 2}}, "tree.toml: leaf: unknown key 'colour'; known are"),
        ({"leaves": [{"size": 1}, {"size": "x"}]}, "tree.toml: leaves: size must be int, not 'x'"),
        ({"leaf": 3}, "tree.toml: leaf must be a table, not 3"),
        ({"name": 3}, "tree.toml: name must be str, not 3"),
        ({"is_old": 1}, "tree.toml: is_old must be bool, not 1"),
        ({"limit": 1.0}, "tree.toml: limit must be int | None, not 1.0"),
        ({"limit": True}, "tree.toml: limit must be int | None, not True"),
        ({"sizes": [1, "2"]}, "tree.toml: sizes must be int, not '2'"),
        ({"sizes": 1}, "tree.toml: sizes must be"),
        ({"kind": "ash"}, "tree.toml: kind must be ('oak', 'elm'), not 'ash'"),
        ({"extra": []}, "tree.toml: extra must be"),
        ({"leaf": {"size": True}}, "tree.toml: leaf: size must be int, not True"),
        ({"leaf": {"size": 1.0}}, "tree.toml: leaf: size must be int, not 1.0"),
        ({"leaf": {"size": 1, "ratio": "1"}}, "tree.toml: leaf: ratio must be float, not '1'"),
        ({"leaf": {"size": 1, "ratio": 10**400}}, "tree.toml: leaf: ratio must be float, not 100"),
        ({"leaf": {"size": 1, "ratio": True}}, "tree.toml: leaf: ratio must be float, not True"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changes: dict[str, object], sentence: str) -> None:
    assert refusal(**changes).startswith(sentence)


def test_a_missing_key_without_a_default_is_named() -> None:
    with pytest.raises(UsageError, match=r"^tree: key 'leaf' is missing$"):
        tables.build(Tree, {"name": "a"}, "tree", UsageError)


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_only_a_table_is_a_table(values: object) -> None:
    with pytest.raises(UsageError, match=r"^tree must be a table, not"):
        tables.build(Tree, values, "tree", UsageError)


@pytest.mark.parametrize("error", [UsageError, BoardError])
def test_the_caller_chooses_the_error(error: type[LnnEdgeError]) -> None:
    with pytest.raises(error) as caught:
        tables.build(Leaf, {}, "leaf", error)
    assert type(caught.value) is error
