"""QEMU, which shares no counter with the bench, retires as many instructions for the same code.

Its clock moves by a nanosecond an instruction; SysTick reads it in ticks of 40.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.build import bare
from lnn_edge.build.bare import link_bare
from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.device.board import load_board
from lnn_edge.device.virtual.bare import BareCore
from lnn_edge.files import resources
from lnn_edge.verify.bench.measure import BOARDS
from lnn_edge.verify.bench.workloads import WORKLOADS
from tests.support import arm_core

MACHINES = {"cortex-m7": "mps2-an500", "cortex-m4": "mps2-an386"}
TICK = 40  # instructions
NAMES = ("fc_64x64", "cfc_w4", "cfc_w4_const", "biquads_12x2", "stft_256", "ecg-beats-cfc+find")
FRAMES = 1200  # of a workload, at most
SCRIPT = """SECTIONS
{
  . = 0; .text : { KEEP(*(.vectors)) *(.text .text.*) } .rodata : { *(.rodata .rodata.*) }
  . = 0x20000000; .data : { *(.data .data.*) } .bss : { *(.bss .bss.* COMMON) }
  /DISCARD/ : { *(.ARM.exidx* .comment .ARM.attributes) }
}
"""
PROGRAM = """#include "NAME.h"
static NAME_ctx_t ctx;
static NAME_result_t result;
static const int16_t frames[] = {VALUES};
uint32_t bench_all(void);
void start(void);

uint32_t bench_all(void)
{
    uint32_t sum = 0U;
    NAME_reset(&ctx);
    for (uint32_t at = 0U; at < sizeof frames / sizeof frames[0]; at += CHANNELSU)
    {
        (void) NAME_push_frame(&ctx, &frames[at]);
        while (NAME_poll(&ctx, &result) == LNN_OK)
        {
            sum = 31U * sum + (uint32_t) result.outputs[0];
        }
    }
    return sum;
}

static void ask(const uint32_t what, const void *with)
{
    register uint32_t    r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void tell(const uint32_t value)
{
    char text[] = "00000000\\n";
    for (uint32_t i = 0U; i < 8U; i++)
    {
        text[i] = "0123456789abcdef"[value >> (28U - 4U * i) & 15U];
    }
    ask(4U, text);
}

void start(void)
{
    volatile uint32_t *const timer = (volatile uint32_t *) 0xE000E010U;

    *(volatile uint32_t *) 0xE000ED88U = 15U << 20; /* compilers copy through the FPU */
    timer[1] = 0xFFFFFFU;
    timer[2] = 0U;
    timer[0] = 5U;
    const uint32_t first = timer[2];
    const uint32_t sum   = bench_all();
    const uint32_t last  = timer[2];
    tell((first - last) & 0xFFFFFFU);
    tell(sum);
    ask(0x18U, (const void *) 0x20026U);
    for (;;)
    {
    }
}

__attribute__((section(".vectors"), used)) const void *const vectors[] = {
    (const void *) 0x20400000U,
    (const void *) start,
};
"""


@pytest.mark.slow
@pytest.mark.target
@pytest.mark.parametrize("core", MACHINES)
@pytest.mark.parametrize("name", NAMES)
def test_qemu_counts_as_the_bench_does(
    name: str, core: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm_core.require_emulator()
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    workload = WORKLOADS[name]()
    code = generate(workload.graph, Core(core, dsp=True))
    values = ", ".join(map(str, np.ravel(workload.frames[:FRAMES]).tolist()))
    program = PROGRAM.replace("NAME", code.graph.name).replace("VALUES", values)
    program = program.replace("CHANNELS", str(code.graph.frame.size))
    for file, text in {**render_model(code), "program.c": program}.items():
        (tmp_path / file).write_text(text)
    runtime = resources.path("firmware") / "runtime"
    sources = [*tmp_path.glob("*.c"), *runtime.glob("*.c")]
    flags = load_board(BOARDS[core]).mcu.flags
    elf = link_bare(sources, [tmp_path, runtime], flags, ("bench_all",), tmp_path)
    counted = BareCore(elf, core).call("bench_all")
    monkeypatch.setattr(bare, "LINKER_SCRIPT", SCRIPT)
    link_bare(sources, [tmp_path, runtime], flags, ("vectors",), tmp_path)
    command = f"qemu-system-arm -M {MACHINES[core]} -icount shift=0 -display none -serial null"
    command += " -monitor none -semihosting-config enable=on,target=native -kernel"
    done = subprocess.run(
        [*command.split(), tmp_path / "bare.elf"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    ticks, outputs = (int(line, 16) for line in (done.stdout + done.stderr).split())
    assert outputs == counted.result & 0xFFFFFFFF
    assert abs(ticks * TICK - counted.total) <= 2 * TICK
