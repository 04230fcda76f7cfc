"""What `--set` offers: every combination of the values of its keys. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown

Setting = tuple[str, ...]
"""What is set in a recipe, "key=value" each; see recipe_values.override."""
_ENDS = {"[": 1, "{": 1, "]": -1, "}": -1}


def combinations(choices: Sequence[str]) -> tuple[Setting, ...]:
    """Return every combination of the values of some keys, the last key varying first.

    Args:
        choices: "key=value,value,..." each; values as TOML has them, commas inside of brackets and
            quotes belong to a value: "model.filters=[8, 12],[16, 24]".

    Raises:
        UsageError: One is no key=value, has an empty value, or two have one key.
    """
    keys = [_key(choice) for choice in choices]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(
            f"--set {shown(twice)} is given twice; list its values in one, {shown(twice)}=8,16"
        )
    values = [_values(choice.partition("=")[2], choice) for choice in choices]
    pairs = [[f"{key}={v}" for v in those] for key, those in zip(keys, values, strict=True)]
    return tuple(product(*pairs))


def _key(choice: str) -> str:
    key, equals, _ = choice.partition("=")
    if not (key.strip() and equals):
        raise UsageError(
            f"--set {shown(choice)} must be key=value,value, as model.hidden_size=8,16"
        )
    return key.strip()


def _values(text: str, choice: str) -> list[str]:
    """Return what stands between commas that are in no bracket and no quote."""
    parts, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        depth += 0 if quote else _ENDS.get(c, 0)
        if c == "," and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += c
    values = [part.strip() for part in parts]
    if "" in values:
        raise UsageError(f"--set {shown(choice)} has an empty value; write a value between commas")
    return values
