"""Recurrent layers: LSTM, GRU, SimpleRNN, ConvLSTM2D, and CfC and LTC of ncps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import ConvLstmSizes, GruSizes, LstmSizes, SimpleRnnSizes
from lnn_edge.nn.cells.convlstm2d import ConvLstm2dConfig
from lnn_edge.nn.from_keras.build import Build, Shape, Unanswered, Value
from lnn_edge.nn.from_keras.functions import function_name
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.from_keras.matrices import check_layout, per_axis
from lnn_edge.nn.table_layers import NewestSizes

CELL = "cells.0."


def lstm(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """LSTM: Keras has the gates i, f, c, o; ours are c, i, f, o."""
    kernel, recurrent, bias = _variables(build, layer, values[0], 4)
    order = _rows(recurrent, (2, 0, 1, 3))
    weights = {
        "lstm.input_map.weight": kernel.T[order],
        "lstm.input_map.bias": bias[order],
        "lstm.recurrent_map.weight": recurrent.T[order],
    }
    return _recurrent(build, layer, values[0], LstmSizes(*_sizes(kernel, recurrent)), weights)


def gru(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """GRU: Keras has the gates z, r, h; torch has r, z, n."""
    kernel, recurrent, bias = _variables(build, layer, values[0], 3)
    order = _rows(recurrent, (1, 0, 2))
    after = bool(layer.config.get("reset_after", False))
    biases = bias if bias.ndim == 2 else np.stack((bias, 0 * bias))
    weights = {
        "cell.weight_ih": kernel.T[order],
        "cell.weight_hh": recurrent.T[order],
        "cell.bias_ih": biases[0][order],
        "cell.bias_hh": biases[1][order],
    }
    sizes = GruSizes(*_sizes(kernel, recurrent), after)
    return _recurrent(build, layer, values[0], sizes, weights)


def simple_rnn(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """SimpleRNN."""
    kernel, recurrent, bias = _variables(build, layer, values[0], 1)
    weights = {
        "cell.weight_ih": kernel.T,
        "cell.weight_hh": recurrent.T,
        "cell.bias_ih": bias,
        "cell.bias_hh": 0 * bias,
    }
    return _recurrent(build, layer, values[0], SimpleRnnSizes(*_sizes(kernel, recurrent)), weights)


def conv_lstm(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """ConvLSTM2D on frames of rows, columns and channels."""
    check_layout(layer)
    _check_order(layer)
    config, (value,) = layer.config, values
    if len(value.shape) != 4 or value.is_newest:
        raise layer.refuse(
            f"reads frames of rows, columns and channels, and gets a shape {value.shape}"
        )
    if per_axis(config.get("dilation_rate", 1), 2) != (1, 1):
        raise layer.refuse("dilation_rate has no operator; train it with 1")
    has_bias = bool(config["use_bias"])
    kernel, recurrent, *rest = build.variables(layer, 2 + has_bias)
    weights = {
        "kernel": kernel,
        "recurrent_kernel": recurrent,
        "bias": rest[0] if has_bias else np.zeros(kernel.shape[-1]),
    }
    kernel_size, strides = (per_axis(config[name], 2) for name in ("kernel_size", "strides"))
    gates: Any = function_name(config["recurrent_activation"])
    shown: Any = function_name(config["activation"])
    try:
        form = ConvLstm2dConfig(
            kernel.shape[-1] // 4,
            (kernel_size[0], kernel_size[1]),
            (strides[0], strides[1]),
            config["padding"],
            shown,
            gates,
        )
        sizes = ConvLstmSizes(value.shape[1:], form)  # type: ignore[arg-type]
        result = sizes.result
    except UsageError as error:
        raise layer.refuse(str(error)) from None
    return _recurrent(build, layer, value, sizes, weights, result)


def liquid(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """CfC or LTC of ncps.keras, or an RNN around one of their cells."""
    found = build.liquids.get(layer.output)
    if found is None:
        raise Unanswered(layer.where)
    _check_input(layer, values[0])
    if found.sizes.input_size != values[0].channels:
        raise layer.refuse(
            f"reads {found.sizes.input_size} channels and gets a shape {values[0].shape}"
        )
    return _recurrent(build, layer, values[0], found.sizes, found.cell)


def check_forward(layer: KerasLayer) -> None:
    """Refuse what reads from the end."""
    if layer.config.get("go_backwards"):
        raise layer.refuse(
            "has go_backwards, so it reads from the end, which no stream can; train it forwards"
        )


def _check_order(layer: KerasLayer) -> None:
    check_forward(layer)
    if len(layer.inputs) > 1:
        raise layer.refuse("is given a state; a device starts from zeros, so give none")


def _check_input(layer: KerasLayer, value: Value) -> None:
    _check_order(layer)
    if len(value.shape) != 2 or value.is_newest:
        raise layer.refuse(f"reads frames of channels, and gets a shape {value.shape}")


def _variables(
    build: Build, layer: KerasLayer, value: Value, gates: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kernel (I, gates H), recurrent kernel (H, gates H) and bias."""
    _check_input(layer, value)
    config = layer.config
    known = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    for name in ("activation", "recurrent_activation"):
        given = function_name(config.get(name, known[name]))
        if given != known[name]:
            raise layer.refuse(
                f"{name} {given or 'linear'} has no operator in a cell; train it with {known[name]}"
            )
    has_bias = bool(config.get("use_bias", True))
    found = build.variables(layer, 2 + has_bias)
    kernel, recurrent = found[:2]
    bias = found[2] if has_bias else np.zeros(kernel.shape[-1])
    size = len(recurrent)
    wanted = (value.channels, gates * size), (size, gates * size), gates * size
    if (kernel.shape, recurrent.shape, bias.shape[-1]) != wanted:
        raise layer.refuse(
            f"kernels of shapes {kernel.shape} and {recurrent.shape} do not read a shape "
            f"{value.shape}; save the model again"
        )
    return kernel, recurrent, bias


def _rows(recurrent: np.ndarray, chunks: Sequence[int]) -> np.ndarray:
    size = len(recurrent)
    return np.concatenate([np.arange(size) + size * chunk for chunk in chunks])


def _sizes(kernel: np.ndarray, recurrent: np.ndarray) -> tuple[int, int]:
    return len(kernel), len(recurrent)


def _recurrent(
    build: Build,
    layer: KerasLayer,
    value: Value,
    sizes: Any,
    weights: Arrays,
    result: Shape | None = None,
) -> Value:
    """Add the row of a cell; of the last frame alone, in a window."""
    value = build.turned(layer, value, to_first=False)
    own = {CELL + name: array for name, array in weights.items()}
    after = (sizes.output_size,) if result is None else result
    made = build.row(layer, sizes, [value], (value.shape[0], *after), own)
    if layer.config.get("return_sequences"):
        return made
    if value.has_time:  # a stream gives the newest at every frame
        return Value(made.name, made.shape, is_newest=True)
    return build.row(layer, NewestSizes(), [made], after)
