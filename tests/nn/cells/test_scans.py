"""What training runs gives the outputs and gradients of the cells' steps, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wirings import auto_ncp, fully_connected, ncp
from tests.nn.cells.test_cfc_forms import FORMS, HEADS, name_of

BATCH, STEPS, INPUT, HIDDEN = 3, 70, 4, 5  # more steps than a chunk of the gradient holds
Run = Callable[[Tensor, Tensor, Tensor], Tensor]
UNWANTED_IN_C = [f"lnn_edge.nn.cells.{c}.scan" for c in ("cfc", "ltc")]
IN_C = ["lnn_edge.nn.cells.compiled_scan._compiled"]


def refused(*_arguments: object) -> None:
    """What a missing compiler gives; no states where C should have run."""


def gradients(cell: nn.Module, run: Run, dt_varies: bool, size: int) -> tuple[Tensor, list[Tensor]]:
    """Outputs, and the gradients of input, state, dt and every parameter."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, h = normal(BATCH, STEPS, INPUT).requires_grad_(), normal(BATCH, size) * 0.3
    h.requires_grad_()
    dt = normal(BATCH, STEPS, 1).abs() + 0.1 if dt_varies else torch.full((BATCH, STEPS, 1), 0.7)
    dt = dt.double().requires_grad_(dt_varies)
    cell.zero_grad()
    states = run(x, dt, h)
    (states * normal(*states.shape)).sum().backward()  # type: ignore[no-untyped-call]
    given = [x, h, *([dt] if dt_varies else []), *cell.parameters()]
    return states.detach(), [torch.zeros_like(v) if v.grad is None else v.grad for v in given]


def agree(cell: nn.Module, fast: Run, slow: Run, dt_varies: bool, size: int) -> None:
    """In C, and by torch where there is no compiler."""
    wanted, grads = gradients(cell, slow, dt_varies, size)
    expected = [g.clone() for g in grads]
    for without in (UNWANTED_IN_C, IN_C):
        with pytest.MonkeyPatch.context() as patch:
            for name in without:
                patch.setattr(name, refused)
            states, got = gradients(cell, fast, dt_varies, size)
        assert torch.allclose(states, wanted, rtol=0, atol=1e-9)
        for value, want in zip(got, expected, strict=True):
            assert torch.allclose(value, want, rtol=1e-7, atol=1e-9 * float(want.abs().max() + 1))


@pytest.mark.parametrize("dt_varies", [False, True])
@pytest.mark.parametrize(
    ("form", "masked"),
    [*((form, False) for form in FORMS), *((form, True) for form in HEADS)],
    ids=lambda v: name_of(v) if isinstance(v, CfcConfig) else f"masked={v}",
)
def test_cfc_over_a_sequence_is_step_after_step(
    form: CfcConfig, masked: bool, dt_varies: bool
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        units = 6 if form.backbone_layers else 0
        mask = (torch.rand(HIDDEN, units or INPUT + HIDDEN) < 0.6).double() if masked else None
        cell = Cfc(INPUT, HIDDEN, units, form, mask).double()
        if form.mode == "pure":
            nn.init.uniform_(cell.w_tau, -1, 1)
        if form.head == "linear":
            cell.ff1.weight.data *= 0.3
    agree(
        cell,
        lambda x, dt, h: cell(x, dt, h)[0],
        lambda x, dt, h: cell(x, dt, h, lambda _name, value: value)[0],  # with a tap: by steps
        dt_varies,
        HIDDEN,
    )


def by_steps(cell: Ltc, x: Tensor, dt: Tensor, v: Tensor) -> Tensor:
    outputs = []
    for t in range(x.shape[1]):
        output, v = cell.step(x[:, t], v, dt[:, t])
        outputs.append(output)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("dt_varies", [False, True])
@pytest.mark.parametrize("config", [LtcConfig(), LtcConfig(2, "clip")])
@pytest.mark.parametrize("wiring", [fully_connected(INPUT, HIDDEN, 3), ncp(INPUT, auto_ncp(8, 2))])
def test_ltc_over_a_sequence_is_step_after_step(
    wiring: object, config: LtcConfig, dt_varies: bool
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        cell = Ltc(wiring, config).double()  # type: ignore[arg-type]
    agree(
        cell,
        lambda x, dt, v: cell(x, dt, v)[0],
        lambda x, dt, v: by_steps(cell, x, dt, v),
        dt_varies,
        cell.units,
    )
