"""Train, quantize and import where nothing can be written: one sentence, nothing left half-done."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import call, call_json, refusal, untouched
from tests.cli.conftest import write_recipe

Arguments = tuple[object, ...]


def train(folder: Path, data_dir: Path, _: Path) -> tuple[Arguments, Path]:
    recipe = write_recipe(folder / "tiny.toml")
    return ("train", recipe, "--data-dir", data_dir, "-o", folder / "run"), folder / "run"


def quantize(folder: Path, data_dir: Path, trained: Path) -> tuple[Arguments, Path]:
    model = folder / "model"
    shutil.copytree(trained, model)
    for made in model.glob("model.qgraph*"):
        made.unlink()
    return ("quantize", model, "--data-dir", data_dir), model


def import_(folder: Path, _: Path, __: Path) -> tuple[Arguments, Path]:
    import torch

    saved = folder / "gru.pt"
    torch.save(torch.nn.GRU(3, 4).state_dict(), saved)
    return ("import", saved, "-o", folder / "gru"), folder / "gru"


COMMANDS = {"train": train, "quantize": quantize, "import": import_}


def full(patch: pytest.MonkeyPatch, step: str, after: int = 0) -> str:
    """Let a step of writing fail as on a full disk, after so many that do not."""
    real, done = getattr(os, step), 0

    def fail(*arguments: object) -> None:
        nonlocal done
        done += 1
        if done > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*arguments)

    patch.setattr(os, step, fail)
    return "No space left on device"


def read_only(patch: pytest.MonkeyPatch, folder: Path) -> str:
    """Let nothing be made in a folder, nor the folder itself; root may write anywhere."""
    opened, made = Path.open, Path.mkdir

    def check(path: Path) -> None:
        if folder in (path, *path.parents):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def open_(path: Path, mode: str = "r", *more: object, **named: object) -> object:
        if set(mode) & set("wxa+"):
            check(path)
        return opened(path, mode, *more, **named)  # type: ignore[arg-type, call-overload]

    def mkdir(path: Path, *more: object, **named: object) -> None:
        if not path.is_dir():
            check(path)
        made(path, *more, **named)  # type: ignore[arg-type]

    patch.setattr(Path, "open", open_)
    patch.setattr(Path, "mkdir", mkdir)
    return "Permission denied"


TROUBLES: dict[str, Callable[[pytest.MonkeyPatch, Path], str]] = {
    "full at the end of a file": lambda patch, _: full(patch, "fsync"),
    "full at its place": lambda patch, _: full(patch, "replace"),
    "read-only": read_only,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_left_where_nothing_can_be_written(
    command: str,
    trouble: str,
    data_dir: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, folder = COMMANDS[command](tmp_path, data_dir, trained)
    with monkeypatch.context() as patch, untouched(tmp_path):
        reason = TROUBLES[trouble](patch, folder)
        said = refusal(call(*arguments, "--json"))
    assert reason in said
    assert str(folder) in said
    call_json(*arguments)  # and works once there is room
    assert any(folder.iterdir())


@pytest.mark.parametrize(("command", "left"), [("train", ["checkpoint.pt"]), ("import", [])])
def test_what_fails_at_its_second_file_is_as_before_or_goes_on(
    command: str,
    left: list[str],
    data_dir: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epochs that were trained are no half of a model: the same command goes on behind them."""
    arguments, folder = COMMANDS[command](tmp_path, data_dir, trained)
    with monkeypatch.context() as patch:
        reason = full(patch, "fsync", 1)
        said = refusal(call(*arguments, "--json"))
    assert said.startswith(f"{folder}")
    assert reason in said
    assert [path.name for path in folder.glob("*")] == left
    call_json(*arguments)
    assert "checkpoint.pt" not in {path.name for path in folder.iterdir()}
