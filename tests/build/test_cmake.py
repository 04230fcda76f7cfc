"""Building of exported projects: every board, every preset, and what a failure says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from lnn_edge.build.cmake import OverBudgetError, build
from lnn_edge.build.size import Limits
from lnn_edge.build.tools import find_tool
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.device.elf import read_elf
from lnn_edge.errors import BuildError, MissingToolError, UsageError
from lnn_edge.files import resources
from tests.support.projects import (
    built_toy,
    generated_boards,
    minimal_project,
    needs_arm_gcc,
    run,
    shipped_boards,
    toy_project,
)
from tests.support.toy import toy_graph

pytestmark = [pytest.mark.target, needs_arm_gcc]


def labels_of(elf: Path) -> dict[str, int]:
    return read_elf(elf).labels


BOARDS = [
    pytest.param(board, marks=pytest.mark.slow if board in generated_boards() else ())
    for board in shipped_boards()
]


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_builds_without_a_warning(board):
    result = built_toy(board, "board")
    assert result.size is not None
    assert result.size.budget_ok, result.size.budget_failures
    assert "warning" not in result.log.read_text()
    described = load_board(board)
    flash, stack = (described.region(n) for n in (described.layout.flash, described.layout.stack))
    elf = read_elf(result.elf)
    places = {section.name: section.address for section in elf.sections}
    assert places[".vectors"] == flash.start
    limit = elf.labels["_stack_limit"]
    assert limit == elf.labels["_stack_guard"] + 32 == stack.start + 32
    assert elf.labels["_stack_top"] == limit + described.layout.stack_bytes
    assert elf.labels["_bss_end"] <= described.region(described.layout.data).end
    symbols = ("_data_load", "_data_start", "_data_end", "_bss_start", "_bss_end", "_stack_top")
    assert all(elf.labels[name] % 8 == 0 for name in symbols)


def test_header_defines_the_whole_contract(tmp_path):
    text = (toy_project(tmp_path) / "board" / "lnn_board.h").read_text()
    needed = """LNN_BOARD_NAME LNN_FAMILY_F4 LNN_FAMILY_F7 LNN_FAMILY_L4 LNN_FAMILY_H7
    LNN_FAMILY_F1 LNN_FAMILY_G0 LNN_FAMILY_L5 LNN_FAMILY_U5 LNN_FAMILY_MPS2 LNN_FAMILY_NRF51
    LNN_CLOCK_FIXED
    LNN_CORE_CLOCK_HZ LNN_RESET_CLOCK_HZ LNN_CLOCK_SOURCE_HSE LNN_HSE_HZ LNN_HSE_BYPASS
    LNN_PLL_M LNN_PLL_N LNN_PLL_P LNN_PLL_R LNN_AHB_DIV LNN_APB1_DIV LNN_APB2_DIV
    LNN_FLASH_WAIT_STATES LNN_OVERDRIVE LNN_UART_BASE LNN_UART_IRQ LNN_UART_BUS
    LNN_UART_ENABLE_BIT LNN_UART_BAUD LNN_UART_CLASSIC LNN_UART_TX_PORT LNN_UART_TX_PIN
    LNN_UART_TX_AF LNN_UART_RX_PORT LNN_UART_RX_PIN LNN_UART_RX_AF LNN_CORE_CACHES
    LNN_UART_DMA LNN_DMA_BASE LNN_DMA_ENABLE_BIT LNN_DMA_RX_STREAM LNN_DMA_RX_REQUEST LNN_DMA_RX_IRQ
    LNN_DMA_TX_STREAM LNN_DMA_TX_REQUEST LNN_DMA_CACHED LNN_STACK_BYTES""".split()
    assert set(re.findall(r"#define (\w+) ", text)) == set(needed)


def test_the_diagnostic_build_differs_in_the_model_only(tmp_path):
    project = minimal_project(tmp_path)
    shipped, diagnostic = build(project), build(project, "board-trace")
    symbols = [{s.name for s in read_elf(r.elf).symbols} for r in (shipped, diagnostic)]
    assert "trace" not in (project / "model" / "toy.h").read_text()
    assert "toy_trace" in (project / "trace" / "toy.h").read_text()
    assert not (project / "trace" / "toy_weights.c").exists()
    assert symbols[0] <= symbols[1] | {"toy_poll"}


def test_host_program_builds():
    for preset in ("host", "host-trace"):
        result = built_toy("stm32f746", preset)
        assert (result.size, result.bin) == (None, None)
        assert result.elf.read_bytes()[:4] == b"\x7fELF"


def test_targets_size_and_flash(tmp_path):
    project = minimal_project(tmp_path, "stm32f405")
    build(project)
    cmake, ninja = (str(find_tool(name, "pip")) for name in ("cmake", "ninja"))
    assert ".vectors" in run([cmake, "--build", "--preset", "board", "--target", "size"], project)
    planned = run([ninja, "-C", "build/board", "-t", "commands", "flash"], project)
    scripts = "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg"
    assert re.search(rf'{scripts} -c "program \{{\S+/firmware\.elf\}} verify reset exit"', planned)


@pytest.mark.usefixtures("compiled_anew")
def test_a_project_copied_elsewhere_builds_to_the_same_bytes(tmp_path):
    first = build(minimal_project(tmp_path))
    copy = tmp_path / "a b,c'd$e#f%g=h:i&j(k)l!{m}~n^o@p+*?`é—" / "-x"
    shutil.copytree(tmp_path / "project", copy)
    second = build(copy)
    assert first.elf.read_bytes() == second.elf.read_bytes()
    assert str(tmp_path).encode() not in first.elf.read_bytes()


@pytest.mark.usefixtures("compiled_anew")
def test_first_error_is_told_in_one_line(tmp_path):
    project = minimal_project(tmp_path)
    source = project / "model" / "toy.c"
    source.write_text(source.read_text() + "\nint x = y;\nint z = w;\n")
    with pytest.raises(
        BuildError, match=r"preset board does not build: model/toy\.c:.*'y' unde"
    ) as e:
        build(project)
    assert "\n" not in str(e.value)
    assert "'w' undeclared" in (project / "build" / "board" / "build.log").read_text()
    assert not (project / "build" / "board" / "size.json").exists()


def test_a_warning_is_an_error(tmp_path):
    project = minimal_project(tmp_path)
    source = project / "model" / "toy.c"
    source.write_text(source.read_text() + "\nstatic int unused(void) { return 1; }\n")
    with pytest.raises(BuildError, match=r"unused.*-Werror"):
        build(project)


def test_missing_function_is_told(tmp_path):
    project = minimal_project(tmp_path)
    (project / "firmware" / "runtime" / "lnn_runtime.c").write_text("typedef int nothing;\n")
    with pytest.raises(BuildError, match=r"ld: .*undefined reference to `lnn_"):
        build(project)


def test_firmware_without_vectors_is_refused(tmp_path):
    project = minimal_project(tmp_path)
    source = project / "firmware" / "src" / "startup.c"
    source.write_text(source.read_text().replace('section(".vectors"), ', ""))
    with pytest.raises(BuildError, match="ld: no vector table"):
        build(project)


@pytest.mark.parametrize(
    ("board", "region", "unreached"),
    [("stm32f746", "dtcm", "itcm"), ("nucleo-h743zi", "sram", "dtcm")],
)
def test_buffers_where_no_dma_reaches_are_refused_by_the_linker(board, region, unreached, tmp_path):
    project = toy_project(tmp_path, board)
    script = project / "board" / "linker.ld"
    text = script.read_text()
    at = text.index("_dma_end = .;")
    script.write_text(text[:at] + text[at:].replace(f"}} > {region}", f"}} > {unreached}", 1))
    with pytest.raises(BuildError, match=r"section \.dma lies where no DMA reaches"):
        build(project)


def test_limits_are_reported_and_the_firmware_is_there(tmp_path):
    result = build(minimal_project(tmp_path), limits=Limits(max_flash=1000, max_ram=100))
    assert result.size is not None
    assert len(result.size.budget_failures) == 2
    assert not result.size.budget_ok
    assert json.loads((result.elf.parent / "size.json").read_text())["budget_ok"] is False
    assert (result.elf.parent / "firmware.bin").is_file()


def test_a_board_too_small_to_link_is_over_budget(tmp_path):
    text = (resources.path("boards") / "stm32f405.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("size  = 0x100000", "size  = 0x400"))
    project = minimal_project(tmp_path, str(small))
    with pytest.raises(OverBudgetError, match=r"more than the 1024 bytes of flash on stm32f405"):
        build(project)


def test_a_folder_that_is_no_project_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no exported project"):
        build(tmp_path)


def test_unknown_preset_is_refused(tmp_path):
    with pytest.raises(BuildError, match="known are board, board-trace, host"):
        build(tmp_path, "boards")


def test_missing_tools_are_named_with_the_way_to_install_them(tmp_path, monkeypatch):
    project = minimal_project(tmp_path)
    monkeypatch.setenv("LNN_ARM_GCC", str(tmp_path / "no-gcc"))
    with pytest.raises(MissingToolError, match=r"LNN_ARM_GCC must name a program, not .*no-gcc"):
        build(project)
    monkeypatch.delenv("LNN_ARM_GCC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt-get install -y gcc-arm-none-eabi"):
        build(project)


def test_export_replaces_an_export_and_nothing_else(tmp_path):
    project = toy_project(tmp_path)
    (project / "build").mkdir()
    (project / "build" / "old").write_text("old")
    toy_project(tmp_path)
    assert (project / "build" / "old").read_text() == "old"
    other = tmp_path / "letters"
    other.mkdir()
    (other / "dear.txt").write_text("John")
    with pytest.raises(UsageError, match="choose another folder"):
        export(toy_graph(), load_board("stm32f405"), other)
    assert (other / "dear.txt").read_text() == "John"


def test_export_names_what_it_was_made_from(tmp_path):
    facts = json.loads((toy_project(tmp_path) / "export.json").read_text())
    assert facts["board"] == "stm32f746g-disco"
    assert {len(facts[key]) for key in ("model_sha256", "board_sha256")} == {64}
    constants = [symbol for operator in facts["operators"] for symbol in operator["constants"]]
    assert len(constants) == len(set(constants)) > 0
