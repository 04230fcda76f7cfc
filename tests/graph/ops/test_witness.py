"""Operators against implementations that are not ours: ONNX Runtime, torch, scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from lnn_edge.graph import fixed
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.elementwise import Requantize, Subtract
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.leaky import EMPTY, FRACTION_BITS, LeakyAverage
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import FUNCTIONS, Lut
from lnn_edge.graph.ops.pool import AveragePool, MaxPool
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.ops.rows import AbstractRowOp
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.slice import Slice

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

NEAR_TIE = 1e-3  # ONNX Runtime scales in float32 and rounds half to even


def run_onnx(node: str, inputs: dict[str, np.ndarray], **attributes: object) -> np.ndarray:
    """Run one ONNX operator: the first input is fed, the others are constants."""
    names = list(inputs)
    types = onnx.helper.np_dtype_to_tensor_dtype
    first = onnx.helper.make_tensor_value_info(
        names[0], types(inputs[names[0]].dtype), inputs[names[0]].shape
    )
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT8, None)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(node, names, ["y"], **attributes)],
        "one",
        [first],
        [result],
        [onnx.numpy_helper.from_array(inputs[name], name) for name in names[1:]],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y: np.ndarray = session.run(None, {names[0]: inputs[names[0]]})[0]
    return y


def weight_scales(op: AbstractRowOp) -> np.ndarray:
    x, y = op.inputs[0], op.outputs[0]
    factor = op.multiplier * 2.0 ** (op.shift.astype(float) - 32)
    return (factor * y.scales[0] / x.scales[0]).astype(np.float32)


def quantization(tensor: QTensor) -> tuple[np.ndarray, np.ndarray]:
    return np.float32(tensor.scales[0]), np.int8(tensor.zero_points[0])  # type: ignore[return-value]


def agree(op: AbstractRowOp, columns: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> None:
    """Check equality wherever the exact value is not next to a tie."""
    centred = columns - op.inputs[0].zero_points[0]
    acc = centred @ op.weight.T.astype(np.int64) + op.bias
    exact = acc * fixed.real_multiplier(op.multiplier.astype(float), op.shift.astype(float))
    clear = np.abs(exact - np.floor(exact) - 0.5) > NEAR_TIE
    assert clear.mean() > 0.99
    assert len(np.unique(mine)) > 20
    np.testing.assert_array_equal(mine[clear], theirs[clear])
    assert np.abs(mine - theirs).max() <= 1


def test_linear_equals_qlinearmatmul() -> None:
    rng = np.random.default_rng(1)
    x = QTensor("x", (48,), "int8", 0.031, 7)
    y = QTensor("y", (10,), "int8", 0.17, -4)
    op = Linear.quantize("linear", x, y, rng.normal(0, 1, (10, 48)), np.zeros(10))
    values = rng.integers(-128, 127, (300, 48), endpoint=True)
    (x_scale, x_zero), (y_scale, y_zero) = quantization(x), quantization(y)
    theirs = run_onnx(
        "QLinearMatMul",
        {
            "a": values.astype(np.int8),
            "a_scale": x_scale,
            "a_zero": x_zero,
            "b": np.ascontiguousarray(op.weight.T),
            "b_scale": weight_scales(op),
            "b_zero": np.zeros(10, np.int8),
            "y_scale": y_scale,
            "y_zero": y_zero,
        },
    )
    agree(op, values, op.reference(values)[0], theirs)


@pytest.mark.parametrize(("taps", "stride"), [(1, 1), (5, 2), (7, 3)])
def test_conv1d_equals_qlinearconv(taps: int, stride: int) -> None:
    rng = np.random.default_rng(taps)
    x = QTensor("x", (40, 3), "int8", 0.05, -20)
    y = QTensor("y", ((40 - taps) // stride + 1, 6), "int8", 0.21, -128)
    weight = rng.normal(0, 1, (6, 3, taps))
    op = Conv1d.quantize("conv", x, y, weight, rng.normal(0, 0.5, 6), stride)
    values = rng.integers(-128, 127, (20, 40, 3), endpoint=True)
    (x_scale, x_zero), (y_scale, y_zero) = quantization(x), quantization(y)
    kernel = op.weight.reshape(6, taps, 3).transpose(0, 2, 1)
    theirs = run_onnx(
        "QLinearConv",
        {
            "x": np.ascontiguousarray(values.transpose(0, 2, 1).astype(np.int8)),
            "x_scale": x_scale,
            "x_zero": x_zero,
            "w": np.ascontiguousarray(kernel),
            "w_scale": weight_scales(op),
            "w_zero": np.zeros(6, np.int8),
            "y_scale": y_scale,
            "y_zero": y_zero,
            "bias": op.bias,
        },
        strides=[stride],
    )
    frames = np.arange(y.shape[0])[:, None] * stride + np.arange(taps)
    columns = values[:, frames, :].reshape(20, y.shape[0], -1)
    agree(op, columns, op.reference(values)[0], theirs.transpose(0, 2, 1))


def test_requantize_by_channels_equals_quantizelinear() -> None:
    """ONNX Runtime divides in float32 and rounds half to even: equal but next to a tie."""
    rng = np.random.default_rng(2)
    x = QTensor("x", (40, 4), "int16", (0.001, 0.003, 0.0002, 0.01), (5, 0, -900, 7))
    y = QTensor("y", (160,), "int8", tuple(np.resize([0.0973, 0.711, 0.0313], 160).tolist()), 9)
    values = rng.integers(-9000, 9000, (50, 40, 4))
    (got,) = Requantize.quantize("formats", x, y).reference(values)
    real = x.dequantize(values).reshape(50, 160)
    wanted = run_onnx(
        "QuantizeLinear",
        {
            "x": real.astype(np.float32),
            "y_scale": np.float32(y.scales),
            "y_zero": np.full(160, 9, np.int8),
        },
        axis=1,
    )
    exact = real / np.asarray(y.scales)
    clear = np.abs(exact - np.floor(exact) - 0.5) > NEAR_TIE
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(got[clear], wanted[clear])
    part = Slice.quantize("part", x, QTensor("z", (6,), "int16", 0.001, 40), 2)
    nearest = part.outputs[0].quantize(x.dequantize(values).reshape(50, 160)[:, 2:8])
    np.testing.assert_array_equal(part.reference(values)[0], nearest)


@pytest.mark.parametrize(
    ("name", "dtype", "step_bits", "limit"),
    [
        ("sigmoid", "int8", 0, 0.5),
        ("tanh", "int8", 0, 0.5),
        ("sigmoid", "int16", 8, 1 + 0.39),
        ("tanh", "int16", 8, 1 + 3.08),
    ],
)
def test_tables_follow_torch_at_every_input(
    name: str, dtype: str, step_bits: int, limit: float
) -> None:
    """int16: one step, and (1 / 16)**2 * max|f''| / 8 of interpolation in 256 intervals."""
    low, high = fixed.RANGES[dtype]
    x = QTensor("x", (high - low + 1,), dtype, 8 / (high + 1))
    y = QTensor("y", x.shape, "int16", 1 / 8192)
    q = np.arange(low, high + 1)
    (got,) = Lut.quantize("table", x, y, name, step_bits).reference(q)
    wanted = getattr(torch, name)(torch.from_numpy(x.dequantize(q))).numpy()
    assert np.abs(y.dequantize(got) - wanted).max() <= limit * y.scales[0]


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "elu", "hardswish", "softplus"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_tables_follow_torch_where_functions_bend(name: str, dtype: str) -> None:
    """Half a step at every int8; pieces that meet on entries of an int16 table err one step."""
    low, high = fixed.RANGES[dtype]
    x = QTensor("x", (high - low + 1,), dtype, 3 / 32 if dtype == "int8" else 3 / 8192)
    y = QTensor("y", x.shape, "int16", 1 / 2048)
    q = np.arange(low, high + 1)
    (got,) = Lut.quantize("table", x, y, name, 0 if dtype == "int8" else 7).reference(q)
    wanted = getattr(torch.nn.functional, name)(torch.from_numpy(x.dequantize(q))).numpy()
    curved = (
        (128 * x.scales[0]) ** 2
        * {"elu": 1.0, "hardswish": 1 / 3, "softplus": 1 / 4}.get(name, 0.0)
        / 8
    )
    limit = 0.5 * y.scales[0] if dtype == "int8" else y.scales[0] + curved
    assert np.abs(y.dequantize(got) - wanted).max() <= limit * (1 + 1e-6)


def test_hard_sigmoid_is_that_of_torch() -> None:
    x = np.linspace(-5, 5, 101)
    wanted = torch.nn.functional.hardsigmoid(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(FUNCTIONS["hard_sigmoid"](x), wanted, atol=1e-15)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("ways", [(2, 2, 0), (3, 2, 1), (5, 3, 2), (3, 1, 1)])
def test_pools_follow_torch(axes: int, ways: tuple[int, int, int]) -> None:
    """Kernel, stride and padding: padding never wins, and counts in a mean."""
    rng, size = np.random.default_rng(ways[0]), (1, 23) if axes == 1 else (11, 13)
    first = ways if axes == 2 else (1, 1, 0)
    geometry = geometry_of(size, *zip(first, ways, strict=True))
    x = QTensor("x", (*size, 3)[-1 - axes :], "int8", 0.05, -7)
    q = rng.integers(-128, 128, (4, *x.shape))
    q[0] = -128  # where zeros of padding would win
    channels_first = torch.from_numpy(np.moveaxis(x.dequantize(q), -1, 1))
    for kind in ("max", "avg"):
        theirs = getattr(torch.nn.functional, f"{kind}_pool{axes}d")(channels_first, *ways)
        wanted = np.moveaxis(theirs.numpy(), 1, -1)
        y = QTensor("y", wanted.shape[1:], "int8", 0.05, -7)
        make = MaxPool.quantize if kind == "max" else AveragePool.quantize
        error = np.abs(y.dequantize(make("pool", x, y, geometry).reference(q)[0]) - wanted)
        assert error.max() <= (1e-9 if kind == "max" else 0.5 * 0.05 + 1e-9)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_scale_follows_batch_norm_of_torch(dtype: str) -> None:
    """Half a step and a quarter, also where the mean is 2,667 times the deviation."""
    rng, top = np.random.default_rng(5), fixed.RANGES[dtype][1]
    mean, variance = np.array([0.1, -8000.0, 3.0, 0.0]), np.array([2.0, 9.0, 1e-4, 5.0])
    gain, offset = np.array([1.0, -0.7, 2.0, 0.0]), np.array([0.0, 0.5, -1.0, 0.25])
    scales = tuple((np.array([3.0, 10000.0, 3.1, 1.0]) / 32767).tolist())
    x, y = QTensor("x", (9, 4), "int16", scales, 3), QTensor("y", (9, 4), dtype, 4 / top)
    factor = gain / np.sqrt(variance + 1e-5)
    op = Scale.quantize("norm", x, y, factor, offset - mean * factor)
    q = x.quantize(rng.normal(mean, np.sqrt(variance), (200, 9, 4)))
    real = torch.from_numpy(x.dequantize(q).reshape(-1, 4))
    way = (torch.from_numpy(v) for v in (mean, variance, gain, offset))
    wanted = torch.nn.functional.batch_norm(real, *way).numpy().reshape(q.shape)
    wanted = wanted.clip(*(v * y.scales[0] for v in (y.qmin, y.qmax)))
    error = np.abs(y.dequantize(op.reference(q)[0]) - wanted) / y.scales[0]
    assert error.max() <= 0.5 + 0.25


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("padding", "dilation", "stride"), [(0, 1, 1), (2, 2, 1), (1, 3, 2)])
@pytest.mark.parametrize("axes", [1, 2])
def test_convolutions_in_groups_follow_torch(
    axes: int, padding: int, dilation: int, stride: int, groups: int
) -> None:
    """The integers are those of torch on the weights that they mean: half a step."""
    rng = np.random.default_rng(groups)
    x = QTensor("x", (11, 13, 6)[-1 - axes :], "int8", 0.05, -7)
    weight, bias = rng.normal(0, 1, (12, 6 // groups, *(3,) * axes)), rng.normal(0, 1, 12)
    q = rng.integers(-128, 128, (3, *x.shape))
    options = {"padding": padding, "dilation": dilation, "stride": stride, "groups": groups}
    first = torch.from_numpy(np.moveaxis(x.dequantize(q), -1, 1))
    convolve = getattr(torch.nn.functional, f"conv{axes}d")
    length = [(n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in x.shape[:-1]]
    y = QTensor("y", (*length, 12), "int8", 0.1, 4)
    op: Conv1d | Conv2d
    if axes == 1:
        way = {"before": padding, "dilation": dilation, "groups": groups}
        op = Conv1d.quantize("conv", x, y, weight, bias, stride, **way)
    else:
        pairs = [(n, n) for n in (3, stride, padding, dilation)]
        geometry = geometry_of((11, 13), *pairs)  # type: ignore[arg-type]
        keras = weight.transpose(2, 3, 1, 0)
        op = Conv2d.quantize("conv", x, y, keras, bias, geometry, groups=groups)
    unit = op.multiplier * 2.0 ** (op.shift.astype(float) - 32) * y.scales[0]
    taps = np.moveaxis(op.weight.reshape(12, *(3,) * axes, -1), -1, 1) / x.scales[0]
    meant = taps * unit.reshape(12, *(1,) * (axes + 1))
    assert np.abs(meant - weight).max() <= (unit / x.scales[0]).max() / 2 * (1 + 1e-9)
    theirs = convolve(first, torch.from_numpy(meant), torch.from_numpy(op.bias * unit), **options)
    wanted = np.moveaxis(theirs.numpy(), 1, -1).clip(*y.dequantize(np.array([-128, 127])))
    error = np.abs(y.dequantize(op.reference(q)[0]) - wanted)
    assert error.max() <= 0.5 * y.scales[0] * (1 + 1e-6)


def test_products_and_differences_are_those_of_torch() -> None:
    """A gated linear unit and a squeeze-and-excite: half a step, and a quarter a factor."""
    rng = np.random.default_rng(9)
    a, y = QTensor("a", (7, 4), "int16", 3e-4), QTensor("y", (7, 4), "int16", 9e-4)
    gate, channels = (
        QTensor("g", (7, 4), "int8", 1 / 256, -128),
        QTensor("c", (4,), "int8", 0.01, -90),
    )
    q, less = (rng.integers(-32768, 32768, (50, 7, 4)) for _ in "ab")
    g, c = rng.integers(-127, 128, (50, 7, 4)), rng.integers(-128, 128, (50, 4))
    real = [
        torch.from_numpy(t.dequantize(v)) for t, v in ((a, q), (a, less), (gate, g), (channels, c))
    ]
    glu = torch.nn.functional.glu(torch.cat([real[0], torch.logit(real[2])], -1))
    for op, inputs, wanted in (
        (Multiply.quantize("glu", a, gate, y), (q, g), glu),
        (Multiply.quantize("excite", a, channels, y), (q, c), real[0] * real[3][:, None, :]),
        (Subtract.quantize("difference", a, a, y), (q, less), torch.sub(real[0], real[1])),
    ):
        error = np.abs(y.dequantize(op.reference(*inputs)[0]) - wanted.numpy()) / y.scales[0]
        assert error.max() <= 0.5 + 2 * 0.25 + 1e-6


def test_leaky_average_follows_lfilter_without_a_dead_zone() -> None:
    """Each step rounds half a fine step; what was rounded decays by 1 - alpha."""
    alpha, steps, fine = 1 / 64, 3000, 2.0**-FRACTION_BITS
    x, y = (QTensor(name, (1,), "int16") for name in "xy")
    state, update = (QTensor(name, (1,), "int32", fine) for name in ("s", "s_next"))
    op = LeakyAverage.quantize("average", x, state, update, y, alpha)
    values = np.random.default_rng(0).integers(-900, 1100, steps)
    values[2000:] = 321  # an average in int16 would stop up to 0.5 / alpha steps short of it
    wanted, _ = signal.lfilter([alpha], [1, alpha - 1], values, zi=[(1 - alpha) * values[0]])
    s, trace = np.array([EMPTY]), []
    for value in values:
        s, view = op.reference(np.array([value]), s)
        trace.append((int(s[0]) * fine, int(view[0])))
    error = np.abs(np.array(trace)[:, 0] - wanted)
    assert error.max() <= 0.5 * fine / alpha + 1e-6
    assert trace[-1][1] == 321


def test_leaky_average_over_time_follows_the_low_pass() -> None:
    """T s' = x - s with x held for dt, solved exactly: s = x + (s - x) exp(-dt / T)."""
    time_s, scale = 60.0, 2.0**-12
    x, y = (QTensor(name, (1,), "int16", scale) for name in "xy")
    state, update = (
        QTensor(name, (1,), "int32", scale * 2.0**-FRACTION_BITS) for name in ("s", "s_next")
    )
    dt = QTensor("dt", (1,), "uint16", 1 / 360, 0, 36, 1080)
    op = LeakyAverage.over_time("average", (x, state, dt), (update, y), time_s)
    rng = np.random.default_rng(0)
    steps = rng.integers(36, 1081, 1000)
    values = np.where(steps < 400, -2048, 4096)  # short ones low: an average per step is lower
    wanted, s, trace = float(values[0]), np.array([EMPTY]), []
    for value, step in zip(values.tolist(), steps.tolist(), strict=True):
        wanted = value + (wanted - value) * np.exp(-step / 360 / time_s)
        s, _ = op.reference(np.array([value]), s, np.array([step]))
        trace.append(int(s[0]) * 2.0**-FRACTION_BITS - wanted)
    assert np.abs(trace).max() < 0.02 * 6144  # the second order, (dt / T) / 2 of the span at most


def test_conv1d_real_is_scipy_correlate() -> None:
    rng = np.random.default_rng(3)
    x, y = QTensor("x", (30, 1), "int8", 0.1), QTensor("y", (24, 1), "int16", 0.01)
    op = Conv1d.quantize("conv", x, y, rng.normal(0, 1, (1, 1, 7)), np.zeros(1), 1)
    values = rng.integers(-128, 127, (30, 1))
    unit = op.multiplier[0] * 2.0 ** (int(op.shift[0]) - 32) * 0.01
    wanted = signal.correlate(values[:, 0], op.weight[0].astype(float) * unit, "valid")
    error = y.dequantize(op.reference(values)[0])[:, 0] - wanted
    assert np.abs(error).max() <= 0.5 * 0.01 + 1e-9
