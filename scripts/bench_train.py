"""Training speed of our sequence modules against those of ncps.torch, same shapes and weights.

Example: python scripts/bench_train.py
Forward and backward of both, in turns, in one process; the ratio of a turn is their time over ours:
by processor time on one thread, by the clock on more.
The largest difference is that of outputs, and of gradients relative to their largest value.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import ncps.torch
import torch
from ncps.wirings import AutoNCP, FullyConnected
from torch import Tensor, nn

from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.cells.wirings import auto_ncp, fully_connected, ncp


@dataclass(frozen=True)
class Pair:
    """Two modules with the same weights, and what they are fed."""

    name: str
    shape: str
    ours: nn.Module
    theirs: nn.Module
    run_ours: Callable[[Tensor], Tensor]
    x: Tensor
    weight: Tensor


def cfc_pair(batch: int, steps: int, inputs: int, hidden: int, units: int) -> Pair:
    """Return the CfC cells."""
    theirs = ncps.torch.CfC(inputs, hidden, backbone_units=units)
    ours = Cfc(inputs, hidden, units)
    ours.load_state_dict({_ours(k): v for k, v in theirs.state_dict().items()})
    dt = torch.ones(batch, steps, 1)

    def run(x: Tensor) -> Tensor:
        states: Tensor = ours(x, dt, ours.initial_state(batch))[0]
        return states

    shape = f"B {batch}, T {steps}, I {inputs}, H {hidden}, backbone {units}"
    x, weight = torch.randn(batch, steps, inputs), torch.randn(batch, steps, hidden)
    return Pair("CfC", shape, ours, theirs, run, x, weight)


def ltc_pair(batch: int, steps: int, inputs: int, units: int, outputs: int) -> Pair:
    """Return the LTC cells, 6 unfolds: fully connected, or a circuit policy of fewer outputs."""
    is_full = outputs == units
    wiring = FullyConnected(units, units) if is_full else AutoNCP(units, outputs)
    theirs = ncps.torch.LTC(inputs, wiring)
    ours = Ltc(
        fully_connected(inputs, units, units) if is_full else ncp(inputs, auto_ncp(units, outputs))
    )
    ours.load_state_dict({_ours(k): v for k, v in theirs.state_dict().items()})
    dt = torch.ones(batch, steps, 1)

    def run(x: Tensor) -> Tensor:
        outputs: Tensor = ours(x, dt, ours.initial_state(batch))[0]
        return outputs

    name = f"N {units} fully connected" if is_full else f"AutoNCP({units}, {outputs})"
    shape = f"B {batch}, T {steps}, I {inputs}, {name}, 6 unfolds"
    x, weight = torch.randn(batch, steps, inputs), torch.randn(batch, steps, outputs)
    return Pair("LTC", shape, ours, theirs, run, x, weight)


def pairs() -> Iterator[Pair]:
    """Yield what is compared."""
    yield cfc_pair(64, 256, 32, 64, 64)
    for units, outputs in ((32, 32), (64, 64), (20, 6), (64, 8)):
        yield ltc_pair(64, 32, 32, units, outputs)


def _ours(name: str) -> str:
    return name.removeprefix("rnn_cell.").replace("backbone.0.", "backbone.")


def timed(run: Callable[[Tensor], Tensor], module: nn.Module, pair: Pair) -> tuple[float, Tensor]:
    """Return the seconds of forward and backward, and the outputs."""
    module.zero_grad()
    x = pair.x.clone().requires_grad_()
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    outputs = run(x)
    (outputs * pair.weight).sum().backward()  # type: ignore[no-untyped-call]
    return clock() - begin, outputs.detach()


def difference(pair: Pair, ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference of outputs and, relative to their largest, of gradients."""
    found = [float((ours - theirs).abs().max())]
    mine = dict(pair.ours.named_parameters())
    for name, value in pair.theirs.named_parameters():
        grad, own = value.grad, mine.get(_ours(name))
        if grad is not None and own is not None and own.grad is not None:
            largest = float(grad.abs().max()) or 1.0
            found.append(float((own.grad - grad).abs().max()) / largest)
    return max(found)


def compare(pair: Pair, turns: int) -> dict[str, object]:
    """Run both in turns; the first one warms up."""
    ratios, differences, times = [], [], []
    for turn in range(turns + 1):
        ours, mine = timed(pair.run_ours, pair.ours, pair)
        theirs, wanted = timed(lambda x: pair.theirs(x)[0], pair.theirs, pair)
        differences.append(difference(pair, mine, wanted))
        if turn:
            ratios.append(theirs / ours)
            times.append(ours)
    return {
        "cell": pair.name,
        "shape": pair.shape,
        "threads": torch.get_num_threads(),
        "ms": 1000 * min(times),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "difference": max(differences),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for threads in given.threads:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        for pair in pairs():
            rows.append(compare(pair, given.turns))
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("| cell | shape | threads | ours, ms | ncps / ours, median | range | difference |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        span = f"{r['least']:.2f} to {r['most']:.2f}"
        head = f"| {r['cell']} | {r['shape']} | {r['threads']} | {r['ms']:.1f}"
        print(f"{head} | {r['ratio']:.2f} | {span} | {r['difference']:.1e} |")


if __name__ == "__main__":
    main()
