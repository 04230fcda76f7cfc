"""Proof that a plan, fed frame by frame, computes what forward computes on the whole sequence."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from lnn_edge.errors import LayerError
from lnn_edge.nn.axes import run_nodes
from lnn_edge.nn.endings import ENDINGS
from lnn_edge.nn.plan import Plan, PlannedStage, number, time_key
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.trace import where

CLOSE = 1e-4  # relative to the largest output: float32 sums in another order


def prove(module: nn.Module, plan: Plan, inputs: Sequence[Tensor]) -> float:
    """Return the largest difference of streamed outputs from forward's, relative to the largest.

    Args:
        module: The user's.
        plan: Made of it.
        inputs: Of forward, one sequence (1, T, ...) each.

    Raises:
        LayerError: They differ by more than CLOSE, forward's outputs depend on the length, or it
            gives none.
    """
    with torch.no_grad():
        wanted = _tensors(copy.deepcopy(module).cpu().float().eval()(*inputs))
        traced = _tensors(plan.traced(*inputs))
    for theirs, scores, ending in zip(wanted, traced, plan.endings, strict=True):
        ours = ENDINGS[ending][1](scores) if ending else scores
        if _difference(ours.flatten(), theirs.float().flatten()) > CLOSE:
            raise LayerError(
                f"the traced layers differ from forward by {_difference(ours, theirs):.3g}: one of "
                "them has a form that is not known here, or += changes a value of two names"
            )
    streamed = stream(plan, inputs)
    pairs = zip(plan.outputs, traced, strict=True)
    return max(_error(plan, name, inputs, streamed, w) for name, w in pairs)


def stream(plan: Plan, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the outputs (N, K), by name, of one sequence fed frame by frame."""
    run = _Run(plan)
    for t in range(inputs[0].shape[1]):
        run.push([x[:, t : t + 1] for x in inputs])
    return {
        name: torch.cat([v.reshape(1, -1) for v in run.seen[node.name]])
        for name, node in plan.outputs.items()
        if run.seen.get(node.name)
    }


def _error(
    plan: Plan,
    name: str,
    inputs: Sequence[Tensor],
    streamed: Mapping[str, Tensor],
    wanted: Tensor,
) -> float:
    node = plan.outputs[name]
    rows = wanted.reshape(-1, wanted.shape[-1])
    if not len(rows):
        raise LayerError(
            f"{where(node)}: forward gives no output for {inputs[0].shape[1]} frames, so nothing "
            "can be compared; give longer sequences"
        )
    got = streamed.get(name, rows[:0])
    if plan.axes[node.name].time is None:
        got = got[-1:]
    elif plan.timings[node.name].tail < 0:  # forward leaves its last results out
        got = got[: len(rows)]
    if len(got) != len(rows):
        raise LayerError(
            f"{where(node)}: {len(got)} outputs frame by frame, forward gives {len(rows)}; give "
            "longer sequences, or cut and pad at the start only"
        )
    error = _difference(got, rows)
    if error > CLOSE:
        raise LayerError(
            f"{where(_first_wrong(plan, inputs) or node)}: fed frame by frame this differs from "
            f"the whole sequence by {error:.3g}; it reads other frames than its own, so take "
            "layers that read the past only"
        )
    return error


def _difference(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    return float((a - b).abs().max()) / max(float(b.abs().max()), 1e-9)


def _first_wrong(plan: Plan, inputs: Sequence[Tensor]) -> Any:
    """Return the first node whose streamed values differ from forward's, element by element."""
    run = _Run(plan)
    for t in range(inputs[0].shape[1]):
        run.push([x[:, t : t + 1] for x in inputs])
    wanted = run_nodes(plan.traced, *inputs)
    for node in plan.traced.graph.nodes:
        axes, got = plan.axes.get(node.name), run.seen.get(node.name)
        if (
            not got
            or axes is None
            or axes.time is None
            or not isinstance(wanted[node.name], Tensor)
        ):
            continue
        mine, value = torch.cat(got, axes.time), wanted[node.name]
        steps = min(mine.shape[axes.time], value.shape[axes.time])
        if _difference(*(v.narrow(axes.time, 0, steps) for v in (mine, value))) > 10 * CLOSE:
            return node
    return None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, tuple | list) else [value]


