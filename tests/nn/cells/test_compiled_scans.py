"""Recurrences in C: gradients, blocks and threads, what is refused, and memory."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lnn_edge.nn.cells import compiled_scan
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory
from lnn_edge.nn.cells.wirings import auto_ncp, fully_connected, ncp
from tests.support.places import ROOT

INPUTS, HIDDEN = 3, 5
CELLS: dict[str, Callable[[], nn.Module]] = {
    "cfc": lambda: Cfc(INPUTS, HIDDEN, 4),
    "cfc-silu": lambda: Cfc(INPUTS, HIDDEN, 4, CfcConfig("no_gate", 2, "silu")),
    "cfc-gelu": lambda: Cfc(INPUTS, HIDDEN, 4, CfcConfig("default", 1, "gelu")),
    "cfc-pure": lambda: Cfc(INPUTS, HIDDEN, 4, CfcConfig("pure", head="linear")),
    "ltc": lambda: Ltc(fully_connected(INPUTS, HIDDEN, 2), LtcConfig(2)),
    "ltc-wired": lambda: Ltc(ncp(INPUTS, auto_ncp(8, 2)), LtcConfig(2)),
}


def made(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return CELLS[name]().double()


def sequences(batch: int, steps: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, steps, INPUTS, generator=generator, dtype=torch.float64)
    return x, torch.rand(batch, steps, 1, generator=generator, dtype=torch.float64) + 0.2


def run(cell: nn.Module, x: Tensor, dt: Tensor) -> Tensor:
    states: Tensor = cell(x, dt, cell.initial_state(len(x)))[0]  # type: ignore[operator]
    return states


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_small_differences(name: str) -> None:
    cell = made(name)
    x, dt = sequences(2, 3)
    names, values = zip(*cell.named_parameters(), strict=True)

    def states(x: Tensor, dt: Tensor, h: Tensor, *values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        called: tuple[Tensor, Tensor] = torch.func.functional_call(cell, parameters, (x, dt, h))
        return called[0]

    h = torch.full_like(cell.initial_state(2), 0.1)  # type: ignore[operator]
    inputs = (x.requires_grad_(), dt.requires_grad_(), h.requires_grad_(), *values)
    assert torch.autograd.gradcheck(states, inputs, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_threads_change_no_bit(name: str, threads: Callable[[int], None]) -> None:
    cell = made(name).float()
    x, dt = (v.float() for v in sequences(70, 9))  # three blocks, the last one not full
    found = []
    for count in (1, 3):
        threads(count)
        cell.zero_grad()
        states = run(cell, x, dt)
        states.square().sum().backward()  # type: ignore[no-untyped-call]
        found.append([states.detach(), *(p.grad for p in cell.parameters() if p.grad is not None)])
    for one, many in zip(*found, strict=True):
        assert torch.equal(one, many)


@pytest.mark.parametrize("name", CELLS)
def test_a_sequence_does_not_depend_on_those_beside_it(name: str) -> None:
    cell = made(name)
    x, dt = sequences(40, 4)
    assert torch.equal(run(cell, x, dt)[:3], run(cell, x[:3], dt[:3]))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_floats_that_leave_their_range_end_as_in_torch(name: str, size: float) -> None:
    cell = made(name).float()
    x, dt = (v.float() for v in sequences(3, 8))
    x[1, 1] = size
    x[2, 2] = torch.nan
    found = [run(cell, x, dt)]
    with torch.no_grad():
        found.append(run(cell, x, dt))
    torch.testing.assert_close(found[0][:2], found[1][:2], rtol=1e-4, atol=1e-5)
    assert found[0][2, -1].isnan().all()  # so that a training that diverges is noticed


def test_what_c_does_not_run_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "lnn_edge")
    cell, (x, dt) = Cfc(INPUTS, HIDDEN, 4).bfloat16(), sequences(2, 2)
    run(cell, x.bfloat16(), dt.bfloat16()).sum().backward()  # type: ignore[no-untyped-call]
    assert "CfC: torch runs the recurrence, not C: torch.bfloat16 on cpu" in caplog.text
    MixedMemory(INPUTS, HIDDEN, 4, "state")(
        x.float(), dt.float(), (torch.zeros(2, HIDDEN), torch.zeros(2, HIDDEN))
    )
    assert "mixed memory: torch runs" in caplog.text
    monkeypatch.setattr(compiled_scan, "_compiled", lambda *_: None)
    run(made("ltc"), x, dt).sum().backward()  # type: ignore[no-untyped-call]
    assert "LTC: torch runs the recurrence, not C: no C compiler works here" in caplog.text


def test_no_compiler_starts_where_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_scan, "_compiled", None)
    with torch.no_grad():
        for name in CELLS:
            run(made(name), *sequences(2, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_access_is_wild_and_nothing_undefined(tmp_path: Path, dtype: torch.dtype) -> None:
    for name, text in compiled_scan.sources_of(dtype, 16).items():
        (tmp_path / name).write_text(text)
    options = ["-std=gnu11", "-O1", "-march=native", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    sane = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    driver = ROOT / "tests/support/c/scans.c"
    program = tmp_path / "scans"
    files = [*map(str, sorted(tmp_path.glob("*.c"))), str(driver)]
    command = ["cc", *options, *sane, f"-I{tmp_path}", *files, "-o", str(program), "-lm"]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "300 runs\n"
