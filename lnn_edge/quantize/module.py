"""Any torch module -> integer graph, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn

from lnn_edge.errors import QuantizationError
from lnn_edge.files.finite import check_finite
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.passes.names import name_output
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import Channel, Range, choose_ranges
from lnn_edge.graph.reference import Reference
from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d
from lnn_edge.nn.plan import Plan
from lnn_edge.nn.proof import prove, stream
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.threads import one_thread
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import last_nodes, trace
from lnn_edge.quantize.assemble import lower, lower_behind
from lnn_edge.quantize.lowering import HEADROOM, input_format
from lnn_edge.quantize.observe import Sequences, observe
from lnn_edge.quantize.rules import RULES
from lnn_edge.quantize.worth import tensor_facts

LONGEST_PROOF = 300  # frames, if they hold several outputs: each is a step of Python
MOST_KEPT, LONGEST_KEPT = 4, 2000  # sequences of the reference, and frames of each


def quantize_module(
    module: nn.Module,
    data: Any,
    *,
    name: str = "model",
    rate_hz: float | None = None,
    dt: Literal["input"] | None = None,
    hop: int | None = None,
    front: Pipeline | None = None,
    frame: QTensor | None = None,
    classes: Sequence[str] = (),
    facts: Mapping[str, object] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> QGraph:
    """Return the integer graph of a torch module.

    After n frames since the reset the graph's output is that of the last element of forward on
    those n frames, which is proved in floating point on the first sequence.

    Args:
        module: forward reads (B, T, C), with dt (B, T, 1) where that is an input, and gives
            (B, T', K), (B, K) of the last step, or several of them. It is left as it is.
        data: Calibration: (N, T, C); (x, dt) for two inputs; or a list of sequences (T, C) or
            tuples of them. Never of a test set.
        name: C prefix.
        rate_hz: Frames a second.
        dt: "input" where forward reads elapsed time, the last channel of a frame on the device.
        hop: Frames from one window to the next where forward judges one window, (B, L, C) ->
            (B, K), and data holds windows (N, L, C).
        front: Integer front end; forward's arguments are tensors of its last stage, by name.
        frame: Format of a frame that a sensor fixes; None takes it from the data.
        classes: Names of the outputs where they are scores.
        facts: Further metadata; see graph.contract.
        ranges: (low, high) of what layers give, by their names in the module: of all that need
            one, since none is then observed on the data. With `frame` alone.

    Raises:
        LayerError: Something has no place on a device; names the user's line and the remedy.
        QuantizationError: The data do not fit forward, hold NaN, or never reach a value.
    """
    sequences = _sequences(data, dt is not None or front is not None)
    known = {"sample_rate_hz": rate_hz, "classes": list(classes)}
    metadata = {**(facts or {}), **{k: v for k, v in known.items() if v}}
    with one_thread():  # the proof takes many small steps
        return _quantized(module, sequences, name, metadata, hop, front, frame, ranges)


def _quantized(
    module: nn.Module,
    sequences: Sequences,
    name: str,
    metadata: Mapping[str, object],
    hop: int | None,
    front: Pipeline | None,
    frame: QTensor | None,
    told: Mapping[str, Range] | None,
) -> QGraph:
    if hop is not None:
        module, sequences = _sliding(module, sequences, hop)
    example = tuple(x.float() for x in sequences[0])
    plan = make_plan(trace(module, example), example)
    error = 0.0 if front is not None else prove(module, plan, _first(plan, example, LONGEST_PROOF))
    metadata = {**metadata, "streaming_error": error}
    if front is not None:
        return lower_behind(plan, observe(plan, _single(sequences)), front, name, metadata)[0]
    reference = _reference(plan, _single(sequences))
    clock = None
    if frame is None:
        frame, clock, sequences = _fitted(plan, sequences)
    ranges = observe(plan, _single(sequences)) if told is None else _by_node(plan, told)
    graph, values = lower(plan, ranges, frame, name, metadata, clock)
    if not graph.heads:
        graph = name_output(graph, next(iter(plan.outputs)))
    facts = tensor_facts(plan, values, graph, reference)
    return replace(graph, reference=replace(reference, tensors=facts))


def _by_node(plan: Plan, told: Mapping[str, Range]) -> Ranges:
    """Return the ranges of layers by the names of the nodes that give their outputs."""
    nodes = last_nodes(plan.traced)
    return {nodes[name].name: values for name, values in told.items() if name in nodes}


class _Windows(nn.Module):
    """forward of one window (B, L, C) -> (B, K), for every window of a sequence (B, T, C)."""

    def __init__(self, module: nn.Module, length: int, hop: int) -> None:
        super().__init__()
        self.module, self.length, self.hop = module, length, hop

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(1, self.length, self.hop)
        y = self.module(windows.flatten(0, 1).transpose(1, 2))
        return y.reshape(windows.shape[0], windows.shape[1], -1)  # type: ignore[no-any-return]


def _sliding(module: nn.Module, windows: Sequences, hop: int) -> tuple[nn.Module, Sequences]:
    """Return a module of sequences, and sequences of two windows each, one behind the other."""
    length = windows[0][0].shape[1]
    if not 0 < hop <= length:
        raise QuantizationError(f"hop must be 1 to {length} frames, those of a window, not {hop}")
    after = [*windows[1:], windows[0]]
    pairs = [(torch.cat((a[0], b[0]), 1),) for a, b in zip(windows, after, strict=True)]
    return _Windows(module, length, hop), pairs


def _sequences(data: Any, has_several: bool) -> Sequences:
    """Return sequences of inputs (1, T, ...) each.

    Raises:
        QuantizationError: There are none, they have other shapes, or they hold NaN.
    """
    parts = data if isinstance(data, list) else _apart(data)
    found = [part if isinstance(part, tuple) else (part,) for part in parts]
    if not found:
        raise QuantizationError("the calibration data hold no sequence; give one or more")
    sequences = []
    for index, sequence in enumerate(found):
        arrays = [np.asarray(a.detach() if isinstance(a, Tensor) else a) for a in sequence]
        for array in arrays:
            if array.ndim < 2 or not array.size:
                raise QuantizationError(
                    f"sequence {index} of the calibration data must be (frames, "
                    f"channels), not {array.shape}"
                )
            check_finite(
                f"sequence {index} of the calibration data",
                array,
                "remove or fill them",
                QuantizationError,
            )
        if len(arrays) > 1 and not has_several:
            raise QuantizationError("the data hold two inputs; give dt='input' for elapsed times")
        sequences.append(tuple(torch.from_numpy(a.astype(np.float64))[None] for a in arrays))
    return sequences


def _single(sequences: Sequences) -> Sequences:
    return [tuple(x.float() for x in s) for s in sequences]


def _apart(data: Any) -> list[Any]:
    """Return the sequences of an array (N, T, C), or of a tuple of such."""
    if isinstance(data, tuple):
        return list(zip(*data, strict=True))
    return list(data)


def _first(plan: Plan, sequence: tuple[Tensor, ...], frames: int) -> tuple[Tensor, ...]:
    """Return the first frames of a sequence, more where they hold no several outputs."""
    first, hop = plan.pace
    return tuple(x[:, : max(frames, first + 4 * hop)] for x in sequence)


def _reference(plan: Plan, sequences: Sequences) -> Reference:
    """Return the beginnings of a few sequences, and what forward gives for them."""
    kept = sequences[:: -(-len(sequences) // MOST_KEPT)]
    kept = [_first(plan, s, LONGEST_KEPT) for s in kept]
    frames = [torch.cat(inputs, -1)[0].double().numpy() for inputs in kept]
    return Reference(tuple(frames), tuple(_outputs(plan, inputs) for inputs in kept))


def _outputs(plan: Plan, inputs: Sequence[Tensor]) -> np.ndarray:
    """Return the outputs (D, K) of all decisions: forward's, streamed where it gives fewer."""
    nodes = plan.outputs.values()
    if all(plan.axes[n.name].time is not None and plan.timings[n.name].tail == 0 for n in nodes):
        rows: np.ndarray = _forward(plan, inputs)[0]
        return rows
    rows = torch.cat(tuple(stream(plan, inputs).values()), -1).double().numpy()
    return rows


def _fitted(plan: Plan, sequences: Sequences) -> tuple[QTensor, QTensor | None, Sequences]:
    """Return the formats of a frame and of elapsed time for the data, and what they hold."""
    shortest = min(s[0].shape[1] for s in sequences)
    blocks = [
        torch.cat(s, -1)[0, i : i + shortest].numpy()
        for s in sequences
        for i in range(0, s[0].shape[1] - shortest + 1, shortest)
    ]
    frames = np.stack(blocks)
    has_time, size = len(sequences[0]) > 1, sequences[0][0].shape[-1]
    if has_time and (frames[..., -1].min() < 0 or frames[..., -1].max() == 0):
        raise QuantizationError(
            "elapsed times must be positive, in seconds; they are negative, or 0 throughout"
        )
    dtype = "int8" if _reads_int8(plan) else "int16"
    channels = [
        Channel(f"channel{i}", partial(_channel, i, dtype if i < size else "dt"), i < size)
        for i in range(frames.shape[-1])
    ]
    ranges = choose_ranges(partial(_run, plan, size), frames, channels)
    bounds = [max(-low, high) for low, high in (ranges[c.name] for c in channels)]
    if _needs_one_scale(plan, size):
        bounds[:size] = [max(bounds[:size])] * size
    scales = [b * HEADROOM / 32767 for b in bounds[:size]] + [b / 32767 for b in bounds[size:]]
    one = scales[0] if len(set(scales)) == 1 else tuple(scales)
    clock = _clock(ranges[f"channel{size}"]) if has_time else None
    limits = [(-b, b) for b in bounds[:size]]
    limits += [tuple(clock.dequantize([clock.qmin, clock.qmax]).tolist())] if clock else []
    frame = QTensor("frame", (len(scales),), "int16", one, role="input")
    return frame, clock, [_clipped(s, limits) for s in sequences]


def _clipped(sequence: tuple[Tensor, ...], limits: Sequence[Range]) -> tuple[Tensor, ...]:
    low, high = torch.tensor(limits, dtype=torch.float64).T
    whole = torch.cat(sequence, -1).clip(low, high)
    return torch.split(whole, [x.shape[-1] for x in sequence], -1)


def _channel(index: int, dtype: str, values: Range) -> QTensor:
    """Return the tensor, (1,), in which the model reads a channel of a range."""
    if dtype == "dt":
        return _clock(values)
    low, high = values
    bound = max(-low, high)
    return input_format(f"channel{index}", np.array([bound * HEADROOM / 32767]), dtype)


def _clock(values: Range) -> QTensor:
    """Return elapsed time, limited to what was seen."""
    low, high = values
    scale = max(-low, high) / 32767
    limits = max(int(np.floor(low / scale)), 0), int(np.ceil(high / scale))
    return QTensor("dt", (1,), "uint16", scale, 0, *limits)


def _run(plan: Plan, size: int, frames: np.ndarray) -> np.ndarray:
    """Return the outputs (N, T', K), several side by side, on frames (N, T, C)."""
    x = torch.from_numpy(frames.astype(np.float32))
    return _forward(plan, (x,) if x.shape[-1] == size else (x[..., :size], x[..., size:]))


def _forward(plan: Plan, inputs: Sequence[Tensor]) -> np.ndarray:
    """Return the outputs (N, T', K), several side by side, of inputs (N, T, ...)."""
    with torch.no_grad():
        value = plan.traced(*inputs)
    parts = value.values() if isinstance(value, dict) else value
    parts = [value] if isinstance(value, Tensor) else list(parts)
    rows = torch.cat([p.reshape(len(inputs[0]), -1, p.shape[-1]) for p in parts], -1)
    outputs: np.ndarray = rows.double().numpy()
    return outputs


def _readers(plan: Plan) -> list[fx.Node]:
    """Return the nodes that compute with the frames, behind views."""
    found: list[fx.Node] = []
    left = [next(n for n in plan.traced.graph.nodes if n.op == "placeholder")]
    while left:
        for user in left.pop().users:
            rule = RULES.get(type(plan.layer_of(user)) if plan.layer_of(user) else user.target)
            is_view = rule is not None and rule.reads == "same"
            is_view |= user.name in plan.timings and user.target == "unfold"
            (left if is_view else found).append(user)
    return found


def _reads_int8(plan: Plan) -> bool:
    layers = [plan.layer_of(node) for node in _readers(plan)]
    return any(isinstance(layer, Recurrent) and layer.dtype == "int8" for layer in layers)


def _needs_one_scale(plan: Plan, size: int) -> bool:
    """Return whether something reads frames of a size and knows one scale only."""
    readers = [node for node in _readers(plan) if node.name in plan.timings]
    return not all(_reads_channels(plan, node, size) for node in readers)


def _reads_channels(plan: Plan, node: fx.Node, size: int) -> bool:
    """Return whether a node reads each channel of a frame in a scale of its own."""
    layer = plan.layer_of(node)
    if isinstance(layer, Recurrent) and isinstance(layer.cells[0], ConvLstm2d):
        return layer.cells[0].shape[-1] == size
    if isinstance(layer, nn.Conv1d):
        return layer.in_channels == size
    joins = (torch.cat, torch.concat, torch.concatenate)
    return isinstance(layer, nn.Linear | Recurrent | nn.AvgPool1d) or node.target in joins
