"""Modules of torch in ONNX, and what onnxruntime computes with them: the witness of `import`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Forward = Callable[[Any, Tensor], Any]
OPSET = 17
STEPS = 40


class Net(nn.Module):
    """Layers by name, and a forward that uses them."""

    def __init__(self, forward: Forward, layers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.formula = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Any:
        """Return what the formula gives."""
        return self.formula(self, x)


@dataclass(frozen=True)
class Case:
    """A module and how it is exported and imported.

    Attributes:
        shape: Of the input, one sequence.
        forward: Formula of the layers.
        layers: Makes them.
        free: Whether sequences and frames are of any number in the file.
        hop: Of windows.
        time_axis: Where the option is given.
        opset: Of the file.
    """

    shape: tuple[int, ...]
    forward: Forward
    layers: Callable[[], dict[str, nn.Module]]
    free: bool = True
    hop: int | None = None
    time_axis: int | None = None
    opset: int = OPSET
    steps: int = field(default=STEPS)

    def module(self, seed: int = 0) -> Net:
        """Return the module in evaluation mode, its norms away from where they start."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = Net(self.forward, self.layers())
            for layer in net.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
                    nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        return net.eval()

    def save(self, path: Path) -> Path:
        """Write the module in ONNX; return the path."""
        names = ("batch", "time") if len(self.shape) > 2 else ("batch",)
        axes = {"x": dict(enumerate(names))} if self.free else {}
        return exported(self.module(), self.shape, path, axes, self.opset)


def exported(
    module: nn.Module,
    shape: Sequence[int],
    path: Path,
    axes: dict[str, dict[int, str]],
    opset: int = OPSET,
    **options: Any,
) -> Path:
    """Write a module in ONNX by torch.onnx.export; return the path."""
    buffer: Any = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch, about its own exporter
        torch.onnx.export(
            module,
            (torch.zeros(*shape),),
            buffer,
            input_names=["x"],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
            **options,
        )
    path.write_bytes(buffer.getvalue())
    return path


def of_time(x: Tensor) -> Tensor:
    """Return (B, C, T) of (B, T, C), and back."""
    return x.transpose(1, 2)


