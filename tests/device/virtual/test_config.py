"""What a machine description may say; everything else is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lnn_edge.device.virtual.config import (
    F746_MEMORIES,
    USART1,
    USART3,
    MachineConfig,
    MemoryRegion,
)
from lnn_edge.errors import BoardError

FLASH = {"name": "flash", "start": "0x08000000", "size": 0x10000, "kind": "flash"}


def test_a_description_reads_back_as_it_was():
    config = MachineConfig(name="mine", hse_hz=8_000_000, usart=USART3, double_precision=True)
    assert MachineConfig.from_json(config.to_json()) == config


def test_what_is_left_out_is_an_stm32f746():
    config = MachineConfig.from_json('{"usart": "USART3", "hse_hz": "0x7A1200"}')
    assert config == MachineConfig(usart=USART3, hse_hz=8_000_000)
    assert config.boot_address == 0x08000000
    assert [r.name for r in config.memories if config.region_at(r.end - 1) is r] == [
        "flash",
        "itcm",
        "dtcm",
        "sram",
    ]
    assert config.region_at(0x20050000) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "machine: not valid JSON .*; write an object"),
        ('{"hse_hz": %s}' % ("9" * 5000), "machine: not valid JSON"),
        ("[" * 100_000, "machine: not valid JSON"),
        ("[]", "machine must be an object, not list"),
        ('{"cup": 1}', "machine: unknown key 'cup'; known are name, cpu, memories, hse_hz, usart"),
        ('{"cpu": 7}', "machine: cpu must be a text, not 7"),
        ('{"hse_hz": 1.5}', "machine: hse_hz must be an integer, not 1.5"),
        ('{"hse_hz": true}', "machine: hse_hz must be an integer, not True"),
        ('{"hse_hz": "fast"}', "machine: hse_hz must be an integer, not 'fast'"),
        ('{"double_precision": 1}', "double_precision must be true or false, not 1"),
        ('{"usart": "USART9"}', "machine: usart: 'USART9' is not one of USART1, USART3"),
        ('{"usart": 1}', "machine: usart must be an object, not int"),
        ('{"usart": {"name": "U"}}', "machine: usart: key 'base' is missing"),
        ('{"memories": {}}', "machine: memories must be a list of regions, not dict"),
        ('{"memories": [1]}', "machine: memories must be an object, not int"),
        ('{"memories": [{"name": "x"}]}', "machine: memories: key 'start' is missing"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(text, sentence):
    with pytest.raises(BoardError, match=sentence) as caught:
        MachineConfig.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cpu": "cortex-m3"}, "cpu 'cortex-m3' is not one of cortex-m7, cortex-m4"),
        ({"hse_hz": -1}, "hse_hz is -1, it cannot be negative"),
        ({"usart": replace(USART1, bus="ahb1")}, "usart bus 'ahb1' is not apb1 or apb2"),
        ({"usart": replace(USART1, base=0x20000000)}, "usart base 0x20000000 is not a peripheral"),
        ({"usart": replace(USART1, base=0x40011004)}, "usart base 0x40011004 is not a peripheral"),
        ({"usart": replace(USART1, irq=98)}, "usart irq is 98, not 0 to 97"),
        ({"usart": replace(USART1, clock_bit=-1)}, "usart clock_bit is -1, not 0 to 31"),
        ({"usart": replace(USART1, select_bit=31)}, "usart select_bit is 31, not 0 to 30"),
        ({"memories": F746_MEMORIES[1:]}, "no region of kind flash, so there is nothing to boot"),
    ],
)
def test_an_impossible_machine_is_refused(change, sentence):
    with pytest.raises(BoardError, match=f"stm32f746: {sentence}"):
        MachineConfig(**change)


@pytest.mark.parametrize(
    ("start", "size", "kind", "sentence"),
    [
        (0x30000000, 0x400, "rom", "has kind 'rom', not flash/ram"),
        (0x30000000, 0, "ram", "is not made of whole 1 KB pages"),
        (0x30000000, 0x500, "ram", "is not made of whole 1 KB pages"),
        (0x30000100, 0x400, "ram", "is not made of whole 1 KB pages"),
        (0x2000FC00, 0x400, "ram", "overlaps dtcm at 0x2000fc00"),
        (-0x400, 0x400, "ram", "leaves the 32-bit address space"),
        (0xFFFFFC00, 0x800, "ram", "leaves the 32-bit address space"),
        (0x40020000, 0x400, "ram", "covers addresses of the peripherals"),
        (0xE0000000, 0x400, "ram", "covers addresses of the core"),
        (0x1FF0F400, 0x400, "ram", "covers addresses of the unique ID"),
    ],
)
def test_an_impossible_region_is_refused(start, size, kind, sentence):
    extra = MemoryRegion("extra", start, size, kind)
    with pytest.raises(BoardError, match=f"region extra {sentence}"):
        MachineConfig(memories=(*F746_MEMORIES, extra))


def test_errors_name_the_file(tmp_path):
    with pytest.raises(BoardError, match=r"gone\.json: cannot read the machine description"):
        MachineConfig.from_file(tmp_path / "gone.json")
    path = tmp_path / "machine.json"
    path.write_bytes(b"\xff")
    with pytest.raises(BoardError, match=r"machine\.json: cannot read"):
        MachineConfig.from_file(path)
    path.write_text(json.dumps({"memories": [FLASH | {"size": "much"}]}))
    with pytest.raises(BoardError, match=r"machine\.json: memories: size must be an integer"):
        MachineConfig.from_file(path)
    path.write_text(json.dumps({"memories": [FLASH]}))
    assert MachineConfig.from_file(path).boot_address == 0x08000000
