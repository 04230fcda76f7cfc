"""Causal networks of dilated convolutions by hand, and what they are in real numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Add
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, Start, Window

ADC = 1 / 1000


@dataclass(frozen=True)
class Net:
    """A stack of convolutions, each y = max(conv(z), 0) with its own dilation, and skips over them.

    Attributes:
        inputs: Channels of a frame.
        channels: Of each layer.
        kernel: Taps.
        dilations: One per layer.
        skip: Layers after which what went into the first of them is added, 0 for never.
        start: "zero", causal: every layer runs on every frame; "edge", valid: a layer waits until
            its window is whole.
        dtype: Of the rings' frames: int8, or int16 that holds int8 and takes twice the memory.
        thin: Frames from one that enters to the next.
        hop: Of the last layer, which decides.
        slack: Frames that the rings are longer than needed.
    """

    inputs: int = 3
    channels: int = 6
    kernel: int = 3
    dilations: tuple[int, ...] = (1, 2, 5)
    skip: int = 0
    start: Start = "zero"
    dtype: str = "int8"
    thin: int = 1
    hop: int = 1
    slack: int = 0

    def graph(self, name: str = "causal") -> QGraph:
        """Return the network in integers, the scales from 400 random frames."""
        return _Builder(self, name).graph()

    def weights(self, layer: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return random rows and bias of a layer, the same whatever the others are."""
        rng = np.random.default_rng(layer + 1)
        return rng.normal(0, 1 / np.sqrt(columns), (rows, columns)), rng.normal(0, 0.1, rows)

    def reach(self, layer: int) -> int:
        """Return the frames from a layer's first tap to its last."""
        return (self.kernel - 1) * self.dilations[layer] + 1

    def past(self, z: np.ndarray, layer: int) -> np.ndarray:
        """Return the taps (T, kernel * C) of each frame of (T, C), zeros before the first."""
        reach, step = self.reach(layer), self.dilations[layer]
        padded = np.concatenate([np.zeros((reach - 1, z.shape[1])), z])
        return np.concatenate([padded[i : i + len(z)] for i in range(0, reach, step)], axis=1)


class _Builder:
    """Builds stage after stage, real values beside them, which say how wide each tensor is."""

    def __init__(self, net: Net, name: str) -> None:
        self.net, self.name = net, name
        self.frame = QTensor("motion", (net.inputs,), "int16", ADC, role="input")
        self.stages: list[Stage] = []
        self.rings: list[Ring] = []
        rng = np.random.default_rng(99)
        self.z_real = rng.integers(-4000, 4001, (400, net.inputs)) * ADC
        self.z = self.frame
        self.frames: list[tuple[QTensor, np.ndarray]] = []  # of each ring z, real values beside it

    def graph(self) -> QGraph:
        self._enter()
        for layer in range(len(self.net.dilations)):
            self._layer(layer)
        metadata = {"sample_rate_hz": 50, "leads": [f"c{i}" for i in range(self.net.inputs)]}
        return QGraph(tuple(self.stages), tuple(self.rings), self.name, metadata)

    def _enter(self) -> None:
        """The frame, or the mean of each `thin` of them, through a matrix."""
        thin, frame = self.net.thin, self.frame
        trigger: InputTrigger | EveryTrigger = InputTrigger(frame, "z0")
        source = frame
        if thin > 1:
            self.stages.append(Stage("sample", InputTrigger(frame, "samples")))
            self._ring("samples", frame, thin)
            source = replace(frame, name="some", shape=(thin, self.net.inputs))
            trigger = EveryTrigger("samples", source, thin, thin)
            self.z_real = self.z_real.reshape(-1, thin * self.net.inputs)
        op = self._matrix("enter", -1, source, self.z_real, self.net.channels, relu=False)
        self.stages.append(Stage("enter", trigger, (op,), (), (self.z,)))

    def _layer(self, layer: int) -> None:
        net, ring = self.net, f"z{layer}"
        is_last = layer == len(net.dilations) - 1
        reach = net.reach(layer)
        self._ring(ring, self.z, reach)
        window = self._window(f"taps{layer}", net.kernel)
        first = 1 if net.start == "zero" else reach
        self.frames.append((self.z, self.z_real))
        ops: list[AbstractOp] = [self._convolution(layer, window)]
        others: tuple[Window, ...] = ()
        if net.skip and (layer + 1) % net.skip == 0:
            source = layer + 1 - net.skip
            old, real = self.frames[source]
            skipped = replace(old, name=f"skip{source}", role="input")
            others = (Window(f"z{source}", skipped),)
            new, self.z_real = self.z, self.z_real + real
            self.z = self._tensor(f"sum{layer}", self.z_real)
            ops.append(Add.quantize(f"add{layer}", new, skipped, self.z))
        hop = net.hop if is_last else 1
        trigger = EveryTrigger(ring, window, hop, first, net.dilations[layer], others)
        if is_last:
            scores = QTensor("scores", (4,), "int16", 1 / 2048)
            weight, bias = net.weights(100, 4, net.channels)
            ops.append(Linear.quantize("head", self.z, scores, weight, bias))
            self.stages.append(Stage("decide", trigger, tuple(ops), (), (scores,), (self.z,)))
        else:
            self.stages.append(Stage(f"layer{layer}", trigger, tuple(ops), (), (self.z,)))

    def _ring(self, name: str, frame: QTensor, reach: int) -> None:
        self.rings.append(Ring(name, frame, reach + self.net.slack, self.net.start))

    def _window(self, name: str, length: int) -> QTensor:
        return replace(self.z, name=name, shape=(length, *self.z.shape), role="input")

    def _convolution(self, layer: int, window: QTensor) -> Linear:
        past = self.net.past(self.z_real, layer)
        return self._matrix(f"y{layer}", layer, window, past, self.net.channels, relu=True)

    def _matrix(
        self, name: str, layer: int, x: QTensor, real: np.ndarray, rows: int, relu: bool
    ) -> Linear:
        """A matrix on (T, K) real values; its result becomes the newest z."""
        weight, bias = self.net.weights(layer, rows, real.shape[1])
        self.z_real = real @ weight.T + bias
        self.z_real = np.maximum(self.z_real, 0) if relu else self.z_real
        self.z = self._tensor(name, self.z_real)
        self.z = replace(self.z, qmin=0) if relu else self.z
        return Linear.quantize(f"{name}_matrix", x, self.z, weight, bias)

    def _tensor(self, name: str, real: np.ndarray) -> QTensor:
        scale = float(np.abs(real).max() * 1.1 / 127)
        return QTensor(name, real.shape[1:], self.net.dtype, scale, 0, -128, 127)


def real_rows(op: Linear) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias in real numbers, as the integers stand for them."""
    x, y = op.inputs[0], op.outputs[0]
    step = y.scales[0] * op.multiplier.astype(float) * 2.0 ** (op.shift - 32.0)
    scales = np.broadcast_to(x.scales, x.shape).ravel()
    return op.weight * step[:, None] / scales, op.bias * step