SHAPE, WINDOW = (1, STEPS, 3), (1, 32, 3)
CASES: dict[str, Case] = {
    "mlp": Case(
        SHAPE,
        lambda s, x: s.b(torch.tanh(s.a(x))),
        lambda: {"a": nn.Linear(3, 5), "b": nn.Linear(5, 2)},
    ),
    "lstm of two layers": Case(
        SHAPE,
        lambda s, x: s.b(s.a(x)[0]),
        lambda: {"a": nn.LSTM(3, 5, 2, batch_first=True), "b": nn.Linear(5, 2)},
    ),
    "lstm of a fixed length": Case(
        SHAPE,
        lambda s, x: s.b(s.a(x)[0]),
        lambda: {"a": nn.LSTM(3, 5, batch_first=True), "b": nn.Linear(5, 2)},
        free=False,
    ),
    "gru, the newest output": Case(
        SHAPE,
        lambda s, x: s.b(s.a(x)[0][:, -1]),
        lambda: {"a": nn.GRU(3, 5, batch_first=True, bias=False), "b": nn.Linear(5, 2)},
    ),
    "gru, its state": Case(
        SHAPE,
        lambda s, x: s.b(s.a(x)[1][-1]),
        lambda: {"a": nn.GRU(3, 5, batch_first=True), "b": nn.Linear(5, 2)},
    ),
    "rnn": Case(
        SHAPE,
        lambda s, x: s.b(s.a(x)[0]),
        lambda: {"a": nn.RNN(3, 5, batch_first=True), "b": nn.Linear(5, 2)},
    ),
    "conv, norm, gru": Case(
        SHAPE,
        lambda s, x: s.b(s.a(of_time(torch.relu(s.n(s.c(of_time(x))))))[0]),
        lambda: {
            "c": nn.Conv1d(3, 4, 3, 2),
            "n": nn.BatchNorm1d(4),
            "a": nn.GRU(4, 5, batch_first=True),
            "b": nn.Linear(5, 2),
        },
    ),
    "causal": Case(
        SHAPE,
        lambda s, x: s.b(of_time(functional.gelu(s.c(functional.pad(of_time(x), (4, 0)))))),
        lambda: {"c": nn.Conv1d(3, 4, 3, dilation=2), "b": nn.Linear(4, 2)},
    ),
    "causal by a cut": Case(
        SHAPE,
        lambda s, x: s.b(of_time(functional.silu(s.c(of_time(x))[..., :-2]))),
        lambda: {"c": nn.Conv1d(3, 4, 3, padding=2), "b": nn.Linear(4, 2)},
    ),
    "grouped": Case(
        SHAPE,
        lambda s, x: of_time(s.d(functional.gelu(s.c(of_time(x))))),
        lambda: {"c": nn.Conv1d(3, 6, 3, groups=3), "d": nn.Conv1d(6, 2, 1)},
        opset=20,
    ),
    "pools": Case(
        SHAPE,
        lambda s, x: s.b(of_time(s.q(s.p(of_time(x))))),
        lambda: {"p": nn.MaxPool1d(2), "q": nn.AvgPool1d(3, 1), "b": nn.Linear(3, 2)},
    ),
    "branches": Case(
        SHAPE,
        lambda s, x: s.b(
            torch.cat((s.a(x) + s.c(x), torch.sigmoid(s.a(x)) * s.c(x), s.a(x) - s.c(x)), -1)
        ),
        lambda: {"a": nn.Linear(3, 4), "c": nn.Linear(3, 4), "b": nn.Linear(12, 2)},
    ),
    "one bias twice": Case(
        SHAPE,
        lambda s, x: torch.tanh(s.a(x) + s.a.bias + s.a.bias),
        lambda: {"a": nn.Linear(3, 4)},
    ),
    "parts": Case(
        SHAPE,
        lambda s, x: s.b(torch.tanh(s.a(x)[..., :4]) * torch.sigmoid(s.a(x).chunk(2, -1)[1])),
        lambda: {"a": nn.Linear(3, 8), "b": nn.Linear(4, 2)},
    ),
    "two heads": Case(
        SHAPE,
        lambda s, x: (s.b(s.a(x)[0]), torch.log_softmax(s.c(s.a(x)[0]), -1)),
        lambda: {
            "a": nn.GRU(3, 5, batch_first=True),
            "b": nn.Linear(5, 2),
            "c": nn.Linear(5, 3),
        },
    ),
    "frames as images": Case(
        (1, STEPS, 12),
        lambda s, x: s.b(torch.relu(s.c(x.reshape(-1, 3, 4))).reshape(*x.shape[:2], -1)),
        lambda: {"c": nn.Conv1d(3, 4, 2), "b": nn.Linear(12, 2)},
    ),
    "normalized input": Case(
        SHAPE,
        lambda s, x: s.b((x - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([1.0, 2.0, 0.5])),
        lambda: {"b": nn.Linear(3, 2)},
    ),
    "activations": Case(
        SHAPE,
        lambda s, x: s.d(
            functional.elu(
                s.c(functional.hardsigmoid(functional.hardswish(s.b(functional.relu6(s.a(x))))))
            )
        ),
        lambda: {"a": nn.Linear(3, 4), "b": nn.Linear(4, 4), "c": nn.Linear(4, 4), "d": nn.ELU()},
    ),
    "smooth activations": Case(
        SHAPE,
        lambda s, x: functional.leaky_relu(s.b(functional.softplus(s.a(x))), 0.3),
        lambda: {"a": nn.Linear(3, 4), "b": nn.Linear(4, 2)},
    ),
    "frame": Case(
        (1, 6),
        lambda s, x: torch.softmax(s.b(functional.leaky_relu(s.a(x))), -1),
        lambda: {"a": nn.Linear(6, 5), "b": nn.Linear(5, 2)},
    ),
    "window: cnn": Case(
        WINDOW,
        lambda s, x: s.b(s.p(torch.relu(s.n(s.c(of_time(x))))).flatten(1)),
        lambda: {
            "c": nn.Conv1d(3, 4, 3, padding=1),
            "n": nn.BatchNorm1d(4),
            "p": nn.MaxPool1d(2),
            "b": nn.Linear(64, 2),
        },
        free=False,
        hop=8,
    ),
    "window: channels first": Case(
        (1, 3, 32),
        lambda s, x: s.b(torch.relu(s.c(x)).mean(-1)),
        lambda: {"c": nn.Conv1d(3, 4, 3), "b": nn.Linear(4, 2)},
        free=False,
        hop=8,
        time_axis=2,
    ),
    "window: image": Case(
        (1, 1, 32, 6),
        lambda s, x: s.b(
            s.q(torch.relu(s.d(s.p(torch.relu(s.c(functional.pad(x, (1, 1, 2, 0)))))))).flatten(1)
        ),
        lambda: {
            "c": nn.Conv2d(1, 4, 3),
            "p": nn.MaxPool2d(2),
            "d": nn.Conv2d(4, 4, (3, 2), (2, 1)),
            "q": nn.AdaptiveAvgPool2d(1),
            "b": nn.Linear(4, 2),
        },
        free=False,
        hop=8,
        time_axis=2,
    ),
    "window: lstm": Case(
        WINDOW,
        lambda s, x: s.b(s.a(x)[0][:, -1]),
        lambda: {"a": nn.LSTM(3, 5, batch_first=True), "b": nn.Linear(5, 2)},
        free=False,
        hop=8,
    ),
    "window: cnn, gru": Case(
        WINDOW,
        lambda s, x: s.b(s.a(of_time(torch.relu(s.c(of_time(x)))))[1][-1]),
        lambda: {
            "c": nn.Conv1d(3, 4, 5, 2),
            "a": nn.GRU(4, 5, batch_first=True),
            "b": nn.Linear(5, 2),
        },
        free=False,
        hop=8,
    ),
    "window: rows": Case(
        WINDOW,
        lambda s, x: s.b(torch.tanh(s.a(x)).flatten(1)),
        lambda: {"a": nn.Linear(3, 2), "b": nn.Linear(64, 2)},
        free=False,
        hop=8,
    ),
}


def frames_of(case: Case, seed: int = 1, steps: int = STEPS) -> np.ndarray:
    """Return sequences (2, T, C), as lnn-edge reads them."""
    rng = np.random.default_rng(seed)
    axis = 1 if case.time_axis is None else case.time_axis
    others = [n for i, n in enumerate(case.shape) if i not in (0, axis)]
    channels = int(np.prod(others)) if len(case.shape) > 2 else case.shape[1]
    return rng.normal(0, 1, (2, steps, channels)).astype(np.float32)


def by_onnxruntime(path: Path, case: Case, frames: np.ndarray) -> list[np.ndarray]:
    """Return what onnxruntime gives for sequences, an array (2, D, K) or (2, K) for an output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()  # fused integer kernels saturate on some processors
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path.read_bytes(), options)
    rows = [_one(session, case, sequence) for sequence in frames]
    return [np.stack(parts) for parts in zip(*rows, strict=True)]


def _one(session: Any, case: Case, sequence: np.ndarray) -> list[np.ndarray]:
    if case.hop is None:
        x = sequence[None] if len(case.shape) > 2 else sequence
        found = session.run(None, {"x": x.reshape(-1, *sequence.shape[-1:]) if x.ndim < 3 else x})
        return [y[0] if len(case.shape) > 2 else y for y in found]
    axis = 1 if case.time_axis is None else case.time_axis
    length = case.shape[axis]
    others = [n for i, n in enumerate(case.shape) if i not in (0, axis)]
    windows = []
    for start in range(0, len(sequence) - length + 1, case.hop):
        window = sequence[start : start + length].reshape(length, *others)
        windows.append(session.run(None, {"x": np.moveaxis(window, 0, axis - 1)[None]}))
    return [np.concatenate(parts).reshape(len(windows), -1) for parts in zip(*windows, strict=True)]
