"""The notebooks run from top to bottom, and print what they show."""

from __future__ import annotations

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.support.places import ROOT
from tests.support.projects import needs_arm_gcc
from tests.test_documents import find

NOTEBOOKS = sorted(ROOT.glob("examples/*.ipynb"))
PATIENCE_S = 600
MOST_BYTES = 100_000


def texts(cell: nbformat.NotebookNode) -> str:
    """Return what a cell prints and what its last line returns, pictures apart."""
    outputs = cell.get("outputs", [])
    printed = [o.text for o in outputs if o.output_type == "stream"]
    returned = [o.data["text/plain"] for o in outputs if o.output_type == "execute_result"]
    return "\n".join([*printed, *returned])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_small_and_was_run(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert not re.search(r'"/(?:home|root|tmp|work)/', path.read_text())


@pytest.mark.slow
@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_prints_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    stored = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(run, timeout=PATIENCE_S, resources=where).execute()
    for shown, done in zip(stored.cells, run.cells, strict=True):
        said = " ".join(texts(done).split())
        for line in texts(shown).splitlines():
            assert find(line, said) >= 0, f"{shown.source}\nshown: {line}\nsaid: {said}"