class _Run:
    """A plan in floating point, frame by frame.

    Attributes:
        seen: What each node computed, element by element.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: dict[str, list[Tensor]] = {}
        self._interpreter = fx.Interpreter(plan.traced)
        self._rings: list[list[Tensor]] = [[] for _ in plan.stages]
        self._counts = [0] * len(plan.stages)
        self._states: dict[str, list[Any]] = {}

    def push(self, frames: Sequence[Tensor]) -> None:
        """Feed one frame, (1, 1, ...), of each input."""
        places = [n for n in self.plan.traced.graph.nodes if n.op == "placeholder"]
        with torch.no_grad():
            self._fire(
                self.plan.stages[0], dict(zip([p.name for p in places], frames, strict=True))
            )

    def _fire(self, stage: PlannedStage, values: dict[str, Any]) -> None:
        for name, value in stage.carried.items():
            values[name] = self.seen[value.source.name][-1 - value.lag]
        for node in stage.nodes:
            if node.op != "placeholder":
                values[node.name] = self._run(node, stage, values)
            if isinstance(values[node.name], Tensor):
                self.seen.setdefault(node.name, []).append(values[node.name])
        for child in self.plan.stages:
            if child.parent == stage.index:
                self._offer(child, values[child.source.name])

    def _offer(self, stage: PlannedStage, element: Tensor) -> None:
        ring = self._rings[stage.index]
        ring.append(element)
        del ring[: -stage.length]
        count = self._counts[stage.index] - stage.after
        self._counts[stage.index] += 1
        if count >= 0 and count % stage.hop == 0:
            self._fire(stage, {})

    def _run(self, node: fx.Node, stage: PlannedStage, values: dict[str, Any]) -> Any:
        if node.name in stage.reads:
            return self._read(node, stage)
        if self._cuts_time(node):
            return self._value(node.args[0], values)  # the one element that there is
        args, kwargs = self._known((node.args, node.kwargs), values)
        layer = self.plan.layer_of(node)
        if isinstance(layer, Recurrent):
            return self._recur(node, layer, args, kwargs)
        try:
            return getattr(self._interpreter, node.op)(node.target, args, kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise LayerError(
                f"{where(node)}: fed frame by frame this fails ({reason}); give longer sequences, "
                "of many more steps than any size in forward"
            ) from None

    def _read(self, node: fx.Node, stage: PlannedStage) -> Tensor:
        """Return what a layer makes of its view of a ring."""
        read, ring = stage.reads[node.name], self._rings[stage.index]
        axis = self.plan.axes[stage.source.name].time
        missing = max(read.lag + read.size - len(ring), 0) if stage.is_causal else 0
        ring = [torch.zeros_like(ring[0])] * missing + ring
        end = len(ring) - read.lag
        x = torch.cat(ring[end - read.size : end : read.step], axis or 0)
        layer: Any = self.plan.layer_of(node)
        if isinstance(layer, nn.Conv1d):
            form = (layer.weight, layer.bias, 1, 0, layer.dilation, layer.groups)
            return functional.conv1d(x, *form)
        if layer is not None:
            return layer(x)  # type: ignore[no-any-return]
        return x.unfold(*map(number, node.args[1:])) if node.target == "unfold" else x

    def _recur(self, node: fx.Node, layer: Recurrent, args: Any, kwargs: Any) -> Any:
        x, *rest = args
        if kwargs.get("hx", rest[0] if rest else None) is not None:
            return layer(x, *rest, **kwargs)  # refuses
        spans = kwargs.get("timespans", rest[1] if len(rest) > 1 else None)
        before = None if node.name in self.plan.at_rest else self._states.get(node.name)
        y, self._states[node.name] = layer.run(x, spans, before)
        return layer.returned(y, self._states[node.name])

    def _cuts_time(self, node: fx.Node) -> bool:
        if node.target is not operator.getitem:
            return False
        given: Any = node.args[0]
        axes = self.plan.axes.get(given.name)
        if axes is None or isinstance(self.plan.layer_of(given), Recurrent):
            return False
        key = time_key(node, axes)
        return isinstance(key, slice) and key != slice(None)

    def _known(self, value: Any, values: Mapping[str, Any]) -> Any:
        return fx.node.map_arg(value, lambda n: self._value(n, values))

    def _value(self, node: Any, values: Mapping[str, Any]) -> Any:
        if node.name in values:
            return values[node.name]
        if node.name in self.plan.timings:  # a view of time that ends in one element
            return self._value(node.args[0], values)
        if node.op == "get_attr":
            return self._interpreter.get_attr(node.target, (), {})
        sizes = sizes_of(self.plan, node)
        if sizes is not None:
            return sizes
        args, kwargs = self._known((node.args, node.kwargs), values)
        return getattr(self._interpreter, node.op)(node.target, args, kwargs)


def sizes_of(plan: Plan, node: fx.Node) -> Any:
    """Return what a node that asks for a shape finds on a device; None for other nodes."""
    of = node.args[0] if node.args else None
    if not isinstance(of, fx.Node) or of.name not in plan.axes:
        return None
    sizes = plan.axes[of.name].sizes
    if node.target is getattr and node.args[1] == "shape":
        return torch.Size(sizes)
    if node.target == "size":
        return sizes[node.args[1]] if len(node.args) > 1 else torch.Size(sizes)  # type: ignore[index]
    return None
