"""How trouble reaches the user: one line, an exit code, and a traceback for those who ask."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lnn_edge.cli import INTERRUPTED
from tests.cli.command import PROGRAM, call, call_process, error_line, refusal


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `lnn-edge boards` fail."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("lnn_edge.device.board.list_boards", fail)


def test_the_program_ends_with_the_code_that_scripts_rely_on(tmp_path: Path) -> None:
    good = call_process("data", "list", cwd=tmp_path)
    assert (good.code, good.err) == (0, "")
    assert "excerpts" in good.out
    bad = call_process("build", "nowhere", cwd=tmp_path)
    assert "nowhere is no exported project" in refusal(bad)


def test_verbose_shows_where_it_happened(tmp_path: Path) -> None:
    arguments = ("export", tmp_path / "none.qgraph", "--board", "stm32f746", "-o", tmp_path / "p")
    short, long = call(*arguments), call("-v", *arguments)
    assert "no such graph; make one with `lnn-edge quantize`" in refusal(short)
    assert (long.code, long.out) == (2, "")
    assert long.err.startswith("Traceback (most recent call last):\n")
    assert "in load_graph\n" in long.err
    assert long.err.endswith(f"\n{short.err}")


def test_a_bug_is_one_line_and_no_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError("of\ntwo lines"))
    outcome = call("boards")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: unexpected ZeroDivisionError: of two lines; "
        "run `lnn-edge -v ...` for the traceback and report it\n"
    )
    assert "in fail\n" in call("-v", "boards").err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left", "/a"), "/a: No space left; make room or choose"),
        (
            OSError(errno.EROFS, "Read-only file system", "/a"),
            "/a: Read-only file system; choose a",
        ),
        (FileExistsError(errno.EEXIST, "File exists", "/a"), "no file is in the way"),
        (OSError("8 requested and 0 written"), "8 requested and 0 written; check the path"),
        (shutil.Error([("a", "b", "no room")]), "no room"),
        (OSError(), "it failed; check the path"),
    ],
)
def test_a_disk_that_fails_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    fail_with(monkeypatch, error)
    said = refusal(call("boards"))
    assert sentence in said
    assert "None" not in said


def test_an_interrupted_command_is_no_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    outcome = call("boards")
    assert outcome.code == INTERRUPTED == 130
    assert error_line(outcome) == "interrupted; give the same command again"


def test_a_reader_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "boards", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=tmp_path) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == b""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("train", "har-cfc", "--data", "", "-o", "m"), "an argument is empty; give a value"),
        (("export", "--board", "stm32f746", "-o", ""), "an argument is empty; give a value"),
        (("predict", "ecg-beats-cfc", ""), "an argument is empty; give a value"),
        (("monitor", "--source="), "--source= is empty; give a value"),
    ],
)
def test_an_empty_argument_is_not_the_working_folder(command: tuple[str, ...], said: str) -> None:
    assert refusal(call(*command)).startswith(said)
