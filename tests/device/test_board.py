"""Boards: what ships loads, what contradicts itself is refused with one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lnn_edge.build.project import open_board
from lnn_edge.codegen.render import render_board
from lnn_edge.device.board import Board, board_of, list_boards, load_board, read_board
from lnn_edge.device.board_checks import clock_tree
from lnn_edge.device.virtual.config import F746_MEMORIES, USART1, USART3, MachineConfig
from lnn_edge.device.virtual.dma import BASES, CLOCK_BITS, IRQS, REQUESTS
from lnn_edge.errors import BoardError, UsageError
from lnn_edge.files import resources
from tests.support.projects import generated_boards

SHIPPED = {
    "stm32f746g-disco",
    "nucleo-f746zg",
    "stm32f405",
    "nucleo-f446re",
    "nucleo-l476rg",
    "nucleo-h743zi",
    "nucleo-f411re",
    "nucleo-g071rb",
    "nucleo-l432kc",
    "nucleo-u575zi",
    "bluepill",
    "microbit",
    "stm32vldiscovery",
    "mps2-an385",
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
}
F746 = resources.path("boards") / "stm32f746g-disco.toml"


def changed(folder: Path, old: str, new: str, base: Path = F746) -> Path:
    """Write a board file that differs in one place."""
    text = base.read_text()
    assert text.count(old) >= 1, old
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BoardError) as caught:
        read_board(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_every_shipped_board_loads_under_its_file_name():
    names = {board.name for board in list_boards()}
    assert names - generated_boards() == SHIPPED
    files = {path.stem for path in resources.path("boards").glob("*.toml")}
    assert files == names


def test_generated_boards_name_their_source_and_a_part_each():
    generated = [board for board in list_boards() if board.name in generated_boards()]
    assert len(generated) >= 40
    for board in generated:
        assert "modm-devices 0.13.1" in board.mcu.source
        assert "modm-devices 0.13.1" in board.uart.source
        assert board.mcu.part.startswith(board.mcu.family.upper())
        assert board.clock.input == "hsi"


def test_alias_names_the_discovery_board():
    assert load_board("stm32f746") == load_board("stm32f746g-disco")


def test_names_and_aliases_are_unique():
    names = [name for board in list_boards() for name in (board.name, *board.aliases)]
    assert len(names) == len(set(names))


def test_unknown_board_names_the_nearest():
    with pytest.raises(BoardError, match=r"'nucleo-f446'.*nearest are nucleo-f446ze, "):
        load_board("nucleo-f446")


def test_far_name_says_where_the_names_are():
    with pytest.raises(BoardError, match=r"unknown board 'zzzzzz'; `lnn-edge boards` lists them"):
        load_board("zzzzzz")


def test_board_of_ones_own_by_path(tmp_path):
    path = changed(tmp_path, 'name    = "stm32f746g-disco"', 'name = "mine"')
    board = load_board(str(path))
    assert board.name == "mine"
    assert board.mcu.cpu == "cortex-m7"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert load_board(str(path)) == board


def test_json_reads_back_equal():
    for board in list_boards():
        assert board_of(json.loads(board.to_json()), "here") == board


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\udcff"])
def test_damaged_json_is_refused(text, tmp_path):
    (tmp_path / "board").mkdir()
    (tmp_path / "export.json").write_text("{}")
    (tmp_path / "board" / "board.json").write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=r"damaged .*run `lnn-edge export` again"):
        open_board(tmp_path)


def mhz(board: Board) -> tuple[float, ...]:
    tree = clock_tree(board)
    return tuple(f / 1e6 for f in (tree.core_hz, tree.ahb_hz, tree.apb1_hz, tree.apb2_hz))


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # core, bus, apb1, apb2 in MHz, from the clock chapters of the reference manuals
        ("stm32f746", (216, 216, 54, 108)),
        ("nucleo-f746zg", (216, 216, 54, 108)),
        ("stm32f405", (168, 168, 42, 84)),
        ("nucleo-f446re", (180, 180, 45, 90)),
        ("nucleo-l476rg", (80, 80, 80, 80)),
        ("nucleo-h743zi", (400, 200, 100, 100)),
        ("nucleo-f411re", (84, 84, 42, 84)),
        ("nucleo-g071rb", (64, 64, 64, 64)),
        ("nucleo-l432kc", (80, 80, 80, 80)),
        ("nucleo-u575zi", (160, 160, 160, 160)),
        ("bluepill", (72, 72, 36, 72)),
        ("stm32vldiscovery", (24, 24, 24, 24)),
        ("microbit", (16, 16, 16, 16)),
        ("mps2-an505", (20, 20, 20, 20)),
    ],
)
def test_clock_tree(name, expected):
    assert mhz(load_board(name)) == expected


def test_virtual_board_stands_for_the_same_machine():
    disco, nucleo = load_board("stm32f746"), load_board("nucleo-f746zg")
    for board in (disco, nucleo):
        described = {(r.name, r.start, r.size, r.kind, r.dma) for r in board.memory}
        assert described == {(r.name, r.start, r.size, r.kind, r.dma) for r in F746_MEMORIES}
    assert disco.clock.hse_hz == MachineConfig().hse_hz
    for board, usart in ((disco, USART1), (nucleo, USART3)):
        uart = board.uart
        assert (uart.instance, uart.base, uart.irq) == (usart.name, usart.base, usart.irq)
        assert (uart.bus, uart.enable_bit) == (usart.bus, usart.clock_bit)
        dma = board.dma
        assert dma is not None
        assert (dma.base, dma.enable_bit) == (BASES[dma.instance], CLOCK_BITS[dma.instance])
        assert dma.rx_irq == IRQS[dma.instance][dma.rx_stream]
        received, sent = (REQUESTS[f"{uart.instance} {way}"] for way in ("rx", "tx"))
        assert (dma.instance, dma.rx_stream, dma.rx_request) in received
        assert (dma.instance, dma.tx_stream, dma.tx_request) in sent


CONTRADICTIONS = {
    "unknown key": ("[mcu]", "[mcu]\nspeed = 3", "unknown key 'speed'"),
    "missing key": ("irq        = 37\n", "", "key 'irq' is missing"),
    "wrong type": ("irq        = 37", 'irq = "37"', "irq must be int, not '37'"),
    "not a family": ('"stm32f7"', '"stm32f9"', "family must be one of .*, not 'stm32f9'"),
    "PLL result": ("n = 432", "n = 400", "core_hz is 216000000, but the PLL gives 200000000"),
    "PLL input": ("m = 25, n = 432", "m = 50, n = 864", "n must be 50 to 432, not 864"),
    "PLL divisor": ("p = 2 }", "p = 3 }", r"p must be one of 2, 4, 6, 8, not 3"),
    "PLL divider": ("p = 2 }", "p = 2, r = 2 }", "divides by p, leave out the other"),
    "PLL oscillator": ("m = 25, n = 432, p = 2", "m = 25, n = 432, p = 4", "gives 108000000"),
    "too fast": ("max_core_hz        = 216", "max_core_hz = 200", "core clock would be 216 MHz"),
    "peripheral bus": ("apb1_div          = 4", "apb1_div = 2", "apb1 would be 108 MHz"),
    "bus divider": ("apb1_div          = 4", "apb1_div = 3", "apb1_div must be one of"),
    "wait states": ("wait_states = 7", "wait_states = 6", "must be at least 7, not 6"),
    "over-drive": ("overdrive         = true", "overdrive = false", "overdrive is off"),
    "no oscillator": ("hse_hz            = 25_000_000", "hse_hz = 0", "hse_hz is 0"),
    "overlap": ("start = 0x20010000", "start = 0x20000000", "overlaps"),
    "same name": ('name  = "itcm"', 'name  = "dtcm"', "two memories are called 'dtcm'"),
    "odd size": ("size  = 0x40000\n", "size  = 0x40001\n", "not made of whole KB"),
    "wrong kind": ('data        = "dtcm"', 'data = "flash"', "layout.data must be .* not 'flash'"),
    "no memory": ('stack       = "dtcm"', 'stack = "ccm"', "layout.stack must be .* not .ccm."),
    "stack size": ("stack_bytes = 4096", "stack_bytes = 100", "positive multiple of 8"),
    "big stack": ("stack_bytes = 4096", "stack_bytes = 0x20000", "more than dtcm holds"),
    "pin": ('"PB7"', '"PB17"', "'PB17' is not a pin"),
    "one pin twice": ('"PB7"', '"PA9"', "both PA9"),
    "alternate": ("rx_af      = 7", "rx_af = 16", "rx_af must be 0 to 15, not 16"),
    "address": ("0x40011000", "0x20011000", "must be the address of a peripheral"),
    "baud": ("baud       = 115_200", "baud = 10_000_000", "cannot make"),
    "emulator": ('emulator = "virtual"', 'emulator = "bochs"', "must be virtual, qemu:MACHINE"),
    "script": ("disco.cfg", "disco.cfg; reboot", "no configuration file"),
    "name": ('name    = "stm32f746g-disco"', 'name = "My Board"', "lower-case letters"),
    "no TOML": ("[mcu]", "[mcu", "not valid TOML"),
    "buffers": ('region     = "dtcm"', 'region = "itcm"', "region must be a RAM that DMA reaches"),
    "no buffers": ('region     = "dtcm"', 'region = "flash"', "that DMA reaches .dtcm, sram."),
    "one stream": ("tx_stream  = 7", "tx_stream = 2", "rx_stream and dma.tx_stream are both 2"),
    "stream": ("rx_stream  = 2", "rx_stream = 8", "rx_stream must be 0 to 7, not 8"),
    "request": ("rx_request = 4", "rx_request = 8", "rx_request must be 0 to 7, not 8"),
    "one interrupt": ("rx_irq     = 58", "rx_irq = 37", "rx_irq is 37, which is the interrupt of"),
    "controller": ("0x40026400", "0x20026400", "dma.base must be .* not 0x20026400"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradiction_is_refused(case, tmp_path):
    old, new, message = CONTRADICTIONS[case]
    assert re.search(message, refusal(changed(tmp_path, old, new)))


def test_missing_and_binary_files_are_refused(tmp_path):
    assert "cannot read it" in refusal(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refusal(tmp_path / "binary.toml")


def test_pll_of_the_l4_divides_by_r(tmp_path):
    base = resources.path("boards") / "nucleo-l476rg.toml"
    path = changed(tmp_path, "r = 2", "p = 2", base)
    assert "divides by r" in refusal(path)


def test_the_buffers_of_the_h7_lie_beside_its_dma_and_not_in_dtcm(tmp_path):
    board = load_board("nucleo-h743zi")
    assert board.dma is not None
    assert board.region(board.dma.region).start == 0x30000000  # SRAM1 to 3, domain D2
    assert board.dma_is_cached
    base = resources.path("boards") / "nucleo-h743zi.toml"
    path = changed(tmp_path, 'region     = "sram"', 'region = "dtcm"', base)
    wanted = "region must be a RAM that DMA reaches (axi_sram, sram, sram4), not 'dtcm'"
    assert wanted in refusal(path)


def test_tightly_coupled_buffers_need_no_care_for_the_cache():
    assert not load_board("stm32f746").dma_is_cached
    assert not load_board("nucleo-f446re").dma_is_cached  # no cache at all


def test_a_board_may_do_without_dma():
    board = load_board("stm32f405")
    assert board.dma is None
    assert "#define LNN_UART_DMA 0" in render_board(board)["lnn_board.h"]
    assert ".dma" not in render_board(board)["linker.ld"]
    assert board_of(json.loads(board.to_json()), "copy") == board


def other(folder: Path, board: str, old: str, new: str) -> str:
    """Return why a board is refused once a line of it is changed."""
    return refusal(changed(folder, old, new, resources.path("boards") / f"{board}.toml"))


def test_a_core_has_the_units_that_it_has(tmp_path):
    said = other(tmp_path, "nucleo-g071rb", '"none"', '"fpv4-sp-d16"')
    assert "mcu.fpu must be one of none on a cortex-m0plus, not 'fpv4-sp-d16'" in said
    assert load_board("bluepill").mcu.flags == ("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft")
    assert "-mfloat-abi=hard" in load_board("nucleo-u575zi").mcu.flags
    dsp = {board.mcu.cpu for board in list_boards() if board.mcu.dsp}
    assert dsp == {"cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"}


def test_the_f1_halves_its_own_oscillator(tmp_path):
    said = other(tmp_path, "bluepill", 'input             = "hse"', 'input = "hsi"')
    assert "clock.pll.m must be 2 where HSI feeds it, not 1" in said


def test_a_fixed_clock_has_no_pll_and_no_pins(tmp_path):
    said = other(tmp_path, "microbit", "overdrive  ", "pll = { m = 1, n = 1 }\noverdrive  ")
    assert "clock.pll must be left out on nrf51" in said
    said = other(tmp_path, "microbit", 'tx         = ""', 'tx = "PA2"')
    assert 'uart.tx and uart.rx must be "" on nrf51' in said
    said = other(tmp_path, "bluepill", "pll               =", "# pll =")
    assert "clock.pll is missing on stm32f1" in said
    assert "LNN_PLL_M" not in render_board(load_board("microbit"))["lnn_board.h"]


def test_no_dma_where_the_firmware_knows_none(tmp_path):
    dma = (resources.path("boards") / "nucleo-f446re.toml").read_text()
    table = dma[dma.index("[dma]") : dma.index("[layout]")]
    said = other(tmp_path, "bluepill", "[layout]", f"{table}[layout]")
    assert "leave [dma] out: the firmware knows none on stm32f1" in said


def test_two_boards_differ_in_their_header():
    headers = {render_board(board)["lnn_board.h"] for board in list_boards()}
    assert len(headers) == len(list_boards())


def test_header_states_the_facts():
    text = render_board(load_board("nucleo-l476rg"))["lnn_board.h"]
    defined = dict(re.findall(r"#define (\w+) ([^/\n]+)", text))
    families = {f: defined[f"LNN_FAMILY_{f}"].strip() for f in ("F4", "F7", "L4", "H7")}
    assert families == {"F4": "0", "F7": "0", "L4": "1", "H7": "0"}
    assert defined["LNN_CORE_CLOCK_HZ"] == "80000000UL"
    assert defined["LNN_RESET_CLOCK_HZ"] == "4000000UL"
    assert (defined["LNN_PLL_P"], defined["LNN_PLL_R"]) == ("0U", "2U")
    assert (defined["LNN_UART_RX_PORT"].strip(), defined["LNN_UART_RX_PIN"]) == ("0U", "3U")
    assert defined["LNN_CORE_CACHES"] == "0"
