"""`lnn-edge boards` and `lnn-edge doctor`: what there is."""

from __future__ import annotations

import pytest

from tests.cli.command import call, call_json, document, refusal
from tests.support.projects import shipped_boards


def test_every_board_is_listed_with_its_memory() -> None:
    boards = call_json("boards")
    assert sorted(b["name"] for b in boards) == shipped_boards()
    for board in boards:
        assert {"flash", "ram"} <= {region["kind"] for region in board["memory"]}
        assert all(region["size"] > 0 for region in board["memory"])


def test_a_board_is_described_by_name_or_alias() -> None:
    (board,) = call_json("boards", "stm32f746")
    assert board == call_json("boards", "stm32f746g-disco")[0]
    outcome = call("boards", "stm32f746")
    assert outcome.code == 0
    for fact in ("stm32f746g-disco", "STM32F746NG", "cortex-m7", "216 MHz", "0x20010000", "256 KB"):
        assert fact in outcome.out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stm32f74", "unknown board 'stm32f74'; nearest are stm32f746, "),
        ("nucleo-f446", "unknown board 'nucleo-f446'; nearest are nucleo-f446ze, nucleo-f446re, "),
        ("zzz", "unknown board 'zzz'; `lnn-edge boards` lists them"),
        ("none.toml", "none.toml: cannot read it (No such file or directory); give a board file"),
    ],
)
def test_an_unknown_board_is_answered_with_the_nearest(typed: str, said: str) -> None:
    assert refusal(call("boards", typed)).startswith(said)
    assert refusal(call("export", "--board", typed)).startswith(said)


def test_the_doctor_tells_what_is_there_and_how_to_get_what_is_not() -> None:
    plain = call("doctor")
    checks = document(call("doctor", "--json"), plain.code)["checks"]
    assert all({"name", "ok", "version", "fix"} <= check.keys() for check in checks)
    assert all(check["ok"] or check["fix"] for check in checks)
    lacking = any(check["is_required"] and not check["ok"] for check in checks)
    assert plain.code == int(lacking)
    for check in checks:
        assert check["name"] in plain.out


def test_the_doctor_fails_when_something_needed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNN_ARM_GCC", "/nowhere/gcc")
    checks = document(call("doctor", "--json"), 1)["checks"]
    (gcc,) = (c for c in checks if c["name"] == "arm-none-eabi-gcc")
    assert gcc["fix"].startswith("sudo apt-get install gcc-arm-none-eabi")
