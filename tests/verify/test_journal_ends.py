"""What a device has said stays on disk until the result is written, and no longer."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.tasks.feed import Wish
from lnn_edge.verify import result as written
from tests.cli.command import call, call_json, refusal
from tests.support.projects import built_toy

JOURNAL = ".verify-host.part"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    built = built_toy("stm32f746", "host").elf.parents[2]
    return Path(shutil.copytree(built, tmp_path / "project"))


def fill(patch: pytest.MonkeyPatch) -> None:
    """Leave no room for the result; what came before is written."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")

    patch.setattr(written, "write_together", fail)


def test_a_result_that_cannot_be_written_is_taken_from_the_journal(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "verify", project, "--link", "host"
    with monkeypatch.context() as patch:
        fill(patch)
        said = refusal(call(*arguments, "--json"))
    assert said.startswith("there: No space left on device")
    assert (project / JOURNAL).is_file()
    found = call_json(*arguments)
    assert found["resumed_steps"] == found["steps"] > 0
    assert not (project / JOURNAL).exists()
    assert call_json(*arguments)["resumed_steps"] == 0


def test_so_it_is_in_python(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(OSError, match="No space left"):
            le.verify(project, data=Wish())
    found = le.verify(project, data=Wish())
    assert found.resumed_steps == found.steps > 0
    assert not (project / JOURNAL).exists()


def test_a_verification_without_a_decision_leaves_nothing(project: Path, tmp_path: Path) -> None:
    table = np.column_stack((np.arange(200) / 360, np.zeros((200, 2))))
    header = "time_s,MLII (mV),V1 (mV)"
    np.savetxt(tmp_path / "short.csv", table, "%.4f", ",", header=header, comments="")
    said = refusal(call("verify", project, "--link", "host", "--data", tmp_path / "short.csv"))
    assert "no decision" in said
    assert not (project / JOURNAL).exists()


def test_a_disk_that_fills_in_between_names_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = Path.open, [3]

    class Full:
        """A file with room for a few lines."""

        def write(self, _: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        flush = close = lambda _: None

    def open_(path: Path, mode: str = "r", *more: object, **named: object) -> object:
        is_journal = path.name == JOURNAL and mode == "a"
        return Full() if is_journal else real(path, mode, *more, **named)  # type: ignore[arg-type, call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        with pytest.raises(OSError, match="No space left") as caught:
            le.verify(project, data=Wish())
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(project))
    assert le.verify(project, data=Wish()).passed
