"""Fuzzes frames, commands and the generated runtime of the firmware by the harnesses of tests/fuzz.

    python -m scripts.fuzz --runs 100000              # inputs for each target
    python -m scripts.fuzz --only runtime --coverage  # lines that all inputs found so far reach
    python -m scripts.fuzz --driver                   # without libFuzzer, as where it is not there

Inputs that reach something new stay in build/fuzz and are where the next run begins; what fails
lies there as crash-... . With --keep the fewest that reach as much become the seeds of tests/fuzz.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.harness import (
    COVERAGE,
    HERE,
    LIBFUZZER_LIMITS,
    TARGETS,
    Target,
    compile_driver,
    compile_libfuzzer,
    run,
    why_no_libfuzzer,
    write_seeds,
)

HOME = Path("build/fuzz").absolute()
MOST_SEEDS = 150  # of a harness


def fuzz(target: Target, runs: int, seed: int, is_driver: bool) -> str:
    """Run a target and return its line of the table."""
    options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={target.longest}"]
    corpus = HOME / "corpus" / target.name
    seeds = write_seeds(target, HOME / "seeds" / target.name)
    corpus.mkdir(parents=True, exist_ok=True)
    if is_driver:
        files = [*seeds, *sorted(corpus.iterdir())]
        done, seconds = run(compile_driver(target, HOME / "driver"), [*options, *map(str, files)])
    else:
        places = [*LIBFUZZER_LIMITS, str(corpus), str(seeds[0].parent)]
        done, seconds = run(compile_libfuzzer(target, HOME / "libfuzzer"), [*options, *places])
    return f"| {target.name} | {done:,} | {seconds} s |"


def coverage(targets: Iterable[Target]) -> str:
    """Run all inputs found so far once and return what llvm-cov says of lines and branches."""
    programs, profiles = [], []
    for target in targets:
        seeds = write_seeds(target, HOME / "seeds" / target.name)
        program = compile_libfuzzer(target, HOME / "coverage", COVERAGE)
        corpus = HOME / "corpus" / target.name
        corpus.mkdir(parents=True, exist_ok=True)
        run(program, ["-runs=0", str(corpus), str(seeds[0].parent)])
        programs.append(str(program))
        profiles.append(str(program.parent / "default.profraw"))
    merged = HOME / "all.profdata"
    _output("llvm-profdata", "merge", "-o", str(merged), *profiles)
    objects = [f"--object={program}" for program in programs[1:]]
    ignored = "--ignore-filename-regex=(tests|weights)"
    return _output(
        "llvm-cov", "report", programs[0], *objects, f"--instr-profile={merged}", ignored
    )


def keep(targets: Iterable[Target]) -> None:
    """Make the fewest inputs that reach what all reach the seeds of their harness."""
    found: dict[str, set[str]] = {}
    for target in targets:
        program = compile_libfuzzer(target, HOME / "libfuzzer")
        least, corpus = HOME / "least" / target.name, HOME / "corpus" / target.name
        shutil.rmtree(least, ignore_errors=True)
        least.mkdir(parents=True)
        _output(str(program), "-merge=1", str(least), str(corpus))
        inputs = {path.read_bytes().hex() for path in least.iterdir()}
        found.setdefault(target.harness, set()).update(inputs)
    for harness, lines in found.items():
        ordered = sorted(lines, key=lambda line: (len(line), line))
        kept = ordered[:: -(-len(ordered) // MOST_SEEDS)]  # of all lengths
        (HERE / "seeds" / f"{harness}.txt").write_text("".join(f"{line}\n" for line in kept))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Fuzz, and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="targets that have this in their name")
    parser.add_argument("--driver", action="store_true", help="use the driver in any case")
    parser.add_argument("--coverage", action="store_true", help="report lines reached")
    parser.add_argument("--keep", action="store_true", help="renew the seeds")
    arguments = parser.parse_args()
    targets = [target for target in TARGETS if arguments.only in target.name]
    is_driver = arguments.driver or bool(why_no_libfuzzer())
    engine = f"the driver ({why_no_libfuzzer() or 'asked for'})" if is_driver else "libFuzzer"
    print(f"by {engine}\n\n| target | inputs | time |\n|---|---|---|", flush=True)
    for target in targets:
        print(fuzz(target, arguments.runs, arguments.seed, is_driver), flush=True)
    if is_driver and (arguments.coverage or arguments.keep):
        sys.exit("lines reached and new seeds need libFuzzer")
    if arguments.coverage:
        print(coverage(targets))
    if arguments.keep:
        keep(targets)


if __name__ == "__main__":
    main()
