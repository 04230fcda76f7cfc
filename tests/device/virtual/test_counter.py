"""The number of retired instructions: equal to a count of every single instruction."""

from __future__ import annotations

import re

import pytest

from lnn_edge.device.virtual.engine import Why
from lnn_edge.device.virtual.profile import profile
from tests.device.virtual.boards import Board, program
from tests.support.projects import Program, needs_arm_gcc

pytestmark = [pytest.mark.target, needs_arm_gcc]

# Everything that ends a block early or comes in between: branches, tables, IT blocks across a page
# of the engine, interrupts, calls of the supervisor, faults in the middle of a block, sleep, reads
# of the cycle counter (which run twice), the FPU switched on by its fault.
WORK = """
void SysTick_Handler(void); void Fault_Handler(void); void Svc_Handler(void); void Usage(void);
void fault(uint32_t *frame);
static volatile uint32_t ticks, calls, faults;

void SysTick_Handler(void) { ticks++; if (ticks & 1) { box[3] += ticks; } else { box[3] ^= 5; } }
void Svc_Handler(void) { calls++; }
void Usage(void) { CPACR |= 0xF << 20; BARRIER(); }
void fault(uint32_t *frame)
{
    const uint16_t *at = (const uint16_t *)frame[6];
    frame[6] += (*at >> 11) >= 0x1D ? 4 : 2; /* go on after it */
    faults++;
}
NAKED void Fault_Handler(void) { __asm volatile("mov r0, sp; b fault"); }

static NOINLINE uint32_t branches(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
    {
        switch (i % 7) { case 0: sum += 3; break; case 1: sum ^= i; break; case 2: sum -= 9; break;
                         case 4: sum *= 5; break; case 6: sum /= 3; break; default: break; }
    }
    return sum;
}
static NOINLINE uint32_t conditions(uint32_t n)
{
    uint32_t out = n;
    __asm volatile("cmp %0, #8; itete lo; addlo %0, #1; subhs %0, #3; lsllo %0, #1; eorhs %0, #6; "
                   "cmp %0, #3; it eq; moveq %0, #77; "
                   "tst %0, #1; itt ne; addne %0, #1; addne %0, #2" : "+r"(out) :: "cc");
    return out;
}
NAKED void over_the_page(uint32_t n)
{
    __asm volatile(".balign 1024; .rept 508; nop; .endr; "
                   "cmp r0, #4; itete lo; addlo r0, #1; subhs r0, #3; "
                   "addlo r0, #1; subhs r0, #3; bx lr");
}
NAKED uint32_t early_return(uint32_t n)
{
    __asm volatile("cmp r0, #2; ittt lo; movlo r0, #1; addlo r0, #1; bxlo lr; add r0, #4; bx lr");
}
NAKED void misaligned(uint32_t at)
{
    __asm volatile("adds r1, r0, #2; mov r2, #1; ldrd r2, r3, [r1]; add r2, #1; "
                   "ldm r1, {r2, r3}; bx lr");
}
NAKED void nowhere(uint32_t at)
{
    __asm volatile("movs r1, #3; ldr r2, [r0]; str r1, [r0]; adds r1, #1; bx lr");
}
static NOINLINE float quotient(uint32_t n) { return 10.0f / (float)(n + 1); }

void Reset_Handler(void)
{
    ticks = calls = faults = box[3] = 0;
    R(0xE000ED24) = 1 << 18; /* UsageFault has its own handler */
    R(0xE000EDFC) |= 1 << 24; R(0xE0001FB0) = 0xC5ACCE55; R(0xE0001000) |= 1; /* CYCCNT */
    R(0xE000E014) = 997; R(0xE000E018) = 0; R(0xE000E010) = 7;
    for (uint32_t i = 0; i < 12; i++)
    {
        box[4 + i] = R(0xE0001004);
        box[0] += branches(40 + i) + conditions(i) + early_return(i);
        over_the_page(i);
        __asm volatile("svc 0");
        if (i % 3 == 0) { box[1] += (uint32_t)quotient(i); }
        if (i % 5 == 0) { __asm volatile("wfi"); }
        if (i == 7) { R(0xE000ED24) = 0; }
        if (i > 7) { misaligned((uint32_t)&box[40]); nowhere(0x60000000); }
    }
    box[20] = ticks; box[21] = calls; box[22] = faults;
    DONE();
}
"""
HANDLERS = {
    3: "Fault_Handler",
    6: "Usage",
    11: "Svc_Handler",
    15: "SysTick_Handler",
}
UNFINISHED = (Why.ACCESS, Why.GUARD, Why.READ, Why.WRITE, Why.UNDEFINED, Why.BREAK)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Program:
    return program(tmp_path_factory.mktemp("work"), WORK, HANDLERS)


