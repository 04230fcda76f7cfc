"""How precisely integers represent a model's floats: by channel, and in its outputs. No torch.

Bit-exact says that a device computes the integers; this says what they are worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_records

MOST_CLIPPED, MOST_LOST, FEWEST_BITS = 0.01, 0.1, 4.0
MOST_ERROR = 0.05  # of the outputs, over the range of the real ones


@dataclass(frozen=True)
class Resolution:
    """What a format holds of the values that a channel or tensor had.

    Attributes:
        name: Of the channel or tensor.
        low: Lowest value that the format holds.
        high: Highest.
        step: Between two values of it.
        clipped: Part of the values that lie outside and saturate.
        lost: Part of them that become 0 and are not.
        bits: Of the values inside, log2 of their spread over the rounding error, root mean square
            each; None where nothing is rounded.
    """

    name: str
    low: float
    high: float
    step: float
    clipped: float
    lost: float
    bits: float | None

    @property
    def is_poor(self) -> bool:
        """Whether a user should know before the model is used."""
        coarse = self.bits is not None and self.bits < FEWEST_BITS
        return self.clipped > MOST_CLIPPED or self.lost > MOST_LOST or coarse

    def __str__(self) -> str:
        bits = "nothing rounded" if self.bits is None else f"{self.bits:.1f} bits of resolution"
        return (
            f"{self.name}: {self.low:.4g} to {self.high:.4g} in steps of {self.step:.3g}; "
            f"{self.clipped:.2%} of the values saturate, {self.lost:.2%} become 0, {bits}"
        )


def resolution(name: str, tensor: QTensor, values: np.ndarray) -> Resolution:
    """Return what a tensor of one scale holds of real values of any shape."""
    values = np.asarray(values, np.float64)
    step = tensor.scales[0]
    low, high = tensor.dequantize(np.array([tensor.qmin, tensor.qmax])).tolist()
    held = tensor.dequantize(tensor.quantize(values))
    inside = (values >= low - step / 2) & (values <= high + step / 2)
    lost = (values != 0) & (held == 0)
    return Resolution(
        name,
        low,
        high,
        step,
        float(np.mean(~inside)),
        float(np.mean(lost)),
        _bits(values[inside], held[inside]),
    )


def _bits(values: np.ndarray, held: np.ndarray) -> float | None:
    noise = float(np.sqrt(np.mean((held - values) ** 2))) if values.size else 0.0
    if noise == 0:
        return None
    spread = float(values.std()) or float(np.abs(values).max())
    return float(np.log2(spread / noise))


def channel_resolutions(graph: QGraph, frames: np.ndarray) -> tuple[Resolution, ...]:
    """Return what a model that decides on single frames reads of each channel of them (..., C).

    Their names are channel0, channel1..., that of elapsed time is dt. Of another model nothing.
    """
    window = graph.deciding_stage.inputs[0]
    if graph.prepares or window.shape[0] > 1:
        return ()
    return tuple(
        resolution(tensor.name, tensor, frames[..., index])
        for op in graph.deciding_stage.ops
        if isinstance(op, Slice | Requantize) and op.inputs[0] == window
        for index, tensor in _elements(op)
    )


def _elements(op: Slice | Requantize) -> list[tuple[int, QTensor]]:
    """Return index in the frame and format of each element that is read."""
    y, first = op.outputs[0], op.first if isinstance(op, Slice) else 0
    scales, zeros = (np.broadcast_to(v, y.shape).tolist() for v in (y.scales, y.zero_points))
    names = [y.name if y.name == "dt" else f"channel{i}" for i in range(y.size)]
    return [
        (first + i, replace(y, name=name, shape=(1,), scale=scale, zero_point=zero))
        for i, (name, scale, zero) in enumerate(zip(names, scales, zeros, strict=True))
    ]


def warnings(resolutions: Sequence[Resolution]) -> list[str]:
    """Return what a user must know before the integers stand for the model, a sentence each."""
    return [f"little is left of {r}" for r in resolutions if r.is_poor]


def error_warnings(float_error: Mapping[str, float] | None, output: str = "") -> list[str]:
    """Return a sentence if the integers of an output do not follow the model; see output_error."""
    if float_error is None or float_error["rmse"] <= MOST_ERROR * float_error["range"]:
        return []
    where = f"output {output}: " if output else ""
    return [
        f"{where}the integers do not follow the model: {error_text(float_error)}; quantize on "
        "sequences like those that it will see, without values that mean nothing"
    ]


def error_text(float_error: Mapping[str, float]) -> str:
    """Return an output_error in words."""
    rmse, most, span = (float_error[key] for key in ("rmse", "max_abs", "range"))
    share = f" ({rmse / span:.2%} of it)" if span else ""
    return f"RMSE {rmse:.3g}, at most {most:.3g}, of outputs that span {span:.3g}{share}"


def output_errors(graph: QGraph, q: np.ndarray, wanted: np.ndarray) -> dict[str, dict[str, float]]:
    """Return output_error of each output by its name.

    Args:
        graph: The model.
        q: Integers of its output vector, (..., O).
        wanted: The real values of the same, (..., O).
    """
    return {
        output.name: output_error(output.dequantize(output.part(q)), output.part(wanted))
        for output in graph.outputs
    }


def reference_errors(graph: QGraph) -> dict[str, dict[str, float]]:
    """Return output_error of each output by its name, on the sequences of the graph's reference."""
    reference, name, no_events = graph.reference, graph.output.name, np.zeros(0, np.int64)
    assert reference is not None
    frames = [graph.frame.quantize(x).astype(np.int16) for x in reference.frames]
    runs = run_records(graph, [(x, no_events) for x in frames], (name,))
    q = np.concatenate([values[name] for _, values in runs])
    return output_errors(graph, q, np.concatenate(reference.outputs))


def output_error(got: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Return rmse and max_abs of outputs against real ones, and the range of the latter."""
    error = got - wanted
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "max_abs": float(np.abs(error).max()),
        "range": float(np.ptp(wanted)),
    }
