"""Generated C gives the same bits with every compiler and flag that a user's project may bring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST, KERNELS, Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.qgraph import QGraph
from tests.codegen.unit_cells import batch_of, few
from tests.graph.ops.batch import HOST_MAIN, Batch, Case, runtime
from tests.graph.ops.cases import MAKERS, Seeded, stress_inputs, wide_operators
from tests.support import arm_core
from tests.support.causal import Net
from tests.support.host_c import REPLAY, pack, record_items, run_reference
from tests.support.once import once
from tests.support.toy import motion, toy_graph

EVERY_ROW = "LNN_EDGE_EVERY_COMPILER" in os.environ  # an hour; else a sample of the rows
M7 = Core("cortex-m7", dsp=True)
TAPE, GUARD = REPLAY.parent / "tape", REPLAY.parent / "guard.c"
GCC = "arm-none-eabi-gcc -std=c11 -mthumb"
CLANG = "clang -std=c11 --target=thumbv7em-none-eabi -mthumb -fuse-ld=lld"
ARM_WARNINGS = "-ffreestanding -Wall -Wextra -Werror"
SOFT, HARD = "-mfloat-abi=soft", "-mfloat-abi=hard -mfpu=fpv5-sp-d16"
LEVELS = ("-O0", "-Og", "-O1", "-O2", "-O3", "-Os")
RESERVED = "-fno-omit-frame-pointer -ffixed-r9"  # two registers fewer than the loops take
TRAPS = "-fsanitize=undefined -fsanitize-undefined-trap-on-error"
COUNTED = "-fprofile-arcs -ftest-coverage -fprofile-info-section -fprofile-update=single"
ARM_QUICK = (f"{GCC} -O0 {HARD}", f"{GCC} -Os {HARD}", f"{CLANG} -O1 {SOFT}")
ARM_ALL = (
    *(f"{GCC} {level} {abi}" for level in LEVELS for abi in (SOFT, HARD)),
    *(f"{GCC} {level} {HARD} -fno-omit-frame-pointer" for level in LEVELS),
    *(f"{GCC} {level} {SOFT} -fstack-protector-all" for level in LEVELS),
    *(f"{GCC} {level} {SOFT} -flto" for level in LEVELS),
    *(f"{GCC} {level} {SOFT} -ffixed-r9" for level in LEVELS),
    *(f"{GCC} {level} {SOFT} {RESERVED} -DLNN_PLAIN_LOOPS" for level in ("-O1", "-O3")),
    *(f"{GCC} -O2 {SOFT} {flag}" for flag in ("-ftrapv", "-funsigned-char", "-fno-inline")),
    f"{GCC} -O2 {SOFT} -mno-unaligned-access",
    f"{GCC} -O2 {SOFT} -fno-strict-aliasing -fwrapv",
    f"{GCC} -O3 {SOFT} -funroll-all-loops",
    *(f"{CLANG} {level} {abi}" for level in (*LEVELS, "-Oz") for abi in (SOFT, HARD)),
    *(f"{CLANG} {level} {SOFT} -fno-omit-frame-pointer" for level in LEVELS),
    *(f"{CLANG} {level} {SOFT} -fstack-protector-all" for level in LEVELS),
    f"{CLANG} -O2 {SOFT} -mno-unaligned-access",
    *(f"{GCC} {level} {SOFT} {TRAPS}" for level in LEVELS),
    *(f"{GCC} {level} {SOFT} {COUNTED}" for level in LEVELS),
    *(f"{CLANG} {level} {SOFT} -fsanitize=undefined -fsanitize-trap=all" for level in LEVELS),
)
HOST_WARNINGS = "-Wall -Wextra -Werror"
SANE = "-g -fsanitize=address,undefined -fno-sanitize-recover=all"
C, CPP = "-std=c11 -pedantic", "-std=c++17 -x c++"
HOST_QUICK = (f"g++ {CPP} -O0", f"clang {C} -O2 {SANE}")
HOST_ALL = (
    *(f"{name} {C} {level}" for name in ("gcc", "clang") for level in LEVELS),
    *(f"{name} {C} {level} {SANE}" for name in ("gcc", "clang") for level in LEVELS),
    f"gcc {C} -O2 -flto",
    f"clang {C} -O2 -flto -fuse-ld=lld -Wno-unused-command-line-argument",
    *(f"{name} {C} -O3 -march=native" for name in ("gcc", "clang")),
    *(f"{name} {C} -O2 -fstack-protector-all -ftrapv" for name in ("gcc", "clang")),
    f"clang {C} -O1 -g -fsanitize=memory -fno-sanitize-recover=all",
    *(f"{name} {CPP} {level}" for name in ("g++", "clang++") for level in LEVELS),
    *(f"{name} -std=c++{year} -x c++ -O2" for name in ("g++", "clang++") for year in (14, 20)),
    f"g++ -std=c++23 -x c++ -O2 {SANE}",
    f"clang++ {CPP} -O2 {SANE}",
    f"gcc -std=gnu17 -O2 {SANE}",
    *(f"{name} {C} {level} --coverage" for name in ("gcc", "clang") for level in ("-O0", "-O2")),
    *(f"{name} {C} -O2 -fprofile-generate" for name in ("gcc", "clang")),
    f"gcc {C} -O2 -pg",
    "gcc -std=c2x -O2",
)


@dataclass(frozen=True)
class Job:
    """A program around `run(in, out)`.

    Attributes:
        sources: What is tested.
        drivers: What runs it, always C.
        includes: Folders of headers.
        tape: What it reads.
        expected: What it must write.
    """

    sources: tuple[Path, ...]
    drivers: tuple[Path, ...]
    includes: tuple[Path, ...]
    tape: bytes
    expected: bytes


def make_batch() -> Batch:
    """One of each operator, and rows as wide as blocks, by every kernel that fits."""
    ops: list[AbstractOp] = [make(Seeded(0)) for make in MAKERS.values()]
    ops += wide_operators()["linear"]
    made = [(op, stress_inputs(op, 2, 0)) for op in ops]
    return Batch(
        tuple(Case(op, k, x) for op, x in made for k in KERNELS[op.kind] if k.fits(op, M7))
    )


def batch_job(batch: Batch, folder: Path) -> Job:
    source = folder / "batch.c"
    source.write_text(batch.source())
    return Job((source,), (), (runtime(),), batch.tape(), batch.expected())


def model_job(graph: QGraph, folder: Path, core: Core) -> Job:
    for name, text in render_model(generate(graph, core)).items():
        (folder / name).write_text(text)
    frames = motion(3, 160)[:, : graph.frame.size]
    items = [*record_items(frames, np.arange(20, 140, 37)), ("G", None), ("R", None)]
    tape = pack(items)
    return Job(
        (*sorted(folder.glob("*.c")), *sorted(runtime().glob("*.c"))),
        (REPLAY,),
        (folder, runtime()),
        len(tape).to_bytes(4, "little") + tape,
        run_reference(graph, items),
    )


JobFor = Callable[[Core], Job]
KINDS: dict[str, Callable[[Path, Core], Job]] = {
    "operators": lambda folder, _: batch_job(make_batch(), folder),
    "units": lambda folder, _: batch_job(batch_of(few()), folder),
    "events": lambda folder, core: model_job(toy_graph(), folder, core),
    "rings": lambda folder, core: model_job(Net(skip=2).graph(), folder, core),
}


@pytest.fixture(scope="module", params=KINDS)
def job_for(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JobFor:
    """Return what makes the job of a kind for a core, once."""
    make = KINDS[request.param]
    return cache(lambda core: make(tmp_path_factory.mktemp(request.param), core))


def require(command: str) -> list[str]:
    words = command.split()
    needed = [words[0], *(f"ld.{w.split('=')[1]}" for w in words if w.startswith("-fuse-ld="))]
    for name in needed:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    return words


def run_on_arm(command: str, job: Job, folder: Path) -> None:
    arm_core.require_emulator()
    compiler = [*require(command), *ARM_WARNINGS.split()]
    sources = [*job.sources, *job.drivers, GUARD]
    program = arm_core.link(M7.name, folder, sources, [TAPE, *job.includes], compiler)
    assert arm_core.run(program, job.tape, len(job.expected)).output == job.expected


def run_on_host(command: str, job: Job, folder: Path) -> None:
    compiler = require(command)
    main = folder / "host_main.c"
    main.write_text(HOST_MAIN)
    (folder / "in").write_bytes(job.tape)
    as_c = [{"g++": "gcc", "clang++": "clang"}.get(compiler[0], compiler[0]), "-std=c11"]
    as_c += [word for word in compiler[1:] if word not in ("-x", "c++") and "-std=" not in word]
    own, around = [*compiler, *HOST_WARNINGS.split()], [*as_c, f"-I{TAPE}"]
    size = f"-DOUTPUT_BYTES={len(job.expected)}"
    steps = [(own, path) for path in job.sources]
    steps += [(around, path) for path in job.drivers] + [([*as_c, size], main)]
    includes, objects = [f"-I{path}" for path in job.includes], []
    for step, source in steps:  # each alone, as in a project
        objects.append(folder / f"{source.stem}.o")
        call([*step, *includes, "-c", source, "-o", objects[-1]])
    call(
        [*(word for word in compiler if word not in ("-x", "c++")), *objects, "-o", folder / "all"]
    )
    call([folder / "all", folder / "in", folder / "out"], folder)  # a profile goes there too
    assert (folder / "out").read_bytes() == job.expected


def call(command: Sequence[str | Path], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.target
@pytest.mark.parametrize("command", ARM_QUICK)
def test_arm_compilers_give_the_same_bits(command: str, job_for: JobFor, tmp_path: Path) -> None:
    run_on_arm(command, job_for(M7), tmp_path)


@pytest.mark.slow
@pytest.mark.target
@pytest.mark.parametrize("command", ARM_ALL[:: 1 if EVERY_ROW else 12])
def test_every_arm_row_gives_the_same_bits(command: str, job_for: JobFor, tmp_path: Path) -> None:
    run_on_arm(command, job_for(M7), tmp_path)


@pytest.mark.parametrize("command", HOST_QUICK)
def test_host_compilers_give_the_same_bits(command: str, job_for: JobFor, tmp_path: Path) -> None:
    run_on_host(command, job_for(HOST), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", HOST_ALL[:: 1 if EVERY_ROW else 8])
def test_every_host_row_gives_the_same_bits(command: str, job_for: JobFor, tmp_path: Path) -> None:
    run_on_host(command, job_for(HOST), tmp_path)


def test_a_declaration_has_the_alignment_of_its_definition(tmp_path: Path) -> None:
    job = model_job(toy_graph(), tmp_path, M7)
    header = tmp_path / "toy_weights.h"
    names = re.findall(r"(\w+)\[\d+\];", header.read_text())
    checks = [f'_Static_assert(__alignof__({name}) == 4, "{name}");' for name in names]
    (tmp_path / "check.c").write_text("\n".join([f'#include "{header.name}"', *checks, ""]))
    assert names
    call(["gcc", *(f"-I{path}" for path in job.includes), "-fsyntax-only", tmp_path / "check.c"])


@pytest.mark.parametrize(
    "name",
    [
        "lnn_average.h",
        "lnn_biquads.h",
        "lnn_fixed.h",
        "lnn_dsp.h",
        "lnn_ring.h",
        "lnn_rows.h",
        "lnn_state.h",
    ],
)
def test_a_big_endian_compiler_is_refused(name: str) -> None:
    flags = ["-fsyntax-only", "-mbig-endian", "-mcpu=cortex-r5", "-marm", f"-I{runtime()}"]
    command = [*require("arm-none-eabi-gcc"), *flags, "-x", "c", str(runtime() / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "compile for a little-endian processor" in done.stderr


def routines(flags: str, source: Path, folder: Path) -> str:
    """Return the instructions of the routines in assembly, without addresses."""
    compiler = [*require(f"{GCC} -O2 -mcpu=cortex-m7"), *flags.split(), *ARM_WARNINGS.split()]
    made = folder / "routines.o"
    call([*compiler, f"-I{runtime()}", "-c", source, "-o", made])
    dump = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(made)]
    said = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    named = r"\w+ <lnn_op_(?!average\b)"  # an average is in C
    found = [part for part in said.split("\n\n") if re.match(named, part)]
    assert found
    return re.sub(r"^ *\w+:|^\w+ |\b\w+ (?=<)|@.*", "", "\n".join(found), flags=re.MULTILINE)


def plain_routines(folder: Path) -> str:
    """Return the routines that nothing counts."""
    source = folder / "batch.c"
    source.write_text(make_batch().source())
    return routines("", source, folder)


@pytest.mark.target
@pytest.mark.parametrize(
    "flags", ["--coverage", "-finstrument-functions", "-pg", "-fsanitize-coverage=trace-pc"]
)
def test_nothing_is_counted_before_a_routine_has_read_its_registers(
    flags: str, tmp_path: Path
) -> None:
    source = tmp_path / "batch.c"
    source.write_text(make_batch().source())
    assert routines(flags, source, tmp_path) == once("plain_routines", plain_routines)