def it_blocks(text: Program) -> dict[int, int]:
    """Address of each IT instruction and how many instructions it covers."""
    found = re.findall(r"^ *([0-9a-f]+):\t(it[te]*)\t", text.disassembly, re.MULTILINE)
    return {int(address, 16): len(name) - 1 for address, name in found}


def covered(text: Program) -> set[int]:
    """Addresses of instructions in IT blocks: the engine's hook misses them when not taken."""
    lines = re.findall(r"^ *([0-9a-f]+):\t(\S+)", text.disassembly, re.MULTILINE)
    blocks, found, left = it_blocks(text), set(), 0
    for digits, _ in lines:
        address = int(digits, 16)
        if left:
            found.add(address)
            left -= 1
        left = blocks.get(address, left)
    return found


class Reference:
    """Counts what a hook on every instruction sees."""

    def __init__(self, board: Board, text: Program) -> None:
        self.count = 0
        self._blocks, self._covered = it_blocks(text), covered(text)
        self._last = 0
        board.machine.engine._uc.hook_add(4, self._on_instruction)  # UC_HOOK_CODE
        run = board.machine.engine.run

        def counted(pc: int):
            stop = run(pc)
            if stop.why in UNFINISHED and stop.pc == self._last:
                self.count -= 1
            return stop

        board.machine.engine.run = counted

    def _on_instruction(self, _uc, address, _size, _user):
        self._last = address
        if address not in self._covered:
            self.count += 1 + self._blocks.get(address, 0)


@pytest.mark.parametrize("use_compiler", [True, False])
def test_blocks_count_what_a_hook_on_every_instruction_counts(work, use_compiler):
    board = Board(work, use_compiler=use_compiler)
    reference = Reference(board, work)
    board.finish()
    ticks, calls, faults = board.box(3, 20)
    assert (ticks > 3, calls, faults) == (True, 12, 16)
    assert board.retired == reference.count > 5000


def test_both_counters_agree_on_every_block(work):
    boards = [Board(work, use_compiler=use_compiler) for use_compiler in (True, False)]
    for board in boards:
        board.finish()
    compiled, python = (sorted(b.machine.counter.blocks(), key=repr) for b in boards)
    assert compiled == python
    assert boards[0].box(24) == boards[1].box(24)


@pytest.mark.parametrize("use_compiler", [True, False])
def test_functions_add_up_to_the_total(work, use_compiler):
    board = Board(work, use_compiler=use_compiler)
    board.finish()
    found = profile(board.machine)
    assert sum(found["functions"].values()) == found["instructions"] == board.retired
    assert found["functions"]["early_return"] == 2 * 5 + 10 * 7  # IT covers three, taken or not
    counts = list(found["functions"].values())
    assert counts == sorted(counts, reverse=True)


def test_two_runs_count_the_same(work):
    first, second = Board(work), Board(work)
    first.finish()
    second.finish()
    assert first.retired == second.retired


SHORT = """
void Reset_Handler(void)
{
    __asm volatile("movs r0, #5; 1: subs r0, #1; bne 1b; "          /* 11 */
                   "cmp r0, #0; ite eq; moveq r1, #1; movne r1, #2; " /* 4, taken or not */
                   "b 2f; nop; 2: bkpt 0");                            /* 1 */
}
"""


