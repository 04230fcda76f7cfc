"""The CfC cell is the published one, and its integers follow it for thousands of steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.cell import LoweredCell
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.threads import one_thread

SIZES = [(7, 12, 24), (3, 1, 2), (16, 20, 40)]  # input, hidden, backbone
STEPS = 2000
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080, "input")
NAMES = {"backbone": "backbone.0", **{n: n for n in ("ff1", "ff2", "time_a", "time_b")}}


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


def make_cell(sizes: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> Cfc:
    with torch.random.fork_rng():
        torch.manual_seed(sum(sizes))
        cell = Cfc(*sizes)
        for name, parameter in cell.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.uniform_(parameter, -0.3, 0.3)
    return cell.to(dtype).eval()


def inputs(
    sizes: tuple[int, int, int], batch: int, steps: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (batch, steps, sizes[0]))).to(dtype)
    dt = torch.from_numpy(rng.uniform(0.0, 3.0, (batch, steps, 1))).to(dtype)
    return x, dt


def published(cell: Cfc, sizes: tuple[int, int, int]) -> torch.nn.Module:
    """The cell of its authors' library with the same weights."""
    ncps = pytest.importorskip("ncps.torch")
    theirs = ncps.CfCCell(
        sizes[0], sizes[1], backbone_activation="lecun_tanh", backbone_units=sizes[2]
    ).to(next(cell.parameters()).dtype)
    renamed = {}
    for name, value in cell.state_dict().items():
        layer, kind = name.split(".")
        renamed[f"{NAMES[layer]}.{kind}"] = value
    theirs.load_state_dict(renamed, strict=True)
    return theirs.eval()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-14)], ids=["single", "double"]
)
def test_the_cell_is_the_published_one(
    sizes: tuple[int, int, int], dtype: torch.dtype, limit: float
) -> None:
    """Every step from the same state: what differs is rounding of one step."""
    cell, (x, dt) = make_cell(sizes, dtype), inputs(sizes, 4, 200, dtype)
    theirs, h = published(cell, sizes), cell.initial_state(4)
    assert theirs.mode == "default"
    with torch.no_grad():
        for t in range(x.shape[1]):
            wanted, _ = theirs(x[:, t], h, dt[:, t])
            got = cell.step(x[:, t], h, dt[:, t])
            assert float((got - wanted).abs().max()) <= limit
            h = got


@pytest.mark.parametrize("sizes", SIZES)
def test_sequences_stay_with_the_published_cell(sizes: tuple[int, int, int]) -> None:
    cell, (x, dt) = make_cell(sizes), inputs(sizes, 4, 500)
    theirs, h = published(cell, sizes), cell.initial_state(4)
    with torch.no_grad():
        states, last = cell(x, dt, h)
        for t in range(x.shape[1]):
            h, _ = theirs(x[:, t], h, dt[:, t])
            assert float((states[:, t] - h).abs().max()) <= 1e-6
    assert float((last - h).abs().max()) <= 1e-6


@pytest.mark.parametrize("sizes", SIZES)
def test_forward_is_step_after_step(sizes: tuple[int, int, int]) -> None:
    cell, (x, dt) = make_cell(sizes), inputs(sizes, 3, 40)
    h, states = cell.initial_state(3), []
    with torch.no_grad():
        together, last = cell(x, dt, h)
        for t in range(x.shape[1]):
            h = cell.step(x[:, t], h, dt[:, t])
            states.append(h)
        assert torch.allclose(together, torch.stack(states, 1), rtol=0, atol=1e-12)
        assert torch.allclose(last, h, rtol=0, atol=1e-12)
        middle = cell(x[:, :13], dt[:, :13], cell.initial_state(3))[1]
        assert torch.allclose(
            cell(x[:, 13:], dt[:, 13:], middle)[0], together[:, 13:], rtol=0, atol=1e-12
        )


def test_elapsed_time_moves_the_gate_and_no_time_leaves_time_b() -> None:
    cell, (x, _) = make_cell(SIZES[0]), inputs(SIZES[0], 5, 1)
    h = cell.initial_state(5)
    with torch.no_grad():
        now, later = (cell.step(x[:, 0], h, torch.full((5, 1), s).double()) for s in (0.0, 3.0))
        for parameter in cell.time_a.parameters():
            parameter.zero_()
        timeless = cell.step(x[:, 0], h, torch.full((5, 1), 3.0).double())
    assert not torch.allclose(now, later, atol=1e-2)
    assert torch.allclose(now, timeless, atol=1e-14)


