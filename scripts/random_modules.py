"""Quantizes random modules and compares each with its forward and with its C, bit by bit.

Example: python scripts/random_modules.py --seeds 0:2000 --sanitized 100 -o random_modules.md
The module of a seed is the same everywhere. A refusal must have a reason of the list; whatever
else does not end well is a fault, and its seed is printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lnn_edge.errors import LayerError, QuantizationError
from lnn_edge.files.write import write_whole
from tests.support.host_c import SANITIZERS, compile_model, run_c, run_reference
from tests.support.once import FOLDER
from tests.support.random_modules import REASONS, error_of, frames_of, quantized, random_module

MOST_ERROR = 0.05  # of the span of forward
QUICK = ("-g0",)


@dataclass(frozen=True)
class Outcome:
    """What became of a seed.

    Attributes:
        kind: ACCEPTED, FAULT, or the reason of a refusal.
        error: RMSE of the integers, relative to the span of forward.
        frames: Compared with the C.
        words: Of a refusal or fault.
    """

    kind: str
    error: float = 0.0
    frames: int = 0
    words: str = ""


ACCEPTED, FAULT = "accepted", "fault"


def main() -> None:
    """Print a line for each fault, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", default="0:2000", help="first:end")
    parser.add_argument("--sanitized", type=int, default=100, help="how many, under ASan and UBSan")
    parser.add_argument("-o", "--output", type=Path, help="the table as Markdown")
    options = parser.parse_args()
    seeds = range(*map(int, options.seeds.split(":")))
    torch.set_num_threads(1)
    every = max(1, len(seeds) // max(options.sanitized, 1))
    started, outcomes = time.monotonic(), dict[int, Outcome]()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        for seed in seeds:
            outcomes[seed] = found = outcome_of(seed, (seed - seeds[0]) % every == 0)
            if found.kind == FAULT:
                print(f"seed {seed}: {found.words}", flush=True)
            if len(outcomes) % 50 == 0:
                took = time.monotonic() - started
                print(f"{len(outcomes)} of {len(seeds)} after {took:.0f} s", flush=True)
                print(table_of(outcomes), flush=True)
    print(table := table_of(outcomes))
    if options.output:
        write_whole(options.output, table)


def outcome_of(seed: int, is_sanitized: bool) -> Outcome:
    """Return what becomes of a seed; whatever else is raised is a fault of it."""
    module = random_module(seed)
    try:
        graph = quantized(module)
    except (LayerError, QuantizationError) as error:
        kind = next((r for r in REASONS if r in str(error)), FAULT)
        return Outcome(kind, words=str(error))
    except Exception as error:
        return Outcome(FAULT, words=f"quantize: {type(error).__name__}: {error}")
    try:
        error = error_of(graph, module)
        frames = frames_of(graph, module, seed)
        items = [("F", frame) for frame in frames]
        wanted = run_reference(graph, items)
        with tempfile.TemporaryDirectory() as folder:
            program = compile_model(
                graph, Path(folder), options=SANITIZERS if is_sanitized else QUICK
            )
            is_same = run_c(program, items) == wanted
    except Exception as fault:
        return Outcome(FAULT, words=f"{type(fault).__name__}: {fault}")
    if not is_same:
        return Outcome(FAULT, error, len(items), "the C differs")
    return Outcome(ACCEPTED, error, len(items))


def table_of(outcomes: Mapping[int, Outcome]) -> str:
    """Return how many seeds ended in which way, as Markdown."""
    counts = Counter(o.kind for o in outcomes.values())
    accepted = [o for o in outcomes.values() if o.kind == ACCEPTED]
    share = len(accepted) / max(len(outcomes), 1)
    lines = ["| outcome | modules |", "|---|---|"]
    lines += [f"| {kind} | {count} |" for kind, count in counts.most_common()]
    lines += ["", f"{share:.1%} of {len(outcomes)} accepted."]
    if accepted:
        errors = np.array([o.error for o in accepted])
        frames = sum(o.frames for o in accepted)
        lines += [
            f"RMSE to forward, of its span: median {np.median(errors):.2%}, at most "
            f"{errors.max():.2%}, above {MOST_ERROR:.0%} in {(errors > MOST_ERROR).sum()} modules.",
            f"{frames} frames through the C.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
