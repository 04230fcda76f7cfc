"""Worst-case stack: against an emulated run, and where there is none, a named error."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest

from lnn_edge.build.disassembly import read_routines
from lnn_edge.build.stack import (
    ALIGNMENT_BYTES,
    FLOAT_FRAME_BYTES,
    FRAME_BYTES,
    analyse_stack,
    read_frames,
)
from lnn_edge.device.board import load_board
from lnn_edge.device.elf import Symbol
from lnn_edge.device.link import Link
from lnn_edge.device.runners import Image, make_runner
from lnn_edge.errors import BuildError
from tests.support.projects import Program, built_toy, link, needs_arm_gcc

EXCEPTION = FRAME_BYTES + ALIGNMENT_BYTES

CHAIN = """
static volatile uint32_t sink;
static NOINLINE void deep(uint32_t n) { volatile uint32_t room[40]; room[n & 31] = n; }
static NOINLINE void wide(uint32_t n) { volatile uint32_t room[9]; deep(n); room[n & 7] = n; }
static NOINLINE void flat(void) { sink = 3; }
void Reset_Handler(void) { flat(); wide(sink); flat(); for (;;) { } }
"""


def report(program: Program, float_frames: bool = False):
    return analyse_stack(program.elf, program.disassembly, program.frames, float_frames)


def deepest_in_emulation(program: Program, instructions: int) -> int:
    """Run from reset and return how far the stack pointer went down."""
    unicorn = pytest.importorskip("unicorn", reason="the emulator is an optional extra")
    arm = pytest.importorskip("unicorn.arm_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
    machine.mem_map(0x08000000, 0x100000)
    machine.mem_map(0x20000000, 0x10000)
    for section in program.elf.sections:
        if section.data is not None:
            machine.mem_write(section.address, section.data)
    top, entry = struct.unpack("<II", machine.mem_read(0x08000000, 8))
    machine.reg_write(arm.UC_ARM_REG_SP, top)
    lowest = [top]

    def watch(engine, address, size, data):
        lowest[0] = min(lowest[0], engine.reg_read(arm.UC_ARM_REG_SP))

    machine.hook_add(unicorn.UC_HOOK_CODE, watch)
    machine.emu_start(entry, 0xFFFFFFFE, count=instructions)
    return top - lowest[0]


@pytest.mark.target
@needs_arm_gcc
def test_main_path_equals_an_emulated_run(tmp_path):
    program = link(tmp_path, CHAIN)
    found = report(program)
    assert found.main_path == ("Reset_Handler", "wide", "deep")
    assert found.main_bytes == deepest_in_emulation(program, 200)
    assert found.total_bytes == found.main_bytes


@pytest.mark.target
@needs_arm_gcc
def test_library_and_assembly_functions_count(tmp_path):
    source = """
    volatile uint64_t number = 1000000007, divisor = 97;
    __attribute__((naked, noinline)) static void bare(void)
    { __asm volatile("push {r4, r5, r6, lr}\\n sub sp, #64\\n"
                     "add sp, #64\\n pop {r4, r5, r6, pc}"); }
    void Reset_Handler(void) { number /= divisor; bare(); for (;;) { } }
    """
    program = link(tmp_path, source)
    found = report(program)
    assert found.functions["bare"] == 16 + 64
    assert "__aeabi_uldivmod" in found.functions
    measured = deepest_in_emulation(program, 400)
    assert measured <= found.main_bytes <= measured + 64


@pytest.mark.target
@needs_arm_gcc
def test_every_interrupt_nests_once_and_one_fault_comes_on_top(tmp_path):
    source = (
        CHAIN
        + """
    void tick(void); void serial(void); void fault(void);
    void tick(void) { volatile uint32_t room[4]; room[0] = sink; }
    void serial(void) { volatile uint32_t room[12]; room[0] = sink; }
    void fault(void) { volatile uint32_t room[30]; room[0] = sink; for (;;) { } }
    """
    )
    table = "{.handler = fault}," * 6 + "{.handler = tick}, {.handler = serial}, {.handler = tick}"
    found = report(link(tmp_path, source, table))
    assert {h.name: h.bytes for h in found.interrupts} == {
        "tick": 16 + EXCEPTION,
        "serial": 48 + EXCEPTION,
    }
    assert found.fault is not None
    assert (found.fault.name, found.fault.bytes) == ("fault", 120 + EXCEPTION)
    assert found.total_bytes == found.main_bytes + 64 + 120 + 3 * EXCEPTION
    with_floats = report(link(tmp_path, source, table), float_frames=True)
    assert with_floats.total_bytes - found.total_bytes == 3 * (FLOAT_FRAME_BYTES - FRAME_BYTES)


@pytest.mark.target
@needs_arm_gcc
def test_static_functions_of_one_name_are_told_apart(tmp_path):
    source = """
    void other(void);
    static NOINLINE void work(void) { volatile uint32_t room[4]; other(); room[1] = 2; }
    void Reset_Handler(void) { work(); for (;;) { } }
    """
    more = """
    void other(void);
    static NOINLINE void work(void) { volatile uint32_t room[50]; room[0] = 1; }
    void other(void) { work(); work(); }
    """
    program = link(tmp_path, source, "", more)
    found = report(program)
    assert found.main_path == ("Reset_Handler", "work", "other", "work")
    assert found.main_bytes == deepest_in_emulation(program, 100)


@pytest.mark.target
@needs_arm_gcc
def test_a_tail_call_is_a_call(tmp_path):
    source = """
    static volatile uint32_t sink;
    static NOINLINE void last(void) { volatile uint32_t room[25]; room[0] = sink; }
    static NOINLINE void first(void) { sink = 1; last(); }
    void Reset_Handler(void) { first(); for (;;) { } }
    """
    found = report(link(tmp_path, source))
    assert found.main_path == ("Reset_Handler", "first", "last")


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "static volatile uint32_t n; void b(void);"
            "NOINLINE void a(void) { n++; if (n < 9) { b(); } n++; }"
            "NOINLINE void b(void) { n++; a(); n++; }"
            "void Reset_Handler(void) { a(); for (;;) { } }",
            r"recursion has no worst-case stack: (a -> b -> a|b -> a -> b)",
        ),
        (
            "static volatile uint32_t n;"
            "NOINLINE void a(void) { n++; if (n < 9) { a(); n++; } n++; }"
            "void Reset_Handler(void) { a(); for (;;) { } }",
            r"recursion has no worst-case stack: a -> a",
        ),
        (
            "void (*volatile hook)(void); void Reset_Handler(void) { hook(); for (;;) { } }",
            r"Reset_Handler calls through a pointer at 0x0800",
        ),
        (
            "void (*volatile hook)(void); NOINLINE void jump(void) { hook(); }"
            "void Reset_Handler(void) { jump(); for (;;) { } }",
            r"jump calls through a pointer at 0x0800",
        ),
        (
            "static volatile uint32_t n; void use(volatile uint8_t *p);"
            "NOINLINE void use(volatile uint8_t *p) { p[0] = 1; }"
            "void Reset_Handler(void) { use(__builtin_alloca(n)); for (;;) { } }",
            r"Reset_Handler: its stack frame has no fixed size",
        ),
    ],
    ids=["mutual recursion", "self recursion", "pointer", "jump through a pointer", "alloca"],
)
def test_what_has_no_worst_case_is_a_named_error(source, message, tmp_path):
    with pytest.raises(BuildError, match=message) as caught:
        report(link(tmp_path, source))
    assert "\n" not in str(caught.value)


@pytest.mark.target
@needs_arm_gcc
def test_the_compiler_knows_no_call_that_the_instructions_lack(tmp_path):
    program = link(tmp_path, CHAIN)
    text = (tmp_path / "program.ci").read_text()
    edges = re.findall(
        r'edge: \{ sourcename: "(?:[^":]*:)?(\w+)" targetname: "(?:[^":]*:)?(\w+)"', text
    )
    routines = read_routines(program.disassembly, program.elf.functions)
    linked = {
        (routine.symbol.name, routines[call].symbol.name)
        for routine in routines.values()
        for call in routine.calls
    }
    assert set(edges) == {("Reset_Handler", "flat"), ("Reset_Handler", "wide"), ("wide", "deep")}
    assert set(edges) <= linked


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(
    ("board", "runner"),
    [("stm32f746", "virtual"), ("nucleo-f746zg", "virtual"), ("stm32f405", "qemu")],
)
def test_booted_firmware_stays_below_its_worst_case(board, runner):
    described = load_board(board)
    result = built_toy(board, "board")
    assert result.size is not None
    with make_runner(runner, described) as device:
        if reason := device.available():
            pytest.skip(reason)
        device.flash(Image(result.elf, result.bin))
        with Link(device.serial_url(), elf=result.elf, diagnose=device.diagnosis) as link_to:
            assert link_to.hello().board_name == described.name
            link_to.reset(detail=True)
            frames = np.arange(2000, dtype=np.int16).reshape(1000, 2)
            assert len(list(link_to.stream(frames, [100, 350, 600]))) == 3
            free = link_to.stats().stack_free_bytes
    used = described.layout.stack_bytes - free
    assert 0.8 * result.size.stack.main_bytes < used <= result.size.stack_bytes


LISTING = """
08000100 <f>:
 8000100:\tpush\t{r4, r5, lr}
 8000102:\tsub\tsp, #20
 8000104:\tbl\t8000200 <g>
 8000108:\tbne.n\t8000102 <f+0x2>
 800010a:\tcbz\tr0, 8000300 <h>
 800010c:\tldr.w\tpc, [sp], #4
 8000110:\tblt.w\t8000304 <h+0x4>
 8000114:\t.word\t0x08000400

