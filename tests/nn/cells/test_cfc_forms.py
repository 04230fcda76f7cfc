"""Every published form of the CfC cell: against its formula, its library and its integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import InputTrigger, Stage
from lnn_edge.nn.cell import LoweredCell
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.threads import one_thread

INPUT, HIDDEN, UNITS, BATCH, STEPS = 5, 7, 16, 3, 2000
DT = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080, "input")
CONSTANT = 0.8
HEADS = [
    CfcConfig("default", head="tanh"),
    CfcConfig("default", head="lecun_tanh", gate_sign=-1),
    CfcConfig("default", head="linear", gate_sign=-1),
    CfcConfig("no_gate", head="tanh"),
    CfcConfig("no_gate", head="lecun_tanh", gate_sign=-1),
    CfcConfig("no_gate", head="linear", gate_sign=-1),
    CfcConfig("pure", head="linear"),
]
BACKBONES = [
    (1, "lecun_tanh"),
    (0, "lecun_tanh"),
    (1, "tanh"),
    (1, "relu"),
    (1, "silu"),
    (1, "gelu"),
    (2, "lecun_tanh"),
    (3, "silu"),
]
FORMS = [
    replace(head, backbone_layers=layers, activation=activation)
    for head in HEADS
    for layers, activation in BACKBONES
]
QUICK = [f for f in FORMS if (f.backbone_layers, f.activation) == BACKBONES[0]] + FORMS[1:8]


def name_of(form: CfcConfig) -> str:
    return f"{form.mode}-{form.head}-{form.backbone_layers}-{form.activation}"


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with one_thread():
        yield


def make_cell(form: CfcConfig, mask: Tensor | None = None) -> Cfc:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        cell = Cfc(INPUT, HIDDEN, UNITS if form.backbone_layers else 0, form, mask).double()
        for name, parameter in cell.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.uniform_(parameter, -0.3, 0.3)
            if name in ("w_tau", "A"):
                torch.nn.init.uniform_(parameter, -1.2, 1.2)
        if form.head == "linear":  # nothing else keeps the recurrence from growing
            cell.ff1.weight.data *= 0.5
            if form.mode != "pure":
                cell.ff2.weight.data *= 0.5
    return cell.eval()


def sequences(steps: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 1.5, (BATCH, steps, INPUT)))
    return x, torch.from_numpy(rng.uniform(0.1, 3.0, (BATCH, steps, 1)))


WITNESSES = {
    "lecun_tanh": lambda v: 1.7159 * np.tanh(0.666 * v),
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
    "silu": lambda v: v / (1 + np.exp(-v)),
    "gelu": lambda v: v * (1 + erf(v / np.sqrt(2))) / 2,
    "linear": lambda v: v,
}


def written_down(cell: Cfc, x: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """The formulas of the published implementations, (B, T, H)."""
    form = cell.config
    p = {name: value.detach().numpy() for name, value in cell.state_dict().items()}

    def dense(name: str, v: np.ndarray) -> np.ndarray:
        product: np.ndarray = v @ p[f"{name}.weight"].T + p[f"{name}.bias"]
        return product

    h, states = np.zeros((len(x), HIDDEN)), []
    names = [*["backbone"] * bool(form.backbone_layers)]
    names += [f"deeper.{i}" for i in range(form.backbone_layers - 1)]
    for t in range(x.shape[1]):
        b = np.concatenate((x[:, t], h), axis=1)
        for name in names:
            b = WITNESSES[form.activation](dense(name, b))
        ff1 = WITNESSES[form.head](dense("ff1", b))
        if form.mode == "pure":
            rate = np.abs(p["w_tau"]) + np.abs(ff1)
            h = -p["A"] * np.exp(-dt[:, t] * rate) * ff1 + p["A"]
        else:
            ff2 = WITNESSES[form.head](dense("ff2", b))
            argument = form.gate_sign * dense("time_a", b) * dt[:, t] + dense("time_b", b)
            gate = 1 / (1 + np.exp(-argument))
            h = ff1 * (1 - gate * (form.mode == "default")) + gate * ff2
        states.append(h)
    return np.stack(states, 1)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_the_cell_is_its_formula(form: CfcConfig) -> None:
    cell, (x, dt) = make_cell(form), sequences(60)
    with torch.no_grad():
        got, _ = cell(x, dt, cell.initial_state(BATCH))
    assert float(
        (got - torch.from_numpy(written_down(cell, x.numpy(), dt.numpy()))).abs().max()
    ) < (1e-5)


TORCH_FORMS = [f for f in FORMS if f.gate_sign == 1]


@pytest.mark.parametrize("form", TORCH_FORMS, ids=name_of)
@pytest.mark.parametrize("masked", [False, True])
def test_the_cell_is_the_librarys(form: CfcConfig, masked: bool) -> None:
    ncps = pytest.importorskip("ncps.torch")
    columns = UNITS if form.backbone_layers else INPUT + HIDDEN
    mask = np.random.default_rng(3).integers(0, 2, (HIDDEN, columns)).astype(float)
    cell = make_cell(form, torch.from_numpy(mask) if masked else None)
    theirs = ncps.CfCCell(
        INPUT,
        HIDDEN,
        form.mode,
        form.activation,
        UNITS,
        form.backbone_layers,
        sparsity_mask=mask.T if masked else None,
    ).double()
    renamed = {}
    for name, value in cell.state_dict().items():
        parts = name.split(".")
        if parts[0] == "backbone":
            name = f"backbone.0.{parts[1]}"
        if parts[0] == "deeper":
            name = f"backbone.{2 * int(parts[1]) + 2}.{parts[2]}"
        renamed[name] = value
    theirs.load_state_dict(renamed, strict=True)
    x, dt = sequences(60)
    h = cell.initial_state(BATCH)
    with torch.no_grad():
        states, _ = cell(x, dt, h)
        for t in range(x.shape[1]):
            h, _ = theirs(x[:, t], h, dt[:, t])
            assert float((states[:, t] - h).abs().max()) < 1e-5


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_forward_is_step_after_step(form: CfcConfig) -> None:
    cell, (x, dt) = make_cell(form), sequences(20)
    h = cell.initial_state(BATCH)
    with torch.no_grad():
        states, last = cell(x, dt, h)
        for t in range(x.shape[1]):
            h = cell.step(x[:, t], h, dt[:, t])
            assert torch.allclose(states[:, t], h, rtol=0, atol=1e-12)
    assert torch.allclose(last, h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", [f for f in HEADS if f.mode != "pure"], ids=name_of)
def test_a_constant_dt_folds_into_one_matrix(form: CfcConfig) -> None:
    cell, (x, _) = make_cell(form), sequences(40)
    folded = make_cell(form)
    weight, bias = cell.folded_gate(CONSTANT)
    with torch.no_grad():
        for parameter in folded.time_a.parameters():
            parameter.zero_()
        folded.time_b.weight.copy_(weight)
        folded.time_b.bias.copy_(bias)
        dt = torch.full((BATCH, x.shape[1], 1), CONSTANT).double()
        wanted, _ = cell(x, dt, cell.initial_state(BATCH))
        got, _ = folded(x, dt, cell.initial_state(BATCH))
    assert float((got - wanted).abs().max()) < 1e-6


class Lowered:
    """A cell, its integers on the same inputs, and both outcomes."""

    def __init__(self, form: CfcConfig, constant: bool, steps: int = STEPS) -> None:
        self.cell, self.x = make_cell(form), symmetric("x", (INPUT,), "int8", 4.0)
        rng = np.random.default_rng(7)
        self.q = rng.integers(-127, 127, (steps, INPUT), endpoint=True)
        self.dt = rng.integers(DT.qmin, DT.qmax, (steps, 1), endpoint=True)
        self.q[:4], self.dt[:4] = [[127], [-127], [127], [-127]], [[36], [1080], [1080], [36]]
        seconds = np.full((steps, 1), CONSTANT) if constant else DT.dequantize(self.dt)
        self.wanted, self.ranges = self._real(seconds)
        self.lowered = self.cell.lower((self.x,), CONSTANT if constant else DT, self.ranges)
        self.got = run(self.lowered, self.q, self.dt)

    def _real(self, seconds: np.ndarray) -> tuple[np.ndarray, Ranges]:
        seen: dict[str, list[Tensor]] = {}

        def tap(name: str, value: Tensor) -> Tensor:
            seen.setdefault(name, []).append(value)
            return value

        x, dt = (torch.from_numpy(v)[None] for v in (self.x.dequantize(self.q), seconds))
        with torch.no_grad():
            states, _ = self.cell(x, dt, self.cell.initial_state(1), tap)
        return states[0].numpy(), {
            n: (float(torch.cat(v).min()), float(torch.cat(v).max())) for n, v in seen.items()
        }


def run(lowered: LoweredCell, q: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return h' of every step from a reset, (T, H)."""
    trigger = InputTrigger(QTensor("x", (INPUT,), "int8"), "r")
    stage = Stage("cell", trigger, lowered.ops, lowered.states, (lowered.output,))
    name = lowered.output.name
    states, _ = interpreter.run_sequence(
        stage, {"x": q, "dt": dt}, interpreter.initial_state(stage), (name,)
    )
    got: np.ndarray = states[name]
    return got


