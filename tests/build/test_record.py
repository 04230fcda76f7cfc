"""A build is made again when anything it was made from has changed, and never otherwise."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lnn_edge.build.cmake import build
from lnn_edge.build.record import read_inputs, read_record, why_stale, write_record
from lnn_edge.build.size import Limits
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.errors import BuildError, MissingToolError
from tests.cli.command import call, call_json, document
from tests.support.projects import minimal_project, needs_arm_gcc, pretend_build, toy_project
from tests.support.toy import toy_graph

GCC = "arm-none-eabi-gcc"
HEADER = Path("firmware/runtime/lnn_fixed.h")
RECORD = Path("build/board/build.json")
BUILD = (
    "import pathlib, sys; from lnn_edge.build.cmake import build;"
    " print(build(pathlib.Path('.')).why)"
)


def append(path: Path, text: str = "\n/* another one */\n") -> None:
    path.write_text(path.read_text() + text)


def stamps(folder: Path) -> dict[str, int]:
    """When each file of a build was written."""
    return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


# --- what makes a build stale; nothing is compiled ------------------------------------------------


@pytest.fixture(scope="module")
def pretended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that looks as if its board were built; copy it to change it."""
    made = toy_project(tmp_path_factory.mktemp("pretended"))
    pretend_build(made)
    return made


@pytest.fixture
def project(pretended: Path, tmp_path: Path) -> Path:
    """Such a project, which is fresh wherever it lies."""
    shutil.copytree(pretended, tmp_path / "project")
    assert why_stale(tmp_path / "project", "board") is None
    return tmp_path / "project"


def test_nothing_is_fresh_before_it_is_built(tmp_path: Path) -> None:
    assert why_stale(toy_project(tmp_path), "board") == "it was not built yet"


@pytest.mark.parametrize(
    "path",
    [
        "CMakeLists.txt",
        "CMakePresets.json",
        "board/board.json",
        "board/linker.ld",
        "board/lnn_board.cmake",
        "board/lnn_board.h",
        "export.json",
        "firmware/cmake/board.cmake",
        "firmware/runtime/lnn_fixed.h",
        "firmware/src/uart.c",
        "model/toy_weights.c",
    ],
)
def test_a_changed_file_is_named(path: str, project: Path) -> None:
    append(project / path)
    assert why_stale(project, "board") == f"{path} changed"


@pytest.mark.parametrize("path", ["model/more.c", "CMakeUserPresets.json", "mine/a.h", "a\udcff.c"])
def test_a_new_file_is_named(path: str, project: Path) -> None:
    (project / path).parent.mkdir(exist_ok=True)
    (project / path).write_text("")
    why = why_stale(project, "board")
    assert why is not None
    assert why.encode().decode() == os.fsencode(path).decode(errors="backslashreplace") + " is new"


def test_a_removed_file_is_named(project: Path) -> None:
    (project / "model" / "toy.c").unlink()
    assert why_stale(project, "board") == "model/toy.c is gone"


def test_an_older_date_hides_nothing(project: Path) -> None:
    append(project / HEADER)
    os.utime(project / HEADER, (0, 0))
    assert why_stale(project, "board") == f"{HEADER} changed"


def test_dates_alone_change_nothing(project: Path) -> None:
    for index, path in enumerate(sorted(project.rglob("*"))):
        os.utime(path, (index, index))
    assert why_stale(project, "board") is None


def test_a_build_stays_fresh_where_the_project_goes(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    project.rename(tmp_path / "moved")
    assert why_stale(tmp_path / "copy", "board") is None
    assert why_stale(tmp_path / "moved", "board") is None


def test_what_lnn_edge_adds_is_no_source(project: Path) -> None:
    for name in ("verify.json", "verify-host.json", "report.html", ".verify.json.tmp", ".git"):
        (project / name).write_text("")
    pretend_build(project, "host")
    assert why_stale(project, "board") is None


def test_sources_behind_a_link_count(project: Path, tmp_path: Path) -> None:
    (project / "firmware" / "runtime").rename(tmp_path / "runtime")
    (project / "firmware" / "runtime").symlink_to(tmp_path / "runtime")
    (project / "firmware" / "round").symlink_to(project)  # and links may lead in a circle
    assert why_stale(project, "board") is None
    append(tmp_path / "runtime" / HEADER.name)
    assert why_stale(project, "board") == f"{HEADER} changed"


@pytest.mark.parametrize("name", ["firmware.elf", "firmware.bin", "size.json"])
@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"firm"), Path.unlink])
def test_an_output_that_was_replaced_is_named(
    name: str, damage: Callable[[Path], None], project: Path
) -> None:
    damage(project / "build" / "board" / name)
    why = why_stale(project, "board")
    assert why in (f"{name} changed", f"{name} is gone")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"outputs"', '"other"'),
        lambda text: text.replace('"max_ram": null', '"max_ram": -1'),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"preset": "board"', '"preset": "host"'),
    ],
)
def test_a_damaged_record_is_none(damage: Callable[[str], str], project: Path) -> None:
    text = (project / RECORD).read_text()
    (project / RECORD).write_text(damage(text))
    assert (project / RECORD).read_text() != text
    assert why_stale(project, "board") == "what it was built from is not known"


