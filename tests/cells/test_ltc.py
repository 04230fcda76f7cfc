"""The LTC cell is the library's on every wiring, and its integers follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lnn_edge.cells.ltc import Ltc, LtcConfig
from lnn_edge.cells.wirings import NcpConfig, Wiring, auto_ncp, fully_connected, ncp, random_wiring
from lnn_edge.errors import UsageError
from lnn_edge.trained import one_thread

BATCH = 3
PUBLISHED = LtcConfig()
WIRINGS: dict[str, tuple[Wiring, Callable[[Any], Any]]] = {
    "full": (fully_connected(4, 6, 2), lambda w: w.FullyConnected(6, 2)),
    "random": (random_wiring(3, 8, 3, 0.6), lambda w: w.Random(8, 3, 0.6)),
    "ncp": (
        ncp(2, NcpConfig(3, 9, 4, 1, 2, 7, 1, 5)),
        lambda w: w.NCP(3, 9, 4, 1, 2, 7, 1, 5),
    ),
    "auto_ncp": (ncp(5, auto_ncp(20, 6)), lambda w: w.AutoNCP(20, 6)),
}
ELAPSED: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "1.0": lambda rng, steps: np.ones((BATCH, steps, 1)),
    "0.01": lambda rng, steps: np.full((BATCH, steps, 1), 0.01),
    "irregular": lambda rng, steps: rng.uniform(0.001, 3.0, (BATCH, steps, 1)),
}


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


def make_cell(name: str, config: LtcConfig = PUBLISHED, seed: int = 3) -> Ltc:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cell = Ltc(WIRINGS[name][0], config).double()
        for parameter in (cell.input_b, cell.output_b):
            torch.nn.init.uniform_(parameter, -0.3, 0.3)
        for parameter in (cell.input_w, cell.output_w):
            torch.nn.init.uniform_(parameter, -1.5, 1.5)
        for parameter in (cell.erev, cell.sensory_erev):
            torch.nn.init.uniform_(parameter, -1.5, 1.5)
    return cell.eval()


def sequences(inputs: int, steps: int, elapsed: str = "irregular") -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (BATCH, steps, inputs)))
    return x, torch.from_numpy(ELAPSED[elapsed](rng, steps))


def published(name: str, cell: Ltc) -> torch.nn.Module:
    """The cell of its authors' library with the same weights."""
    theirs = (
        pytest.importorskip("ncps.torch")
        .LTCCell(
            WIRINGS[name][1](pytest.importorskip("ncps.wirings")),
            cell.input_size,
            ode_unfolds=cell.config.unfolds,
            epsilon=cell.config.epsilon,
            implicit_param_constraints=cell.config.positivity == "softplus",
        )
        .double()
    )
    theirs.load_state_dict(cell.state_dict(), strict=True)
    return theirs


@pytest.mark.parametrize("elapsed", ELAPSED)
@pytest.mark.parametrize("unfolds", [1, 3, 6])
@pytest.mark.parametrize("positivity", ["softplus", "clip"])
@pytest.mark.parametrize("name", WIRINGS)
def test_the_cell_is_the_librarys(name: str, positivity: Any, unfolds: int, elapsed: str) -> None:
    cell = make_cell(name, LtcConfig(unfolds, positivity))
    theirs, (x, dt) = published(name, cell), sequences(cell.input_size, 60, elapsed)
    v = state = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, last = cell(x, dt, v)
        for t in range(x.shape[1]):
            wanted, v = theirs(x[:, t], v, dt[:, t])  # (B, 1): its sequences drop that axis
            output, state = cell.step(x[:, t], state, dt[:, t])
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-10
            assert torch.equal(output, outputs[:, t])
    assert torch.equal(last, state)
    assert float((last - v).abs().max()) < 1e-10
    assert float(outputs.std()) > 0.01


def test_single_precision_stays_within_1e_5() -> None:
    cell = make_cell("auto_ncp").float()
    theirs, (x, dt) = published("auto_ncp", cell).float(), sequences(5, 300)
    v = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, _ = cell(x.float(), dt.float(), v)
        for t in range(x.shape[1]):
            wanted, v = theirs(x[:, t].float(), v, dt[:, t].float())
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-5


def test_weights_below_zero_are_clipped_as_the_librarys_constraints_do() -> None:
    cell = make_cell("full", LtcConfig(positivity="clip"))
    with torch.no_grad():
        for parameter in (cell.w, cell.sensory_w, cell.gleak):
            parameter -= 0.5
    theirs, (x, dt) = published("full", cell), sequences(4, 30)
    theirs.apply_weight_constraints()
    v = cell.initial_state(BATCH)
    with torch.no_grad():
        outputs, _ = cell(x, dt, v)
        for t in range(30):
            wanted, v = theirs(x[:, t], v, dt[:, t])
            assert float((outputs[:, t] - wanted).abs().max()) < 1e-10


def test_as_many_sequences_as_neurons_keep_their_own_elapsed_time() -> None:
    """ncps LTC and CfC mix them up there without a word: (B,) elapsed times meet (B, N) states."""
    cell = make_cell("full")
    rng = np.random.default_rng(4)
    x, dt = (torch.from_numpy(rng.uniform(0.1, 3.0, (cell.units, 20, n))) for n in (4, 1))
    with torch.no_grad():
        together, _ = cell(x, dt, cell.initial_state(cell.units))
        alone = [cell(x[i : i + 1], dt[i : i + 1], cell.initial_state(1))[0] for i in range(6)]
    assert float((together - torch.cat(alone)).abs().max()) < 1e-14


def test_no_time_leaves_the_state_exactly() -> None:
    cell, (x, dt) = make_cell("full"), sequences(4, 1)
    v = torch.from_numpy(np.random.default_rng(2).normal(0, 0.3, (BATCH, 6)))
    with torch.no_grad():
        still = cell.step(x[:, 0], v, 0 * dt[:, 0])[1]
        moved = cell.step(x[:, 0], v, dt[:, 0])[1]
    assert float((still - v).abs().max()) < 1e-15
    assert float((moved - v).abs().max()) > 0.01


@pytest.mark.parametrize("name", WIRINGS)
def test_every_parameter_of_a_synapse_that_exists_is_trained(name: str) -> None:
    cell = make_cell(name)
    x, dt = sequences(cell.input_size, 12)
    outputs, state = cell(x, dt, cell.initial_state(BATCH))
    (outputs.square().sum() + state.square().sum()).backward()
    for prefix in ("", "sensory_"):
        mask = getattr(cell, f"{prefix}sparsity_mask") > 0
        for parameter in ("w", "erev", "sigma", "mu"):
            gradient = getattr(cell, prefix + parameter).grad
            assert ((gradient != 0) == mask).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LtcConfig(unfolds=0), "unfolds is 0, needed is at least 1"),
        (lambda: LtcConfig(positivity="relu"), "positivity is 'relu', needed is one of"),
        (lambda: LtcConfig(epsilon=-1.0), "epsilon is -1.0, needed is 0 to below 1"),
    ],
)
def test_impossible_configurations_are_named(make: Callable[[], LtcConfig], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