def check_lowered(form: CfcConfig, constant: bool) -> None:
    both = Lowered(form, constant)
    output = both.lowered.output
    error = output.dequantize(both.got) - both.wanted
    spread = both.wanted.max() - both.wanted.min()
    assert np.sqrt((error**2).mean()) <= 0.01 * spread
    (state,) = both.lowered.states
    assert state.tensor.dtype == "int16"
    assert state.tensor.qmin <= both.got.min() <= both.got.max() <= state.tensor.qmax
    np.testing.assert_array_equal(run(both.lowered, both.q[:50], both.dt[:50]), both.got[:50])


@pytest.mark.parametrize(
    ("form", "constant"),
    [
        pytest.param(form, constant, id=f"{name_of(form)}-{dt}", marks=marks)
        for form in QUICK
        for constant, dt, marks in (
            (False, "dt_input", []),
            # what dt does depends on the head, not on the backbone
            (True, "dt_constant", [] if form in HEADS else pytest.mark.slow),
        )
    ],
)
def test_integers_follow_the_real_cell(form: CfcConfig, constant: bool) -> None:
    check_lowered(form, constant)


@pytest.mark.slow
@pytest.mark.parametrize("constant", [False, True], ids=["dt_input", "dt_constant"])
@pytest.mark.parametrize("form", [f for f in FORMS if f not in QUICK], ids=name_of)
def test_integers_follow_the_real_cell_in_every_other_form(form: CfcConfig, constant: bool) -> None:
    check_lowered(form, constant)


