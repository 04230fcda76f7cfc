"""What faults on silicon stops the board with a diagnosis, at the instruction, and never hangs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from lnn_edge.device.virtual.faults import (
    BFARVALID,
    DIVBYZERO,
    IACCVIOL,
    IBUSERR,
    INVPC,
    INVSTATE,
    NOCP,
    PRECISERR,
    STKERR,
    UNALIGNED,
    UNDEFINSTR,
)
from tests.device.virtual.boards import Board, program
from tests.support.projects import Program, needs_arm_gcc

pytestmark = [pytest.mark.target, needs_arm_gcc]

NO_MEMORY, HOLE, ODD = 0x60000000, 0x40030000, 0x20000002
FPU, TRAP = 1, 2  # switched on before the instruction


@dataclass(frozen=True)
class Case:
    """A function of which the first instruction faults; R0 and R1 are its arguments."""

    code: str
    what: str
    status: int
    argument: int = 0
    on: int = 0
    address: int | None = None  # in BFAR
    pc: int | None = None  # where the fault is, unless at the function
    function: str | None = None  # what the diagnosis names, unless the function


DATA = PRECISERR | BFARVALID
ALIGNMENT = "unaligned access by an instruction that needs alignment"
DOUBLE = "double-precision instruction, which this FPU does not have"
OFF = "floating-point instruction while the FPU is off (CPACR)"
NO_PORT = "an address without a (modelled) peripheral"
NO_CODE = "execution where there is no code"
ARM_STATE = "even address in a branch or vector (Arm state)"


def data(code: str, what: str, address: int) -> Case:
    return Case(code, what, DATA, address, address=address)


def unaligned(code: str, on: int = 0) -> Case:
    return Case(code, ALIGNMENT, UNALIGNED, ODD, on)


def fpu(code: str, what: str, status: int, on: int) -> Case:
    return Case(code, what, status, on=on)


def branch(what: str, status: int, target: int, code: str = "bx r0") -> Case:
    return Case(code, what, status, target, pc=target & ~1, function="")


CASES = {
    "read_nowhere": data("ldr r2, [r0]", "read from an address without memory", NO_MEMORY),
    "read_a_byte_nowhere": data("ldrb r2, [r0]", "read from an address without memory", 0x20060003),
    "write_nowhere": data("str r0, [r0]", "write to an address without memory", NO_MEMORY),
    "read_below_the_stack": data("ldr r2, [r0]", "read from an address without memory", 0x1FFFFFFC),
    "read_a_hole": data("ldr r2, [r0]", f"read from {NO_PORT}", HOLE),
    "write_a_hole": data("str r2, [r0]", f"write to {NO_PORT}", HOLE),
    "read_a_core_hole": data("ldr r2, [r0]", f"read from {NO_PORT}", 0xE0080000),
    "write_flash": data("str r2, [r0]", "write to flash", 0x08000100),
    "write_a_byte_of_flash": data("strb r2, [r0]", "write to flash", 0x08000101),
    "ldrd": unaligned("ldrd r2, r3, [r0]"),
    "strd": unaligned("strd r2, r3, [r0, #8]"),
    "ldrd_after": unaligned("ldrd r2, r3, [r0], #8"),
    "ldm": unaligned("ldm r0, {r2, r3}"),
    "ldm_wide": unaligned("ldm.w r0!, {r2, r3, r12}"),
    "stm": unaligned("stm r0!, {r2, r3}"),
    "ldmdb": unaligned("ldmdb r0, {r2, r3}"),
    "ldrex": unaligned("ldrex r2, [r0]"),
    "strex": unaligned("strex r3, r2, [r0]"),
    "vldr": unaligned("vldr s0, [r0]", FPU),
    "vldr_double": unaligned("vldr d0, [r0]", FPU),
    "vldm": unaligned("vldmia r0, {s0-s3}", FPU),
    "vstr": unaligned("vstr s0, [r0]", FPU),
    "udf": Case("udf #0", "undefined instruction", UNDEFINSTR),
    "udf_wide": Case("udf.w #0", "undefined instruction", UNDEFINSTR),
    "erased_flash": branch("undefined instruction", UNDEFINSTR, 0x080F0001),
    "vadd_f64": fpu(".inst.w 0xee310b02", DOUBLE, UNDEFINSTR, FPU),
    "vcvt_to_f64": fpu(".inst.w 0xeeb70ac0", DOUBLE, UNDEFINSTR, FPU),
    "vcvt_from_f64": fpu(".inst.w 0xeeb70bc0", DOUBLE, UNDEFINSTR, FPU),
    "vsqrt_f64": fpu(".inst.w 0xeeb10bc1", DOUBLE, UNDEFINSTR, FPU),
    "vsel_f64": fpu(".inst.w 0xfe010b02", DOUBLE, UNDEFINSTR, FPU),
    "vadd_without_fpu": fpu("vadd.f32 s0, s1, s2", OFF, NOCP, 0),
    "vldr_without_fpu": fpu("vldr s0, [sp]", OFF, NOCP, 0),
    "vmov_without_fpu": fpu("vmov s0, r0", OFF, NOCP, 0),
    "vmrs_without_fpu": fpu("vmrs r2, fpscr", OFF, NOCP, 0),
    "sdiv_by_zero": fpu("sdiv r2, r0, r1", "division by zero", DIVBYZERO, TRAP),
    "udiv_by_zero": fpu("udiv r2, r0, r1", "division by zero", DIVBYZERO, TRAP),
    "run_nowhere": branch(NO_CODE, IBUSERR, NO_MEMORY | 1),
    "run_below_flash": branch(NO_CODE, IBUSERR, 0x07FFFFF1),
    "run_a_peripheral": branch(NO_CODE, IACCVIOL, 0x40011001),
    "run_a_hole": branch(NO_CODE, IACCVIOL, HOLE | 1),
    "run_the_core": branch(NO_CODE, IACCVIOL, 0xE000E101),
    "run_a_device": branch(NO_CODE, IACCVIOL, 0xA0000001),
    "bx_even": branch(ARM_STATE, INVSTATE, 0x08000010),
    "blx_even": branch(ARM_STATE, INVSTATE, 0x08000010, "blx r0"),
    "pop_even": branch(ARM_STATE, INVSTATE, 0x08000010, "push {r0}; pop {pc}"),
    "ldr_pc_even": branch(ARM_STATE, INVSTATE, 0x08000010, "push {r0}; ldr pc, [sp]"),
    "bad_return": branch("bad exception return", INVPC, 0xFFFFFFF9),
}
FUNCTIONS = "\n".join(
    f'NAKED void {name}(uint32_t a, uint32_t b) {{ __asm volatile("{case.code}; bx lr"); }}'
    for name, case in CASES.items()
)
DISPATCH = f"""
{FUNCTIONS}
static void (*const functions[])(uint32_t, uint32_t) = {{ {", ".join(CASES)} }};
void Reset_Handler(void)
{{
    if (box[2] & {FPU}) {{ CPACR |= 0xF << 20; }}
    if (box[2] & {TRAP}) {{ R(0xE000ED14) |= 0x10; }}
    BARRIER();
    functions[box[0]](box[1], 0);
    DONE();
}}
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Program:
    return program(tmp_path_factory.mktemp("cases"), DISPATCH)


