"""What a stranger may write into the fields of a file, and that no code came of it."""

from __future__ import annotations

import copy
import re
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lnn_edge.errors import LnnEdgeError
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops import OPERATORS
from tests.support.c_tokens import integers, tokens

MARK = "lnn_pwned"
Way = tuple[Any, ...]
TEXTS = (
    f'*/ __attribute__((constructor)) void {MARK}(void) {{ for (;;) {{ }} }} /* ??/ // {MARK} ";'
    f"{MARK}; ) execute_process(COMMAND touch {MARK}) ;-fplugin={MARK} ${{{MARK}}} $<{MARK}> #",
    f'<script>{MARK}</script> " onload="{MARK}" [exec touch {MARK}] {{{{ {MARK} }}}} `{MARK}` ??',
    f"{MARK} \\",
    "*/",
    f"N\n#define {MARK}",
    f"N\nexecute_process(COMMAND touch {MARK})",
    f"\u202e{MARK}",
    f"\x1b[2J{MARK}",
    "",
    "int",
    "_Bool",
    "N" * 5000,
)
NUMBERS = (
    f"1; {MARK}",
    MARK,
    float("nan"),
    float("inf"),
    -0.0,
    10**30,
    1 << 32,
    -1,
    True,
    None,
    [],
)


def leaves(node: Any, path: Way = ()) -> Iterator[tuple[Way, Any]]:
    """Yield every text, number and null inside, with the way to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def changed(document: Any, path: Way, value: Any) -> Any:
    """Return a document with another leaf."""
    made = node = copy.deepcopy(document)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return made


def renamed(node: Any, old: str, new: str) -> Any:
    """Return a document in which a text is another one, wherever it stands, also as a key."""
    if isinstance(node, dict):
        return {new if k == old else k: renamed(v, old, new) for k, v in node.items()}
    if isinstance(node, list):
        return [renamed(v, old, new) for v in node]
    return new if node == old else node


def schema(cls: Any, found: set[Any]) -> set[Any]:
    """Collect the dataclasses that a class is made of, by its type hints."""
    if cls is AbstractOp:
        found.update(OPERATORS.values())
    elif isinstance(cls, type) and is_dataclass(cls):
        if cls not in found:
            found.add(cls)
            for hint in typing.get_type_hints(cls).values():
                schema(hint, found)
    for argument in typing.get_args(cls):
        schema(argument, found)
    return found


def instances(value: Any, found: set[Any]) -> set[Any]:
    """Collect the dataclasses that a value is made of."""
    if is_dataclass(value):
        found.add(type(value))
        for f in fields(value):
            instances(getattr(value, f.name), found)
    elif isinstance(value, list | tuple):
        for inner in value:
            instances(inner, found)
    return found


METADATA: dict[str, object] = {
    "classes": ["N", "S", "V"],
    "task": "beats",
    "sample_rate_hz": 50,
    "leads": ["I", "II", "III"],
    "units": ["mV", "g", "rad/s"],
    "adc_gain": 200.0,
    "adc_zero": 1024,
    "dt": 0.02,
    "unlearned": ["V"],
    "calibration_records": ["100", "101"],
    "task_file": {"labels": {"kind": "event"}, "words": {"event": "R peak"}},
    "dataset": "mitdb",
    "weights_sha256": "00",
}


def check_c(files: dict[str, str], prefix: str) -> None:
    """Assert that the payload is nowhere but in comments, literals and a class's own constant."""
    for name, text in files.items():
        found = tokens(text)
        own = re.compile(rf"{prefix}_CLASS_\w+", re.IGNORECASE)
        stray = [t for t in found if MARK in t.lower() and not own.fullmatch(t)]
        assert stray == [], name
        assert max(integers(found), default=0) < 1 << 33, name


def check_sentence(error: LnnEdgeError) -> None:
    assert str(error).isprintable()
