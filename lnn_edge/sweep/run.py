"""Runs a sweep: what is finished already is kept, the rest goes to an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Protocol

from lnn_edge.errors import MissingToolError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import claim, publish
from lnn_edge.sweep.in_order import run_in_order
from lnn_edge.sweep.kept import Kept
from lnn_edge.sweep.plan import Asked, plan_sweep
from lnn_edge.sweep.result import RESULTS, SweepResult, collect
from lnn_edge.sweep.trial import Trial

KIND = "sweep"
_RAY_IS_MISSING = (
    "a cluster needs Ray, which is not installed; install it with `pip install 'lnn-edge[sweep]'`, "
    "or leave --ray-address out"
)


class Engine(Protocol):
    """Runs trials, in any order, and keeps the outcome of each as it is finished."""

    def __call__(
        self, trials: Sequence[Trial], kept: Kept, on_trial: Callable[[], None], /
    ) -> None:
        """Run all of them; on_trial is called after each."""


def engine_for(ray_address: str | None) -> Engine:
    """Return Ray where it is installed, on all cores of this machine or a cluster; else in order.

    Raises:
        MissingToolError: A cluster is asked for and Ray is not installed.
    """
    found = find_spec("ray")
    if found is not None and found.origin is not None:  # a mere folder of that name has none
        from lnn_edge.sweep.on_ray import OnRay

        return OnRay(ray_address)
    if ray_address is not None:
        raise MissingToolError(_RAY_IS_MISSING)
    return run_in_order


def run_sweep(
    asked: Asked,
    folder: Path,
    engine: Engine,
    *,
    on_step: Callable[[str], None] = lambda _: None,
    on_trial: Callable[[int, int], None] = lambda _done, _all: None,
    force: bool = False,
) -> SweepResult:
    """Train every setting that keeps the limits, in each fold, with each seed; write the results.

    A trial that is finished in the folder is not trained again: same recipe, seed, fold, recordings
    and code. An interrupted sweep goes on when it is run again.

    Args:
        asked: What to run.
        folder: For trials and results.
        engine: What runs the trials.
        on_step: Called before something that takes a while, with words for it.
        on_trial: Called with the number of finished trials and of all, at first and after each.
        force: Whether to replace files that are in the way.

    Raises:
        UsageError: Something asked for is wrong, or the folder holds something else.
        DataError: The recordings cannot be read.
    """
    plan = plan_sweep(asked, on_step)
    with alone_in(folder, patience_s=0):
        claim(folder, KIND, force=force)
        kept, trials = Kept(folder), plan.trials
        left = [trial for trial in trials if not kept.has(trial)]
        done = count(len(trials) - len(left))

        def tell() -> None:
            on_trial(next(done), len(trials))

        tell()
        if left:
            with kept.preparing():
                engine(left, kept, tell)
        on_step("judging")
        result = collect(plan, kept)
        publish(folder, result.files(), KIND, last=RESULTS, force=force)
    return result