08000200 <g>:
 8000200:\tvpush\t{d8-d10}
 8000204:\tstr.w\tlr, [sp, #-4]!
 8000208:\tblx\tr3
 800020a:\tbxeq\tlr
 800020c:\tldr\tpc, [r2, #8]
 8000210:\tsub.w\tsp, sp, r1
 8000214:\tldr.w\tpc, [pc, r3, lsl #2]
 8000218:\tadd\tr7, pc, #4\t@ (adr r7, 8000220 <g+0x20>)
 800021a:\tldr.w\tpc, [r7, r1, lsl #2]
 800021e:\tldr.w\tpc, [r7, r1, lsl #2]
"""


def test_reading_of_a_listing():
    functions = [Symbol("f", 0x8000100, 24, True), Symbol("g", 0x8000200, 40, True)]
    routines = read_routines(LISTING, functions)
    f, g = routines[0x8000100], routines[0x8000200]
    assert f.calls == {0x8000200, 0x8000300, 0x8000304}
    assert (f.indirect, f.pushed, f.moves_stack) == ((), 12 + 20, ())
    assert g.calls == frozenset()
    assert g.indirect == (0x8000208, 0x800020C, 0x800021E)
    assert (g.pushed, g.moves_stack) == (24 + 4, (0x8000210,))


def test_frames_take_the_name_with_its_suffix_and_the_file_of_static_functions(tmp_path):
    (tmp_path / "a.ci").write_text(
        'node: { title: "src/a.c:work.isra.0" label: "work.isra\\na.c:1:2\\n28 bytes (static)" }\n'
        'node: { title: "open" label: "open\\na.c:9:2\\n8 bytes (dynamic,bounded)" }\n'
        'node: { title: "far" label: "far\\na.h:3:2" shape : ellipse }\n'
    )
    assert read_frames([tmp_path / "a.ci"]) == {("a.c", "work.isra.0"): 28, ("", "open"): 8}
