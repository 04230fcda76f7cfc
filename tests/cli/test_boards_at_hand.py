"""Boards that are not there, do not answer or run something else: `flash` and `verify`."""

from __future__ import annotations

import functools
import os
import pty
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.device.link import Link
from lnn_edge.device.runners import msd
from lnn_edge.report import collect_embedded
from lnn_edge.verify import verify
from tests.cli.command import call, call_json, refusal, untouched
from tests.support.fake_board import FakeBoard
from tests.support.toy import toy_graph


@pytest.fixture
def programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for; empty."""
    folder = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def no_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where volumes are mounted; there is none."""
    monkeypatch.setattr(msd, "mount_folders", lambda: (tmp_path / "media",))
    return tmp_path / "media"


def install(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{text}\n")
    path.chmod(0o755)


# --- flash --------------------------------------------------------------------------------------

NO_PROBE = {
    "openocd": ("Error: open failed", "sys.exit('Info : clock 2000 kHz\\nError: open failed')"),
    "st-flash": (
        "Couldn't find any ST-Link devices",
        'print("st-flash 1.7.0\\nCouldn\'t find any ST-Link devices")',
    ),
}


@pytest.mark.parametrize("runner", NO_PROBE)
def test_flashing_without_a_probe_fails(runner: str, programs: Path, exported: Path) -> None:
    reason, text = NO_PROBE[runner]
    install(programs, runner, text)
    with untouched(exported):
        said = refusal(call("flash", exported, "--runner", runner))
    assert said.startswith(f"{runner} did not reach STM32F746G-DISCO: {reason}; connect the board")
    assert f"run `{runner} " in said


@pytest.mark.parametrize("command", ["flash", "verify"])
@pytest.mark.parametrize(
    ("runner", "package"), [("openocd", "openocd"), ("st-flash", "stlink-tools")]
)
def test_a_flash_tool_that_is_missing_is_named(
    command: str, runner: str, package: str, programs: Path, exported: Path
) -> None:
    option = "--runner" if command == "flash" else "--link"
    with untouched(exported):
        said = refusal(call(command, exported, option, runner))
    assert said.endswith(f"{runner} is not installed; run `sudo apt-get install {package}`")


@pytest.mark.usefixtures("programs")
def test_flashing_without_a_volume_fails(no_volume: Path, exported: Path) -> None:
    with untouched(exported):
        said = refusal(call("flash", exported, "--runner", "msd"))
        every = refusal(call("flash", exported))  # the only way that could work, and why
    assert every.startswith(f"{said}; openocd: openocd is not installed")
    assert "st-flash: st-flash is not installed" in every
    assert said == (
        f"msd: no volume DIS_F746NG is mounted (looked in {no_volume}); "
        "connect STM32F746G-DISCO by USB and mount it"
    )


@pytest.mark.usefixtures("programs")
def test_a_board_that_cannot_be_flashed_here_is_told_every_reason(
    graph_file: Path, tmp_path: Path
) -> None:
    project = tmp_path / "f405"
    call_json("export", graph_file, "--board", "stm32f405", "-o", project)
    (project / "build" / "board").mkdir(parents=True)
    (project / "build" / "board" / "firmware.elf").write_bytes(b"firmware")
    said = refusal(call("flash", project))
    assert said.startswith("no way to flash stm32f405: openocd: openocd is not installed; run")
    assert "; st-flash: st-flash is not installed; run" in said
    assert said.endswith("; msd: the probe of stm32f405 shows no volume; use openocd or st-flash")


def test_a_board_is_flashed_by_the_first_tool_that_is_there(programs: Path, exported: Path) -> None:
    log = exported.parent / "arguments"
    install(programs, "st-flash", f"open({str(log)!r}, 'w').write(' '.join(sys.argv[1:]))")
    elf = exported / "build" / "board" / "firmware.elf"
    assert call_json("flash", exported) == {
        "board": "stm32f746g-disco",
        "runner": "st-flash",
        "elf": str(elf),
        "built": None,
    }
    assert log.read_text() == f"--reset write {elf.with_suffix('.bin')} 0x08000000"


def test_an_unknown_way_to_flash_is_refused(exported: Path) -> None:
    outcome = call("flash", exported, "--runner", "jlink")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'jlink' is not one of 'openocd', 'st-flash', 'msd'" in outcome.err


# --- verify -------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a board as silent after a moment."""
    monkeypatch.setattr(verify, "Link", functools.partial(Link, timeout_s=0.05, retries=1))


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A serial port with nobody at its other end."""
    other_end, port = pty.openpty()
    tty.setraw(port)
    yield os.ttyname(port)
    os.close(other_end)
    os.close(port)


def verify_refusal(project: Path, link: str) -> str:
    with untouched(project):
        return refusal(call("verify", project, "--link", link, "--records", "100_0830"))


@pytest.mark.usefixtures("impatient")
def test_a_silent_board_is_named(silent_port: str, exported: Path) -> None:
    said = verify_refusal(exported, f"serial:{silent_port}")
    assert said.startswith(f"{silent_port}: the board is silent at 115200 baud (HELLO sent ")
    assert "nothing came back); check that it is the board's port, press reset, or run" in said
    assert "`lnn-edge flash`" in said


def test_a_board_with_another_model_is_refused(exported: Path) -> None:
    board = FakeBoard(is_pty=True)
    try:
        said = verify_refusal(exported, f"serial:{board.url}")
    finally:
        board.close()
    assert said.startswith("the board must run model ")
    assert said.endswith("; run `lnn-edge flash`")


def test_a_port_that_is_not_there_is_named(exported: Path) -> None:
    said = verify_refusal(exported, "serial:/dev/ttyNONE")
    assert said.startswith("/dev/ttyNONE: no such port; ")
    assert said.endswith(": plug the board in or name its port")


def test_an_unknown_link_is_answered_with_the_nearest(exported: Path) -> None:
    assert verify_refusal(exported, "qmeu") == "no runner 'qmeu'; choose qemu"
    assert "serial:PORT" in verify_refusal(exported, "usb")


def test_an_emulator_of_another_board_is_refused(exported: Path) -> None:
    said = verify_refusal(exported, "qemu")
    assert said.startswith("qemu: QEMU has no machine for stm32f746g-disco; use a board whose")


def test_no_task_is_taken_for_granted(tmp_path: Path) -> None:
    """A model of events that says nothing of its task gets no beats by default."""
    graph = toy_graph()
    metadata = {k: v for k, v in graph.metadata.items() if k != "task"}
    export(replace(graph, metadata=metadata), load_board("stm32f746"), tmp_path / "project")
    said = refusal(call("verify", tmp_path / "project", "--link", "host"))
    assert said.startswith("no recordings of the task of ")
    assert "--dataset" in said
    report = collect_embedded(tmp_path / "project")
    assert (report.predictions, report.evaluation) == ((), None)
