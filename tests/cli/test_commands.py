"""What every command has: help with an example that works, JSON, and a place in the list."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

import lnn_edge
from lnn_edge.cli import COMMANDS, main
from tests.cli.command import PROGRAM, call, call_process
from tests.support.places import ROOT

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("models/*/*.md"),
    ]
)


def children(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def all_commands(group: click.Group = main, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Every command by what the user types, groups included."""
    found: dict[str, click.Command] = {}
    for name, command in children(group).items():
        found[" ".join((*path, name))] = command
        if isinstance(command, click.Group):
            found |= all_commands(command, (*path, name))
    return found


EVERY = all_commands()


def parse(line: str) -> None:
    """Read a command line as the command would, without running it.

    Raises:
        click.UsageError: No such command or option, or an argument is wrong.
    """
    command: click.Command = main
    program, *words = shlex.split(line)
    assert program == "lnn-edge"
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
    command.make_context(line, words)


def test_the_list_is_complete() -> None:
    folder = Path(lnn_edge.__file__).parent / "cli"
    modules = {p.stem for p in folder.iterdir() if not p.stem.startswith("__")}
    shared = {
        "hints",
        "inspection",
        "interrupts",
        "leads",
        "output",
        "own",
        "quality",
        "recordings",
        "sinks",
        "tally",
    }
    assert set(COMMANDS.values()) == modules - shared
    listed = call("--help").out.split("Commands:\n")[1]
    assert re.findall(r"^  (\w\S*)", listed, re.MULTILINE) == sorted(COMMANDS)


@pytest.mark.parametrize("name", EVERY)
def test_help_comes_with_an_example_that_the_command_takes(name: str) -> None:
    outcome = call(*name.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    examples = re.findall(r"^ +Example: (.*)$", outcome.out, re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(f"lnn-edge {name}")
        parse(example)


@pytest.mark.parametrize("name", [n for n, c in EVERY.items() if not isinstance(c, click.Group)])
def test_there_is_json_for_scripts(name: str) -> None:
    option = next(p for p in EVERY[name].params if "--json" in p.opts)
    assert isinstance(option, click.Option)
    assert option.is_flag


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_documents_show_commands_that_exist(page: Path) -> None:
    text = page.read_text()
    blocks = re.findall(r"^(?:    |\$ )(lnn-edge .*)$", text, re.MULTILINE)
    spans = [" ".join(s.split()) for s in re.findall(r"`(lnn-edge\s[^`]*)`", text)]
    bare = {f"lnn-edge {name}" for name in EVERY}  # a command that is only named
    for line in [*blocks, *spans]:
        plain = line.split("   #")[0].removesuffix("|| true").removesuffix(" ...").strip()
        if plain not in bare:
            parse(plain)
    if page.name == "README.md":
        assert len(blocks) >= 5


def test_a_command_that_does_not_exist_is_refused() -> None:
    outcome = call("watch")
    assert (outcome.code, outcome.out) == (2, "")
    assert "No such command 'watch'" in outcome.err
    with pytest.raises(click.UsageError):
        parse("lnn-edge export --board stm32f746 --formats tflite")


def test_the_program_that_is_installed_is_this_one(tmp_path: Path) -> None:
    (entry,) = entry_points(group="console_scripts", name="lnn-edge")
    assert entry.load() is main
    assert PROGRAM.is_file()
    outcome = call_process("--version", cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"lnn-edge, version {lnn_edge.__version__}\n"
