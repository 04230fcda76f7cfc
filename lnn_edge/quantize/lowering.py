"""What the lowering of a traced module knows: where each value lies in integers, and its format.

A value is a tensor and, for each of its numbers in torch's order, its place in the tensor. So a
view (transpose, flatten, a slice) moves nothing: the next matrix takes its columns in that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import numpy as np
from torch import fx, nn

from lnn_edge.errors import LayerError, QuantizationError
from lnn_edge.files.names import name_fault
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.scales import Ranges, range_of, symmetric
from lnn_edge.graph.stage import State
from lnn_edge.nn.plan import Plan, PlannedStage, Read
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.trace import where

HEADROOM = 4  # of an int16 frame over the calibrated range of a channel
NOWHERE = -1  # the place of a number that no tensor holds


@dataclass(frozen=True)
class Value:
    """One element in time.

    Attributes:
        tensor: In integers.
        places: Flat place in the tensor of each number, in the shape that torch gives an element.
    """

    tensor: QTensor
    places: np.ndarray

    @classmethod
    def of(cls, tensor: QTensor) -> Value:
        """Return a vector as it lies."""
        return cls(tensor, np.arange(tensor.size))

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are all of the tensor, in its order."""
        return np.array_equal(self.places.ravel(), np.arange(self.tensor.size))

    @property
    def is_full(self) -> bool:
        """Whether its numbers are all of the tensor, in any order."""
        return np.array_equal(np.sort(self.places, axis=None), np.arange(self.tensor.size))


@dataclass(frozen=True)
class Rule:
    """How a layer, function or method becomes integer operators.

    Attributes:
        lower: Emits the operators of a node and sets its value.
        reads: In what the layer wants its inputs: int8 where a matrix reads them, int16 where they
            are added or multiplied, "same" where it only passes them on.
        values: Of a function or method: how many values come first.
        arguments: Names of its further arguments that `lower` reads; others are refused. None for
            a layer, and where the call itself is run.
    """

    lower: Callable[[Lowering, fx.Node], None]
    reads: Literal["int8", "int16", "same"] = "int8"
    values: int = 1
    arguments: tuple[str, ...] | None = None

    def check_arguments(self, node: fx.Node) -> None:
        """Refuse an argument that would be passed over.

        Raises:
            LayerError: Names it.
        """
        if self.arguments is None or node.op == "call_module":
            return
        known = self.values + len(self.arguments)
        strange = [
            *map(str, node.args[known:]),
            *(k for k in node.kwargs if k not in self.arguments),
        ]
        if strange:
            raise LayerError(f"{where(node)}: {', '.join(strange)} has no operator; leave it out")


