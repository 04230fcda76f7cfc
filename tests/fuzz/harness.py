"""Compiles the harnesses of this folder: with clang's libFuzzer, or with the driver beside them.

A harness is one C file with LLVMFuzzerTestOneInput, around the firmware's own files and a generated
model. Both engines take the same options; `scripts/fuzz.py` runs them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from tests.support.host_c import WARNINGS
from tests.support.places import SUPPORT
from tests.support.toy import toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

HERE = Path(__file__).parent
SANITIZERS = "address,undefined"
COVERAGE = ("-fprofile-instr-generate", "-fcoverage-mapping")
# Resident memory counts what the starting process had: only single requests are limited.
LIBFUZZER_LIMITS = ("-rss_limit_mb=0", "-malloc_limit_mb=512")
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True)
class Target:
    """A harness around a model.

    Attributes:
        harness: Its C file, without the suffix.
        model: The model's name, for people.
        graph: Makes the model.
        firmware: Files of firmware/src that it takes.
        longest: Bytes of its inputs at most.
    """

    harness: str
    model: str
    graph: Callable[[], QGraph]
    firmware: tuple[str, ...]
    longest: int

    @property
    def name(self) -> str:
        """Harness and model."""
        return f"{self.harness}-{self.model}"


def _commands(model: str, graph: Callable[[], QGraph]) -> Target:
    return Target("commands", model, graph, ("frame", "protocol"), 600)


def _runtime(model: str, graph: Callable[[], QGraph]) -> Target:
    return Target("runtime", model, graph, (), 200)


TARGETS = (
    Target("frames", "events", toy_graph, ("frame",), 1_200),
    _commands("events", toy_graph),
    _commands("staged", toy_staged_graph),
    _runtime("events", toy_graph),
    _runtime("every", toy_every_graph),
    _runtime("staged", toy_staged_graph),
    _runtime("source", toy_source_graph),
)


@cache
def why_no_libfuzzer() -> str:
    """Return why libFuzzer cannot be used here; "" where it can."""
    if shutil.which("clang") is None:
        return "clang is not installed"
    program = "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }"
    command = ["clang", f"-fsanitize=fuzzer,{SANITIZERS}", *"-x c - -o".split(), os.devnull]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else "this clang has no libFuzzer (libclang-rt-14-dev)"


def compile_libfuzzer(target: Target, folder: Path, options: Sequence[str] = ()) -> Path:
    """Compile a target for libFuzzer and return the program."""
    command = ["clang", f"-fsanitize=fuzzer,{SANITIZERS}", "-fno-sanitize-recover=all", *options]
    return _compile(target, folder, command, [])


def compile_driver(target: Target, folder: Path) -> Path:
    """Compile a target with the driver of this folder and return the program."""
    command = ["gcc", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
    return _compile(target, folder, command, [HERE / "driver.c"])


def _compile(target: Target, folder: Path, command: list[str], more: list[Path]) -> Path:
    model = folder / target.name
    model.mkdir(parents=True, exist_ok=True)
    code = generate(target.graph(), HOST, trace=True)
    for name, text in render_model(code).items():
        (model / name).write_text(text)
    firmware = resources.path("firmware")
    sources = [HERE / f"{target.harness}.c", *more, *sorted(model.glob("*.c"))]
    sources += sorted((firmware / "runtime").glob("*.c"))
    sources += [firmware / "src" / f"{name}.c" for name in target.firmware]
    places = (model, HERE, SUPPORT / "c", firmware / "runtime", firmware / "include")
    full = [*command, *WARNINGS, *(f"-I{p}" for p in places), *map(str, sources)]
    program = model / "fuzz"
    done = subprocess.run([*full, "-o", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def write_seeds(target: Target, folder: Path) -> list[Path]:
    """Write the seeds that are kept for a harness, a file each, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (HERE / "seeds" / f"{target.harness}.txt").read_text().split()
    for number, line in enumerate(lines):
        (folder / f"{number:04d}").write_bytes(bytes.fromhex(line))
    return sorted(folder.iterdir())


def run(program: Path, arguments: Sequence[str]) -> tuple[int, int]:
    """Run a compiled target in its folder and return how many inputs it took, and seconds.

    Raises:
        AssertionError: One of them failed; the message is what the sanitizers said.
    """
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "abort_on_error=1",
        "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
    }
    done = subprocess.run(
        [str(program), *arguments],
        cwd=program.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    found = _DONE.search(done.stderr)
    assert done.returncode == 0, done.stderr[-6_000:]
    assert found is not None, done.stderr[-2_000:]
    return int(found[1]), int(found[2])