@pytest.mark.parametrize("use_compiler", [True, False])
def test_a_count_by_hand(tmp_path, use_compiler):
    board = Board(program(tmp_path, SHORT), use_compiler=use_compiler)
    board.finish()
    assert board.retired == 16


@pytest.mark.parametrize("nops", [0, 506], ids=["", "page"])  # the engine's blocks end with a page
@pytest.mark.parametrize("condition", ["eq", "ne"])
@pytest.mark.parametrize(
    "instruction", ["ldrd{} r2, r3, [r1]", "sdiv{} r2, r1, r0", "vadd{}.f32 s0, s0, s0"]
)
@pytest.mark.parametrize("use_compiler", [True, False])
def test_a_fault_in_an_it_block_goes_on_there(tmp_path, instruction, condition, nops, use_compiler):
    other = "ne" if condition == "eq" else "eq"
    source = f"""
    void repair(uint32_t *frame); void Fault_Handler(void);
    void repair(uint32_t *frame)
    {{
        CPACR |= 0xF << 20; R(0xE000ED14) &= ~0x10u; frame[1] &= ~3u; BARRIER();
        box[0]++;
    }}
    NAKED void Fault_Handler(void) {{ __asm volatile("mov r0, sp; b repair"); }}
    void Reset_Handler(void)
    {{
        box[0] = 0;
        R(0xE000ED14) |= 0x10; BARRIER();
        uint32_t out;
        __asm volatile("b 1f; .balign 1024; 1: .rept {nops}; nop; .endr; "
                       "movs r0, #0; movs r4, #1; mov r1, %1; cmp r0, #0; ittet {condition}; "
                       "add{condition} r4, #2; {instruction.format(condition)}; "
                       "add{other} r4, #16; add{condition} r4, #4; "
                       "mov %0, r4" : "=r"(out) : "r"((uint32_t)&box[8] + 2)
                       : "r0", "r1", "r2", "r3", "r4", "cc");
        box[1] = out;
        DONE();
    }}
    """
    board = Board(program(tmp_path, source, {3: "Fault_Handler"}), use_compiler=use_compiler)
    board.finish()
    assert board.box(2) == ([1, 1 + 2 + 4] if condition == "eq" else [0, 1 + 16])


# Whether it makes R1 an address of no word. R5 points to two such addresses, S0 and S1 hold them.
CHANGES = {
    "": 0,
    "adds r1, #2": 1,
    "add.w r1, r1, #2": 1,
    "adds r1, r6, r7; adds r1, r1, r7": 1,
    "mov r1, r8": 1,
    "mov.w r1, r8": 1,
    "ldr r1, [r5]": 1,
    "ldr.w r1, [r5]": 1,
    "ldr r2, [r1, #2]!": 1,
    "ldr r2, [r1], #2": 1,
    "ldrd r1, r2, [r5]": 1,
    "ldrd r2, r1, [r5]": 1,
    "ldm r5, {r1, r2}": 1,
    "ldm.w r5, {r1, r12}": 1,
    "ldrex r1, [r5]": 1,
    "push {r8}; pop {r1}": 1,
    "umull r1, r2, r8, r7": 1,
    "bfi r1, r7, #1, #2": 1,
    "vmov r1, s0": 1,
    "vmov r2, r1, s0, s1": 1,
    "vldmia r1!, {s2, s3}": 0,
    "ldrd r2, r3, [r1], #8": 0,
    "cmp r7, #1; ite eq; moveq r1, r8; movne r1, r6": 1,
    "cmp r7, #1; it eq; ldrdeq r2, r3, [r1]; mov r1, r8": 1,
}