def started(cases: Program, name: str, on: int, use_compiler: bool = True, **config: bool) -> Board:
    board = Board(cases, use_compiler=use_compiler, **config)
    board.fill_box(list(CASES).index(name), CASES[name].argument, on)
    return board


@pytest.mark.parametrize("use_compiler", [True, False], ids=["c", "python"])
@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found_at_its_instruction(cases, name, use_compiler):
    case = CASES[name]
    board = started(cases, name, case.on, use_compiler)
    diagnosis = board.run()
    first, second = board.faults  # no handler: the second is the empty vector
    assert first.pc == (board.address(name) if case.pc is None else case.pc)
    assert (first.what, first.cfsr, first.handled) == (case.what, case.status, True)
    assert first.address == (case.address or 0)
    assert (second.pc, second.cfsr, second.handled) == (0, INVSTATE, False)
    assert diagnosis.startswith(f"board stopped: {case.what}, then {ARM_STATE} at 0x00000000: ")
    assert "lock-up inside a fault handler; " in diagnosis
    function = name if case.function is None else case.function
    assert f"PC {first.pc:#010x}{f' ({function}+0x0)' if function else ''}, " in diagnosis
    assert f"CFSR {case.status | INVSTATE:#010x} (" in diagnosis
    assert ("BFAR" in diagnosis) == (case.address is not None)
    if case.address is not None:
        assert diagnosis.endswith(f", BFAR {case.address:#010x}")


