"""Ray gives the same bits as running in order, whatever dies, and trains nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lnn_edge.cli import INTERRUPTED
from lnn_edge.errors import LnnEdgeError, UsageError
from lnn_edge.sweep.in_order import run_in_order
from lnn_edge.sweep.kept import Kept
from lnn_edge.sweep.plan import plan_sweep
from lnn_edge.sweep.run import run_sweep
from tests.support.places import ROOT
from tests.sweep.walks import COLUMNS, SMALL, asked, write_walks

pytest.importorskip("ray.tune", reason="Ray is not installed: pip install 'lnn-edge[sweep]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TWO = "hidden_size=4,8"
RESULTS = ["best.toml", "figures.json", "front.svg", "results.csv", "settings.csv"]
PATIENCE_S = 600
MAIN = "from lnn_edge.cli import main; main()"


@pytest.fixture(scope="module", autouse=True)
def no_compiler() -> Iterator[None]:
    """Leave sizes out, which other tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LNN_ARM_GCC", "no-such-compiler")
        yield


@pytest.fixture(scope="module", autouse=True)
def short_paths() -> Iterator[None]:
    """Give Ray a folder of a short name: its sockets have paths of at most 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-") as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_TMPDIR", folder)
            yield


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walks(tmp_path_factory.mktemp("walks"))


@pytest.fixture(scope="module")
def in_order(walks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("order")
    run_sweep(asked(walks, TWO), folder, run_in_order)
    return folder


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes with a processor each, which this process is not yet part of."""
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


def on_ray(address: str | None = None) -> Any:
    from lnn_edge.sweep.on_ray import OnRay

    return OnRay(address)


def written(folder: Path) -> dict[str, int]:
    """Return when each finished trial was written."""
    return {p.name: p.stat().st_mtime_ns for p in (folder / "trials").glob("*.npz")}


def assert_same(folder: Path, other: Path) -> None:
    names = [*RESULTS, *(f"trials/{name}" for name in written(other))]
    assert written(folder).keys() == written(other).keys()
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_a_node_that_dies_costs_nothing_but_time(
    cluster: Any, walks: Path, in_order: Path, tmp_path: Path
) -> None:
    (node,) = cluster.worker_nodes

    def kill(done: int, _count: int) -> None:
        if done == 1:
            cluster.remove_node(node, allow_graceful=False)

    run_sweep(asked(walks, TWO), tmp_path / "sweep", on_ray(cluster.address), on_trial=kill)
    assert not cluster.worker_nodes
    assert_same(tmp_path / "sweep", in_order)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_is_taken_up_by_the_next(
    sent: signal.Signals, cluster: Any, walks: Path, in_order: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    words = [w for s in (*SMALL, TWO) for w in ("--set", s)]
    command = [sys.executable, "-c", MAIN, "sweep", "har-cfc", "--data", walks, *COLUMNS, *words]
    command += ["--folds", "2", "--ray-address", cluster.address, "-o", folder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as driver:
        try:
            _wait_for_a_trial(driver, folder)
            driver.send_signal(sent)
            _, said = driver.communicate(timeout=PATIENCE_S)
        finally:
            driver.kill()
    before = written(folder)
    assert before
    if sent == signal.SIGINT:
        assert driver.returncode == INTERRUPTED
        assert said.splitlines()[-1] == "error: interrupted; give the same command again"
    told: list[tuple[int, int]] = []
    engine = on_ray(cluster.address)
    run_sweep(asked(walks, TWO), folder, engine, on_trial=lambda *n: told.append(n))
    assert told == [(n, 4) for n in range(len(before), 5)]
    assert before.items() <= written(folder).items()
    assert_same(folder, in_order)


def _wait_for_a_trial(driver: subprocess.Popen[str], folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not list((folder / "trials").glob("*.npz")):
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_recordings_that_changed_meanwhile_end_the_sweep(tmp_path: Path) -> None:
    walks = write_walks(tmp_path / "walks")
    trials = plan_sweep(asked(walks, TWO)).trials
    text = (walks / "w0.csv").read_text()
    (walks / "w0.csv").write_text(text.replace("walk", "rest", 1))
    (tmp_path / "sweep").mkdir()
    with pytest.raises(LnnEdgeError, match="are others than when the sweep began"):
        on_ray()(trials, Kept(tmp_path / "sweep"), lambda: None)
    assert not list(tmp_path.glob("sweep/trials/*"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://host:1", "is of a remote client"),
        ("127.0.0.1:9", "there is no Ray cluster at"),
        ("here", "there is no Ray cluster at here"),
    ],
)
def test_an_address_without_a_cluster_is_refused(address: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        on_ray(address)([], Kept(tmp_path), lambda: None)