@pytest.mark.parametrize("use_compiler", [True, False])
def test_alignment_is_checked_after_whatever_changes_a_register(tmp_path, use_compiler):
    cases = "".join(
        f'__asm volatile("mov r5, %0; mov r6, %1; movs r7, #1; add r8, r6, #2; mov r1, r6; '
        f'vldmia r5, {{s0, s1}}; b 1f; 1: {code}; ldrd r2, r3, [r1]" '
        ':: "r"(&box[40]), "r"(&box[44]) '
        ': "r1", "r2", "r3", "r5", "r6", "r7", "r8", "r12", "s0", "s1", "s2", "s3", "cc", "memory"'
        ");"
        f" box[{index}] = faults; faults = 0;\n"
        for index, code in enumerate(CHANGES)
    )
    source = f"""
    static volatile uint32_t faults;
    void repair(uint32_t *frame); void Fault_Handler(void);
    void repair(uint32_t *frame) {{ frame[1] &= ~3u; faults++; }}
    NAKED void Fault_Handler(void) {{ __asm volatile("mov r0, sp; b repair"); }}
    void Reset_Handler(void)
    {{
        CPACR |= 0xF << 20; BARRIER();
        faults = 0;
        box[40] = box[41] = (uint32_t)&box[44] + 2;
        {cases}
        DONE();
    }}
    """
    text = program(tmp_path, source, {3: "Fault_Handler"})
    board = Board(text, use_compiler=use_compiler)
    reference = Reference(board, text)
    board.finish()
    assert dict(zip(CHANGES, board.box(len(CHANGES)), strict=True)) == CHANGES
    assert board.retired == reference.count


IN_A_LOOP = """
void repair(uint32_t *frame); void Fault_Handler(void);
void repair(uint32_t *frame) { frame[1] &= ~3u; box[0]++; }
NAKED void Fault_Handler(void) { __asm volatile("mov r0, sp; b repair"); }
void Reset_Handler(void)
{
    box[0] = 0;
    __asm volatile("mov r1, %0; movs r4, #6; 1: nop; b 2f; 2: nop; ldrd r2, r3, [r1], #8; "
                   "ldrd r2, r3, [r1]; cmp r4, #3; it eq; addeq r1, #2; subs r4, #1; bne 1b; "
                   "add r1, %0, #2; b 3f; 3: ldrd r2, r3, [r1, #4]; "
                   "mov r1, %0; b 2f; nop; 2:"
                   :: "r"(&box[8]) : "r1", "r2", "r3", "r4", "cc", "memory");
    DONE();
}
"""


@pytest.mark.parametrize("use_compiler", [True, False])
def test_a_block_that_was_aligned_before_faults_at_its_instruction(tmp_path, use_compiler):
    text = program(tmp_path, IN_A_LOOP, {3: "Fault_Handler"})
    board = Board(text, use_compiler=use_compiler)
    reference = Reference(board, text)
    board.finish()
    assert board.box(1) == [2]
    assert board.retired == reference.count


SHARED = """
NAKED void lnn_op_wait(uint32_t n) { __asm volatile("1: subs r0, #1; bne 1b; bx lr"); }
NAKED void a_op_first(void) { __asm volatile("push {lr}; movs r0, #5; bl lnn_op_wait; pop {pc}"); }
NAKED void a_op_second(void)
{
    __asm volatile("push {lr}; movs r0, #9; bl lnn_op_wait; movs r0, #1; bl lnn_op_wait; pop {pc}");
}
void Reset_Handler(void)
{
    __asm volatile("movs r0, #2; bl lnn_op_wait; "
                   "bl a_op_first; bl a_op_second; bl a_op_first; bkpt 0");
}
"""


@pytest.mark.parametrize("use_compiler", [True, False])
def test_what_operators_share_is_the_work_of_each_of_them(tmp_path, use_compiler):
    """A loop of n rounds is 2 n + 1 instructions; what no operator calls stays its own."""
    board = Board(program(tmp_path, SHARED), use_compiler=use_compiler)
    board.finish()
    functions = profile(board.machine)["functions"]
    assert functions["a_op_first"] == 2 * (4 + 11)
    assert functions["a_op_second"] == 6 + 19 + 3
    assert functions["lnn_op_wait"] == 5
    assert sum(functions.values()) == board.retired
