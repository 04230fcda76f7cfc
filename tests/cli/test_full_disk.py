"""Every command that writes, on a disk with less and less room: one sentence, nothing half-done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.command import Outcome, refusal, tree
from tests.cli.everything import run_in, write_everything
from tests.support.disks import small_disk

MADE = {  # name -> command, what of the folder lies on the small disk before
    "train": ("train {all}/tiny.toml --data-dir {all}/data -o out", ()),
    "train again": ("train {all}/tiny.toml --data-dir {all}/data -o model --force", ("model",)),
    "quantize": ("quantize float --data-dir {all}/data", ("float",)),
    "import": ("import {all}/gru.pt -o out", ()),
    "export": ("export {all}/toy.qgraph --board stm32f746 -o out", ()),
    "export again": ("export {all}/toy.qgraph --board stm32f405 -o project", ("project",)),
    "export a library": ("export {all}/toy.qgraph --format library -o out", ()),
    "export ONNX": ("export {all}/toy.qgraph --format onnx -o out.onnx", ()),
    "build": ("build project", ("project",)),
    "build anew": ("build built --max-flash 100000", ("built",)),
    "verify": ("verify built --link virtual", ("built",)),
    "verify on this machine": ("verify built --link host", ("built",)),
    "report": ("report built", ("built",)),
    "predict": ("predict {all}/model {all}/in.csv -o out.csv", ()),
    "drawings": ("predict {all}/model {all}/in.csv --to svg -o out", ()),
    "annotations": ("predict {all}/model {all}/in.csv --to wfdb -o out", ()),
    "compare": ("compare {all}/model -o out.svg", ()),
    "fetch": ("data fetch synthetic --data-dir out", ()),
}
GOES_ON = {  # commands of many steps, which keep what is finished
    "demo": "demo --out out --link host",
    "sweep": "sweep {all}/tiny.toml --data-dir {all}/data --folds 1 -o out",
}
ROOM = 1 << 26  # enough for any of them
PAGES = (0, 1, 2, 8, 38, 90, 256, 1024, 4096)  # free; few are enough for a file, many for a build
FULL = ("No space left on device", "No usable temporary")
KEPT = (".verify-virtual.part", ".verify-host.part")  # a verification goes on from there
LOCKS = ("build", ".board.lock", ".host.lock")


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, graph_file: Path, trained: Path, data_dir: Path
) -> Path:
    folder = tmp_path_factory.mktemp("full") / "place"
    return write_everything(folder, graph_file, trained, data_dir)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_a_disk_that_fills_is_named_and_left_as_it_was(
    name: str, everything: Path, tmp_path: Path
) -> None:
    text, copied = MADE[name]
    command = tuple(text.format(all=everything).split())
    with small_disk(tmp_path / "disk", ROOM) as disk:
        for part in copied:
            shutil.copytree(everything / part, disk / part)
        before, refused = users(disk), 0
        for pages in PAGES:
            outcome = with_room(disk, pages, command)
            if outcome.code == 0:
                break
            said = refusal(outcome)
            assert any(words in said for words in FULL), said
            assert users(disk) == before
            refused += 1
        assert outcome.code == 0, outcome
        assert refused
        assert not [path for path in disk.rglob("*") if path.name in KEPT]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOES_ON)
def test_a_command_of_many_steps_goes_on_once_there_is_room(
    name: str, everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Ray, whose sockets need a shorter path than that of a test."""
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nsys.modules['ray'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    command = tuple(GOES_ON[name].format(all=everything).split())
    with small_disk(tmp_path / "disk", ROOM) as disk:
        for pages in (0, 2, 8, 38):
            outcome = with_room(disk, pages, command)
            said = outcome.err.splitlines()[-1]  # before it is what was finished
            assert outcome.code == 2
            assert said.startswith("error: ")
            assert any(words in said for words in FULL), said
        outcome = with_room(disk, shutil.disk_usage(disk).free // 4096, command)
        assert outcome.code == 0, outcome


def with_room(disk: Path, pages: int, command: tuple[str, ...]) -> Outcome:
    """Run a command on a disk with so many pages left."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - 4096 * pages))
    try:
        return run_in(disk, command)
    finally:
        filler.unlink()


def users(disk: Path) -> dict[str, bytes | None]:
    """What lies on a disk, but for locks and what a verification goes on from."""
    return {k: v for k, v in tree(disk).items() if Path(k).name not in (*KEPT, *LOCKS)}
