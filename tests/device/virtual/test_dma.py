"""The DMA between the serial port and memory, as RM0385 chapter 8 has it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.dma import BASES, Dma, Wiring
from lnn_edge.device.virtual.engine import Engine
from lnn_edge.device.virtual.faults import BoardStoppedError
from lnn_edge.device.virtual.usart import Line, Usart
from tests.device.virtual.boards import Board, advance, bench, program
from tests.support.projects import needs_arm_gcc

CR1, CR3, BRR, ISR, ICR, RDR, TDR = 0, 8, 0xC, 0x1C, 0x20, 0x24, 0x28
ON, IDLEIE, DMAR, DMAT = 1 | 4 | 8, 1 << 4, 1 << 6, 1 << 7
ORE, IDLE, RXNE, TC, TXE = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
HISR, LISR, LIFCR, HIFCR = 4, 0, 8, 0xC
EN, TEIE, HTIE, TCIE, TO_PERIPHERAL, CIRC, MINC = 1, 4, 8, 16, 64, 256, 1024
CHANNEL4 = 4 << 25
TEIF, HTIF, TCIF = 8, 16, 32
USART, DTCM, ITCM, FLASH = 0x40011000, 0x20000000, 0x00000000, 0x08000000
RX, TX = 2, 7  # streams of DMA2 for USART1
RX_IRQ, TX_IRQ = 58, 70
RX_SHIFT = 16  # stream 2 in LISR
TX_SHIFT = 22  # stream 7 in HISR
FRAME = 10 * 139


class FakeMemory:
    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}

    def write_memory(self, address: int, data: bytes) -> None:
        self.bytes.update({address + i: byte for i, byte in enumerate(data)})

    def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self.bytes.get(address + i, 0) for i in range(size))


class Bench:
    """USART1 and both controllers; one core clock is one kernel clock."""

    def __init__(self) -> None:
        self.timeline = bench()
        self.memory = FakeMemory()
        self.lines: dict[int, bool] = {}
        wiring = Wiring(
            MachineConfig(),
            cast(Engine, self.memory),
            lambda irq, level: self.lines.update({irq: level}),
            lambda _register, _value: None,
        )
        controllers = {name: Dma(name, wiring) for name in BASES}
        self.dma, self.line = controllers["DMA2"], Line()
        self.usart_is_high = False
        self.usart = Usart(
            "USART1",
            USART,
            self.timeline,
            lambda: (16_000_000, 16_000_000),
            self._follow,
            lambda _register, _value: None,
            self.line,
            controllers,
        )
        self.usart.write(BRR, 139)
        self.usart.write(CR1, ON)
        self.usart.write(CR3, DMAR | DMAT)

    def _follow(self, level: bool) -> None:
        self.usart_is_high = level

    def start(
        self, stream: int, memory: int, count: int, control: int, register: int | None = None
    ) -> None:
        at = 0x10 + 0x18 * stream
        usual = USART + (TDR if control & TO_PERIPHERAL else RDR)
        self.dma.write(at + 0x08, usual if register is None else register)
        self.dma.write(at + 0x0C, memory)
        self.dma.write(at + 0x04, count)
        self.dma.write(at, CHANNEL4 | MINC | EN | control)

    def receive(self, count: int, control: int = CIRC, memory: int = DTCM) -> None:
        self.start(RX, memory, count, control)

    def send(self, data: bytes, control: int = 0, memory: int = DTCM + 0x1000) -> None:
        self.memory.write_memory(memory, data)
        self.dma.write(HIFCR, 0x3D << TX_SHIFT)
        self.start(TX, memory, len(data), TO_PERIPHERAL | control)

    def host_sends(self, data: bytes) -> None:
        self.line.incoming.extend(data)
        self.usart.host_sent()

    def left(self, stream: int) -> int:
        return self.dma.read(0x14 + 0x18 * stream)

    def is_on(self, stream: int) -> bool:
        return bool(self.dma.read(0x10 + 0x18 * stream) & EN)

    @property
    def rx_flags(self) -> int:
        return self.dma.read(LISR) >> RX_SHIFT & 0x3D

    @property
    def tx_flags(self) -> int:
        return self.dma.read(HISR) >> TX_SHIFT & 0x3D

    def ring(self, count: int) -> bytes:
        return self.memory.read_memory(DTCM, count)

    def wait(self, clocks: int) -> None:
        advance(self.timeline, clocks)


# --- receiving ----------------------------------------------------------------------------------


def test_each_byte_lies_in_memory_when_its_stop_bit_is_over():
    b = Bench()
    b.receive(8)
    b.host_sends(b"abc")
    for count, text in enumerate([b"\0\0\0", b"a\0\0", b"ab\0", b"abc"]):
        assert (b.left(RX), b.ring(3)) == (8 - count, text)
        b.wait(FRAME - 1)
        assert b.left(RX) == 8 - count
        b.wait(1)
    assert not b.usart.read(ISR) & (RXNE | ORE)
    assert (b.line.received, b.line.overruns) == (3, 0)


def test_a_circular_transfer_goes_round_and_over_what_was_not_read():
    b = Bench()
    b.receive(4)
    b.host_sends(b"abcdefghij")
    b.wait(10 * FRAME)
    assert (b.left(RX), b.ring(5)) == (2, b"ijgh\0")
    assert b.is_on(RX)
    assert b.line.overruns == 0  # the port saw every byte taken: only the program can know


def test_half_and_end_interrupt_in_their_moment_and_until_cleared():
    b = Bench()
    b.receive(6, CIRC | HTIE | TCIE)
    b.host_sends(b"abcdefg")
    b.wait(3 * FRAME - 1)
    assert not b.lines[RX_IRQ]
    b.wait(1)
    assert b.lines[RX_IRQ]
    assert b.rx_flags == HTIF
    b.dma.write(LIFCR, HTIF << RX_SHIFT)
    assert not b.lines[RX_IRQ]
    b.wait(3 * FRAME - 1)
    assert not b.lines[RX_IRQ]
    b.wait(1)
    assert b.lines[RX_IRQ]
    assert b.rx_flags == TCIF


def test_flags_without_their_interrupt_are_there_to_be_read():
    b = Bench()
    b.receive(4)
    b.host_sends(b"abcd")
    b.wait(2 * FRAME)
    assert b.rx_flags == HTIF
    b.wait(2 * FRAME)
    assert b.rx_flags == HTIF | TCIF
    assert not b.lines[RX_IRQ]


def test_an_odd_transfer_is_half_done_with_the_larger_half():
    b = Bench()
    b.receive(5, CIRC | HTIE)
    b.host_sends(b"abcde")
    b.wait(3 * FRAME - 1)
    assert not b.lines[RX_IRQ]
    b.wait(1)
    assert b.lines[RX_IRQ]


def test_the_line_falls_idle_in_the_middle_of_a_transfer():
    b = Bench()
    b.usart.write(CR1, ON | IDLEIE)
    b.receive(64, CIRC | HTIE | TCIE)
    b.host_sends(b"abc")
    b.wait(4 * FRAME - 1)
    assert not b.usart_is_high
    b.wait(1)
    assert b.usart_is_high
    assert (b.left(RX), b.ring(3)) == (61, b"abc")
    b.usart.write(ICR, IDLE)
    assert not b.usart_is_high
    b.wait(10 * FRAME)
    assert not b.usart_is_high  # once for each pause
    b.host_sends(b"de")
    b.wait(3 * FRAME)
    assert b.usart_is_high
    assert b.ring(5) == b"abcde"


def test_bytes_that_come_during_a_burst_follow_without_a_pause():
    b = Bench()
    b.usart.write(CR1, ON | IDLEIE)
    b.receive(64)
    b.host_sends(b"ab")
    b.wait(FRAME)
    b.host_sends(b"cd")
    b.wait(3 * FRAME)
    assert (b.left(RX), b.ring(4), b.usart_is_high) == (60, b"abcd", False)


def test_a_normal_transfer_ends_and_then_bytes_overrun():
    b = Bench()
    b.receive(2, 0)
    b.host_sends(b"abcd")
    b.wait(2 * FRAME)
    assert (b.rx_flags, b.is_on(RX), b.left(RX)) == (HTIF | TCIF, False, 0)
    b.wait(2 * FRAME)
    assert b.usart.read(ISR) & (RXNE | ORE) == RXNE | ORE
    assert b.line.overruns == 1
    assert b.usart.read(RDR) == ord("c")


def test_a_byte_that_waits_is_taken_when_the_stream_goes_on():
    b = Bench()
    b.host_sends(b"a")
    b.wait(FRAME)
    assert b.usart.read(ISR) & RXNE
    b.receive(8)
    assert not b.usart.read(ISR) & RXNE
    assert (b.left(RX), b.ring(1)) == (7, b"a")


@pytest.mark.parametrize("control3", [0, DMAT])
def test_without_its_request_the_port_keeps_its_bytes(control3):
    b = Bench()
    b.usart.write(CR3, control3)
    b.receive(8)
    b.host_sends(b"a")
    b.wait(FRAME)
    assert b.usart.read(ISR) & RXNE
    assert b.left(RX) == 8


@pytest.mark.parametrize("channel", [0, 3, 5])
def test_another_channel_of_the_stream_serves_another_peripheral(channel):
    b = Bench()
    b.receive(8)
    b.dma.write(0x10 + 0x18 * RX, 0)
    b.dma.write(LIFCR, 0x3D << RX_SHIFT)
    b.dma.write(0x10 + 0x18 * RX, channel << 25 | MINC | CIRC | EN)
    b.host_sends(b"a")
    b.wait(FRAME)
    assert b.usart.read(ISR) & RXNE


def test_stream_five_serves_the_same_request():
    b = Bench()
    b.start(5, DTCM, 8, CIRC)
    b.host_sends(b"ab")
    b.wait(2 * FRAME)
    assert b.ring(2) == b"ab"


def test_a_stream_that_is_switched_off_in_a_burst_keeps_what_had_come():
    b = Bench()
    b.receive(8)
    b.host_sends(b"abcd")
    b.wait(2 * FRAME + 5)
    b.dma.write(0x10 + 0x18 * RX, CHANNEL4 | MINC | CIRC)
    assert (b.left(RX), b.ring(3)) == (6, b"ab\0")
    assert b.rx_flags & TCIF  # RM0385: also of a transfer that was broken off
    b.wait(FRAME - 6)
    assert not b.usart.read(ISR) & RXNE
    b.wait(1)
    assert b.usart.read(ISR) & (RXNE | ORE) == RXNE
    assert b.usart.read(RDR) == ord("c")


def test_a_change_of_the_core_clock_leaves_the_pace_of_a_burst():
    b = Bench()
    b.receive(8)
    b.host_sends(b"ab")
    b.wait(FRAME // 2)
    b.timeline.rescale(16_000_000, 32_000_000)  # the kernel clock doubles with it here: the same
    b.wait(3 * FRAME)
    assert b.ring(2) == b"ab"


# --- a wrong set-up -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "name"), [(ITCM, "itcm"), (FLASH, "flash"), (0x10000000, "no memory")]
)
def test_a_buffer_where_the_dma_does_not_reach_is_noticed(memory, name):
    b = Bench()
    b.receive(8, CIRC, memory)
    b.host_sends(b"a")
    with pytest.raises(BoardStoppedError, match=f"DMA2 stream 2.*{memory:#010x} lies in {name}"):
        b.wait(FRAME)


def test_a_program_that_handles_transfer_errors_is_told():
    b = Bench()
    b.receive(8, CIRC | TEIE, ITCM)
    b.host_sends(b"a")
    b.wait(FRAME)
    assert (b.rx_flags, b.is_on(RX), b.lines[RX_IRQ]) == (TEIF, False, True)
    assert b.memory.bytes == {}


def test_a_buffer_that_leaves_its_memory_is_noticed():
    b = Bench()
    b.receive(8, CIRC, 0x20050000 - 4)
    b.host_sends(b"abcdefgh")
    with pytest.raises(BoardStoppedError, match="which the DMA does not write"):
        b.wait(8 * FRAME)


@pytest.mark.parametrize(
    "control", [1 << 7, 1 << 9, 1 << 11, 1 << 13, 1 << 18, 1 << 23, MINC], ids=hex
)
def test_what_is_not_modelled_stops_the_board(control):
    b = Bench()
    at = 0x10 + 0x18 * RX
    b.dma.write(at + 4, 8)
    with pytest.raises(BoardStoppedError, match="knows bytes in direct mode"):
        b.dma.write(at, (CHANNEL4 | MINC | EN) ^ control)


def test_a_stream_that_serves_one_register_and_names_another_stops_the_board():
    b = Bench()
    b.start(RX, DTCM, 8, CIRC, register=USART + TDR)
    b.host_sends(b"a")
    with pytest.raises(BoardStoppedError, match="PAR is 0x40011028"):
        b.wait(FRAME)


def test_old_flags_keep_a_stream_off():
    b = Bench()
    b.receive(1, 0)
    b.host_sends(b"a")
    b.wait(FRAME)
    b.start(RX, DTCM, 4, 0)
    assert not b.is_on(RX)
    b.dma.write(LIFCR, 0x3D << RX_SHIFT)
    b.start(RX, DTCM, 4, 0)
    assert b.is_on(RX)


def test_registers_do_not_change_while_the_stream_is_on():
    b = Bench()
    b.receive(8)
    at = 0x10 + 0x18 * RX
    for offset in (0x04, 0x08, 0x0C):
        b.dma.write(at + offset, 3)
    assert (b.left(RX), b.dma.read(at + 0x0C)) == (8, DTCM)


# --- sending ------------------------------------------------------------------------------------


def test_bytes_leave_one_after_another_and_the_controller_is_two_ahead():
    b = Bench()
    b.send(b"abcde")
    # One is in the shift register and one in TDR at once.
    assert (b.left(TX), b.usart.read(ISR) & (TXE | TC)) == (3, 0)
    for count in range(1, 6):
        b.wait(FRAME - 1)
        assert len(b.line.outgoing) == count - 1 or b.left(TX) > 0
        b.wait(1)
        assert b.left(TX) == max(0, 3 - count)
        assert b.line.outgoing == b"abcde"[:count]
        assert bool(b.tx_flags & TCIF) == (count >= 3)
        assert bool(b.usart.read(ISR) & TC) == (count == 5)
    assert (b.is_on(TX), b.line.sent) == (False, 5)


def test_a_single_byte_is_with_the_port_at_once():
    b = Bench()
    b.send(b"a")
    assert (b.left(TX), b.tx_flags & TCIF) == (0, TCIF)
    b.wait(FRAME)
    assert b.line.outgoing == b"a"
    assert b.usart.read(ISR) & TC


def test_the_end_interrupts_before_the_last_two_bytes_have_left():
    b = Bench()
    b.send(b"abcd", TCIE)
    b.wait(2 * FRAME - 1)
    assert not b.lines[TX_IRQ]
    b.wait(1)
    assert b.lines[TX_IRQ]
    assert b.line.outgoing == b"ab"


def test_a_block_that_is_started_in_time_follows_without_a_pause():
    b = Bench()
    b.send(b"abc")
    b.wait(FRAME + 7)
    assert b.left(TX) == 0
    b.send(b"de", memory=DTCM + 0x2000)
    b.wait(4 * FRAME - 7)
    assert b.line.outgoing == b"abcde"
    assert b.usart.read(ISR) & TC


def test_a_block_waits_for_the_transmitter_and_for_its_request():
    b = Bench()
    b.usart.write(CR3, DMAR)
    b.send(b"ab")
    b.wait(5 * FRAME)
    assert (b.left(TX), b.line.outgoing) == (2, b"")
    b.usart.write(CR3, DMAT)
    b.wait(2 * FRAME)
    assert b.line.outgoing == b"ab"


def test_a_block_can_come_from_flash():
    b = Bench()
    b.send(b"ab", memory=FLASH + 0x100)
    b.wait(2 * FRAME)
    assert b.line.outgoing == b"ab"


def test_a_buffer_that_is_changed_while_it_is_being_sent_is_noticed():
    b = Bench()
    b.send(b"abcdef")
    b.wait(FRAME)
    b.memory.write_memory(DTCM + 0x1000 + 4, b"X")
    with pytest.raises(BoardStoppedError, match="the program changed it meanwhile"):
        b.wait(5 * FRAME)


def test_a_part_that_has_gone_may_be_filled_again():
    b = Bench()
    b.send(b"abcdef")
    b.wait(2 * FRAME)
    assert b.left(TX) == 2
    b.memory.write_memory(DTCM + 0x1000, b"WXYZ")
    b.wait(4 * FRAME)
    assert b.line.outgoing == b"abcdef"


def test_both_directions_run_at_once():
    b = Bench()
    b.receive(8)
    b.send(b"xyz")
    b.host_sends(b"abc")
    b.wait(3 * FRAME)
    assert (b.ring(3), b.line.outgoing) == (b"abc", b"xyz")


def test_a_reset_ends_every_transfer():
    b = Bench()
    b.receive(8)
    b.send(b"xyz")
    b.dma.reset()
    b.usart.reset()
    b.wait(5 * FRAME)
    assert (b.line.outgoing, b.left(RX), b.is_on(RX), b.dma.read(HISR)) == (b"", 0, False, 0)


# --- on the whole board -------------------------------------------------------------------------

ECHO = """
#define USART1 0x40011000
#define DMA2 0x40026400
static uint8_t ring[16], out[64];
static volatile uint32_t idles, halves;
void idle(void) { R(USART1 + 0x20) = 1 << 4; idles++; }
void half(void) { R(DMA2 + 8) = 0x3D << 16; halves++; }
void Reset_Handler(void)
{
    uint32_t tail = 0, count = 0;
    idles = halves = 0; /* nothing has cleared the variables */
    R(0x40023830) |= 1 << 22; /* DMA2 */
    R(0x40023844) |= 1 << 4;  /* USART1 */
    R(USART1 + 12) = 139;
    R(DMA2 + 0x48) = USART1 + 0x24;
    R(DMA2 + 0x4C) = (uint32_t) PLACE;
    R(DMA2 + 0x44) = sizeof ring;
    R(DMA2 + 0x40) = 4 << 25 | 1 << 10 | 1 << 8 | 1 << 4 | 1 << 3 | 1;
    R(USART1 + 8) = 3 << 6;
    R(USART1) = 0x1D;
    R(0xE000E104) = 1 << 5 | 1 << 26; /* interrupts 37 and 58 */
    while (idles == 0)
    {
        __asm volatile("wfi");
        while ((R(DMA2 + 0x44) + tail) % 16 != 0)
        {
            out[count++] = (uint8_t) (ring[tail++ % 16] ^ 0x20);
        }
    }
    R(DMA2 + 0xC0) = USART1 + 0x28;
    R(DMA2 + 0xC4) = (uint32_t) out;
    R(DMA2 + 0xBC) = count;
    R(DMA2 + 0xB8) = 4 << 25 | 1 << 10 | 1 << 6 | 1;
    box[0] = halves;
    while ((R(USART1 + 0x1C) & 0x40) == 0) { }
    DONE();
}
"""


def echo(folder: Any, place: str) -> Board:
    source = ECHO.replace("PLACE", place)
    handlers = {16 + 37: "idle", 16 + 58: "half"}
    return Board(program(folder, source, handlers))


@needs_arm_gcc
@pytest.mark.target
def test_a_program_echoes_by_dma_woken_by_half_end_and_idle(tmp_path):
    board = echo(tmp_path, "ring")
    board.machine.send(b"the quick brown fox jumps")
    board.finish()
    assert board.machine.take_output() == b"THE\0QUICK\0BROWN\0FOX\0JUMPS"
    assert board.box(1) == [3]  # half, end, half
    assert board.machine.line.overruns == 0


@needs_arm_gcc
@pytest.mark.target
def test_a_program_whose_ring_lies_in_itcm_is_told_so(tmp_path):
    board = echo(tmp_path, "0x100")
    board.machine.send(b"abc")
    assert "DMA2 stream 2: its buffer at 0x00000100 lies in itcm" in board.run()


@needs_arm_gcc
@pytest.mark.target
def test_a_controller_without_its_clock_does_nothing(tmp_path):
    source = """
    void Reset_Handler(void)
    {
        R(0x40026444) = 5;
        box[0] = R(0x40026444);
        R(0x40023830) |= 1 << 22;
        (void) R(0x40023830);
        R(0x40026444) = 5;
        box[1] = R(0x40026444);
        DONE();
    }
    """
    board = Board(program(tmp_path, source))
    board.finish()
    assert board.box(2) == [0, 5]


def test_the_machine_tells_which_memories_the_dma_reaches():
    reached = {region.name: region.dma for region in MachineConfig().memories}
    assert reached == {"flash": True, "itcm": False, "dtcm": True, "sram": True}
