"""What a recipe's file leaves out, and what a command changes in it; values only, no check."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown

Values = Mapping[str, Any]
_OF_CLASSES = ("merge", "class_weights")  # of [training]: they name classes of the data


def completed(values: Values, base: Values) -> dict[str, Any]:
    """Return a recipe with what it leaves out: the tables of another one, key by key.

    What names classes is taken over with the data set alone.

    Args:
        values: Of the recipe.
        base: Of the built-in one of the same network.
    """
    is_same_data = values.get("dataset") == base.get("dataset")
    whole = dict(values)
    for name, table in base.items():
        own = values.get(name, {})
        if isinstance(table, Mapping) and isinstance(own, Mapping):
            kept = {k: v for k, v in table.items() if is_same_data or k not in _OF_CLASSES}
            whole[name] = {**kept, **own}
    return whole


def override(values: Values, settings: Sequence[str]) -> dict[str, Any]:
    """Return a recipe with settings as TOML has them: "training.epochs=5", "name=mine".

    A key without its table is looked for in all of them; other values than TOML are strings.

    Raises:
        UsageError: A setting is no key=value, or its key is unknown or in several tables.
    """
    changed = {k: dict(v) if isinstance(v, Mapping) else v for k, v in values.items()}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (key.strip() and equals):
            raise UsageError(f"--set {shown(setting)} must be key=value, as training.epochs=5")
        table, name = _place(changed, key.strip())
        (changed[table] if table else changed)[name] = _value(text.strip())
    return changed


def _place(values: Values, key: str) -> tuple[str, str]:
    """Return the table of a key, "" where it is in none, and its name in it."""
    table, dot, name = key.partition(".")
    tables = [k for k, v in values.items() if isinstance(v, Mapping)]
    if dot:
        if table not in tables:
            raise UsageError(f"--set {shown(key)}: tables are {', '.join(tables)}")
        return table, name
    if key in values and key not in tables:
        return "", key
    found = [t for t in tables if key in values[t]]
    if len(found) != 1:
        known = "several tables have it" if found else "no table has it"
        first = (found or tables)[0]
        raise UsageError(f"--set {shown(key)}: {known}; name its table, as {first}.{shown(key)}")
    return found[0], key


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
