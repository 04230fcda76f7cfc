"""The serial port: pace, registers and lost bytes, as RM0385 chapter 31 has them."""

from __future__ import annotations

import pytest

from lnn_edge.device.virtual.timeline import Timeline
from lnn_edge.device.virtual.usart import Line, Usart
from tests.device.virtual.boards import Board, advance, bench, program
from tests.support.projects import needs_arm_gcc

CR1, CR2, CR3, BRR, RQR, ISR, ICR, RDR, TDR = 0, 4, 8, 0xC, 0x18, 0x1C, 0x20, 0x24, 0x28
UE, RE, TE, IDLEIE, RXNEIE, TCIE, TXEIE = 1, 4, 8, 1 << 4, 1 << 5, 1 << 6, 1 << 7
OVER8 = 1 << 15
ORE, IDLE, RXNE, TC, TXE, BUSY = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 16
EIE, OVRDIS = 1, 1 << 12
ON = UE | RE | TE
DIVIDER = 139
FRAME = 10 * DIVIDER  # start, eight data bits, stop, in core clocks
HSI = 16_000_000


class Bench:
    """One USART whose kernel clock is the core clock."""

    def __init__(self, control: int = ON, core_hz: int = HSI, kernel_hz: int = HSI) -> None:
        self.clocks = (core_hz, kernel_hz)
        self.timeline: Timeline = bench()
        self.line = Line()
        self.is_high = False
        self.usart = Usart(
            "USART1",
            0x40011000,
            self.timeline,
            lambda: self.clocks,
            self._follow,
            lambda _register, _value: None,
            self.line,
        )
        self.usart.write(BRR, DIVIDER)
        self.usart.write(CR1, control)

    def _follow(self, level: bool) -> None:
        self.is_high = level

    @property
    def status(self) -> int:
        return self.usart.read(ISR)

    def host_sends(self, data: bytes) -> None:
        self.line.incoming.extend(data)
        self.usart.host_sent()

    def wait(self, clocks: int) -> None:
        advance(self.timeline, clocks)


# --- receiving ----------------------------------------------------------------------------------


def test_a_byte_arrives_when_its_stop_bit_is_over():
    b = Bench()
    b.host_sends(b"A")
    b.wait(FRAME - 1)
    assert b.status & (RXNE | BUSY) == BUSY
    b.wait(1)
    assert b.status & (RXNE | BUSY) == RXNE
    assert b.usart.read(RDR) == ord("A")
    assert not b.status & RXNE


def test_bytes_of_the_host_arrive_one_frame_after_another():
    b, arrived = Bench(), []
    b.host_sends(b"abc")
    for clock in range(1, 4 * FRAME):
        b.wait(1)
        if b.status & RXNE:
            arrived.append((clock, chr(b.usart.read(RDR))))
    assert arrived == [(FRAME, "a"), (2 * FRAME, "b"), (3 * FRAME, "c")]


def test_a_byte_that_finds_the_last_one_unread_is_lost():
    b = Bench()
    b.host_sends(b"abcd")
    b.wait(2 * FRAME - 1)
    assert not b.status & ORE
    b.wait(1)
    assert b.status & (ORE | RXNE) == ORE | RXNE
    assert (b.line.received, b.line.overruns) == (2, 1)
    assert b.usart.read(RDR) == ord("a")
    assert b.status & ORE  # reading does not clear it
    b.usart.write(ICR, ORE)
    assert not b.status & ORE
    b.wait(FRAME)
    assert b.usart.read(RDR) == ord("c")
    assert b.line.overruns == 1


def test_without_overrun_detection_the_newest_byte_stays():
    b = Bench(0)
    b.usart.write(CR3, OVRDIS)
    b.usart.write(CR1, ON)
    b.host_sends(b"ab")
    b.wait(2 * FRAME)
    assert b.status & (ORE | RXNE) == RXNE
    assert b.usart.read(RDR) == ord("b")
    assert b.line.overruns == 1


@pytest.mark.parametrize("control", [UE | TE, RE | TE])
def test_bytes_wait_until_the_receiver_is_on(control):
    b = Bench(control)
    b.host_sends(b"a")
    b.wait(5 * FRAME)
    assert (b.status & RXNE, b.line.received) == (0, 0)
    b.usart.write(CR1, ON)
    b.wait(FRAME - 1)
    assert not b.status & RXNE
    b.wait(1)
    assert b.usart.read(RDR) == ord("a")


def test_the_line_is_idle_one_frame_after_the_last_byte_and_once():
    b = Bench()
    b.wait(3 * FRAME)
    assert not b.status & IDLE
    b.host_sends(b"ab")
    b.wait(FRAME)
    b.usart.read(RDR)
    b.wait(2 * FRAME - 1)
    assert not b.status & IDLE
    b.wait(1)
    assert b.status & IDLE
    b.usart.write(ICR, IDLE)
    b.wait(5 * FRAME)
    assert not b.status & IDLE


