"""What MkDocs calls: notebooks, files outside docs/ and generated text join the pages."""

from __future__ import annotations

import base64
import posixpath
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import nbformat
from nbconvert import MarkdownExporter

import lnn_edge as le
from lnn_edge.cli import main

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = "adr"
HEADER, COMMANDS = "<!-- generated header -->", "<!-- commands -->"
NOTEBOOK = re.compile(r"<!-- notebook (\S+) -->")
INCLUDE = re.compile(r"<!-- include (\S+) -->")
LINK_INTO_DOCS = re.compile(r"\]\(docs/([^)]+)\)")


def on_config(config: Any) -> Any:
    """List every decision where the navigation names their folder."""
    pages = sorted(Path(config.docs_dir, DECISIONS).glob("*.md"))
    _replace(config.nav, [f"{DECISIONS}/{page.name}" for page in pages])
    return config


def _replace(nav: list[Any], names: list[str]) -> None:
    for entry in nav:
        for title, below in entry.items():
            if below == DECISIONS:
                entry[title] = names
            elif isinstance(below, list):
                _replace(below, names)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put included files, notebooks, generated C and the help of commands where a page asks."""
    here = posixpath.dirname(page.file.src_uri) or "."

    def included(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text(encoding="utf-8")
        return LINK_INTO_DOCS.sub(lambda m: f"]({posixpath.relpath(m[1], here)})", text)

    markdown = INCLUDE.sub(included, markdown)
    markdown = NOTEBOOK.sub(lambda found: _notebook(ROOT / found[1]), markdown)
    if HEADER in markdown:
        markdown = markdown.replace(HEADER, f"```c\n{_header()}```")
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(_helps(main, "lnn-edge")))
    return markdown


def _notebook(path: Path) -> str:
    """Return a notebook as a page, its pictures inside, links to notebooks as links to pages."""
    text, resources = MarkdownExporter().from_notebook_node(nbformat.read(path, as_version=4))
    for name, data in resources["outputs"].items():
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        text = text.replace(f"![png]({name})", f'<img alt="plot" class="plot" src="{source}">')
    return str(text.replace(".ipynb)", ".md)"))


def _header() -> str:
    with tempfile.TemporaryDirectory() as folder:
        project = le.export(le.load("ecg-beats-cfc"), board="stm32f746", to=Path(folder) / "c")
        return (project.folder / "model" / "ecg_beats_cfc.h").read_text(encoding="utf-8")


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Yield what `--help` says, of the commands of a group too."""
    context = command.make_context(name, [], parent, resilient_parsing=True, max_content_width=78)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _helps(found, below, context)
