"""Every command of a user who may read and not write: it works, or says in a sentence what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import refusal, untouched
from tests.cli.everything import run_in, write_everything
from tests.support.disks import closed, without_privileges

DENIED = "Permission denied"


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, graph_file: Path, trained: Path, data_dir: Path
) -> Path:
    folder = tmp_path_factory.mktemp("read-only") / "place"
    return write_everything(folder, graph_file, trained, data_dir)


REFUSED: dict[str, tuple[str, str]] = {
    "train": ("train tiny.toml --data-dir data -o out", "out"),
    "train again": ("train tiny.toml --data-dir data -o model --force", "model"),
    "quantize": ("quantize float --data-dir data", "float"),
    "import": ("import gru.pt -o out", "out"),
    "export": ("export toy.qgraph --board stm32f746 -o out", "out"),
    "export again": ("export toy.qgraph --board stm32f405 -o project", "project"),
    "export a library": ("export toy.qgraph --format library -o out", "out"),
    "export ONNX": ("export toy.qgraph --format onnx -o out.onnx", "out.onnx"),
    "export TFLite": ("export toy.qgraph --format tflite -o out.tflite", "out.tflite"),
    "build": ("build project", "project/build"),
    "build anew": ("build built --max-flash 1", "built/build"),
    "verify": ("verify built --link host", "built/build"),
    "verify as it is": ("verify built --link virtual", "built"),
    "report": ("report built", "built/report.html"),
    "report to": ("report built -o page.html", "page.html"),
    "predict to": ("predict model in.csv -o out.csv", "out.csv"),
    "drawings": ("predict model in.csv --to svg -o out", "out"),
    "fetch generated": ("data fetch synthetic --data-dir more", "more"),
    "fetch": ("data fetch mitdb --data-dir more", "more"),
    "fetch sums": ("data fetch svdb --data-dir more", "more"),
    "fetch an archive": ("data fetch hapt --data-dir more", "more"),
    "demo": ("demo --out out", "out"),
}
ALLOWED = (
    "boards",
    "models",
    "recipes",
    "tasks",
    "data list",
    "data inspect in.csv",
    "data info synthetic --data-dir data",
    "evaluate model --data-dir data",
    "evaluate model/model.qgraph --data-dir data",
    "predict model in.csv",
    "predict model in.csv --float",
    "build built",
    "doctor",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_must_write_names_the_place(name: str, place: Path) -> None:
    command, where = REFUSED[name]
    with untouched(place), closed(place):
        said = refusal(run_in(place, tuple(command.split()), without_privileges))
    assert where in said, said
    assert DENIED in said, said


@pytest.mark.slow
@pytest.mark.parametrize("command", ALLOWED)
def test_what_only_reads_works(command: str, place: Path) -> None:
    with untouched(place), closed(place):
        outcome = run_in(place, tuple(command.split()), without_privileges)
    assert outcome.code == 0, outcome
