"""Recurrent layers over windows that overlap: a loop from rest in each, every cell of the road."""

from __future__ import annotations

import ctypes
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ncps.torch import LTC, CfC
from ncps.wirings import AutoNCP
from torch import Tensor, nn
from torch.nn import functional

import lnn_edge as le
from lnn_edge.codegen.fuse import fuse_stage
from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.errors import LayerError
from lnn_edge.files import resources
from lnn_edge.graph.file import load_graph, save_graph
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.proof import CLOSE
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.modules import Net
from tests.support.signals import sines
from tests.verify.test_verify import FakeLink

X = sines(6, 96, 6, 1)
UNITS = 10


def first(y: Any) -> Tensor:
    return y[0]  # type: ignore[no-any-return]


CELLS: dict[str, Any] = {
    "lstm": lambda: nn.LSTM(8, UNITS, 2, batch_first=True),
    "gru": lambda: nn.GRU(8, UNITS, batch_first=True),
    "cfc": lambda: CfC(8, UNITS, backbone_units=12),
    "pure": lambda: CfC(8, UNITS, mode="pure", backbone_units=12),
    "no_gate": lambda: CfC(8, UNITS, mode="no_gate", backbone_units=12),
    "mixed": lambda: CfC(8, UNITS, mixed_memory=True, backbone_units=12),
    "projected": lambda: CfC(8, 12, proj_size=UNITS, backbone_units=12),
    "wired": lambda: CfC(8, AutoNCP(24, UNITS, seed=1)),
    "ltc": lambda: LTC(8, UNITS),
    "wired_ltc": lambda: LTC(8, AutoNCP(24, UNITS, seed=1)),
}


