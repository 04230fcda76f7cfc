import os
import tomllib

import pytest

from lnn_edge.build import doctor
from lnn_edge.build.doctor import Check, Program, check_program, checks
from lnn_edge.device.link import Port
from tests.support.places import ROOT

PYPROJECT = ROOT / "pyproject.toml"


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    """An empty PATH, and no programs beside this Python."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LNN_ARM_GCC", raising=False)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    return tmp_path


def install(folder, name, text, code=0):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\nexit {code}\n")
    path.chmod(0o755)
    return path


def by_name():
    return {check.name: check for check in checks()}


def test_every_dependency_of_the_project_is_looked_for(monkeypatch):
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    train = [f"{need}; extra == 'train'" for need in project["optional-dependencies"]["train"]]
    needs = [*project["dependencies"], *train]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: needs)
    found = by_name()
    assert {need.split(">")[0] for need in needs} <= found.keys()
    assert found["numpy"].ok
    assert found["numpy"].version


def test_what_is_missing_comes_with_the_command_that_installs_it(bin_folder):
    found = by_name()
    for name, word in [
        ("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi"),
        ("cmake", "pip install cmake"),
        ("ninja", "pip install ninja"),
        ("cc", "apt-get install gcc"),
        ("qemu-system-arm", "apt-get install qemu-system-arm"),
        ("chromium", "apt-get install chromium"),
        ("openocd", "apt-get install openocd"),
        ("st-flash", "apt-get install stlink-tools"),
    ]:
        assert (found[name].ok, found[name].version) == (False, "")
        assert word in found[name].fix


def test_names_are_unique():
    names = [check.name for check in checks()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("echo 'arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205'", "12.2.1"),
        (
            "echo 'noise: 9: [: operator' >&2; echo 'Chromium 156.0.8078.79 built on 12'",
            "156.0.8078.79",
        ),
        ("echo v1.7.0", "1.7.0"),
        ("true", ""),
    ],
)
def test_the_version_is_read_from_what_the_program_says(bin_folder, answer, version):
    install(bin_folder, "tool", answer)
    assert check_program(Program(("tool",), "x", True)) == Check("tool", True, version, "", True)


def test_any_of_several_names_will_do(bin_folder):
    install(bin_folder, "google-chrome", "echo Google Chrome 99.1")
    chromium = next(p for p in doctor.PROGRAMS if p.names[0] == "chromium")
    assert check_program(chromium) == Check("chromium", True, "99.1", "", False)


def test_a_compiler_named_in_the_environment_counts(bin_folder, monkeypatch):
    path = install(bin_folder, "my-gcc", "echo my-gcc 13.3.0")
    monkeypatch.setenv("LNN_ARM_GCC", str(path))
    assert by_name()["arm-none-eabi-gcc"].version == "13.3.0"


def test_a_program_that_hangs_or_cannot_run_still_counts_as_there(bin_folder, monkeypatch):
    monkeypatch.setattr(doctor, "_VERSION_S", 0.2)
    sleep = "/bin/sleep" if os.path.exists("/bin/sleep") else "/usr/bin/sleep"
    install(bin_folder, "slow", f"exec {sleep} 30")
    assert check_program(Program(("slow",), "x", True)).ok
    (bin_folder / "broken").write_bytes(b"\x7fELF nothing")
    (bin_folder / "broken").chmod(0o755)
    assert check_program(Program(("broken",), "x", True)) == Check("broken", True, "", "", True)


def test_boards_are_named_with_their_probe(monkeypatch):
    port = Port("/dev/ttyACM7", "STM32 STLink", "ST-LINK")
    monkeypatch.setattr(doctor, "find_ports", lambda: (port,))
    assert by_name()["boards on USB"] == Check(
        "boards on USB", True, "/dev/ttyACM7 (ST-LINK)", "", False
    )


def test_no_board_is_no_failure_of_what_is_required(monkeypatch):
    monkeypatch.setattr(doctor, "find_ports", tuple)
    board = by_name()["boards on USB"]
    assert not board.ok
    assert not board.is_required
    assert "USB" in board.fix


def test_a_package_of_an_extra_is_installed_by_the_extra(monkeypatch):
    needs = [
        "numpy>=2",
        "no-such-package<3,>=2.1; extra == 'all'",
        "numpy; extra == 'all'",
        "no-such-package<3,>=2.1; extra == 'edf'",
        "lnn-edge[edf]; extra == 'test'",
        "nor-this",
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: needs)
    found = by_name()
    assert found["numpy"].ok
    missing = found["no-such-package"]
    assert (missing.ok, missing.is_required) == (False, False)
    assert missing.fix == "pip install 'lnn-edge[edf]'"
    assert found["nor-this"].is_required
