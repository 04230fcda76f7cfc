"""A training on a disk with less and less room: one sentence, nothing half-done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.command import Outcome, refusal, tree
from tests.cli.everything import run_in, write_everything
from tests.support.disks import small_disk

MADE: dict[
    str, tuple[str, tuple[str, ...]]
] = {  # name -> command, what of the folder lies on the small disk before
    "train": ("train {all}/tiny.toml --data-dir {all}/data -o out", ()),
}
ROOM = 1 << 26  # enough for any of them
FULL = ("No space left on device", "No usable temporary")


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
        before, refused = tree(disk), 0
        for pages in (0, 1, 2, 4, 8, 16, 64, 256, 1024, 4096):
            filler = disk / "filler"
            filler.write_bytes(bytes(shutil.disk_usage(disk).free - 4096 * pages))
            outcome = run_in(disk, command)
            filler.unlink()
            if outcome.code == 0:
                break
            check(outcome, before, disk)
            refused += 1
        assert outcome.code == 0, outcome
        assert refused


def check(outcome: Outcome, before: dict[str, bytes | None], disk: Path) -> None:
    said = refusal(outcome)
    assert any(words in said for words in FULL), said
    after = {name: data for name, data in tree(disk).items() if not name.endswith("build.log")}
    assert after == before
