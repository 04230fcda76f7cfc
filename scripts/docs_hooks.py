"""What MkDocs calls: decisions join the navigation, files from outside docs/ their pages."""

from __future__ import annotations

import posixpath
import re
import tempfile
from pathlib import Path
from typing import Any

import lnn_edge as le

ROOT = Path(__file__).resolve().parents[1]
DECISIONS, HEADER = "adr", "<!-- generated header -->"
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
    """Put included files, and the header of the shipped model, where a page asks for them."""
    here = posixpath.dirname(page.file.src_uri) or "."

    def included(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text(encoding="utf-8")
        return LINK_INTO_DOCS.sub(lambda m: f"]({posixpath.relpath(m[1], here)})", text)

    markdown = INCLUDE.sub(included, markdown)
    return markdown.replace(HEADER, f"```c\n{_header()}```") if HEADER in markdown else markdown


def _header() -> str:
    with tempfile.TemporaryDirectory() as folder:
        project = le.export(le.load("ecg-beats-cfc"), board="stm32f746", to=Path(folder) / "c")
        return (project.folder / "model" / "ecg_beats_cfc.h").read_text(encoding="utf-8")
