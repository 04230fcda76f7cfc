"""What scales and shifts each channel: BatchNormalization, Normalization, Rescaling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnn_edge.nn.from_keras.build import Build, Value
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.table_layers import BatchNormSizes, FoldSizes, UnfoldSizes

SMALLEST = 1e-7  # deviation that Keras divides by


def batch_norm(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """BatchNormalization as it is after training."""
    config, (value,) = layer.config, values
    _check_axis(layer, value)
    has_gain, has_shift = bool(config["scale"]), bool(config["center"])
    found = build.variables(layer, 2 + has_gain + has_shift)
    ones = np.ones(value.channels)
    gain = found.pop(0) if has_gain else ones
    shift = found.pop(0) if has_shift else 0 * ones
    mean, variance, *_ = found
    epsilon = float(config["epsilon"])
    if build.readers[layer.inputs[0]] == 1 and value.has_time and not value.is_first:
        factor = gain / np.sqrt(variance + epsilon)
        if build.scale_matrix(value, factor, shift - mean * factor):
            return value
    return _normed(build, layer, value, gain, shift, mean, variance, epsilon)


def normalization(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Normalization: y = (x - mean) / deviation."""
    config, (value,) = layer.config, values
    _check_axis(layer, value)
    if config.get("invert"):
        raise layer.refuse("invert is not known; take it away")
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        mean, variance = build.variables(layer, 2)[:2]
    ones = np.ones(value.channels)
    mean, variance = (np.ravel(np.asarray(v, float)) * ones for v in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), SMALLEST)
    return _normed(build, layer, value, 1 / deviation, -mean / deviation, 0 * ones, ones, 0.0)


def rescaling(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Rescaling: y = scale x + offset."""
    (value,) = values
    ones = np.ones(value.channels)
    scale, offset = (
        np.ravel(np.asarray(layer.config[name], float)) * ones for name in ("scale", "offset")
    )
    return _normed(build, layer, value, scale, offset, 0 * ones, ones, 0.0)


def _normed(
    build: Build,
    layer: KerasLayer,
    value: Value,
    gain: np.ndarray,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> Value:
    """Add y = gain (x - mean) / sqrt(variance + epsilon) + shift."""
    weights = {"weight": gain, "bias": shift, "running_mean": mean, "running_var": variance}
    if any(v.shape != (value.channels,) for v in weights.values()):
        raise layer.refuse(f"its numbers do not fit {value.channels} channels; save it again")
    if value.has_time and len(value.shape) > 2:  # images: each by itself
        folded = Value(build.row(layer, FoldSizes(), [value], value.shape[1:]).name, value.sizes)
        made = _normed(build, layer, folded, gain, shift, mean, variance, epsilon)
        made = build.turned(layer, made, to_first=False)
        return build.row(layer, UnfoldSizes(), [made, value], value.shape)
    value = build.turned(layer, value, to_first=True)
    sizes = BatchNormSizes(value.channels, epsilon, len(value.shape) + 1)
    return build.row(layer, sizes, [value], value.shape, weights)


def _check_axis(layer: KerasLayer, value: Value) -> None:
    axis = layer.config.get("axis", -1)
    axes = len(value.shape) + (0 if not value.is_newest else -1)
    if axis not in (-1, [-1], axes, [axes]):
        raise layer.refuse(f"axis {axis} is not the last one, of channels; train it with axis=-1")
