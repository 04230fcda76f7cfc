"""Puts small faults into copies of the sources, one at a time, and tells which no test sees.

What is mutated, which tests are its witnesses and which survivors are known lies beside this
script, in mutate.toml. Results are appended to a table, so that a run that was stopped goes on.

Example: python scripts/mutate.py --count 500 -o mutants.csv
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutations import Mutant, has_effect, mutants

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".toml")
HEAD = ("file", "line", "function", "before", "after", "result", "seconds", "witness", "how")
TIMEOUT_S, TIMES = 200.0, 4.0  # at least, and as a multiple of what a witness takes without a fault
LONGEST_S = 3600.0
# Imported once, before each mutant's process parts from this one.
SHARED = (
    "click", "hypothesis", "jinja2", "numpy", "pytest", "scipy.signal", "scipy.stats", "torch",
    "onnx", "onnxruntime", "elftools.elf.elffile", "unicorn", "cobs.cobs", "rich.console",
    "ncps.torch", "safetensors.numpy", "sklearn.metrics", "h5py", "wfdb", "serial",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file that is mutated and the tests that must notice: arguments of pytest, quick first."""

    file: str
    room: str
    witnesses: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What the witnesses said."""

    result: str
    seconds: float
    witness: str
    how: str


def sources() -> list[Source]:
    """Return the sources of the table."""
    found = {}
    for room in tomllib.loads(TABLE.read_text())["rooms"]:
        for pattern in room["sources"]:
            files = [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob(pattern))]
            assert files, f"{TABLE.name}: no file is {pattern}"
            for file in files:
                names = room.get("names", {}).get(file.rpartition("/")[2], room.get("default", ""))
                witnesses = (w.replace("{names}", names) for w in room["witnesses"])
                kept = tuple(w for w in witnesses if not w.endswith("-k ''"))
                found.setdefault(file, Source(file, room["name"], kept))
    return list(found.values())


def sample(chosen: list[Source], seed: int, count: int) -> list[Mutant]:
    """Draw a mutant of each function, then others, on lines of their own; file by file."""
    texts = {s.file: (ROOT / s.file).read_text() for s in chosen}
    every = [m for file, text in texts.items() for m in mutants(file, text)]
    every.sort(key=lambda m: _rank(m, seed))
    drawn: list[Mutant] = []
    lines: set[tuple[str, int]] = set()
    functions: set[tuple[str, str]] = set()
    for wants_new in (True, False):
        for mutant in every:
            place, function = (mutant.file, mutant.line), (mutant.file, mutant.function)
            if place in lines or (wants_new and function in functions) or len(drawn) == count:
                continue
            if has_effect(mutant, texts[mutant.file]):
                lines.add(place)
                functions.add(function)
                drawn.append(mutant)
    files = [s.file for s in chosen]
    return sorted(drawn, key=lambda m: files.index(m.file))


def _rank(mutant: Mutant, seed: int) -> bytes:
    """Return a random number that a change elsewhere leaves as it is."""
    text = f"{seed} {mutant.file} {mutant.function} {mutant.before} {mutant.after}"
    return hashlib.sha256(text.encode()).digest()


def copy_tree(folder: Path) -> None:
    """Copy what git tracks, as it lies here."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run_tests(
    tree: Path, arguments: str, writes_bytecode: bool, timeout_s: float
) -> tuple[int | None, str]:
    """Run tests of a tree in a process of its own; return its status and the first error.

    The status is None after the timeout.
    """
    log = tree / "mutant.log"
    child = os.fork()
    if child == 0:
        try:
            os._exit(_in_child(tree, log, arguments, writes_bytecode))
        finally:
            os._exit(70)
    deadline = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), _first_error(log)
            time.sleep(0.05)
        return None, f"no end after {timeout_s:.0f} s"
    finally:
        try:
            os.killpg(child, signal.SIGKILL)  # also what its tests left running
        except ProcessLookupError:
            pass
        if time.monotonic() >= deadline:
            os.waitpid(child, 0)


