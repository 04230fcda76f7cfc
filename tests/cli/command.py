"""Runs the command line as its user does, and reads what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from lnn_edge.cli import main

PROGRAM = Path(sysconfig.get_path("scripts")) / "lnn-edge"


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    """Run a command in this process."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def call_process(*arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> Outcome:
    """Run the installed program."""
    command = [sys.executable, str(PROGRAM), *(str(a) for a in arguments)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def document(outcome: Outcome, code: int = 0) -> Any:
    """Return the JSON on stdout of a command that ended as it should."""
    assert outcome.code == code, outcome
    return json.loads(outcome.out)


def call_json(*arguments: object) -> Any:
    """Run a command that must succeed and say nothing but JSON."""
    outcome = call(*arguments, "--json")
    found = document(outcome)
    assert outcome.err == ""
    return found


def refusal(outcome: Outcome, code: int = 2) -> str:
    """Return the one sentence of a command that failed; stdout is empty, no bug shows."""
    assert (outcome.code, outcome.out) == (code, ""), outcome
    return error_line(outcome)


def error_line(outcome: Outcome) -> str:
    """Return the one line on stderr without its "error: "."""
    assert outcome.err.startswith("error: "), outcome
    assert outcome.err.count("\n") == 1, outcome
    sentence = outcome.err.removeprefix("error: ").rstrip("\n")
    assert not sentence.startswith("unexpected"), outcome
    return sentence


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder; the bytes of files, None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """See that nothing in a folder appears, goes or changes."""
    before = tree(folder)
    yield
    assert tree(folder) == before