def test_a_received_byte_can_be_dropped_by_request():
    b = Bench()
    b.host_sends(b"a")
    b.wait(FRAME)
    b.usart.write(RQR, 1 << 3)
    assert not b.status & RXNE


# --- sending ------------------------------------------------------------------------------------


def test_a_second_byte_waits_in_the_data_register_and_is_not_lost():
    b = Bench()
    assert b.status & (TXE | TC) == TXE | TC
    b.usart.write(TDR, ord("a"))
    assert b.status & (TXE | TC) == TXE  # it went on into the shift register
    b.wait(FRAME // 2)
    b.usart.write(TDR, ord("b"))
    assert not b.status & (TXE | TC)
    b.wait(FRAME - FRAME // 2 - 1)
    assert b.line.outgoing == b""
    b.wait(1)
    assert (b.line.outgoing, b.status & (TXE | TC)) == (b"a", TXE)
    b.wait(FRAME - 1)
    assert b.line.outgoing == b"a"
    b.wait(1)
    assert (b.line.outgoing, b.status & (TXE | TC)) == (b"ab", TXE | TC)
    assert b.line.sent == 2


def test_a_byte_written_into_a_full_data_register_replaces_what_waits():
    b = Bench()
    for byte in b"abc":
        b.usart.write(TDR, byte)
    b.wait(3 * FRAME)
    assert b.line.outgoing == b"ac"


def test_what_waits_can_be_dropped_by_request():
    b = Bench()
    for byte in b"ab":
        b.usart.write(TDR, byte)
    b.usart.write(RQR, 1 << 4)
    b.wait(3 * FRAME)
    assert (b.line.outgoing, b.status & (TXE | TC)) == (b"a", TXE | TC)


@pytest.mark.parametrize("control", [UE | RE, RE | TE])
def test_nothing_is_sent_while_the_transmitter_is_off(control):
    b = Bench(control)
    b.usart.write(TDR, ord("a"))
    b.wait(2 * FRAME)
    assert b.line.outgoing == b""


def test_both_directions_run_at_once():
    b = Bench()
    b.host_sends(b"x")
    b.usart.write(TDR, ord("y"))
    b.wait(FRAME)
    assert (b.usart.read(RDR), b.line.outgoing) == (ord("x"), b"y")


def test_turning_the_port_off_discards_what_is_under_way():
    b = Bench(ON | RXNEIE)
    b.host_sends(b"abc")
    for byte in b"xy":
        b.usart.write(TDR, byte)
    b.wait(FRAME + FRAME // 2)
    b.usart.write(CR1, 0)
    assert b.status == TXE | TC
    b.wait(3 * FRAME)
    b.usart.write(CR1, ON)
    b.wait(2 * FRAME)
    assert b.line.outgoing == b"x"
    assert b.usart.read(RDR) == ord("b")  # its frame had not ended: it comes again
    assert b.line.received == 3
    b.usart.write(TDR, ord("z"))
    b.wait(FRAME)
    assert b.line.outgoing == b"xz"


def test_turning_the_port_off_clears_an_overrun():
    b = Bench()
    b.host_sends(b"ab")
    b.wait(2 * FRAME)
    b.usart.write(CR1, 0)
    b.usart.write(CR1, ON)
    assert not b.status & (ORE | RXNE)


# --- interrupts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enable", "flag"), [(RXNEIE, RXNE), (TCIE, TC), (TXEIE, TXE), (IDLEIE, IDLE)]
)
def test_each_flag_interrupts_when_its_bit_allows_it(enable, flag):
    b = Bench()
    b.host_sends(b"a")
    b.wait(2 * FRAME)
    assert b.status & flag
    assert not b.is_high
    b.usart.write(CR1, ON | enable)
    assert b.is_high
    b.usart.write(CR1, ON)
    assert not b.is_high


def test_the_interrupt_ends_with_its_cause():
    b = Bench(ON | RXNEIE)
    b.host_sends(b"a")
    b.wait(FRAME - 1)
    assert not b.is_high
    b.wait(1)
    assert b.is_high
    b.usart.read(RDR)
    assert not b.is_high


@pytest.mark.parametrize(("control", "errors"), [(RXNEIE, 0), (0, EIE)])
def test_an_overrun_interrupts_until_it_is_cleared(control, errors):
    b = Bench(ON | control)
    b.usart.write(CR3, errors)
    b.host_sends(b"ab")
    b.wait(2 * FRAME)
    b.usart.read(RDR)
    assert b.is_high
    b.usart.write(ICR, ORE)
    assert not b.is_high


def test_clearing_one_flag_leaves_the_others():
    b = Bench()
    b.host_sends(b"ab")
    b.wait(3 * FRAME)
    b.usart.write(ICR, IDLE)
    assert b.status & (ORE | IDLE | TC) == ORE | TC
    b.usart.write(ICR, TC)
    assert b.status & (ORE | IDLE | TC) == ORE


# --- pace ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "control2", "divider", "clocks"),
    [
        (0, 0, 139, 1390),
        (0, 0, 278, 2780),  # a wrong divider: another pace, and no garbage
        (1 << 12, 0, 139, 1529),  # nine data bits
        (1 << 28, 0, 139, 1251),  # seven
        (0, 2 << 12, 139, 1529),  # two stop bits
        (0, 3 << 12, 140, 1470),  # one and a half
        (OVER8, 0, 0x113, 10 * 0x116 // 2),  # USARTDIV = BRR[15:4] : BRR[2:0] << 1
        (0, 0, 16, 160),
    ],
)
def test_a_frame_lasts_as_long_as_the_registers_say(control, control2, divider, clocks):
    b = Bench(0)
    b.usart.write(BRR, divider)
    b.usart.write(CR2, control2)
    b.usart.write(CR1, ON | control)
    b.host_sends(b"a")
    b.usart.write(TDR, ord("b"))
    b.wait(clocks - 1)
    assert (b.status & RXNE, b.line.outgoing) == (0, b"")
    b.wait(1)
    assert (b.status & RXNE, b.line.outgoing) == (RXNE, b"b")


def test_a_divider_below_sixteen_gives_no_frames():
    b = Bench(0)
    b.usart.write(BRR, 15)
    b.usart.write(CR1, ON)
    b.host_sends(b"a")
    b.wait(10 * FRAME)
    assert (b.status & RXNE, b.usart.baud()) == (0, 0)


def test_frames_follow_the_kernel_clock_and_not_the_core():
    b = Bench(core_hz=216_000_000, kernel_hz=108_000_000)
    b.usart.write(BRR, 938)
    assert b.usart.frame_clocks() == 2 * 9380
    assert b.usart.baud() == 115_139


def test_a_frame_keeps_its_length_in_seconds_when_the_core_clock_changes():
    b = Bench()
    b.host_sends(b"ab")
    b.usart.write(TDR, ord("x"))
    b.wait(FRAME // 2)
    b.timeline.rescale(HSI, 4 * HSI)
    b.clocks = (4 * HSI, HSI)
    b.wait(4 * FRAME // 2 - 1)
    assert (b.status & RXNE, b.line.outgoing) == (0, b"")
    b.wait(1)
    assert (b.usart.read(RDR), b.line.outgoing) == (ord("a"), b"x")
    b.wait(4 * FRAME - 1)
    assert not b.status & RXNE
    b.wait(1)
    assert b.usart.read(RDR) == ord("b")


# --- a program's view ---------------------------------------------------------------------------

ECHO = """
#define USART 0x40011000
void Uart_Handler(void);
static void start(uint32_t control)
{
    R(0x40023844) |= 1 << 4;
    R(USART + 0xC) = 139;
    R(USART) = control;
    box[2] = R(USART + 0xC);
}
static void send(uint32_t byte)
{
    while (!(R(USART + 0x1C) & 1 << 7)) { }
    R(USART + 0x28) = byte;
}
static volatile uint32_t taken;
void Uart_Handler(void) { taken = R(USART + 0x24); send(taken ^ 0x20); }
void Reset_Handler(void)
{
    if (box[0] == 1) /* by interrupt */
    {
        start(0x2D);
        R(0xE000E104) = 1 << 5;
        for (;;) { __asm volatile("wfi"); }
    }
    start(0xD);
    for (;;)
    {
        while (!(R(USART + 0x1C) & 1 << 5)) { }
        uint32_t byte = R(USART + 0x24);
        for (volatile uint32_t i = 0; i < box[1]; i++) { } /* work */
        send(byte ^ 0x20);
    }
}
"""
TEXT = b"the quick brown fox" * 20
UPPER = bytes(byte ^ 0x20 for byte in TEXT)


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    return program(tmp_path_factory.mktemp("echo"), ECHO, {53: "Uart_Handler"})


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize("by_interrupt", [0, 1])
def test_a_program_that_keeps_up_loses_nothing(echo, by_interrupt):
    board = Board(echo)
    line = board.machine.line
    board.fill_box(by_interrupt, 0)
    board.run_until(lambda: board.box(1, 2) == [DIVIDER])
    began = board.machine.timeline.now
    board.machine.send(TEXT)
    board.run_until(lambda: line.sent == len(TEXT))
    assert board.machine.take_output() == UPPER
    assert line.overruns == 0
    frames = (board.machine.timeline.now - began) / FRAME
    assert len(TEXT) + 1 <= frames < len(TEXT) + 2


@needs_arm_gcc
@pytest.mark.target
def test_a_program_that_is_too_slow_loses_bytes_and_they_are_counted(echo):
    board = Board(echo)
    line = board.machine.line
    board.fill_box(0, 500)  # some 4000 instructions, three frames
    board.machine.send(TEXT)
    board.run_until(lambda: line.received == len(TEXT))
    board.run_until(lambda: line.sent == len(TEXT) - line.overruns)
    assert len(TEXT) // 2 < line.overruns < len(TEXT)
    sent = board.machine.take_output()
    rest = iter(UPPER)
    assert all(byte in rest for byte in sent)  # in order, with gaps