def _in_child(tree: Path, log: Path, arguments: str, writes_bytecode: bool) -> int:
    """Leave the parent's terminal and modules' folder, and run pytest."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[0] = str(tree)
    sys.path[:] = [p for p in sys.path if p != str(ROOT)]
    sys.dont_write_bytecode = not writes_bytecode
    os.environ["PYTHONDONTWRITEBYTECODE"] = "" if writes_bytecode else "1"
    return _pytest(arguments)


def _pytest(arguments: str) -> int:
    """Run pytest; examples are the same each time and failures are not made smaller."""
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    options = (
        "-x -q --tb=short -p no:cacheprovider -p no:xdist --hypothesis-profile=mutants "
        "-W ignore::pytest.PytestAssertRewriteWarning"
    )
    return int(pytest.main([*options.split(), *shlex.split(arguments)]))


def _first_error(log: Path) -> str:
    """Return the test that failed and what it said."""
    lines = log.read_text(errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return failed[0][:200] if failed else ""


def judge(tree: Path, source: Source, mutant: Mutant, checked: dict[str, float]) -> Verdict:
    """Run the witnesses of a mutant until one fails; each runs once without a fault before."""
    path, seconds = tree / mutant.file, 0.0
    original, times = path.read_text(), path.stat()
    for witness in source.witnesses:
        check_witness(tree, witness, checked)
        began = time.monotonic()
        path.write_text(mutant.apply(original))
        try:
            most = max(TIMEOUT_S, TIMES * checked[witness])
            status, how = run_tests(tree, witness, writes_bytecode=False, timeout_s=most)
        finally:
            path.write_text(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        seconds += time.monotonic() - began
        if status != 0:
            return Verdict("hung" if status is None else "killed", seconds, witness, how)
    return Verdict("survived", seconds, "", "")


def check_witness(tree: Path, witness: str, checked: dict[str, float]) -> None:
    """Stop where a witness that was not run yet fails, or finds no test, without any fault.

    Keeps how long it took, in s.
    """
    if witness in checked:
        return
    began = time.monotonic()
    status, how = run_tests(tree, witness, writes_bytecode=True, timeout_s=LONGEST_S)
    seconds = time.monotonic() - began
    print(f"{seconds:6.1f} s  {witness}", flush=True)
    if status != 0:
        sys.exit(f"{witness}: status {status} without a fault; {how}")
    checked[witness] = seconds


def done_before(table: Path) -> set[tuple[str, ...]]:
    """Return the mutants that a table holds."""
    if not table.is_file():
        return set()
    with table.open(newline="") as file:
        return {tuple(row[:5]) for row in csv.reader(file)}


def key(mutant: Mutant) -> tuple[str, ...]:
    """Return what names a mutant in the table."""
    return mutant.file, str(mutant.line), mutant.function, mutant.before, mutant.after


def known_survivors() -> set[tuple[str, ...]]:
    """Return the mutants that change nothing, with a reason in the table of survivors."""
    rows = tomllib.loads(TABLE.read_text()).get("survivors", [])
    return {(r["file"], r["function"], r["before"], r["after"]) for r in rows}


def run(chosen: list[Source], drawn: list[Mutant], table: Path) -> Iterator[tuple[Mutant, Verdict]]:
    """Judge what the table does not hold yet, and append each verdict at once."""
    by_file = {s.file: s for s in chosen}
    before, known = done_before(table), known_survivors()
    left = [m for m in drawn if key(m) not in before]
    for name in SHARED:
        importlib.import_module(name)
    gc.freeze()  # else each child copies every page that its collector touches
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="lnn-edge-mutants-") as folder:
        copy_tree(Path(folder))
        checked: dict[str, float] = {}
        for mutant in left:
            verdict = judge(Path(folder), by_file[mutant.file], mutant, checked)
            if (mutant.file, mutant.function, mutant.before, mutant.after) in known:
                verdict = Verdict("equivalent", verdict.seconds, verdict.witness, verdict.how)
            with table.open("a", newline="") as file:
                row = (*key(mutant), verdict.result, f"{verdict.seconds:.1f}")
                csv.writer(file).writerow((*row, verdict.witness, verdict.how))
            yield mutant, verdict


def main() -> None:
    """Judge a sample; end with status 1 where a mutant survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="*", help="files, as a pattern")
    parser.add_argument("--rooms", default="", help="of the sample only these, NAME,NAME")
    parser.add_argument("--line", type=int, help="every mutant of this line")
    parser.add_argument("-o", type=Path, required=True, metavar="CSV", help="table to append to")
    options = parser.parse_args()
    chosen = [s for s in sources() if Path(s.file).match(options.only)]
    drawn = sample(chosen, options.seed, options.count)
    if options.line:
        text = {s.file: (ROOT / s.file).read_text() for s in chosen}
        drawn = [m for f in text for m in mutants(f, text[f]) if m.line == options.line]
    if options.rooms:
        files = {s.file for s in chosen if s.room in options.rooms.split(",")}
        drawn = [m for m in drawn if m.file in files]
    options.o.parent.mkdir(parents=True, exist_ok=True)
    survived = 0
    for mutant, verdict in run(chosen, drawn, options.o):
        survived += verdict.result == "survived"
        print(
            f"{verdict.result:10} {verdict.seconds:5.1f} s  {mutant.file}:{mutant.line} "
            f"{mutant.function}: {mutant.before!r} -> {mutant.after!r}",
            flush=True,
        )
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
