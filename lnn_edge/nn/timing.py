"""When each value of a traced module exists on a device: stages joined by rings.

After n frames the newest streamed output is the last element of forward on those n frames. A layer
that reads several elements in time (a convolution, a pooling, unfold) fires in a stage of its own,
on a ring that holds what it reads; all others run in the stage of what they read.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional

from lnn_edge.errors import LayerError
from lnn_edge.nn.axes import Axes, find_axes
from lnn_edge.nn.endings import cut_endings
from lnn_edge.nn.plan import Carried, Plan, PlannedStage, Read, Timing, layer_of, number, time_key
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.trace import where

OVER_TIME = (nn.Conv1d, nn.Conv2d, nn.AvgPool1d, nn.MaxPool1d)


def make_plan(traced: fx.GraphModule, inputs: Sequence[Tensor]) -> Plan:
    """Return when what runs.

    Args:
        traced: See trace.
        inputs: Of forward, (N, T, ...) each.

    Raises:
        LayerError: A layer needs frames that have not come, or two values never meet.
    """
    endings = cut_endings(traced)
    return _Planner(traced, find_axes(traced, inputs)).plan(endings)


class _Planner:
    def __init__(self, traced: fx.GraphModule, axes: Mapping[str, Axes]) -> None:
        self.traced, self.axes = traced, axes
        self.timings: dict[str, Timing] = {}
        self.at_rest: set[str] = set()
        self._shown: dict[str, fx.Node] = {}  # by the name of a view of time
        first = next(n for n in traced.graph.nodes if n.op == "placeholder")
        self.stages = [PlannedStage(0, first, 1, -1)]

    def plan(self, endings: Sequence[str]) -> Plan:
        outputs: dict[str, fx.Node] = {}
        for node in self.traced.graph.nodes:
            if node.op == "output":
                outputs = _outputs_of(node)
            elif node.name in self.axes:
                self.timings[node.name] = self._time(node)
        for stage in self.stages:
            for read in stage.reads.values():
                read.lag = stage.after - read.after
            for value in stage.carried.values():
                self._set_lag(stage, value)
        self._check_outputs(outputs)
        rests = frozenset(self.at_rest)
        return Plan(self.traced, self.axes, self.timings, self.stages, outputs, rests, endings)

    def _set_lag(self, stage: PlannedStage, value: Carried) -> None:
        for between in self._ways(stage):
            value.lag += between.after
            if between.source is value.source:
                break
        value.lag -= value.shift
        if value.lag < 0:
            raise LayerError(
                f"{where(value.source)}: a later layer joins this {-value.lag} frames ahead; cut "
                "the other path to the same element"
            )

    def _check_outputs(self, outputs: Mapping[str, fx.Node]) -> None:
        for node in outputs.values():
            if node.name not in self.timings:
                raise LayerError(f"{where(node)}: an output that no input reaches")
        if len({self.timings[n.name].stage for n in outputs.values()}) > 1:
            lines = "; ".join(map(where, outputs.values()))
            raise LayerError(f"outputs come at different rates ({lines}); make two models of them")
        for node in outputs.values():
            timing = self.timings[node.name]
            if timing.tail > 0:
                raise LayerError(
                    f"{where(node)}: the last {timing.tail} results of forward look beyond the "
                    "newest frame; pad on the left only: F.pad(x, (k - 1, 0))"
                )
            if timing.is_view:
                self._settle(node, timing)

    def _time(self, node: fx.Node) -> Timing:
        if node.op == "placeholder":
            self.stages[0].nodes.append(node)
            return Timing(0)
        before = [a for a in node.all_input_nodes if a.name in self.timings]
        if not before:
            raise LayerError(f"{where(node)}: a constant that is not a layer's weight")
        for rule in (self._over_time, self._pad, self._index, self._unfold, self._whole_record):
            timing = rule(node, before[0])
            if timing is not None:
                return timing
        return self._pointwise(node, before)

    def _pointwise(self, node: fx.Node, before: Sequence[fx.Node]) -> Timing:
        """A layer that treats every element alike; what it reads must exist in one stage."""
        self._check_restart(node, self.axes[before[0].name].names)
        latest = self._latest(before)
        here = [self._met(b, latest) for b in before]
        if len({t.stage for t in here}) > 1:
            names = " and ".join(b.name for b in before)
            raise LayerError(
                f"{where(node)}: joins {names}, which exist at different times; a skip over a "
                "layer with a window must be cut to the same element, x[:, k - 1:]"
            )
        self.stages[here[0].stage].nodes.append(node)
        tails = [t.tail for t in here]
        tail = min(tails, key=lambda t: (t > 0, t)) if min(tails) < 0 else max(tails)
        return Timing(here[0].stage, tail=tail)

    def _latest(self, before: Sequence[fx.Node]) -> PlannedStage | None:
        """Return the last stage on the road of those that compute values; None for views alone."""
        found = [self.timings[b.name] for b in before]
        stages = [self.stages[t.stage] for t in found if not t.is_view]
        return max(stages, key=lambda stage: len(self._ways(stage)), default=None)

    def _ways(self, stage: PlannedStage) -> list[PlannedStage]:
        """Return a stage and those before it on the road from the frames."""
        way = [stage]
        while way[-1].parent >= 0:
            way.append(self.stages[way[-1].parent])
        return way

    def _met(self, node: fx.Node, latest: PlannedStage | None) -> Timing:
        """Return when a value exists for a reader in a stage, carried there if it must be."""
        timing, origin = self.timings[node.name], self._origin(node)
        if latest is None or (timing.stage == latest.index and not timing.is_view):
            return self._settled(node)
        is_here = latest.source is origin and latest.hop == timing.stride
        if (timing.is_view and is_here and not latest.is_causal) or timing.pad:
            return self._settled(node)
        if timing.stride == 1 and self._passes(origin, latest):
            latest.carried[node.name] = Carried(origin, timing.shift)
            return Timing(latest.index, tail=timing.tail)
        if self._is_movable(node, timing):
            return self._moved(node, timing, latest)
        return self._settled(node)

    def _is_movable(self, node: fx.Node, timing: Timing) -> bool:
        """Return whether a layer treats every element alike and one node alone reads it."""
        stage = self.stages[timing.stage]
        kept = isinstance(layer_of(self.traced, node), Recurrent) or node.op == "placeholder"
        is_read = node.name in stage.reads or any(s.source is node for s in self.stages)
        return not (timing.is_view or kept or is_read) and len(node.users) == 1

    def _moved(self, node: fx.Node, timing: Timing, latest: PlannedStage) -> Timing:
        """Let a layer on a skip run where it is read, on carried values, if all it reads pass."""
        before = [b for b in node.all_input_nodes if b.name in self.timings]
        if any(self._met(b, latest).stage != latest.index for b in before):
            return timing
        self.stages[timing.stage].nodes.remove(node)
        latest.nodes.append(node)
        self.timings[node.name] = Timing(latest.index, tail=timing.tail)
        return self.timings[node.name]

    def _passes(self, origin: fx.Node, latest: PlannedStage) -> bool:
        """Return whether a value is what its stage hands on to a later one, at one pace."""
        for stage in self._ways(latest):
            if stage.hop > 1:
                return False
            if stage.source is origin:
                return stage.index > 0  # no ring holds what the first one reads
        return False

    def _check_restart(self, node: fx.Node, names: tuple[str | int, ...]) -> None:
        if not isinstance(layer_of(self.traced, node), Recurrent):
            return
        if names[0] == "BT":
            self.at_rest.add(node.name)
        elif "BT" in names:
            raise LayerError(
                f"{where(node)}: the layer must read (B * windows, steps, features), not windows "
                f"along axis {names.index('BT')}"
            )

    def _settled(self, node: fx.Node) -> Timing:
        timing = self.timings[node.name]
        return self._settle(node, timing) if timing.is_view else timing

    def _settle(self, node: fx.Node, timing: Timing) -> Timing:
        """Give a view that is read element by element a stage: a window of one, with a lag."""
        if timing.pad:
            raise LayerError(f"{where(node)}: padding over time that no convolution reads")
        made = self._pushed_back(node, timing)
        if made is None:
            read = Read(1, timing.shift)
            made = self._open(node, self._origin(node), timing.stride, read)
        made = Timing(made.stage, tail=_thinned(timing.tail, timing.stride))
        self.timings[node.name] = made
        self._shown.pop(node.name, None)
        return made

    def _pushed_back(self, node: fx.Node, timing: Timing) -> Timing | None:
        """Let the windows of a shifted value begin later, where nothing else reads them."""
        stage = self.stages[self.timings[self._origin(node).name].stage]
        if stage.index == 0 or timing.stride > 1:
            return None
        seen, left = {node}, [node]
        while left:
            current = left.pop()
            is_kept = isinstance(layer_of(self.traced, current), Recurrent)
            if is_kept or not set(current.users) <= seen | set(node.users):
                return None
            if current.name in stage.reads:
                continue
            fresh = {n for n in current.all_input_nodes if n.name in self.timings} - seen
            seen |= fresh
            left += fresh
        for n in seen:
            if n.name in stage.reads:
                stage.reads[n.name].after += timing.shift * stage.hop
        stage.nodes.append(node)
        return Timing(stage.index)

    def _origin(self, node: fx.Node) -> fx.Node:
        """Return the node whose values a view shows."""
        while node.name in self._shown:
            node = self._shown[node.name]
        return node

    def _open(
        self, node: fx.Node, source: fx.Node, hop: int, read: Read, *, is_causal: bool = False
    ) -> Timing:
        """Put the reader of a ring into the stage that reads it at this rate."""
        for stage in self.stages[1:]:
            if stage.source is source and (stage.hop, stage.is_causal) == (hop, is_causal):
                break
        else:
            parent = self.timings[source.name].stage
            stage = PlannedStage(len(self.stages), source, hop, parent, is_causal)
            self.stages.append(stage)
        stage.reads[node.name] = read
        stage.nodes.append(node)
        return Timing(stage.index)

    def _over_time(self, node: fx.Node, x: fx.Node) -> Timing | None:
        layer, axes = layer_of(self.traced, node), self.axes[x.name]
        if not isinstance(layer, OVER_TIME) or axes.time is None:
            return None
        if isinstance(layer, nn.Conv2d) or axes.time != 2:
            raise LayerError(
                f"{where(node)}: must be (B, channels, time), and time is axis {axes.time}: "
                "transpose(1, 2) before the layer"
            )
        timing = self.timings[x.name]
        stride, span, dilation = (_one(v) for v in _geometry(layer))
        is_causal = self._is_causal(node, layer, timing, span)
        if is_causal:
            return self._causal(node, x, Read(span, 0, dilation), _padding(layer))
        if span == stride == 1 and not timing.is_view:
            return self._pointwise(node, [x])
        reach = (span - 1) * timing.stride
        read = Read(reach + 1, timing.shift + reach, dilation * timing.stride, 0, timing.stride)
        made = self._open(node, self._origin(x), stride * timing.stride, read)
        return Timing(made.stage, tail=_thinned(timing.tail, stride * timing.stride))

    def _is_causal(self, node: fx.Node, layer: Any, timing: Timing, span: int) -> bool:
        """Return whether a kernel begins before the record, in zeros.

        Raises:
            LayerError: It looks into the future, or its padding is one that no ring holds.
        """
        left = _padding(layer) + timing.pad
        is_plain = isinstance(layer, nn.Conv1d) and layer.padding_mode == "zeros"
        if left == 0:
            return False
        if left != span - 1 or _one(layer.stride) > 1 or not is_plain:
            raise LayerError(
                f"{where(node)}: padding {layer.padding} (with {timing.pad} before) of a kernel "
                f"over {span} frames looks into the future, or begins before the record in a way "
                f"that no ring holds; take padding=0, or F.pad(x, ({span - 1}, 0)) before a "
                "stride of 1"
            )
        return True

    def _causal(self, node: fx.Node, x: fx.Node, read: Read, padding: int) -> Timing:
        """A kernel that begins in zeros: nothing waits."""
        base = x.all_input_nodes[0] if x.target is functional.pad else x
        timing = self._settled(base)
        made = self._open(node, self._origin(base), 1, read, is_causal=True)
        return Timing(made.stage, tail=timing.tail + padding)

    def _pad(self, node: fx.Node, x: fx.Node) -> Timing | None:
        if node.target is not functional.pad:
            return None
        axes, pads = self.axes[x.name], list(node.args[1])  # type: ignore[arg-type]
        pairs = [tuple(map(number, pads[i : i + 2])) for i in range(0, len(pads), 2)]
        place = None if axes.time is None else len(axes.names) - 1 - axes.time
        others = [pair for i, pair in enumerate(pairs) if i != place and pair != (0, 0)]
        if place is None or place >= len(pairs) or others:
            raise LayerError(f"{where(node)}: must pad time alone, not another axis")
        left, right = pairs[place]
        mode = node.kwargs.get("mode", node.args[2] if len(node.args) > 2 else "constant")
        value = node.kwargs.get("value", node.args[3] if len(node.args) > 3 else 0)
        if left < 0 or right or mode != "constant" or value:
            raise LayerError(
                f"{where(node)}: must pad with zeros and only before the first frame, as in "
                "F.pad(x, (k - 1, 0))"
            )
        timing = self.timings[x.name]
        if timing.stride > 1:
            timing = self._settle(x, timing)
        self._shown[node.name] = x
        return Timing(timing.stage, timing.shift, timing.pad + left, timing.tail)

    def _index(self, node: fx.Node, x: fx.Node) -> Timing | None:
        axes = self.axes[x.name]
        if node.target is not operator.getitem or axes.time is None:
            return None
        key, timing = time_key(node, axes), self.timings[x.name]
        if key == slice(None) or isinstance(layer_of(self.traced, x), Recurrent):
            return None
        if key == -1:
            return self._newest(node, x, timing)
        if not isinstance(key, slice):
            raise LayerError(
                f"{where(node)}: step {key} of a sequence; a device has the newest only: [:, -1]"
            )
        start, stop, step = (number(v) for v in (key.start or 0, key.stop or 0, key.step or 1))
        if start < 0 or stop > 0:
            raise LayerError(
                f"{where(node)}: a slice of time must start at 0 or later, or end below 0, as in "
                "[:, 4:] or [:, :-4]"
            )
        self._shown[node.name] = x
        shift = timing.shift + start * timing.stride
        tail = timing.tail + stop * timing.stride
        return Timing(timing.stage, shift, timing.pad, tail, timing.stride * step)

    def _newest(self, node: fx.Node, x: fx.Node, timing: Timing) -> Timing:
        if timing.tail:
            side = "beyond" if timing.tail > 0 else "behind"
            raise LayerError(
                f"{where(node)}: the last step is {abs(timing.tail)} frames {side} the newest; cut "
                "or pad at the start only"
            )
        return self._pointwise(node, [x])

    def _unfold(self, node: fx.Node, x: fx.Node) -> Timing | None:
        axes = self.axes[x.name]
        if node.target != "unfold" or axes.time is None:
            return None
        axis, size, hop = map(number, node.args[1:])
        if axis % len(axes.names) != axes.time:
            raise LayerError(f"{where(node)}: unfolds another axis than time")
        timing = self.timings[x.name]
        if timing.pad:
            raise LayerError(f"{where(node)}: padding over time that no convolution reads")
        reach = (size - 1) * timing.stride
        read = Read(reach + 1, timing.shift + reach, timing.stride, 0, timing.stride)
        return self._open(node, self._origin(x), hop * timing.stride, read)

    def _whole_record(self, node: fx.Node, x: fx.Node) -> Timing | None:
        """Refuse what reads a whole record at once."""
        time, after = self.axes[x.name].time, self.axes[node.name]
        is_reader = node.target is operator.getitem
        is_reader |= isinstance(layer_of(self.traced, node), Recurrent)
        if time is None or after.time is not None or is_reader or "BT" in after.names:
            return None
        raise LayerError(
            f"{where(node)}: the mean, sum or other reading of a whole record has no end on a "
            "device; take the last step, x[:, -1], or windows, x.unfold(1, length, hop)"
        )


def _geometry(layer: Any) -> tuple[Any, int, Any]:
    """Return stride, elements that the kernel spans, dilation."""
    dilation = _one(getattr(layer, "dilation", 1))
    return layer.stride, dilation * (_one(layer.kernel_size) - 1) + 1, dilation


def _thinned(tail: int, stride: int) -> int:
    """Return a tail in elements of which every `stride` is left; what a cut hits in part is cut."""
    return -(-tail // stride) if tail > 0 else tail // stride


def _padding(layer: Any) -> int:
    """Return zeros on each side; -1 for "same", of which half lies in the future."""
    if isinstance(layer.padding, str):
        return 0 if layer.padding == "valid" else -1
    return int(_one(layer.padding))


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _outputs_of(node: fx.Node) -> dict[str, fx.Node]:
    """Return what forward returns, by name."""
    value: Any = node.args[0]
    if isinstance(value, fx.Node):
        return {"output": value}
    found = value if isinstance(value, dict | list | tuple) else ()
    found = found if isinstance(found, dict) else {str(n): n for n in found}  # a node is its name
    if not found or not all(isinstance(n, fx.Node) for n in found.values()):
        raise LayerError(
            "forward returns something else than tensors; return one, several, or a dict"
        )
    return dict(found)