def test_the_state_starts_at_zero_and_stays_inside_one() -> None:
    cell, (x, dt) = make_cell(SIZES[0]), inputs(SIZES[0], 2, 300)
    assert not cell.initial_state(2).any()
    with torch.no_grad():
        states, _ = cell(100 * x, dt, cell.initial_state(2))
    assert float(states.abs().max()) <= 1.0


class Lowered:
    """A cell, its integers on the same inputs, and both outcomes."""

    def __init__(self, sizes: tuple[int, int, int]) -> None:
        self.cell, self.x = make_cell(sizes), symmetric("x", (sizes[0],), "int8", 4.0)
        rng = np.random.default_rng(7)
        self.q = rng.integers(-127, 127, (STEPS, sizes[0]), endpoint=True)
        self.dt = rng.integers(DT.qmin, DT.qmax, (STEPS, 1), endpoint=True)
        self.q[:4], self.dt[:4] = [[127], [-127], [127], [-127]], [[36], [1080], [1080], [36]]
        self.wanted, self.ranges = self._real()
        self.lowered = self.cell.lower((self.x,), DT, self.ranges)
        self.got = self.run(self.lowered, x=self.q)

    def _real(self) -> tuple[np.ndarray, Ranges]:
        seen: dict[str, list[Tensor]] = {}

        def tap(name: str, value: Tensor) -> Tensor:
            seen.setdefault(name, []).append(value)
            return value

        real = (torch.from_numpy(t.dequantize(v))[None] for t, v in self._pairs())
        with torch.no_grad():
            states, _ = self.cell(*real, self.cell.initial_state(1), tap)
        return states[0].numpy(), {
            n: (float(torch.cat(v).min()), float(torch.cat(v).max())) for n, v in seen.items()
        }

    def _pairs(self) -> list[tuple[QTensor, np.ndarray]]:
        return [(self.x, self.q), (DT, self.dt)]

    def run(self, lowered: LoweredCell, **given: np.ndarray) -> np.ndarray:
        """Return h' of every step, (T, H)."""
        frame = next(iter(given))
        trigger = InputTrigger(QTensor(frame, given[frame].shape[1:], "int8"), "r")
        stage = Stage("cell", trigger, lowered.ops, lowered.states, (lowered.output,))
        name = lowered.output.name
        values = {**given, "dt": self.dt[: len(given[frame])]}
        states, _ = interpreter.run_sequence(
            stage, values, interpreter.initial_state(stage), (name,)
        )
        got: np.ndarray = states[name]
        return got


@pytest.fixture(scope="module", params=SIZES, ids=str)
def lowered(request: pytest.FixtureRequest) -> Lowered:
    return Lowered(request.param)


def test_integers_follow_the_real_cell_without_drifting(lowered: Lowered) -> None:
    """int8 weights and an int8 view of the state: an error that does not grow with the steps."""
    output = lowered.lowered.output
    error = output.dequantize(lowered.got) - lowered.wanted
    assert np.abs(lowered.wanted).max() > 0.8
    assert np.abs(error).max() < 0.06
    assert np.sqrt((error**2).mean()) < 0.01
    quarters = np.sqrt((error.reshape(4, -1) ** 2).mean(axis=1))
    assert quarters[-1] < 1.2 * quarters[0]


def test_the_state_never_leaves_its_format(lowered: Lowered) -> None:
    (state,) = lowered.lowered.states
    tensor = state.tensor
    assert (tensor.dtype, tensor.scale, tensor.zero_point) == ("int16", 2.0**-15, 0)
    assert state.initial == 0
    assert tensor.qmin <= lowered.got.min() <= lowered.got.max() <= tensor.qmax
    assert np.abs(lowered.got).max() > 20000


def test_parts_are_joined_in_the_order_of_x(lowered: Lowered) -> None:
    first = 1
    a, b = (symmetric(n, (k,), "int8", 4.0) for n, k in (("a", 1), ("b", lowered.x.size - 1)))
    cell = lowered.cell.lower((a, b), DT, lowered.ranges)
    parts = {"a": lowered.q[:300, :first], "b": lowered.q[:300, first:]}
    np.testing.assert_array_equal(lowered.run(cell, **parts), lowered.got[:300])


@pytest.mark.parametrize("name", ["time_a", "time_b"])
def test_a_range_that_was_not_observed_is_named(name: str) -> None:
    cell, x = make_cell(SIZES[0]), symmetric("x", (7,), "int8", 4.0)
    ranges = {"time_a": (-1.0, 1.0), "time_b": (-1.0, 1.0)}
    for broken in ({k: v for k, v in ranges.items() if k != name}, {**ranges, name: (0.5, 0.5)}):
        with pytest.raises(QuantizationError, match=f"{name}: no range was observed; calibrate"):
            cell.lower((x,), DT, broken)