class Windows(nn.Module):
    """Each cell reads windows of 6 of the convolution's frames, a head its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(6, 8, 3)
        self.cells = nn.ModuleDict({name: make() for name, make in CELLS.items()})
        self.heads = nn.ModuleDict({name: nn.Linear(UNITS, 3) for name in CELLS})
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = functional.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        w = z.unfold(1, 6, 3)
        steps, n = w.flatten(0, 1).transpose(1, 2), w.shape[:2]
        return {
            f"of_{name}": self.heads[name](self.cells[name](steps)[0][:, -1]).reshape(*n, -1)
            for name in CELLS
        }


def make(module: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: nn.Module = module()
    return net


def in_windows(pick: Any, size: int, **layers: Any) -> Net:
    """A head of 3 on what `pick` makes of windows of 24 raw frames."""

    def forward(s: Any, x: Tensor) -> Tensor:
        w = x.unfold(1, 24, 12)
        y: Tensor = s.head(pick(s, w.flatten(0, 1).transpose(1, 2)))
        return y.reshape(*w.shape[:2], -1)

    return Net(forward, head=nn.Linear(size, 3), **layers)


def lstm(inputs: int = 6, layers: int = 1) -> nn.Module:
    return nn.LSTM(inputs, UNITS, layers, batch_first=True)


READINGS: dict[str, Any] = {
    "last": lambda: in_windows(lambda s, w: s.a(w)[0][:, -1], UNITS, a=lstm()),
    "last of two": lambda: in_windows(lambda s, w: s.a(w)[1][0][-1], UNITS, a=lstm(6, 2)),
    "all": lambda: in_windows(lambda s, w: s.a(w)[0].flatten(1), 24 * UNITS, a=lstm()),
    "one before": lambda: in_windows(lambda s, w: s.a(w)[0][:, 11], UNITS, a=lstm()),
    "all and last": lambda: in_windows(
        lambda s, w: (lambda y, h: y[:, 3] + h[0][-1])(*s.a(w)), UNITS, a=lstm()
    ),
    "stacked": lambda: in_windows(
        lambda s, w: s.b(s.a(w)[0])[0][:, -1], 8, a=lstm(), b=nn.GRU(UNITS, 8, batch_first=True)
    ),
    "one output": lambda: in_windows(
        lambda s, w: s.a(w)[0], 8, a=CfC(6, 8, backbone_units=12, return_sequences=False)
    ),
    "projected": lambda: in_windows(
        lambda s, w: s.a(w)[0].flatten(1), 24 * 5, a=CfC(6, 8, backbone_units=12, proj_size=5)
    ),
    "every other": lambda: in_windows(lambda s, w: s.a(w[:, ::2])[0][:, -1], UNITS, a=lstm()),
    "convolved": lambda: in_windows(
        lambda s, w: s.a(functional.relu(s.c(w.mT)).mT)[0][:, -1],
        UNITS,
        a=lstm(8),
        c=nn.Conv1d(6, 8, 3),
    ),
}


def errors_of(graph: QGraph, module: nn.Module) -> list[float]:
    """Return the RMSE of each output over the span of what forward gives."""
    with torch.no_grad():
        value: Any = module(torch.from_numpy(X[2:3]))
    wanted = list(value.values()) if isinstance(value, dict) else [value]
    got, found = le.simulate(graph, X[2])[0], []
    for output, want in zip(graph.outputs, wanted, strict=True):
        real = want[0].double().numpy()
        off = output.part(got) - real
        found.append(float(np.sqrt(np.mean(off**2)) / np.ptp(real)))
    return found


def test_every_cell_starts_anew_in_every_window(tmp_path: Path) -> None:
    """Against torch and ncps; the C against the simulator, with sanitizers."""
    module = make(Windows)
    graph = le.quantize(module, X[:3, :48], name="net")
    assert float(str(graph.metadata["streaming_error"])) < CLOSE
    loops = [op for op in graph.deciding_stage.ops if isinstance(op, Loop)]
    assert [op.count for op in loops] == [6] * len(CELLS)
    assert not graph.states  # nothing outlives a decision
    assert max(errors_of(graph, module)) < 0.02
    program = compile_model(graph, tmp_path)
    noise = np.random.default_rng(3).integers(-32768, 32767, (20, 6))
    for frames in (graph.frame.quantize(X[0, :30]), noise):
        items = [("F", f) for f in frames.astype(np.int16)]
        assert run_c(program, items) == run_reference(graph, items)
    save_graph(graph, tmp_path / "net.qgraph")
    again = load_graph(tmp_path / "net.qgraph")
    assert run_reference(again, items) == run_reference(graph, items)


@pytest.mark.parametrize("name", READINGS)
def test_what_is_read_of_a_window(name: str) -> None:
    module = make(READINGS[name])
    graph = le.quantize(module, X, name="net")
    assert errors_of(graph, module)[0] < 0.01
    loops = [op for op in graph.deciding_stage.ops if isinstance(op, Loop)]
    is_last_alone = name in ("last", "last of two", "one output", "every other", "convolved")
    assert loops[-1].gives_all == (not is_last_alone and name != "stacked")


def test_numbers_that_lie_apart_are_refused() -> None:
    def forward(s: Any, w: Tensor) -> Tensor:
        return s.a(s.c(w.unsqueeze(1)).transpose(1, 2).flatten(2))[0][:, -1]  # type: ignore[no-any-return]

    module = make(lambda: in_windows(forward, UNITS, a=lstm(12), c=nn.Conv2d(1, 2, (3, 1))))
    with pytest.raises(LayerError, match="the numbers of a step lie apart in memory; put a conv"):
        le.quantize(module, X, name="net")


M7 = Core("cortex-m7", dsp=True)


class CLink(FakeLink):
    """A device whose diagnostic build is generated C."""

    def __init__(self, graph: QGraph, signal: Signal, folder: Path) -> None:
        super().__init__(graph, signal=signal)
        code = generate(graph, M7, trace=True)
        for name, text in render_model(code).items():
            (folder / name).write_text(text)
        runtime = resources.path("firmware") / "runtime"
        sources = map(str, [*folder.glob("*.c"), *runtime.glob("*.c")])
        built = ["gcc", "-shared", "-fPIC", "-O1", f"-I{folder}", f"-I{runtime}", *sources]
        subprocess.run([*built, "-o", str(folder / "net.so")], check=True)
        self._c = ctypes.CDLL(str(folder / "net.so"))
        self._context = (ctypes.c_uint32 * (code.context_bytes // 4))()

    def trace(self, operator: int, state: bytes) -> bytes:
        """Return what an operator of the step gives that the signal leads to."""
        self._c.net_reset(self._context)
        for frame in self.signal.frames[:24]:
            self._c.net_push_frame(self._context, frame.astype("<i2").tobytes())
        bytes_of = ctypes.POINTER(ctypes.c_uint8)()
        size = self._c.net_trace(self._context, ctypes.c_uint32(operator), ctypes.byref(bytes_of))
        return bytes(bytes_of[:size])


def damaged(graph: QGraph, name: str) -> QGraph:
    """Return the graph with an operator of its loop that reads the frame wrong."""
    stage = graph.deciding_stage
    (loop,) = (op for op in stage.ops if isinstance(op, Loop))
    (op,) = (op for op in loop.body if op.name == name)
    assert isinstance(op, Linear)
    weight = op.weight.copy()
    weight[0, :6] += np.where(weight[0, :6] < 0, 1, -1).astype(np.int8)
    wrong = replace(op, weight=weight)
    body = tuple(wrong if o is op else o for o in loop.body)
    ops = tuple(replace(loop, body=body) if o is loop else o for o in stage.ops)
    return replace(graph, stages=(*graph.preparing_stages, replace(stage, ops=ops)))


def test_the_wrong_operator_inside_is_named_with_its_round(tmp_path: Path) -> None:
    module = make(lambda: in_windows(lambda s, w: s.a(w)[0][:, -1], UNITS, a=lstm()))
    graph = le.quantize(module, X, name="net")
    (name,) = (op.name for op, _ in graph.all_ops if op.name.endswith("lstm_output_gate"))
    wrong = damaged(graph, name)
    frames = graph.frame.quantize(X[0, :30]).astype(np.int16)
    frames[:2] = 0  # so that rounds 0 and 1 are right
    signal = Signal("walk", frames)
    link = CLink(wrong, signal, tmp_path)
    result = verify(
        graph,
        [signal],
        FakeLink(wrong, signal=signal),  # type: ignore[arg-type]
        name="fake",
        open_trace=lambda: nullcontext(link),  # type: ignore[arg-type,return-value]
        traced=fuse_stage(graph.deciding_stage, M7).ops,
    )
    found = result.first_mismatch
    assert found is not None
    assert (found.operator.endswith(")[2]"), found.element) == (True, 0)
    assert name in found.operator
    (tmp_path / "right").mkdir()
    right = CLink(graph, signal, tmp_path / "right")
    stage = fuse_stage(graph.deciding_stage, M7)
    (loop,) = (op for op in stage.ops if isinstance(op, Loop))
    rounds = loop.run(frames[None, :24].astype(np.int64))
    outputs = [t for op in loop.body for t in op.outputs]
    wanted = [v[t.name][0].astype(t.dtype).tobytes() for v in rounds for t in outputs]
    assert [right.trace(i, b"") for i in range(len(wanted))] == wanted
