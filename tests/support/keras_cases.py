"""Small models of Keras, a form of a layer or two each."""

from __future__ import annotations

from tests.support.keras_models import Case

ANY, WINDOW = (None, 3), (16, 3)
STREAMED = {
    "dense": lambda k: [k.Dense(4, activation="tanh"), k.Dense(2, use_bias=False)],
    "valid": lambda k: [k.Conv1D(4, 3, strides=2, activation="relu"), k.Conv1D(2, 2)],
    "causal": lambda k: [k.Conv1D(4, 3, padding="causal", dilation_rate=2), k.Dense(2)],
    "grouped": lambda k: [k.Conv1D(6, 3, groups=3), k.Conv1D(4, 1, padding="same", groups=2)],
    "depthwise": lambda k: [k.DepthwiseConv1D(3, depth_multiplier=2), k.Dense(2)],
    "separable": lambda k: [k.SeparableConv1D(4, 3, depth_multiplier=2, activation="relu")],
    "norm of conv": lambda k: [k.Conv1D(4, 3), k.BatchNormalization(), k.ReLU(), k.Dense(2)],
    "norm of dense": lambda k: [k.Dense(4), k.BatchNormalization(scale=False), k.Dense(2)],
    "norm of norm": lambda k: [k.BatchNormalization(), k.BatchNormalization(center=False)],
    "rescaling": lambda k: [k.Rescaling([0.5, 1, 2], 0.3), k.Dense(2)],
    "normalization": lambda k: [k.Normalization(mean=[1, 2, 3], variance=[1, 4, 0]), k.Dense(2)],
    "pools": lambda k: [k.MaxPooling1D(2), k.AveragePooling1D(3, strides=1), k.Dense(2)],
    "crop and pad": lambda k: [k.Cropping1D((2, 0)), k.ZeroPadding1D((2, 0)), k.Conv1D(2, 3)],
    "shapes": lambda k: [k.Reshape((-1, 3, 1)), k.TimeDistributed(k.Flatten()), k.Dense(2)],
    "each frame": lambda k: [
        k.Reshape((-1, 3, 1)),
        k.TimeDistributed(k.Conv1D(4, 2, activation="relu")),
        k.TimeDistributed(k.Flatten()),
        k.TimeDistributed(k.Dense(2)),
    ],
    "smooth": lambda k: [k.Dense(6, activation=f) for f in ("tanh", "silu", "gelu")],
    "soft": lambda k: [k.Dense(6, activation=f) for f in ("softplus", "elu", "sigmoid")],
    "hard": lambda k: [k.Dense(6, activation=f) for f in ("hard_silu", "relu6", "hard_sigmoid")],
    "leaky": lambda k: [k.LeakyReLU(0.3), k.Dense(4), k.ELU(0.5), k.Dense(4), k.ReLU(6.0)],
    "leakier": lambda k: [k.Dense(4, activation="leaky_relu"), k.Dense(3), k.Activation("linear")],
    "idle": lambda k: [k.Dropout(0.5), k.Dense(2), k.SpatialDropout1D(0.5), k.GaussianNoise(1.0)],
    "softmax": lambda k: [k.LSTM(4, return_sequences=True), k.Dense(3, activation="softmax")],
    "lstm": lambda k: [k.LSTM(5, return_sequences=True), k.LSTM(4), k.Dense(2)],
    "lstm without bias": lambda k: [k.LSTM(5, use_bias=False, return_sequences=True)],
    "gru": lambda k: [k.GRU(5, return_sequences=True), k.GRU(4, use_bias=False), k.Dense(2)],
    "first gru": lambda k: [k.GRU(5, reset_after=False, return_sequences=True), k.Dense(2)],
    "simple": lambda k: [k.SimpleRNN(5, return_sequences=True), k.SimpleRNN(4), k.ReLU()],
    "behind the last": lambda k: [k.GRU(4), k.BatchNormalization(), k.Reshape((2, 2)), k.Flatten()],
}
WINDOWED = {
    "flatten": lambda k: [k.Conv1D(4, 3, activation="relu"), k.Flatten(), k.Dense(2)],
    "same": lambda k: [k.Conv1D(4, 3, padding="same"), k.Conv1D(2, 4, padding="same"), k.Flatten()],
    "same strided": lambda k: [
        k.Conv1D(4, 4, strides=2, padding="same"),
        k.Conv1D(3, 5, strides=3, padding="same"),
        k.Flatten(),
    ],
    "same dilated": lambda k: [k.Conv1D(4, 4, dilation_rate=3, padding="same"), k.Flatten()],
    "causal": lambda k: [k.Conv1D(4, 3, dilation_rate=2, padding="causal"), k.Flatten()],
    "separable": lambda k: [k.SeparableConv1D(4, 3, strides=2, padding="same"), k.Flatten()],
    "dense rows": lambda k: [k.Dense(4, activation="relu"), k.Flatten(), k.Dense(2)],
    "turned": lambda k: [k.Permute((2, 1)), k.Conv1D(4, 2), k.Flatten(), k.Dense(2)],
    "mean": lambda k: [k.Conv1D(4, 3), k.BatchNormalization(), k.GlobalAveragePooling1D()],
    "largest": lambda k: [k.MaxPooling1D(2, padding="same"), k.GlobalMaxPooling1D(), k.Dense(2)],
    "reshape": lambda k: [
        k.Reshape((8, 6)),
        k.Conv1D(3, 2),
        k.Permute((2, 1)),
        k.Flatten(),
        k.Dense(2),
    ],
    "lstm": lambda k: [k.Conv1D(4, 3), k.LSTM(5, return_sequences=True), k.LSTM(4), k.Dense(2)],
    "gru": lambda k: [k.GRU(5, reset_after=False), k.Dense(3, activation="softmax")],
    "simple": lambda k: [k.Cropping1D((2, 3)), k.SimpleRNN(4)],
}
IMAGES = {
    "conv2d": lambda k: [
        k.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu"),
        k.MaxPooling2D((2, 1)),
        k.Flatten(),
        k.Dense(2),
    ],
    "depthwise2d": lambda k: [
        k.DepthwiseConv2D((3, 2), depth_multiplier=2, padding="same"),
        k.BatchNormalization(),
        k.SeparableConv2D(3, (2, 2)),
        k.AveragePooling2D((2, 1)),
        k.GlobalAveragePooling2D(),
    ],
    "largest2d": lambda k: [k.Conv2D(4, (5, 1), dilation_rate=(2, 1)), k.GlobalMaxPooling2D()],
}
CONV_LSTM = {
    "conv lstm normalized": lambda k: [
        k.ConvLSTM2D(2, (2, 2), padding="same", return_sequences=True),
        k.BatchNormalization(),
        k.ConvLSTM2D(2, (1, 2), return_sequences=True),
        k.TimeDistributed(k.Flatten()),
        k.Dense(2),
    ],
    "permuted": lambda k: [
        k.Permute((1, 3, 2, 4)),
        k.TimeDistributed(k.Conv2D(3, (2, 3), activation="relu")),
        k.TimeDistributed(k.Flatten()),
        k.Dense(2),
    ],
    "conv lstm": lambda k: [
        k.ConvLSTM2D(2, (2, 2), padding="same", return_sequences=True),
        k.ConvLSTM2D(2, (1, 2), strides=(1, 2), activation="relu"),
        k.Flatten(),
        k.Dense(2),
    ],
}
CASES = {
    **{f"stream: {name}": Case(ANY, make) for name, make in STREAMED.items()},
    **{f"window: {name}": Case(WINDOW, make, 5) for name, make in WINDOWED.items()},
    **{f"image: {name}": Case((12, 3, 1), make, 4) for name, make in IMAGES.items()},
    **{f"images: {name}": Case((None, 3, 4, 2), make) for name, make in CONV_LSTM.items()},
    "frame: dense": Case((3,), lambda k: [k.Dense(4), k.BatchNormalization(), k.Dense(2)]),
    "one of a fixed length": Case((40, 3), lambda k: [k.Conv1D(4, 3), k.GRU(3)]),
}
