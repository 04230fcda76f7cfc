"""Files that no device can run, or that are none, get one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.nn.from_onnx.file import read_onnx
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.onnx_cases import CASES

onnx = pytest.importorskip("onnx")
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(3, 2)).astype(np.float32)
FRAMES = ("batch", "time", 3)


def node(op: str, inputs: str = "x w", outputs: str = "y", **given: Any) -> Any:
    names = [("" if n == "-" else n) for n in inputs.split()]
    return onnx.helper.make_node(op, names, outputs.split(), name=f"the_{op}", **given)


def model_of(
    *nodes: Any,
    weights: dict[str, np.ndarray] | None = None,
    shape: Any = FRAMES,
    opset: int = 18,
    kind: int = 1,
    more: tuple[str, ...] = (),
) -> Any:
    """Return a model of one input x and one output y."""
    ports = [onnx.helper.make_tensor_value_info(n, kind, shape) for n in ("x", *more)]
    held = {"w": WEIGHT} if weights is None else weights
    tensors = [onnx.numpy_helper.from_array(v, n) for n, v in held.items()]
    out = onnx.helper.make_tensor_value_info("y", 1, None)
    graph = onnx.helper.make_graph(list(nodes), "g", ports, [out], tensors)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    made.ir_version = 9
    return made


def refusal(model: Any, folder: Path, **options: Any) -> str:
    """Return the sentence that a model is refused with."""
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises((DataError, UsageError)) as caught:
        import_model(path, ImportOptions(**options))
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 900
    return text


def lstm(**given: Any) -> Any:
    size = 2
    weights = {
        "w": RNG.normal(size=(1, 4 * size, 3)).astype(np.float32),
        "r": RNG.normal(size=(1, 4 * size, size)).astype(np.float32),
        "p": RNG.normal(size=(1, 3 * size)).astype(np.float32),
        "h": np.ones((1, 17, size), np.float32),
    }
    inputs = given.pop("inputs", "t w r")
    return model_of(
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", inputs, given.pop("outputs", "y"), hidden_size=size, **given),
        weights=weights,
    )


MODELS: dict[str, tuple[Any, str]] = {
    "an unknown operator": (lambda: model_of(node("Det", "x")), "Det.* has no operator"),
    "another domain": (
        lambda: model_of(node("FusedMatMul", domain="com.microsoft")),
        "of com.microsoft, not one of ONNX itself",
    ),
    "an opset of tomorrow": (lambda: model_of(node("MatMul"), opset=99), "is of opset 99"),
    "an opset of long ago": (lambda: model_of(node("MatMul"), opset=7), "known are 11 to"),
    "a circle": (
        lambda: model_of(node("Add", "a x", "y"), node("Tanh", "y", "a")),
        "goes in a circle",
    ),
    "no such tensor": (lambda: model_of(node("MatMul", "x nothing")), "no node before it gives"),
    "weights that are NaN": (
        lambda: model_of(node("MatMul"), weights={"w": np.full((3, 2), np.nan, np.float32)}),
        "NaN or infinite",
    ),
    "texts": (
        lambda: model_of(node("MatMul"), weights={"w": np.array([["a"]], object)}),
        "holds texts",
    ),
    "free channels": (lambda: model_of(node("Tanh", "x"), shape=("b", "t", "c")), "has no size"),
    "an input of integers": (lambda: model_of(node("MatMul"), kind=7), "must be float32"),
    "an input of one axis": (lambda: model_of(node("Tanh", "x"), shape=(3,)), "has 1 axes"),
    "a huge frame": (lambda: model_of(node("Tanh", "x"), shape=(1, 4, 1 << 40)), "no device"),
    "two inputs": (lambda: model_of(node("Add", "x z"), more=("z",)), "has 2 inputs"),
    "an output of a constant": (lambda: model_of(node("Identity", "w")), "does not reach"),
    "an output of the input": (lambda: model_of(node("Identity", "x")), "what it reads"),
    "two values multiplied": (lambda: model_of(node("MatMul", "x x")), "multiplies two values"),
    "a recurrent layer unrolled": (
        lambda: model_of(
            *(node("MatMul", f"x{i} r".replace("x0", "x"), f"a{i}") for i in range(3)),
            *(node("Tanh", f"a{i}", f"x{i + 1}") for i in range(2)),
            node("Det", "a2"),
            weights={"r": np.eye(3, dtype=np.float32)},
        ),
        "one matrix is used 3 times, as where an export unrolls a recurrent layer: import the .ker",
    ),
    "states that are cut off at nothing": (
        lambda: lstm(clip=0.0),
        "has clip or input_forget, for which there is no operator",
    ),
    "a whole record": (
        lambda: model_of(node("ReduceMean", "x", axes=[1], keepdims=0), opset=13),
        "reads a whole record.*fixed number of frames",
    ),
    "one frame of a record": (
        lambda: model_of(node("Gather", "x i", axis=1), weights={"i": np.array(3)}),
        "takes frame 3",
    ),
    "the first frames": (
        lambda: model_of(
            node("Slice", "x s e a"),
            weights={"s": np.array([0]), "e": np.array([9]), "a": np.array([1])},
        ),
        "takes frames 0 to 9",
    ),
    "a huge constant": (
        lambda: model_of(
            node("ConstantOfShape", "s", "c"),
            node("Add", "x c"),
            weights={"s": np.array([1 << 40])},
        ),
        "larger than any board holds",
    ),
    "a repeated shape": (
        lambda: model_of(
            node("Reshape", "x s", "y"), weights={"s": np.array([-1, -1, 3], np.int64)}
        ),
        "makes no shape",
    ),
    "both directions": (lambda: lstm(direction="bidirectional"), "reads from the end"),
    "backwards": (lambda: lstm(direction="reverse"), "reads from the end"),
    "other gates": (lambda: lstm(activations=["Relu", "Tanh", "Tanh"]), "has activations"),
    "peepholes": (lambda: lstm(inputs="t w r - - - - p"), "peepholes"),
    "a state to start from": (lambda: lstm(inputs="t w r - - h"), "is given a state"),
    "a memory": (lambda: lstm(outputs="z - y"), "gives its memory c"),
    "frames along sequences": (
        lambda: model_of(
            node("LSTM", "x w r", "y", hidden_size=2),
            weights={"w": np.ones((1, 8, 3), np.float32), "r": np.ones((1, 8, 2), np.float32)},
        ),
        "batch_first=True",
    ),
    "an operator of integers": (lambda: model_of(node("MatMulInteger")), "format QDQ"),
    "erf alone": (lambda: model_of(node("Erf", "x")), "but as a part of GELU"),
    "attributes of another kind": (
        lambda: model_of(node("Transpose", "x", perm="abc")),
        "Transpose",
    ),
    "a scale that changes": (
        lambda: model_of(
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q t z"),
            weights={
                "s": np.float32(0.1),
                "t": np.float32(0.2),
                "z": np.int8(0),
            },
        ),
        "scale and zero point that QuantizeLinear has",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    make, words = MODELS[name]
    assert re.search(words, refusal(make(), tmp_path)), name


def test_options_must_fit_the_file(tmp_path: Path) -> None:
    free, fixed = model_of(node("MatMul")), model_of(node("MatMul"), shape=(1, 16, 3))
    assert "leave --hop out" in refusal(free, tmp_path, hop=4)
    assert "--hop 40 must be 1 to 16" in refusal(fixed, tmp_path, hop=40)
    assert "--time-axis 7 is none" in refusal(free, tmp_path, time_axis=7)
    assert "no --mode" in refusal(free, tmp_path, mode="pure")
    assert "leave --dt input out" in refusal(free, tmp_path, dt=None)
    image = model_of(node("Tanh", "x"), shape=(1, 1, 8, 8))
    assert "give --time-axis 1 to 3" in refusal(image, tmp_path)
    mean = model_of(node("ReduceMean", "x", axes=[1], keepdims=0), shape=(1, 16, 3), opset=13)
    assert "give --hop with 1 to 16 frames" in refusal(mean, tmp_path)
    (tmp_path / "net.pt").write_bytes(b"no torch file")
    with pytest.raises(UsageError, match=r"no \.onnx file"):
        import_model(tmp_path / "net.pt", ImportOptions(time_axis=1))


def outside(location: str, **more: str) -> Any:
    """Return a model whose weights lie in another file."""
    model = model_of(node("MatMul"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return model


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin", "", "link", "."])
def test_weights_outside_the_folder_are_not_read(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path / "w.bin")
    assert "outside the model's folder" in refusal(outside(location), folder)


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"1234" + WEIGHT.tobytes())
    path = tmp_path / "net.onnx"
    path.write_bytes(outside("w.bin", offset="4", length="24").SerializeToString())
    (row,) = import_model(path, ImportOptions()).card.layers
    assert row.kind == "linear"
    assert "ends behind" in refusal(outside("w.bin", offset="8"), tmp_path)
    assert "cannot be read" in refusal(outside("none.bin"), tmp_path)
    assert "does not fit its shape" in refusal(outside("w.bin", length="25"), tmp_path)
    assert "cannot be read" in refusal(outside("w.bin", offset="-4"), tmp_path)


def test_the_reader_and_the_package_onnx_agree(tmp_path: Path) -> None:
    path = CASES["conv, norm, gru"].save(tmp_path / "net.onnx")
    ours, theirs = read_onnx(path, path.read_bytes()).graph, onnx.load(path).graph
    assert [n.op for n in ours.nodes] == [n.op_type for n in theirs.node]
    assert [list(n.inputs) for n in ours.nodes] == [list(n.input) for n in theirs.node]
    assert [list(n.outputs) for n in ours.nodes] == [list(n.output) for n in theirs.node]
    for mine, other in zip(ours.nodes, theirs.node, strict=True):
        given = {a.name: onnx.helper.get_attribute_value(a) for a in other.attribute}
        for name, value in given.items():
            found = mine.attributes[name]
            if isinstance(value, onnx.TensorProto):
                assert np.array_equal(found, onnx.numpy_helper.to_array(value))
            else:
                assert found == (value.decode() if isinstance(value, bytes) else value)
    for tensor in theirs.initializer:
        assert np.array_equal(ours.constants[tensor.name], onnx.numpy_helper.to_array(tensor))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "bool"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_numbers_of_every_type_are_read(dtype: str, raw: bool, tmp_path: Path) -> None:
    values = np.array([[0, 1, 3], [2, 0, 1]]).astype(dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    content = values.tobytes() if raw else values.ravel().tolist()
    tensor = onnx.helper.make_tensor("w", kind, values.shape, content, raw=raw)
    model = model_of(node("MatMul"))
    del model.graph.initializer[:]
    model.graph.initializer.append(tensor)
    found = read_onnx(tmp_path / "net.onnx", model.SerializeToString()).graph.constants["w"]
    assert np.array_equal(found, values)
    assert found.dtype == values.dtype


def _raw() -> bytes:
    return bytes(
        model_of(
            node("Transpose", "x", "t", perm=[0, 2, 1]),
            node("Conv", "t k", "c", pads=[2, 0]),
            node("Relu", "c", "d"),
            node("Transpose", "d", "e", perm=[0, 2, 1]),
            node("Shape", "e", "s"),
            node("Reshape", "e s", "f"),
            node("MatMul", "f w", "g"),
            node("Add", "g b", "y"),
            weights={
                "k": RNG.normal(size=(3, 3, 3)).astype(np.float32),
                "w": WEIGHT,
                "b": np.ones(2, np.float32),
            },
        ).SerializeToString()
    )


RAW = _raw()


def read_quietly(raw: bytes, folder: Path) -> str:
    """Return "read", or the sentence; anything else is a failure."""
    path = folder / "net.onnx"
    path.write_bytes(raw)
    try:
        import_model(path, ImportOptions())
    except LnnEdgeError as error:
        return str(error)
    return "read"


def test_a_whole_model_is_read_and_no_part_of_it(tmp_path: Path) -> None:
    assert read_quietly(RAW, tmp_path) == "read"
    told = [read_quietly(RAW[:size], tmp_path) for size in range(0, len(RAW), 7)]
    assert all("\n" not in text for text in told)
    assert sum(text == "read" for text in told) <= 1  # a file without its last field


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(RAW) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    cut=st.integers(0, 40),
)
def test_no_bytes_of_a_file_break_the_reader(
    changes: list[tuple[int, int]], cut: int, tmp_path: Path
) -> None:
    raw = bytearray(RAW)
    for place, value in changes:
        raw[place] = value
    assert "\n" not in read_quietly(bytes(raw[: len(raw) - cut]), tmp_path)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes, tmp_path: Path) -> None:
    assert read_quietly(raw, tmp_path) != "read"
