"""Runs trials by Ray Tune, on every core of this machine or of a cluster."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lnn_edge.errors import LnnEdgeError, UsageError
from lnn_edge.sweep.kept import Kept
from lnn_edge.sweep.trial import Trial, run

DEATHS = 3  # of its worker, after which a trial is given up
_ANSWER_S = 5.0  # in which a cluster answers
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the outcomes are the log
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # which prints to stdout even where it must be silent
}


@dataclass(frozen=True)
class OnRay:
    """An engine.

    Attributes:
        address: "auto", or HOST:PORT of a cluster that this machine is part of; None starts one of
            this machine's cores, which ends with the sweep.
    """

    address: str | None = None

    def __call__(
        self, trials: Sequence[Trial], kept: Kept, on_trial: Callable[[], None], /
    ) -> None:
        """Run all trials; one whose worker dies begins again on another.

        Raises:
            LnnEdgeError: A trial cannot be run.
            KeyboardInterrupt: The sweep was interrupted; what is finished is kept.
        """
        with _environment(_ENVIRONMENT), _connected(self.address):
            keeper = _keeper(kept)
            with tempfile.TemporaryDirectory() as passing:
                found = _tuner(trials, keeper, kept.prepared, on_trial, passing).fit()
            for one in found:
                _check(one)
        if not all(map(kept.has, trials)):
            raise KeyboardInterrupt


class _Keeper:
    """Writes outcomes on the machine of the sweep, whichever machine they come from."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def put(self, key: str, data: bytes) -> None:
        self._kept.put(key, data)


class _Progress(tune.Callback):  # type: ignore[misc]
    """Tells when a trial is finished."""

    def __init__(self, on_trial: Callable[[], None]) -> None:
        self._on_trial = on_trial

    def __getstate__(self) -> dict[str, object]:
        return {}  # Ray writes a copy to disk, which is never used

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._on_trial()


class _UntilError(tune.Stopper):  # type: ignore[misc]
    """Ends a sweep at the first trial that cannot be run anywhere."""

    def __init__(self) -> None:
        self._has_failed = False

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        self._has_failed |= "error" in result
        return False

    def stop_all(self) -> bool:
        return self._has_failed


def _run(config: Mapping[str, int], trials: Sequence[Trial], keeper: Any, prepared: Path) -> None:
    """Run one of the trials, on a worker."""
    trial = trials[config["trial"]]
    try:
        data = run(trial, prepared, is_shared=True).to_bytes()
    except LnnEdgeError as error:  # would be so again on another worker
        tune.report({"error": error})
        return
    ray.get(keeper.put.remote(trial.key, data))
    tune.report({"finished": 1})


def _tuner(
    trials: Sequence[Trial],
    keeper: Any,
    prepared: Path,
    on_trial: Callable[[], None],
    folder: str,
) -> tune.Tuner:
    made = tune.with_parameters(_run, trials=list(trials), keeper=keeper, prepared=prepared)
    return tune.Tuner(
        tune.with_resources(made, {"cpu": 1}),
        param_space={"trial": tune.grid_search(list(range(len(trials))))},
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            failure_config=tune.FailureConfig(max_failures=DEATHS),
            callbacks=[_Progress(on_trial)],
            stop=_UntilError(),
            verbose=0,
        ),
    )


def _keeper(kept: Kept) -> Any:
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Keeper)
    return actor.options(scheduling_strategy=here).remote(kept)


def _check(one: Any) -> None:
    error = (one.metrics or {}).get("error", one.error)
    if isinstance(error, LnnEdgeError):
        raise error
    if error is not None:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise LnnEdgeError(f"a trial failed on {DEATHS + 1} workers: {last}; sweep again to go on")


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Be part of a cluster, or of one that the caller has begun already."""
    if ray.is_initialized():
        yield
        return
    if address is not None:
        _check_address(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        quiet["include_dashboard"] = False
    try:
        ray.init(address=address or "local", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address or "this machine", error) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address where no cluster answers; Ray itself would try for minutes."""
    if "://" in address:
        raise UsageError(
            f"--ray-address {address} is of a remote client; give auto or HOST:PORT of a cluster "
            "that this machine is part of (`ray start --address HOST:PORT`)"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> UsageError:
    first = (str(error).splitlines() or [""])[0]
    return UsageError(
        f"there is no Ray cluster at {address} ({first}); start one with `ray start --head`, or "
        "leave --ray-address out"
    )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that Ray reads, for as long as it runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