@pytest.mark.parametrize("name", ["CFLAGS", "LDFLAGS", "CPATH", "CMAKE_BUILD_TYPE"])
def test_flags_from_the_environment_count(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "-O0")
    assert why_stale(project, "board") == f"{name} is new"
    write_record(project, "board", read_inputs(project, "board"), Limits())
    monkeypatch.setenv(name, "-O1")
    assert why_stale(project, "board") == f"{name} changed"
    monkeypatch.delenv(name)
    assert why_stale(project, "board") == f"{name} is gone"


def install(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("preset", ["board", "host"])
@pytest.mark.parametrize("named", [True, False], ids=["by variable", "on PATH"])
def test_another_compiler_is_seen(
    preset: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, variable = ("cc", "CC") if preset == "host" else (GCC, "LNN_ARM_GCC")
    project = toy_project(tmp_path)
    compiler = install(tmp_path / "bin" / name, "# one")
    if named:
        monkeypatch.setenv(variable, str(compiler))
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    pretend_build(project, preset)
    compiler = install(compiler, "# other")
    assert why_stale(project, preset) == "compiler changed"
    compiler = install(compiler, "# one")
    assert why_stale(project, preset) is None


@pytest.mark.parametrize("part", ["cc1", "as", "ld"])
def test_what_the_compiler_runs_is_seen(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler itself is the same; what it runs was upgraded."""
    project = toy_project(tmp_path)
    stage = install(tmp_path / "bin" / part, "# one")
    compiler = f'[ "$1" != -print-prog-name={part} ] || echo {stage}'
    monkeypatch.setenv("LNN_ARM_GCC", str(install(tmp_path / "bin" / GCC, compiler)))
    pretend_build(project)
    install(stage, "# other")
    assert why_stale(project, "board") == f"{part} changed"


def test_a_build_stays_fresh_without_a_toolchain(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = build(project)
    assert (result.why, result.elf.read_bytes()) == (None, b"firmware")
    append(project / HEADER)
    with pytest.raises(MissingToolError, match="apt-get install -y gcc-arm-none-eabi"):
        build(project)
    assert result.elf.read_bytes() == b"firmware"


def test_a_compiler_that_is_named_must_be_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNN_ARM_GCC", "no-gcc")
    with pytest.raises(MissingToolError, match="must name a program, not 'no-gcc'"):
        build(project)


def test_another_budget_is_judged_without_a_build(project: Path) -> None:
    elf = project / "build" / "board" / "firmware.elf"
    written = elf.stat().st_mtime_ns
    for limits, failures in ((Limits(9319, 2663), 2), (None, 2), (Limits(9320, 2664), 0)):
        result = build(project, limits=limits)
        assert (result.why, result.size and len(result.size.budget_failures)) == (None, failures)
        read = json.loads((project / "build" / "board" / "size.json").read_text())
        assert len(read["budget_failures"]) == failures
    assert why_stale(project, "board") is None
    assert elf.stat().st_mtime_ns == written


def test_a_fresh_build_loads_no_model(project: Path) -> None:
    """What takes the time of a start: the arrays, the operators, the reader of ELF files."""
    said = subprocess.check_output(
        [sys.executable, "-c", f"{BUILD}; print({{'numpy', 'elftools'}} & sys.modules.keys())"],
        cwd=project,
        text=True,
    )
    assert said == "None\nset()\n"


# --- what is built --------------------------------------------------------------------------------


@pytest.fixture
def arm_gcc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled_anew: None
) -> Callable[[], int]:
    """A compiler that counts what it compiles; returns the count since it was last asked."""
    real, log = shutil.which(GCC), tmp_path / "compiled"
    log.write_text("")
    count = f'for a; do [ "$a" != -c ] || echo >> {log}; done\nexec {real} "$@"'
    monkeypatch.setenv("LNN_ARM_GCC", str(install(tmp_path / "gcc" / GCC, count)))

    def compiled() -> int:
        found = len(log.read_text())
        log.write_text("")
        return found

    return compiled


@pytest.mark.target
@needs_arm_gcc
def test_only_what_is_stale_is_compiled(tmp_path: Path, arm_gcc: Callable[[], int]) -> None:
    project = minimal_project(tmp_path)
    first = build(project)
    assert (first.why, arm_gcc() > 0) == ("it was not built yet", True)
    written = stamps(project / "build")
    again = build(project)
    assert (again.why, again.sha256, arm_gcc()) == (None, first.sha256, 0)
    assert first.size is not None
    assert again.size is not None
    assert again.size.to_json() == first.size.to_json()
    assert stamps(project / "build") == written
    trace = build(project, "board-trace")
    assert (trace.why, arm_gcc() > 0) == ("it was not built yet", True)
    assert (build(project).why, build(project, "board-trace").why, arm_gcc()) == (None, None, 0)


@pytest.mark.target
@needs_arm_gcc
def test_nothing_of_a_stale_build_stays(tmp_path: Path, arm_gcc: Callable[[], int]) -> None:
    """A removed file, a file of an older date, flags: the same bytes as a first build gives."""
    project = minimal_project(tmp_path)
    plain = build(project)
    source = project / "model" / "toy.c"
    text = source.read_text()
    extra = project / "model" / "extra.c"
    extra.write_text("int lnn_extra(void); int lnn_extra(void) { return 1; }\n")
    source.write_text(text.replace("rounding", "roundinG"))
    build(project)
    extra.unlink()
    source.write_text(text)
    os.utime(source, (0, 0))
    arm_gcc()
    back = build(project)
    assert (back.why, arm_gcc() > 0) == ("model/extra.c is gone", True)
    assert back.elf.read_bytes() == plain.elf.read_bytes()
    assert not list(back.elf.parent.rglob("extra*"))


@pytest.mark.target
@needs_arm_gcc
def test_flags_and_compiler_reach_the_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = minimal_project(tmp_path)
    plain = build(project).sha256
    presets = project / "CMakePresets.json"
    text = presets.read_text()
    presets.write_text(text.replace('"-O2"', '"-Os"'))
    smaller = build(project).sha256
    presets.write_text(text)
    monkeypatch.setenv("CFLAGS", "-fno-omit-frame-pointer")
    larger = build(project).sha256
    monkeypatch.delenv("CFLAGS")
    other = f'exec {shutil.which(GCC)} "$@" -Os'
    monkeypatch.setenv("LNN_ARM_GCC", str(install(tmp_path / "gcc" / GCC, other)))
    last = build(project)
    assert last.why == "CFLAGS is gone"
    assert len({plain, smaller, larger}) == 3
    assert last.sha256 == smaller


@pytest.mark.target
@needs_arm_gcc
def test_the_compiler_that_is_recorded_is_the_one_that_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm_gcc: Callable[[], int]
) -> None:
    """CMake by itself would prefer a compiler under CMAKE_PREFIX_PATH to the one on PATH."""
    counting = Path(os.environ["LNN_ARM_GCC"])
    monkeypatch.delenv("LNN_ARM_GCC")
    monkeypatch.setenv("PATH", f"{counting.parent}:{os.environ['PATH']}")
    install(tmp_path / "prefix" / GCC, "exit 1")
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path / "prefix"))
    build(minimal_project(tmp_path))
    assert arm_gcc() > 0


@pytest.mark.target
@needs_arm_gcc
def test_a_build_that_failed_is_none(tmp_path: Path) -> None:
    project = minimal_project(tmp_path)
    build(project)
    source = project / "model" / "toy.c"
    text = source.read_text()
    append(source, "int x = y;\n")
    for _ in range(2):
        with pytest.raises(BuildError, match="'y' undeclared"):
            build(project)
        assert read_record(project, "board") is None
    source.write_text(text)
    assert build(project).why == "it was not built yet"


@pytest.mark.target
@needs_arm_gcc
def test_a_build_that_was_cut_off_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, begun = minimal_project(tmp_path), tmp_path / "begun"
    build(project)
    compiler = shutil.which(GCC)
    stuck = f'case "$*" in *toy.c*) touch {begun}; sleep 60;; esac\nexec {compiler} "$@"'
    monkeypatch.setenv("LNN_ARM_GCC", str(install(tmp_path / "gcc" / GCC, stuck)))
    running = subprocess.Popen(
        [sys.executable, "-c", BUILD], cwd=project, start_new_session=True, stdout=subprocess.PIPE
    )
    while not begun.exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)  # all of it, as a power cut
    running.communicate()
    monkeypatch.delenv("LNN_ARM_GCC")
    assert build(project).why == "it was not built yet"


@pytest.mark.target
@needs_arm_gcc
def test_builds_at_once_wait_for_each_other(tmp_path: Path, arm_gcc: Callable[[], int]) -> None:
    project = minimal_project(tmp_path)
    build(project)
    once = arm_gcc()
    append(project / HEADER)
    command = [sys.executable, "-c", BUILD]
    running = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    said = sorted(process.communicate()[0].decode() for process in running)
    assert said == ["None\n", "None\n", f"{HEADER} changed\n"]
    assert arm_gcc() == once
    assert build(project).why is None


# --- what the commands do with it -----------------------------------------------------------------

RECORDS = ("--records", "100_0830")


def firmware(folder: Path) -> Path:
    project = folder / "firmware"
    export(toy_graph(), load_board("stm32f746"), project)
    return project


def floor_instead(project: Path) -> None:
    """Let the runtime round down."""
    text = (project / HEADER).read_text()
    for exact, floored in (("smmulr", "smmul"), ("product + INT64_C(0x80000000)", "product")):
        assert exact in text
        text = text.replace(exact, floored)
    (project / HEADER).write_text(text)


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("link", ["virtual", "host"])
def test_verify_sees_an_edited_rounding(link: str, tmp_path: Path) -> None:
    project = firmware(tmp_path)
    first = call_json("verify", project, "--link", link, *RECORDS)
    assert (first["mismatches"], first["built"]) == (0, "it was not built yet")
    floor_instead(project)
    found = document(call("verify", project, "--link", link, *RECORDS, "--json"), 1)
    assert found["mismatches"] > 0
    assert found["built"] == f"{HEADER} changed"
    assert found["firmware_sha256"] != first["firmware_sha256"]
    assert found == json.loads((project / "verify.json").read_text())


@needs_arm_gcc
def test_verify_builds_a_host_program_once(tmp_path: Path) -> None:
    project = firmware(tmp_path)
    first = call("verify", project, "--link", "host", *RECORDS)
    assert "\nbuilt, since it was not built yet\n" in first.out
    written = stamps(project / "build")
    again = call("verify", project, "--link", "host", *RECORDS)
    assert again.out.startswith("bit-exact on host (")
    assert "built" not in again.out
    assert stamps(project / "build") == written


@pytest.mark.target
@needs_arm_gcc
def test_a_report_shows_nothing_of_another_build(tmp_path: Path) -> None:
    project = firmware(tmp_path)
    call_json("build", project, "--max-flash", 100_000)
    for link in ("virtual", "host"):
        call_json("verify", project, "--link", link, *RECORDS)
    assert call_json("report", project)["links"] == {"host": 0, "virtual": 0}
    append(project / HEADER)  # words only: the board's image stays the same, bit for bit
    noted = call_json("report", project)
    assert noted["built"] == f"{HEADER} changed"
    assert (noted["links"], noted["verdict"]) == ({"virtual": 0}, "good")
    append(project / "model" / "toy_weights.c", "const int lnn_more[9] = {1};\n")
    presets = project / "CMakePresets.json"
    presets.write_text(presets.read_text().replace('"-O2"', '"-Os"'))
    before = json.loads((project / "build" / "board" / "size.json").read_text())["flash_bytes"]
    said = call("report", project)
    assert said.out.startswith("built, since CMakePresets.json changed\n")
    assert "The verification on virtual is of another model or build; repeat it" in said.out
    stale = call_json("report", project)
    assert (stale["links"], stale["verdict"], stale["built"]) == ({}, "open", None)
    page = (project / "report.html").read_text()
    after = json.loads((project / "build" / "board" / "size.json").read_text())["flash_bytes"]
    assert f"{before:,}" not in page
    assert after != before
    record = read_record(project, "board")
    assert record is not None
    assert record.limits == Limits(max_flash=100_000)


@pytest.mark.target
@needs_arm_gcc
def test_what_is_stale_is_not_flashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, flashed = firmware(tmp_path), tmp_path / "flashed"
    install(tmp_path / "bin" / "st-flash", f'cp "$3" {flashed}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    call_json("build", project)
    image = project / "build" / "board" / "firmware.bin"
    plain = image.read_bytes()
    image.write_bytes(plain[:100])
    found = call_json("flash", project, "--runner", "st-flash")
    assert found["built"] == "firmware.bin changed"
    assert flashed.read_bytes() == plain
    floor_instead(project)
    said = call("flash", project, "--runner", "st-flash")
    assert said.out.startswith(f"built, since {HEADER} changed\n")
    assert flashed.read_bytes() == image.read_bytes() != plain
    monkeypatch.setenv("LNN_ARM_GCC", "no-gcc")
    flashed.unlink()
    assert call("flash", project, "--runner", "st-flash").code == 2
    assert not flashed.exists()
