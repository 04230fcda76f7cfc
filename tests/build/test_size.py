"""Sizes and budgets: by hand on a made-up file, against the toolchain's own on a real one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lnn_edge.build.cmake import build
from lnn_edge.build.size import Limits, OperatorSymbols, RegionUse, SizeReport, measure, write_size
from lnn_edge.build.stack import StackReport
from lnn_edge.device.board import load_board
from lnn_edge.device.elf import Elf, Section, Symbol
from lnn_edge.errors import UsageError
from tests.support.projects import minimal_project, needs_arm_gcc

BOARD = load_board("stm32f746")
STACK = StackReport(1000, 700, ("Reset_Handler",), (), None, {"m_op_beat_conv": 64})
ELF = Elf(
    Path("made-up.elf"),
    (),
    (
        Section(".text", 0x08000000, 0x08000000, 300, b""),
        Section(".stack", 0x20000000, 0x20000000, 4096, None),
        Section(".data", 0x20001000, 0x0800012C, 8, b""),
        Section(".bss", 0x20001008, 0x20001008, 500, None),
    ),
    (
        Symbol("m_op_beat_conv", 0x08000000, 120, True),
        Symbol("m_beat_conv_weight", 0x08000080, 32, False),
        Symbol("m_beat_conv_bias", 0x080000A0, 16, False),
    ),
    {},
)
OPERATORS = [
    OperatorSymbols(
        "conv", ("conv",), "rows", "m_op_beat_conv", ("m_beat_conv_weight", "m_beat_conv_bias")
    ),
    OperatorSymbols("removed", ("removed",), "portable", "m_op_beat_removed", ()),
]


def report(limits: Limits = Limits(), stack: StackReport = STACK) -> SizeReport:  # noqa: B008
    return measure(ELF, BOARD, stack, OPERATORS, limits)


def test_what_is_stored_counts_as_flash_and_what_varies_as_ram():
    found = report()
    assert (found.flash_bytes, found.ram_bytes, found.stack_bytes) == (308, 508, 1000)
    assert found.sections == {".text": 300, ".stack": 4096, ".data": 8, ".bss": 500}
    assert found.regions["flash"] == RegionUse(308, 0x100000)
    assert found.regions["dtcm"] == RegionUse(4096 + 508, 0x10000)
    assert found.regions["sram"].used == 0


def test_operators_add_code_and_constants():
    conv, removed = report().operators["conv"], report().operators["removed"]
    assert (conv.code_bytes, conv.const_bytes, conv.stack_bytes) == (120, 48, 64)
    assert (removed.code_bytes, removed.const_bytes, removed.stack_bytes) == (0, 0, 0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_flash=308, max_ram=1508), None),
        (Limits(max_flash=307), "flash is 308 bytes, 1 more than the limit of 307"),
        (
            Limits(max_ram=1507),
            "RAM with the worst-case stack is 1508 bytes, 1 more than the limit of 1507",
        ),
    ],
)
def test_limits_of_the_user(limits, message):
    found = report(limits)
    assert found.budget_failures == ((message,) if message else ())
    assert found.budget_ok == (message is None)


def test_stack_must_fit_what_the_board_reserves():
    deep = StackReport(4104, 4104, ("Reset_Handler",), (), None, {})
    (failure,) = report(stack=deep).budget_failures
    assert "may grow to 4104 bytes, stm32f746g-disco reserves 4096" in failure


@pytest.mark.parametrize("value", [0, -1])
def test_limits_that_nothing_meets_are_refused(value):
    with pytest.raises(UsageError, match="positive number of bytes"):
        Limits(max_ram=value)


def test_size_json_has_the_keys_that_scripts_rely_on(tmp_path):
    path = tmp_path / "size.json"
    path.write_text("old")
    write_size(report(Limits(max_flash=1)), path)
    read = json.loads(path.read_text())
    keys = {"flash_bytes", "ram_bytes", "stack_bytes", "sections", "operators", "board"}
    assert keys | {"budget_ok", "budget_failures", "regions", "stack"} == set(read)
    assert read["budget_ok"] is False
    assert read["operators"]["conv"] == {"code_bytes": 120, "const_bytes": 48, "stack_bytes": 64}
    assert [p.name for p in tmp_path.iterdir()] == ["size.json"]


@pytest.mark.target
@needs_arm_gcc
def test_a_real_build_agrees_with_the_toolchain(tmp_path):
    result = build(minimal_project(tmp_path))
    assert result.size is not None
    assert result.bin is not None
    said = subprocess.run(
        ["arm-none-eabi-size", "-B", result.elf], capture_output=True, text=True, check=True
    )
    text, data, bss = (int(n) for n in said.stdout.splitlines()[1].split()[:3])
    reserved = BOARD.layout.stack_bytes + 32  # and the guard below it
    assert result.size.flash_bytes == result.bin.stat().st_size
    assert 0 <= result.size.flash_bytes - (text + data) < 16  # gaps of alignment
    assert result.size.ram_bytes == data + bss - reserved
    used = sum(o.code_bytes + o.const_bytes for o in result.size.operators.values())
    assert 0.5 * result.size.flash_bytes < used < result.size.flash_bytes
    assert all(o.code_bytes > 0 for o in result.size.operators.values())
    written = (result.elf.parent / "size.json").read_text()
    assert json.loads(written) == json.loads(json.dumps(result.size.to_json()))
