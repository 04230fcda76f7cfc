"""Which layers of Keras are known, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lnn_edge.nn.from_keras import functions, joins, matrices, norms, pooling, recurrent, views
from lnn_edge.nn.from_keras.build import Build, Value
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.table_layers import FoldSizes, UnfoldSizes

Make = Callable[[Build, KerasLayer, Sequence[Value]], Value]
"""Adds the rows of a layer; returns what the last of them gives."""
LIQUID = ("CfC", "LTC", "RNN")
IDLE = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity"),
)
KNOWN: Mapping[str, Make] = {
    "Activation": functions.activation,
    "ReLU": functions.relu,
    "LeakyReLU": functions.leaky_relu,
    "ELU": functions.elu,
    "Softmax": functions.softmax,
    **dict.fromkeys(IDLE, functions.nothing),
    "Dense": matrices.dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Convolution1D", "Convolution2D"), matrices.conv1d),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), matrices.depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), matrices.separable),
    "BatchNormalization": norms.batch_norm,
    "Normalization": norms.normalization,
    "Rescaling": norms.rescaling,
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), pooling.largest),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), pooling.average),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), pooling.global_largest),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), pooling.global_average),
    "Flatten": views.flatten,
    "Reshape": views.reshape,
    "Permute": views.permute,
    "Cropping1D": views.crop,
    "ZeroPadding1D": views.pad,
    "Add": joins.add,
    "Subtract": joins.subtract,
    "Multiply": joins.multiply,
    "Average": joins.average,
    "Concatenate": joins.concatenate,
    "LSTM": recurrent.lstm,
    "GRU": recurrent.gru,
    "SimpleRNN": recurrent.simple_rnn,
    "ConvLSTM2D": recurrent.conv_lstm,
    **dict.fromkeys(LIQUID, recurrent.liquid),
}
NO_DEVICE = "has no operator on a device"
REFUSED: Mapping[str, str] = {
    "Lambda": "holds code, which is not run; write what it does with layers of Keras",
    "Bidirectional": "reads from the end as well, which no stream can; train its layer forwards",
    "Masking": "leaves frames out, which a stream cannot; feed the frames that count",
    "Embedding": f"{NO_DEVICE}; feed its vectors as channels",
    "TFSMLayer": "holds a TensorFlow program, which is not run; save the layers inside",
    "RepeatVector": "repeats the last frame, of which a stream has one at every frame",
    "StackedRNNCells": f"{NO_DEVICE}; put one recurrent layer behind the other",
}
"""What to do instead of some layers."""
EACH_NUMBER = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", *IDLE)
"""Layers that treat each frame alike by themselves."""


def add_layer(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Add the rows of a layer; return what it gives.

    Raises:
        DataError: It is not known, or has a form that no device can run; names the layer.
        NeedsWindow: It reads several frames that only a window holds.
    """
    if layer.kind == "TimeDistributed":
        return _of_each_frame(build, layer, values[0])
    make = KNOWN.get(layer.kind)
    if make is None:
        if ">" in layer.kind or "." in layer.kind:
            raise layer.refuse("is code of its own, which is not run; take layers of Keras")
        reason = REFUSED.get(layer.kind, f"{NO_DEVICE}; known are {', '.join(sorted(KNOWN))}")
        raise layer.refuse(reason)
    try:
        return make(build, layer, values)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise layer.refuse(f"its configuration is not that of the layer ({reason})") from None


def _of_each_frame(build: Build, layer: KerasLayer, value: Value) -> Value:
    """TimeDistributed: a layer on each frame by itself."""
    inner = layer.inner()
    if inner.kind in EACH_NUMBER:
        return add_layer(build, inner, [value])
    value = build.turned(layer, value, to_first=False)
    if len(value.shape) < 2 or value.is_newest:
        raise layer.refuse(f"reads frames, and gets a shape {value.shape}")
    if inner.kind == "Flatten" and value.has_time:
        return views.per_frame(build, layer, value)
    folded = build.row(layer, FoldSizes(), [value], value.shape[1:])
    made = add_layer(build, inner, [Value(folded.name, value.shape[1:])])
    made = build.turned(layer, made, to_first=False)
    return build.row(layer, UnfoldSizes(), [made, value], (value.shape[0], *made.shape))
