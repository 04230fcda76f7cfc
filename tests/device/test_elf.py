import sys
from pathlib import Path

import pytest

from lnn_edge.device.elf import read_elf
from lnn_edge.device.link.fault import describe_fault
from lnn_edge.device.protocol import Fault
from lnn_edge.errors import BuildError
from tests.support.projects import link, needs_arm_gcc

SOURCE = """
static volatile uint32_t initialised = 0x11223344;
static volatile uint32_t zeroed[5];
NOINLINE uint32_t helper(uint32_t x);
NOINLINE uint32_t helper(uint32_t x) { zeroed[x] = x; return x * initialised; }
void Reset_Handler(void) { for (;;) { (void) helper(3); } }
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory):
    return link(tmp_path_factory.mktemp("elf"), SOURCE).elf


@needs_arm_gcc
@pytest.mark.target
class TestLinkedProgram:
    def test_initialised_data_is_stored_in_flash_and_runs_in_ram(self, elf):
        data = next(s for s in elf.sections if s.name == ".data")
        assert data.data.startswith(bytes.fromhex("44332211"))
        assert 0x2000_0000 <= data.address < 0x2001_0000
        assert 0x0800_0000 <= data.load_address < 0x0810_0000
        assert any(at <= data.load_address < at + len(bytes_) for at, bytes_ in elf.segments)

    def test_zeroed_data_takes_no_bytes(self, elf):
        bss = next(s for s in elf.sections if s.name == ".bss")
        assert bss.data is None
        assert bss.size >= 20

    def test_segments_begin_with_the_vector_table(self, elf):
        address, data = min(elf.segments)
        reset = next(s for s in elf.functions if s.name == "Reset_Handler")
        assert address == 0x0800_0000
        assert int.from_bytes(data[:4], "little") == elf.labels["_stack_top"]
        assert int.from_bytes(data[4:8], "little") == reset.address | 1

    def test_an_address_is_named_by_its_function(self, elf):
        helper = next(s for s in elf.functions if s.name == "helper")
        assert elf.name_at(helper.address) == "helper"
        assert elf.name_at(helper.address | 1) == "helper"
        assert elf.name_at(helper.address + helper.size - 2) == "helper"
        assert elf.describe(helper.address + 2) == f"{helper.address + 2:#010x} (helper+0x2)"

    def test_an_address_outside_of_all_functions_stays_a_number(self, elf):
        assert elf.name_at(0x0000_0000) == ""
        assert elf.function_at(0x2000_0000) is None
        assert elf.describe(0x2000_0000) == "0x20000000"

    def test_a_fault_names_the_functions(self, elf):
        addresses = {s.name: s.address for s in elf.functions}
        pc, lr = addresses["helper"] + 4, addresses["Reset_Handler"] + 9
        fault = Fault(
            3, pc, lr, 0, 1 << 9 | 1 << 15, 1 << 30, 0, 0x6000_0000, 0x2000_1000, 0x2000_0000
        )
        assert describe_fault(fault, elf) == (
            f"HardFault at {pc:#010x} (helper+0x4), called from {lr:#010x} (Reset_Handler+0x8):"
            " PRECISERR, data access to no memory; address 0x60000000"
            " (CFSR 0x00008200, HFSR 0x40000000)"
        )


def test_a_fault_without_symbols_and_cause_is_still_a_sentence():
    text = describe_fault(Fault(17, 0x10, 0x20, 0, 0, 0, 0, 0, 0x2000_1000, 0x2000_0000))
    assert text.startswith("exception 17 at 0x00000010, called from 0x00000020: no cause recorded")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BuildError, match=r"gone\.elf: cannot read it .*build it first"):
        read_elf(tmp_path / "gone.elf")


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(20)])
def test_a_file_that_is_no_elf_is_named(tmp_path, content):
    path = tmp_path / "firmware.elf"
    path.write_bytes(content)
    with pytest.raises(BuildError, match=r"firmware\.elf: not an ELF"):
        read_elf(path)


def test_a_program_of_this_machine_is_no_firmware():
    with pytest.raises(BuildError, match="32-bit little-endian Arm"):
        read_elf(Path(sys.executable).resolve())
