"""Functions of each number: activations, by themselves or as an argument of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lnn_edge.files.names import shown
from lnn_edge.nn.from_keras.build import Build, Value
from lnn_edge.nn.from_keras.graph import STEEP, KerasLayer
from lnn_edge.nn.table_layers import (
    ACTIVATIONS,
    ActivationSizes,
    BentSizes,
    ScaleSizes,
    SoftmaxSizes,
)

OTHER_NAMES = {"swish": "silu", "hard_silu": "hard_swish"}
SLOPE = 0.01  # of the table for leaky_relu


def activated(build: Build, layer: KerasLayer, value: Value, function: Any = None) -> Value:
    """Return what the activation of a layer makes of a value.

    Args:
        build: The table.
        layer: Whose configuration names the activation.
        value: What it reads.
        function: As Keras writes a function; None takes that of the layer.
    """
    given = layer.config.get("activation") if function is None else function
    name = function_name(given)
    name = OTHER_NAMES.get(name, name)
    if name in ("linear", ""):
        return value
    if name == "softmax":
        value = build.turned(layer, value, to_first=False)
        return build.row(layer, SoftmaxSizes(), [value], value.shape)
    if name == "leaky_relu":
        return _leaky(build, layer, value, 0.2)
    if name == STEEP:
        value = build.row(layer, ScaleSizes(1.2), [value], value.shape)
        name = "hard_sigmoid"
    if name not in ACTIVATIONS:
        raise layer.refuse(
            f"activation {shown(name)} has no operator on a device; train it with one of "
            f"{', '.join(sorted(ACTIVATIONS))}"
        )
    return build.row(layer, ActivationSizes(name), [value], value.shape)


def function_name(given: Any) -> str:
    """Return the name of a function as Keras writes it; "" for none."""
    if isinstance(given, dict):  # of its own package, or a layer
        inner = given.get("config")
        return inner if isinstance(inner, str) else f"of class {given.get('class_name')}"
    return given if isinstance(given, str) else ""


def activation(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Activation."""
    return activated(build, layer, values[0])


def relu(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """ReLU: limited to 6 or not at all."""
    config, (value,) = layer.config, values
    slope, top = float(config.get("negative_slope") or 0), config.get("max_value")
    if config.get("threshold") or top not in (None, 6.0) or (slope and top):
        raise layer.refuse(
            f"max_value {top}, threshold {config.get('threshold')} has no operator; known are "
            "max_value=6 and none, without a threshold"
        )
    if slope:
        return _leaky(build, layer, value, slope)
    return activated(build, layer, value, "relu6" if top else "relu")


def leaky_relu(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """LeakyReLU: x above 0, negative_slope x below."""
    config = layer.config
    return _leaky(
        build, layer, values[0], float(config.get("negative_slope", config.get("alpha", 0.3)))
    )


def elu(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """ELU: x above 0, alpha (exp(x) - 1) below."""
    alpha = float(layer.config.get("alpha", 1.0))
    sizes = ActivationSizes("elu") if alpha == 1 else BentSizes(alpha, is_curved=True)
    return build.row(layer, sizes, values, values[0].shape)


def softmax(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Softmax over the last axis."""
    axis = layer.config.get("axis", -1)
    if axis not in (-1, [-1], len(values[0].shape)):
        raise layer.refuse(f"axis {axis} is not the last one, of channels; take axis=-1")
    return activated(build, layer, values[0], "softmax")


def nothing(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Return what is read: a layer that works in training alone."""
    return replace(values[0])


def _leaky(build: Build, layer: KerasLayer, value: Value, slope: float) -> Value:
    sizes = ActivationSizes("leaky_relu") if slope == SLOPE else BentSizes(slope)
    return build.row(layer, sizes, [value], value.shape)
