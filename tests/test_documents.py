"""What the documents show works: commands, their output, Python, links, and the site itself."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import lnn_edge
from lnn_edge.build.doctor import PROGRAMS, check_program
from lnn_edge.cli import COMMANDS
from lnn_edge.files.model_facts import read_facts
from lnn_edge.files.shipped import shipped_folder
from scripts.front_page import with_table
from tests.support.places import ROOT
from tests.support.projects import needs_arm_gcc

README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md")])
PLAYED = [README, *sorted(ROOT.glob("docs/tutorials/*.md")), ROOT / "docs/howto/monitor.md"]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
COPIED = ("lnn_edge", "templates", "boards", "firmware", "models", "tests", "pyproject.toml")
PATIENCE_S = 600
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
NEAR = 0.05  # of a figure: it moves a little with every kernel


def add_lines(path: Path, diff: str) -> None:
    """Insert the lines that a diff adds before or after the line that it shows beside them."""
    lines = diff.splitlines()
    added = "\n".join(line[1:] for line in lines if line.startswith("+"))
    (kept,) = (line[1:] for line in lines if line.startswith(" "))
    text = path.read_text()
    assert text.count(f"{kept}\n") == 1, kept
    both = f"{added}\n{kept}\n" if lines[0].startswith("+") else f"{kept}\n{added}\n"
    path.write_text(text.replace(f"{kept}\n", both))


@functools.cache
def shows_numbers() -> bool:
    """Whether the compiler is the one that the figures shown are of; another gives others."""
    facts = read_facts(shipped_folder("ecg-beats-cfc")).measured
    version = check_program(PROGRAMS[0]).version
    return facts is not None and bool(version) and version in facts.compiler


def find(line: str, said: str) -> int:
    """Return where a shown line ends in what was said, its numbers about the same; else -1."""
    parts = re.split(NUMBER, " ".join(line.split()))
    found = re.search(f"({NUMBER})".join(map(re.escape, parts)), said)
    if found is None:
        return -1
    numbers = (float(n.replace(",", "")) for n in re.findall(NUMBER, line))
    theirs = (float(n.replace(",", "")) for n in found.groups())
    close = all(abs(a - b) <= NEAR * a for a, b in zip(numbers, theirs, strict=True))
    return found.end() if close or not shows_numbers() else -1


def play(console: str, folder: Path, environment: dict[str, str]) -> None:
    """Run each command; the lines shown below it must be in what it prints, in their order."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *shown = part.strip().splitlines()
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        said = " ".join(done.stdout.split())
        for line in shown:
            found = find(line, said)
            assert found >= 0, f"{command}\nshown: {line}\nsaid: {said}"
            said = said[found:]


def play_page(page: Path, folder: Path, environment: dict[str, str]) -> None:
    """Do what a page shows, from top to bottom."""
    for language, title, body in FENCE.findall(page.read_text()):
        if language == "console":
            play(body, folder, environment)
        elif language == "diff":
            add_lines(folder / title, body)
        elif title:
            (folder / title).write_text(body)
        elif language == "python":
            (folder / "page.py").write_text(body)
            play("$ python page.py", folder, environment)


@pytest.fixture
def environment() -> dict[str, str]:
    """Variables under which commands are those of this checkout and this Python."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if k != "LNN_EDGE_DATA"}
    return {**inherited, "PATH": programs, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.mark.slow
@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("page", PLAYED, ids=lambda p: p.stem)
def test_what_a_page_shows_works_as_shown(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    if page.stem == "own_operator":
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tmp_path / name)
        environment["PYTHONPATH"] = str(tmp_path)
    play_page(page, tmp_path, environment)


def test_output_that_does_not_come_is_seen(tmp_path: Path, environment: dict[str, str]) -> None:
    play("$ echo one 1,020\none\n1,000\n", tmp_path, environment)
    for wrong in (
        "$ echo 1 2\n2\n1\n",
        "$ echo one\nthree\n",
        "$ false\n",
        "$ echo 90\n80\n",
        "$ echo 1\n0\n",
    ):
        with pytest.raises(AssertionError):
            play(wrong, tmp_path, environment)


def anchors(page: Path) -> set[str]:
    """Return what a link may name in a page."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), link
        if anchor:
            assert anchor in anchors(place), link


def test_the_table_of_boards_is_that_of_the_facts() -> None:
    text = README.read_text()
    assert with_table(text) == text


@pytest.mark.slow
@pytest.mark.target
@needs_arm_gcc
def test_the_workflow_that_keeps_a_budget_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    workflow = yaml.safe_load((ROOT / "examples" / "firmware-budget.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["budget"]["steps"]]
    commands = [step for step in steps if step.startswith("lnn-edge ")]
    assert len(commands) == 4
    for command in commands:
        play(f"$ {command}", tmp_path, environment)
    with pytest.raises(AssertionError):
        play("$ lnn-edge build firmware --max-flash 4096", tmp_path, environment)


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == lnn_edge.__version__


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    python = (site / "reference" / "python.html").read_text()
    functions = set(lnn_edge.__all__) - {"nn"}
    for name in (*functions, "QGraph", "Record", "Verification", "Report", "Decided"):
        assert re.search(rf'id="lnn_edge[\w.]*\.{name}"', python), name
    assert "#define ECG_BEATS_CFC_RATE_HZ 360U" in re.sub(
        "<[^>]*>", "", (site / "reference" / "c_header.html").read_text()
    )
    commands = (site / "reference" / "cli.html").read_text()
    assert "--max-flash" in commands
    assert set(COMMANDS) <= set(re.findall(r">lnn-edge ([\w-]+)<", commands))
    notebook = (site / "tutorials" / "ecg_in_five_minutes.html").read_text()
    assert "0 mismatches in 497 steps" in notebook
    assert 'src="data:image/png;base64,' in notebook