@pytest.mark.parametrize(
    ("form", "bound"),
    [(HEADS[0], 32767 / 32768), (HEADS[1], 1.7159), (HEADS[3], 32767 / 16384), (HEADS[4], 3.4318)],
    ids=lambda v: name_of(v) if isinstance(v, CfcConfig) else "",
)
def test_the_state_has_the_format_of_its_bound(form: CfcConfig, bound: float) -> None:
    tensor = Lowered(form, False, 50).lowered.states[0].tensor
    assert tensor.qmax * tensor.scales[0] == pytest.approx(bound, rel=1e-12)


@pytest.mark.parametrize("dt", [0.01, 1.0])
def test_a_pure_state_is_bounded_by_the_smallest_dt(dt: float) -> None:
    """x exp(-dt x) is at most 1 / (e dt), and no more than where ff1 saturates."""
    cell, x = make_cell(HEADS[-1]), symmetric("x", (INPUT,), "int8", 4.0)
    amplitude = float(cell.A.detach().abs().max())
    for top in (0.5, 1000.0):
        lowered = cell.lower((x,), dt, {"ff1": (-top, top), "backbone": (-1.0, 1.0)})
        tensor = lowered.states[0].tensor
        peak = 1 / (np.e * dt) if top * dt > 1 else top * np.exp(-dt * top)
        assert tensor.qmax * tensor.scales[0] == pytest.approx(amplitude * (1 + peak))