class Lowering:
    """The lowering of one plan, stage by stage.

    Attributes:
        plan: What is lowered.
        ranges: Observed ranges by node name; of tensors inside cells `NODE_INDEX_NAME`.
        values: By node name; of a layer that returns several, a tuple of them.
        gains: Factors of input channels that a layer takes into its weights, by node name.
        clock: Elapsed time where it comes with every frame.
        ops: Of the stage that is being lowered.
        states: Likewise.
        window: Tensor of the stage's ring; None in the stage that runs at every frame.
    """

    def __init__(self, plan: Plan, ranges: Ranges, rules: Mapping[Any, Rule]) -> None:
        self.plan, self.ranges = plan, ranges
        self.values: dict[str, Any] = {}
        self.gains: dict[str, np.ndarray] = {}
        self.clock: QTensor | None = None
        self.ops: list[AbstractOp] = []
        self.states: list[State] = []
        self.window: QTensor | None = None
        self._rules = rules
        self._names = _identifiers(node.name for node in plan.traced.graph.nodes)
        self._stage = plan.stages[0]
        self._carried: Mapping[str, Value] = {}
        self._narrowed: dict[tuple[str, str, bytes], QTensor] = {}

    def run(
        self,
        stage: PlannedStage,
        window: QTensor | None,
        carried: Mapping[str, Value] | None = None,
    ) -> None:
        """Lower the nodes of a stage into `ops` and `states`, which start empty.

        Args:
            stage: Of the plan.
            window: Elements of its ring, `spacing` apart; None for the stage of every frame.
            carried: Values of earlier stages, by node name.
        """
        self.ops, self.states, self._narrowed = [], [], {}
        self._stage, self.window, self._carried = stage, window, carried or {}
        for node in stage.nodes:
            if node.name not in self.values:
                rule = self._rule(node)
                rule.check_arguments(node)
                rule.lower(self, node)

    def _rule(self, node: fx.Node) -> Rule:
        key = self.key(node)
        if node.name in self._stage.reads and self.plan.layer_of(node) is None:
            key = "window"
        rule = self._rules.get(key)
        if rule is None:
            names = {getattr(k, "__name__", str(k)) for k in self._rules}
            known = ", ".join(sorted(name for name in names if name[0].isupper()))
            raise LayerError(
                f"{where(node)}: {getattr(key, '__name__', key)} has no operator on the device; "
                f"known layers are {known}"
            )
        return rule

    # --- nodes ----------------------------------------------------------------------------------

    def key(self, node: fx.Node) -> Any:
        """Return by what the rule of a node is found: type of a layer, function, or method."""
        layer = self.plan.layer_of(node)
        if isinstance(layer, Recurrent):
            return Recurrent
        return node.target if layer is None else type(layer)

    def layer(self, node: fx.Node) -> Any:
        """Return the layer that a node calls."""
        return self.plan.layer_of(node)

    def name(self, node: fx.Node) -> str:
        """Return the name of a node as an identifier in C."""
        return self._names[node.name]

    def read(self, node: fx.Node) -> Read | None:
        """Return what a node reads of the stage's window, if it does."""
        read, apart = self._stage.reads.get(node.name), self._stage.spacing
        if read is None or apart == 1:
            return read
        size, dilation = (read.size - 1) // apart + 1, max(read.dilation // apart, 1)
        return Read(size, read.after, dilation, read.lag // apart, max(read.step // apart, 1))

    @property
    def source(self) -> Value:
        """One element of the stage's ring."""
        value: Value = self.values[self._stage.source.name]
        return value

    def value(self, node: Any) -> Value:
        """Return the value of a node.

        Raises:
            LayerError: It is no tensor, such as what a layer returns beside its outputs.
        """
        if not isinstance(node, fx.Node) or node.op == "get_attr":
            raise LayerError(f"a value of the module must stand here, not a constant ({node})")
        if node.name in self._carried:
            return self._carried[node.name]
        if node.name not in self.values and self.is_view_of_time(node):
            return self.value(node.args[0])
        value = self.values.get(node.name)
        if isinstance(value, tuple):
            value = value[0]
        if not isinstance(value, Value):
            raise LayerError(f"{where(node)}: this value is not available here")
        return value

    def own_axis(self, node: fx.Node, axis: int) -> int:
        """Return which axis of one element in time an axis of a node's value is.

        Raises:
            LayerError: It is that of time, or of sequences.
        """
        names = self.plan.axes[node.name].names
        place = range(len(names))[axis]
        if not isinstance(names[place], int):
            raise LayerError(f"{where(node)}: axis {axis} is that of time or of sequences here")
        return sum(isinstance(name, int) for name in names[:place])

    def is_view_of_time(self, node: fx.Node) -> bool:
        """Return whether a node shows other elements and changes none."""
        return node.name in self.plan.timings and not any(
            node in stage.nodes for stage in self.plan.stages
        )

    def emit(self, op: AbstractOp) -> QTensor:
        """Add an operator; return its output."""
        self.ops.append(op)
        return op.outputs[0]

    # --- formats --------------------------------------------------------------------------------

    def bounds(self, node: fx.Node) -> tuple[float, float]:
        """Return the observed range of a node.

        Raises:
            QuantizationError: It never varied.
        """
        try:
            return range_of(self.ranges, node.name)
        except QuantizationError:
            raise QuantizationError(
                f"{where(node)}: no range was observed; calibrate with data that reaches it"
            ) from None

    def bound(self, node: fx.Node) -> float:
        """Return the largest observed magnitude of a node."""
        low, high = self.bounds(node)
        return max(-low, high)

    def is_wide(self, node: fx.Node) -> bool:
        """Return whether a result stays int16: it leaves the model, or enters a sum or product."""
        if node in self.plan.outputs.values() or self._is_odd_frame(node):
            return True
        readers = [n for n in node.users if n.name in self.plan.axes]  # the others ask for sizes
        return any(self._needs_wide(user) for user in readers)

    def _is_odd_frame(self, node: fx.Node) -> bool:
        """Return whether a ring holds it, whose frames have an even number of bytes."""
        size = int(np.prod(self.plan.axes[node.name].static))
        return size % 2 == 1 and any(stage.source is node for stage in self.plan.road[1:])

    def _needs_wide(self, user: fx.Node) -> bool:
        layer = self.layer(user)
        if isinstance(layer, Recurrent):
            return layer.dtype == "int16"
        rule = self._rules.get(self.key(user))
        reads = "int8" if rule is None else rule.reads
        return self.is_wide(user) if reads == "same" else reads == "int16"

    def plain(self, node: fx.Node) -> Value:
        """Return a value in one scale and zero point 0, in the order that `filled` takes.

        Raises:
            LayerError: Its numbers lie apart in memory.
        """
        value = self.value(node)
        tensor = value.tensor
        is_plain = value.is_full and set(tensor.zero_points) == {0} and len(tensor.scales) == 1
        return value if is_plain and tensor.role != "input" else self.filled(node, "int16")

    def vector(self, node: fx.Node, dtype: str) -> QTensor:
        """Return a value as a vector of its own, for cells, sums and joins.

        Raises:
            LayerError: Its numbers lie apart in memory.
        """
        return self._vector(node, self.value(node), dtype)

    def filled(self, node: fx.Node, dtype: str) -> Value:
        """Return a value as a vector, in the order of its memory where it fills its tensor.

        Raises:
            LayerError: Its numbers lie apart in memory.
        """
        value = self.value(node)
        if value.is_full:
            return Value(self._vector(node, Value.of(value.tensor), dtype), value.places)
        y = self._vector(node, value, dtype)
        return Value(y, np.arange(y.size).reshape(value.places.shape))

    def _vector(self, node: fx.Node, value: Value, dtype: str) -> QTensor:
        key = (value.tensor.name, dtype, value.places.tobytes())
        if key not in self._narrowed:
            op = self.converted(node, value, dtype)
            self._narrowed[key] = value.tensor if op is None else self.emit(op)
        return self._narrowed[key]

    def converted(self, node: fx.Node, value: Value, dtype: str) -> AbstractOp | None:
        """Return what makes a value a vector of its own; None for one that is.

        Raises:
            LayerError: Its numbers lie apart in memory.
        """
        tensor = value.tensor
        if value.is_whole and len(tensor.shape) == 1 and tensor.dtype == dtype:
            return None
        return self._taken(node, value, dtype)

    def _taken(self, node: fx.Node, value: Value, dtype: str) -> AbstractOp:
        tensor, places = value.tensor, value.places.ravel()
        if (places == NOWHERE).any():
            raise LayerError(
                f"{where(node)}: the last state of an inner layer is not available, only that of "
                "the last layer"
            )
        if not np.array_equal(places, np.arange(places[0], places[0] + len(places))):
            raise LayerError(
                f"{where(node)}: numbers that lie apart in memory; put a Linear between, which "
                "takes them in any order"
            )
        y = self._format(node, value, dtype)
        if value.is_whole and len(tensor.scales) == 1 and len(tensor.zero_points) == 1:
            return Requantize.quantize(f"to_{y.name}", tensor, y)
        return Slice.quantize(f"to_{y.name}", tensor, y, int(places[0]))

    def _format(self, node: fx.Node, value: Value, dtype: str) -> QTensor:
        tensor, places = value.tensor, value.places.ravel()
        name = f"{self.name(node)}_{dtype}_{len(self.ops)}"
        scales, zeros = (
            np.broadcast_to(part, tensor.shape).ravel()[places]
            for part in (tensor.scales, tensor.zero_points)
        )
        if tensor.role == "input":
            return input_format(name, scales, dtype)
        step, top = float(scales.max()), max(tensor.qmax, -tensor.qmin)
        if np.log2(step) % 1 == 0 and (top + 1) & top == 0:
            top += 1  # Q15 stands for (-1, 1)
        if zeros.any():
            top = int(tensor.qmax - zeros.min())
        return symmetric(name, (len(places),), dtype, top * step)


def told_axis(node: fx.Node, otherwise: Any = None) -> Any:
    """Return the axis or axes that a call names: `dim`, `axis`, or its second argument."""
    return node.kwargs.get("dim", node.kwargs.get("axis", (*node.args, otherwise)[1]))


def _identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return an identifier of C for each name of a node; no two are alike."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub("_+", "_", name).strip("_") or "value"
        plain = f"v_{plain}" if name_fault(plain) else plain
        taken = set(found.values())
        numbers = (f"{plain}_{i}" for i in count(2))
        found[name] = plain if plain not in taken else next(n for n in numbers if n not in taken)
    return found


def input_format(name: str, scales: np.ndarray, dtype: str) -> QTensor:
    """Return the vector in which channels of an int16 frame are read.

    An int16 frame holds HEADROOM times the calibrated range; int8 holds the range itself.

    Args:
        name: Of the vector.
        scales: Of the channels in the frame.
        dtype: int8 or int16.
    """
    limit = 127 if dtype == "int8" else 32767
    factor = 32767 / (HEADROOM * limit) if dtype == "int8" else 1.0
    read = [float(s * factor) for s in scales]
    one = read[0] if len(set(read)) == 1 else tuple(read)
    return QTensor(name, (len(read),), dtype, one, 0, -limit, limit)


def cut_off_negative(y: QTensor) -> QTensor:
    """Return a format with zero point 0 that holds nothing below 0, as after a ReLU."""
    return replace(y, qmin=0)


def constant_of(lowering: Lowering, value: Any) -> np.ndarray | None:
    """Return a number, or a parameter of the module, in float64; None for a computed value."""
    if isinstance(value, int | float):
        return np.array(float(value))
    if isinstance(value, fx.Node) and value.op == "get_attr":
        owner, _, name = str(value.target).rpartition(".")
        held = getattr(lowering.plan.traced.get_submodule(owner), name)
        array: np.ndarray = held.detach().double().numpy()
        return array
    return None


def as_array(parameter: Any) -> np.ndarray:
    """Return weights in float64."""
    array: np.ndarray = parameter.detach().double().numpy()
    return array


def parameters_of(layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias, zeros where the layer has none."""
    weight = as_array(layer.weight)
    bias = np.zeros(len(weight)) if layer.bias is None else as_array(layer.bias)
    return weight, bias
