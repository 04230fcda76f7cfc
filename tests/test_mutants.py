"""Faults of every kind are made in Python, C and templates; survivors are faults that exist."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from scripts.mutations import Mutant, has_effect, mutants

ROOT = Path(__file__).resolve().parents[1]
TABLE = tomllib.loads((ROOT / "scripts" / "mutate.toml").read_text())
PYTHON = '''
def f(a: int = 3, *, b: bool = True) -> int:
    """Text with 7 < 8."""
    assert a > 5
    if a < 1 and not b:
        raise ValueError(f"{a + 1}")
    a += 2
    g(max(a, -b))
    h(a[0])
    return a << 4 if b else 0
'''
C = """/* 1 < 2 */
static int32_t f(const int32_t *x)
{
    const int32_t y = x[0] * 3;
    total += -y;
    if (y >= 4)
    {
        call(x);
    }
    return (y < 0) ? INT8_MIN : y;
}
"""
TEMPLATE = """{# a - b #}
{% if op.wide and not op.flat %}
y[{{ op.first + 1 }}] = "x - 1" ^ x[i];
{% endif %}
"""


def faults(file: str, source: str) -> set[tuple[str, str]]:
    return {(m.before, m.after) for m in mutants(file, source)}


def test_faults_of_python() -> None:
    assert faults("f.py", PYTHON) == {
        ("a < 1 and not b", "(not (a < 1 and (not b)))"),
        ("a < 1 and not b", "((a < 1) or (not b))"),
        ("a < 1", "(a <= 1)"),
        ("1", "(2)"),
        ("1", "(0)"),
        ("not b", "(b)"),
        ('raise ValueError(f"{a + 1}")', "pass"),
        ("a += 2", "pass"),
        ("2", "(3)"),
        ("2", "(1)"),
        ("g(max(a, -b))", "pass"),
        ("h(a[0])", "pass"),
        ("max", "min"),
        ("-b", "(b)"),
        ("a << 4", "((a) >> (4))"),
        ("4", "(5)"),
        ("4", "(3)"),
        ("b", "(not (b))"),
        ("0", "(1)"),
        ("0", "(-1)"),
    }


def test_faults_of_c() -> None:
    assert faults("f.c", C) == {
        ("0", "1"),
        ("*", "/"),
        ("3", "4"),
        ("3", "2"),
        ("total += -y;", ";"),
        ("+=", "-="),
        ("-", ""),
        (">=", ">"),
        ("4", "5"),
        ("4", "3"),
        ("(y >= 4)", "(!(y >= 4))"),
        ("call(x);", ";"),
        ("<", "<="),
        ("", "!"),
        ("INT8_MIN", "INT8_MAX"),
    }


def test_faults_of_templates() -> None:
    assert faults("f.c.j2", TEMPLATE) == {
        (" op.wide and not op.flat ", " not (op.wide and not op.flat) "),
        ("and", "or"),
        ("not", ""),
        ("+", "-"),
        ("1", "2"),
        ("1", "0"),
        ("^", "|"),
    }


def test_a_fault_that_compiles_to_the_same_has_no_effect() -> None:
    source = "def f(a):\n    return a * (1 + 2)\n"
    place = source.index("1 + 2")
    assert not has_effect(Mutant("f.py", "f", 2, place, place + 5, "1 + 2", "2 + 1"), source)
    assert has_effect(Mutant("f.py", "f", 2, place, place + 5, "1 + 2", "1 - 2"), source)


@pytest.mark.parametrize("row", TABLE.get("survivors", []), ids=lambda row: row["file"])
def test_a_known_survivor_is_a_fault_of_today(row: dict[str, str]) -> None:
    found = mutants(row["file"], (ROOT / row["file"]).read_text())
    named = {(m.function, m.before, m.after) for m in found}
    assert (row["function"], row["before"], row["after"]) in named
    assert row["reason"].endswith(".")


def test_every_witness_is_there() -> None:
    for room in TABLE["rooms"]:
        for pattern in room["sources"]:
            assert list(ROOT.glob(pattern)), pattern
        for word in " ".join(room["witnesses"]).split():
            assert not word.startswith("tests/") or (ROOT / word.partition("::")[0]).is_file(), word