@pytest.mark.parametrize("use_compiler", [True, False], ids=["c", "python"])
def test_what_led_to_the_fault_counts_and_the_fault_does_not(cases, use_compiler):
    counts = {}
    for name in ("udf", "run_nowhere", "run_below_flash", "bx_even", "read_nowhere", "ldrd"):
        board = started(cases, name, 0, use_compiler)
        board.run()
        counts[name] = board.faults[0].instructions
    start = counts["udf"]
    branched = {"run_nowhere", "run_below_flash", "bx_even"}
    assert counts == {name: start + (name in branched) for name in counts}


LEGAL = [
    ("vadd_without_fpu", FPU),
    ("vldr_without_fpu", FPU),
    ("vmov_without_fpu", FPU),
    ("vmrs_without_fpu", FPU),
    ("sdiv_by_zero", 0),  # the quotient is zero
    ("udiv_by_zero", 0),
]


@pytest.mark.parametrize("use_compiler", [True, False], ids=["c", "python"])
@pytest.mark.parametrize(("name", "on"), LEGAL)
def test_what_is_switched_on_does_not_fault(cases, name, on, use_compiler):
    board = started(cases, name, on, use_compiler)
    board.finish()
    assert board.faults == []


@pytest.mark.parametrize("name", ["vadd_f64", "vcvt_to_f64", "vcvt_from_f64", "vsel_f64"])
def test_an_fpu_with_double_precision_has_them(cases, name):
    board = started(cases, name, FPU, double_precision=True)
    board.finish()
    assert board.faults == []


@pytest.mark.parametrize("name", ["ldrd", "ldm", "vldr", "strex"])
def test_aligned_accesses_do_not_fault(cases, name):
    board = started(cases, name, FPU)
    board.fill_box(list(CASES).index(name), 0x20000100, FPU)
    board.finish()
    assert board.faults == []


def test_a_load_of_one_register_need_not_be_aligned(cases):
    board = started(cases, "read_nowhere", 0)
    board.fill_box(list(CASES).index("read_nowhere"), board.address("box") + 1, 0)
    board.finish()
    assert board.faults == []


# --- handlers that do not help ------------------------------------------------------------------

FAIL = 'NAKED void fail(void) { __asm volatile("udf #7"); }\nvoid Reset_Handler(void) { fail(); }'


def run(folder: Path, source: str, handlers: dict[int, str]) -> tuple[str, Board]:
    board = Board(program(folder, source, handlers))
    return board.run(), board


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "endless fault loop: undefined instruction; PC 0x"),
        ("for (;;) { }", "the fault handler did not return or reset"),
        ('for (;;) { __asm volatile("wfi"); }', "the fault handler did not return or reset"),
        ('for (;;) { __asm volatile("wfe"); }', "the fault handler did not return or reset"),
        (
            "R(0x40023844) |= 16; while (!(R(0x4001101C) & 32)) { }",
            "the fault handler did not return or reset",
        ),
        ("R(0x60000000) = 1;", "then write to an address without memory at 0x"),
        (
            '__asm volatile("svc 0");',
            "undefined instruction, then SVC at a priority that holds it back at 0x",
        ),
        ('__asm volatile("bkpt 0");', "breakpoint instruction"),
    ],
)
def test_a_handler_that_does_not_help_ends_in_a_diagnosis(tmp_path, body, words):
    source = f"void h(void);\nvoid h(void) {{ {body} }}\n{FAIL}"
    diagnosis, board = run(tmp_path, source, {3: "h"})
    assert words in diagnosis
    assert f"PC {board.address('fail'):#010x} (fail+0x0), " in diagnosis
    assert "UNDEFINSTR" in diagnosis