def test_a_constant_dt_needs_no_input_and_one_matrix_less() -> None:
    timed, constant = (Lowered(HEADS[0], kind, 50).lowered for kind in (False, True))
    assert "dt" in {t.name for op in timed.ops for t in op.inputs}
    assert "dt" not in {t.name for op in constant.ops for t in op.inputs}
    counts = [sum(op.kind == "linear" for op in cell.ops) for cell in (timed, constant)]
    assert counts == [5, 4]


def test_a_whole_number_is_a_constant_dt() -> None:
    both = Lowered(HEADS[0], True, 20)
    whole, real = (both.cell.lower((both.x,), dt, both.ranges) for dt in (1, 1.0))
    np.testing.assert_array_equal(run(whole, both.q, both.dt), run(real, both.q, both.dt))


def test_names_carry_the_prefix() -> None:
    both = Lowered(HEADS[0], False, 20)
    ranges = {f"inner_{name}": value for name, value in both.ranges.items()}
    lowered = both.cell.lower((both.x,), DT, ranges, "inner_")
    assert all(op.name.startswith("inner_") for op in lowered.ops)
    assert all(t.name.startswith("inner_") for op in lowered.ops for t in op.outputs)
    np.testing.assert_array_equal(run(lowered, both.q, both.dt), both.got)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "liquid"}, "CfC mode must be one of .*, not 'liquid'"),
        ({"activation": "selu"}, "CfC activation must be one of .* not 'selu'"),
        ({"head": "relu"}, "CfC head must be one of .* not 'relu'"),
        ({"gate_sign": 0}, "CfC gate_sign must be one of .* not 0"),
        ({"backbone_layers": -1}, "CfC backbone_layers must be 0 or more, not -1"),
        ({"mode": "pure"}, "'pure' has no gate and a linear head; given head 'tanh'"),
        ({"mode": "pure", "head": "linear", "gate_sign": -1}, "gate_sign -1; take"),
    ],
)
def test_impossible_forms_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(CfcConfig(), **changes)  # type: ignore[arg-type]


def test_impossible_sizes_are_named() -> None:
    with pytest.raises(UsageError, match="hidden_size 0 must be at least 1"):
        Cfc(3, 0, 4)
    for units, layers in ((0, 1), (4, 0), (-1, 0)):
        with pytest.raises(UsageError, match="must be both positive or both 0"):
            Cfc(3, 2, units, CfcConfig(backbone_layers=layers))
    with pytest.raises(UsageError, match=r"mask must have shape \(2, 4\), not \(1, 1\)"):
        Cfc(3, 2, 4, mask=torch.ones(1, 1))


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_constant_dt_is_named(dt: float) -> None:
    cell, x = make_cell(HEADS[0]), symmetric("x", (INPUT,), "int8", 4.0)
    with pytest.raises(QuantizationError, match="constant dt must be positive and finite"):
        cell.lower((x,), dt, {})


@pytest.mark.parametrize("form", [f for f in HEADS if f.head == "linear"], ids=name_of)
def test_linear_heads_need_their_ranges(form: CfcConfig) -> None:
    both = Lowered(form, False, 20)
    for name in both.ranges:
        broken = {k: v for k, v in both.ranges.items() if k != name}
        with pytest.raises(QuantizationError, match=f"{name}: no range was observed"):
            both.cell.lower((both.x,), DT, broken)