def test_a_handler_that_sleeps_with_a_timer_running_ends_in_a_diagnosis(tmp_path):
    source = (
        "void h(void); void t(void);\n"
        'void h(void) { for (;;) { __asm volatile("wfi"); } }\nvoid t(void) { }\n'
        'NAKED void fail(void) { __asm volatile("udf #7"); }\n'
        "void Reset_Handler(void) { R(0xE000E014) = 159999; R(0xE000E010) = 7; fail(); }"
    )
    diagnosis, board = run(tmp_path, source, {3: "h", 15: "t"})
    assert "the fault handler did not return or reset" in diagnosis
    assert board.machine.timeline.seconds(16_000_000) >= 1
    assert board.retired < 200  # it slept


def test_a_board_that_only_faults_and_resets_ends_in_one_diagnosis(tmp_path):
    source = (
        "void h(void); void h(void) { for (;;) { } }\n"
        'NAKED void fail(void) { __asm volatile("udf #7"); }\n'
        "void Reset_Handler(void) { R(0x40003000) = 0xCCCC; fail(); }"
    )
    diagnosis, board = run(tmp_path, source, {3: "h"})
    assert diagnosis.startswith(
        "board stopped: undefined instruction after each of 3 resets; PC 0x"
    )
    assert diagnosis.count("board stopped") == 1
    assert len(board.faults) == 3


def test_a_stack_that_leaves_its_memory_ends_in_a_diagnosis(tmp_path):
    source = """
    static NOINLINE uint32_t deeper(uint32_t n)
    {
        volatile uint32_t room[64];
        room[n & 63] = n;
        return deeper(n + 1) + room[1];
    }
    void Reset_Handler(void) { box[0] = deeper(0); }
    """
    diagnosis, board = run(tmp_path, source, {3: "Reset_Handler"})
    (fault,) = board.faults
    assert (fault.function, fault.handled) == ("deeper", False)
    assert fault.address < 0x20000000
    assert diagnosis.startswith("board stopped: write to an address without memory: lock-up, stack")
    assert f"CFSR {PRECISERR | BFARVALID | STKERR:#010x} (" in diagnosis
    assert f"BFAR {fault.address:#010x}" in diagnosis


def test_an_interrupt_without_room_on_the_stack_ends_in_a_diagnosis(tmp_path):
    source = """
    void t(void); void t(void) { }
    NAKED void Reset_Handler(void)
    {
        __asm volatile("ldr r0, =0x20000010; mov sp, r0; ldr r1, =0xE000ED04; mov r2, #1 << 26; "
                       "str r2, [r1]; dsb; isb; 1: b 1b");
    }
    """
    diagnosis, _ = run(tmp_path, source, {15: "t"})
    first = f"board stopped: stack outside RAM (SP 0x20000010), then {ARM_STATE} at 0x00000000"
    assert diagnosis.startswith(f"{first}: lock-up inside a fault handler")  # there is no handler
    assert "(Reset_Handler+0x" in diagnosis


def test_a_fault_while_faults_are_masked_locks_up(tmp_path):
    source = 'void Reset_Handler(void) { __asm volatile("cpsid f; udf #0"); }'
    diagnosis, _ = run(tmp_path, source, {3: "Reset_Handler"})
    assert "undefined instruction: lock-up while FAULTMASK is set" in diagnosis


# --- vectors ------------------------------------------------------------------------------------


def test_a_handler_without_thumb_bit_faults_at_its_first_instruction(tmp_path):
    source = """
    void h(void); void h(void) { }
    void Reset_Handler(void) { R(0xE000ED04) = 1 << 28; BARRIER(); for (;;) { } }
    """
    even = "(void (*)(void))0x08000080"
    diagnosis, board = run(tmp_path, source, {3: "h", 14: even})
    assert (board.faults[0].pc, board.faults[0].cfsr) == (0x08000080, INVSTATE)
    assert f"endless fault loop: {ARM_STATE}; PC 0x08000080" in diagnosis


@pytest.mark.parametrize(
    ("vector", "what"),
    [
        (0x08000010, ARM_STATE),
        (0, ARM_STATE),
        (0x60000001, NO_CODE),
        (0xFFFFFFFF, "bad exception return"),  # erased flash
    ],
)
def test_a_reset_vector_that_leads_nowhere_is_diagnosed(tmp_path, vector, what):
    text = program(tmp_path, "void Reset_Handler(void) { DONE(); }")
    board = Board(text)
    board.machine.engine.write_memory(0x08000004, vector.to_bytes(4, "little"))
    board.machine._reset(0)
    assert f"{what}, then " in board.run()
