"""DSP kernels give the reference's bits, on the host, on a Cortex-M7 and on a Cortex-M4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST, KERNELS, Core, select
from lnn_edge.codegen.kernels.rows import (
    BLOCK,
    PAIR_LIMIT,
    SPAN,
    byte_rows,
    pack_stream,
    pair_rows,
    stream,
)
from lnn_edge.files import resources
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.linear import Linear
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host
from tests.support import arm_core
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import toy_graph

M7 = Core("cortex-m7", dsp=True)
LINEAR_SIZES = ((64, 64), (144, 24), (41, 24), (44, 4), (24, 12), (13, 3), (3, 1), (1, 5), (520, 2))
CONV_SIZES = (  # frames, channels, kernel size, filters, stride
    (100, 2, 7, 8, 2),
    (22, 12, 5, 16, 2),
    (20, 1, 5, 3, 1),
    (9, 3, 2, 5, 3),
    (5, 1, 1, 2, 4),
)


@pytest.mark.parametrize("kind", OPERATORS)
def test_every_operator_has_a_portable_kernel_and_its_template(kind: str) -> None:
    assert "portable" in [kernel.name for kernel in KERNELS[kind]]
    folder = resources.path("templates") / "ops"
    assert all((folder / kernel.template).is_file() for kernel in KERNELS[kind])


def linear(columns: int, rows: int, dtype: str, weight: np.ndarray | None = None) -> Linear:
    rng = np.random.default_rng(columns * 100 + rows)
    x, y = QTensor("x", (columns,), dtype, 0.05), QTensor("y", (rows,), "int16", 0.02)
    if weight is None:
        weight = rng.normal(0, 1 / np.sqrt(columns), (rows, columns))
    return Linear.quantize(f"l{columns}x{rows}", x, y, weight, rng.normal(0, 0.2, rows))


def narrow(columns: int, rows: int) -> Linear:
    """A matrix on int16 that holds int8."""
    op = linear(columns, rows, "int8")
    x = QTensor("x", (columns,), "int16", 0.05, qmin=-128, qmax=127)
    return replace(op, name=f"n{columns}x{rows}", inputs=(x,))


def to_bytes(columns: int, rows: int) -> Linear:
    """A matrix whose output is int8 around a zero point."""
    op = linear(columns, rows, "int8")
    y = replace(op.outputs[0], dtype="int8", qmin=-128, qmax=127, zero_point=-100)
    return replace(op, name=f"e{columns}x{rows}", outputs=(y,), shift=np.zeros(rows, np.int8))


def conv1d(frames: int, channels: int, taps: int, filters: int, stride: int, dtype: str) -> Conv1d:
    rng = np.random.default_rng(frames)
    x = QTensor("x", (frames, channels), dtype, 0.05, 3)
    shape = ((frames - taps) // stride + 1, filters)
    y = QTensor("y", shape, "int8", 0.3, -128)
    weight = rng.normal(0, 0.5, (filters, channels, taps))
    return Conv1d.quantize(f"c{frames}", x, y, weight, rng.normal(0, 0.2, filters), stride)


def biased(columns: int, bias: list[int]) -> Linear:
    """A matrix with the largest weights and these biases."""
    rows = len(bias)
    op = linear(columns, rows, "int8", np.ones((rows, columns)))
    more = np.array(bias, np.int32)
    return replace(op, name=f"b{columns}x{abs(bias[1])}", bias=more, multiplier=op.multiplier // 8)


LARGEST = PAIR_LIMIT - 1 - 127 * 128 * 8  # bias of a high row of eight columns, in a stream
BIASES = [
    [(1 << 30), LARGEST, -(1 << 30), -LARGEST],
    [-5, -LARGEST, 5, LARGEST, -(1 << 29)],
    [0, LARGEST + 1, 0, 0],  # its bias is added behind
]


def operators() -> list[AbstractOp]:
    ops: list[AbstractOp] = [biased(8, bias) for bias in BIASES]
    for dtype in ("int8", "int16"):
        ops += [linear(*size, dtype) for size in LINEAR_SIZES]
        ops += [conv1d(*size, dtype) for size in CONV_SIZES]
    ops += [narrow(*size) for size in LINEAR_SIZES]
    ops += [to_bytes(4 * groups, 3 + groups) for groups in range(1, 10)]
    # Every product at its extreme: the sums that the pair kernel's proof is about.
    ops += [linear(516, 4, "int8", sign * np.ones((4, 516))) for sign in (1.0, -1.0)]
    return ops


def stress(op: AbstractOp, trials: int = 6) -> np.ndarray:
    """Return random inputs and the rails, alternating signs and zeros."""
    x = op.inputs[0]
    rng = np.random.default_rng(x.size)
    values = rng.integers(x.qmin, x.qmax, (trials, *x.shape), endpoint=True)
    values[1], values[2], values[3] = x.qmin, x.qmax, x.zero_points[0]
    values[4] = np.where(np.arange(x.size).reshape(x.shape) % 2, x.qmin, x.qmax)
    return values


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Batch(
        tuple(
            Case(op, kernel, (stress(op),))
            for op in operators()
            for kernel in KERNELS[op.kind]
            if kernel.fits(op, M7)
        )
    )


def test_every_row_kernel_is_exercised(batch: Batch) -> None:
    used = {(case.op.kind, case.kernel.name) for case in batch.cases}
    names = ("dsp_stream", "dsp_pairs", "dsp_words", "portable")
    every = {(kind, name) for kind in ("linear", "conv1d") for name in names}
    assert used == every | {("linear", "dsp_narrow_stream"), ("linear", "dsp_halves")}


def test_kernels_are_bit_exact_on_the_host(batch: Batch, tmp_path: Path) -> None:
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_kernels_are_bit_exact_and_cheaper_on_arm(batch: Batch, core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()), count=True)
    assert batch.first_difference(done.output) == ""
    assert all(saves(batch, done.instructions))
    cost = {
        (case.op.name, case.op.inputs[0].dtype, case.kernel.name): done.instructions[f"case_{i}"]
        / (case.trials * case.op.macs)
        for i, case in enumerate(batch.cases)
    }
    assert cost["l64x64", "int8", "dsp_stream"] < 1.1
    assert cost["l64x64", "int8", "dsp_pairs"] < 1.35
    assert cost["l64x64", "int16", "dsp_words"] < 1.65
    assert cost["l64x64", "int8", "portable"] > 4
    assert cost["n64x64", "int16", "dsp_narrow_stream"] < 1.1
    assert cost["l64x64", "int16", "dsp_halves"] < 1.15


def saves(batch: Batch, instructions: dict[str, int]) -> list[bool]:
    """Tell for each case whether its kernel is at least as cheap as the plain one."""
    spent = [instructions[f"case_{i}"] for i in range(len(batch.cases))]
    pairs = list(zip(batch.cases, spent, strict=True))
    plain = {id(case.op): n for case, n in pairs if case.kernel.name == "portable"}
    return [n <= plain[id(case.op)] for case, n in pairs]


def test_a_model_with_dsp_kernels_is_bit_exact(tmp_path: Path) -> None:
    graph = toy_graph()
    program = compile_model(graph, tmp_path, M7)
    frames = np.random.default_rng(2).integers(-900, 900, (1500, 2)).astype(np.int16)
    items = record_items(frames, np.arange(20, 1500, 37))
    assert run_c(program, items) == run_reference(graph, items)


def test_the_core_chooses_the_kernel() -> None:
    op = linear(24, 12, "int8")
    assert select(op, HOST).name == "portable"
    assert select(op, Core("cortex-m3", dsp=False)).name == "portable"
    assert select(op, M7).name == "dsp_stream"
    assert select(linear(24, 12, "int16"), M7).name == "dsp_halves"
    assert select(linear(24, 8, "int16"), M7).name == "dsp_words"  # too few to pay with flash
    assert select(linear(26, 12, "int16"), M7).name == "dsp_words"  # no whole groups of columns
    assert select(narrow(24, 12), M7).name == "dsp_narrow_stream"
    assert select(narrow(41, 24), M7).name == "dsp_words"
    assert select(narrow(24, 12), HOST).name == "portable"
    wider = replace(narrow(24, 12).inputs[0], qmax=128)
    assert select(replace(narrow(24, 12), inputs=(wider,)), M7).name == "dsp_halves"


def test_wide_rows_are_widened_a_block_at_a_time() -> None:
    """Of 1,024 columns all are widened, 2 KB; a wider row takes 1 KB and its sums."""
    assert select(linear(1024, 8, "int8"), M7).name in ("dsp_stream", "dsp_pairs", "dsp_words")
    for dtype, name in (("int8", "dsp_pair_blocks"), ("int16", "dsp_word_blocks")):
        op = linear(1025, 7, dtype)
        assert select(op, HOST).name == "portable"
        assert select(op, M7).name == name
        assert select(op, M7).scratch(op) == 1024 + 4 * 8


def test_no_block_of_int8_products_reaches_the_limit_of_pairs() -> None:
    assert SPAN * 127 * 128 < PAIR_LIMIT
    assert SPAN % BLOCK == 0


@pytest.mark.target
def test_wide_rows_cost_no_more_than_pairs_may(tmp_path: Path) -> None:
    """48 filters over 12 x 3 x 129: 1.17 instructions a product, 1.4 with whole rows."""
    arm_core.require_emulator()
    geometry = geometry_of((12, 3), (12, 3), (1, 1), "valid")
    x, y = QTensor("x", (12, 3, 129), "int8", 0.05), QTensor("y", (1, 1, 48), "int8", 0.5)
    weight = np.random.default_rng(0).normal(0, 1, (12, 3, 129, 48))
    op = Conv2d.quantize("column", x, y, weight, np.zeros(48), geometry)
    batch = Batch((Case(op, select(op, M7), (stress(op),)),))
    program = link_for_arm(batch, "cortex-m7", tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()), count=True)
    assert batch.first_difference(done.output) == ""
    assert done.instructions["case_0"] / (batch.cases[0].trials * op.macs) < 1.2


def test_tiny_matrices_stay_plain() -> None:
    assert select(linear(2, 2, "int8"), M7).name == "portable"
    assert select(linear(9, 7, "int8"), M7).name == "dsp_stream"


def test_pairs_are_refused_where_a_high_row_could_overflow() -> None:
    """|S1| reaches 516 * 127 * 128 = 8,388,096 < 2**23 with 516 columns, and 2**23 with 517."""
    widest = linear(516, 2, "int8", np.ones((2, 516)))
    left = PAIR_LIMIT - 1 - 516 * 127 * 128
    for bias, name in ((left, "dsp_stream"), (-left - 1, "dsp_pairs")):
        op = replace(widest, bias=np.array([1 << 20, bias], np.int32))
        assert select(op, M7).name == name
    assert select(linear(517, 2, "int8", np.ones((2, 517))), M7).name == "dsp_words"
    # Row 0 is a low one: its sum has all 32 bits.
    weight = np.stack([np.ones(600), np.eye(1, 600)[0]])
    assert select(linear(600, 2, "int8", weight), M7).name == "dsp_stream"


def test_a_stream_holds_biases_weights_and_factors() -> None:
    op = replace(linear(6, 5, "int8"), shift=np.array([0, 1, 2, 3, 4], np.int8))
    for crossed in (False, True):
        blocks = stream(op, crossed).view(np.int32)
        order = [0, 2, 1, 3] if crossed else [0, 1, 2, 3]
        weight = np.zeros((8, 8), np.int8)
        weight[:5, :6] = op.weight
        crossing = weight.reshape(8, 2, 4)[..., order].reshape(8, 8)
        for block, rows in zip(blocks, np.split(np.arange(8), 2), strict=True):
            bias, multiplier, shift = factors(op)
            low, high = bias[rows[0::2]], bias[rows[1::2]]
            assert block[[1, 3]].tolist() == low.tolist()
            assert (block[[0, 2]] - low).tolist() == (256 * high).tolist()
            assert (block[4:12] == pair_rows(crossing[rows]).view(np.int32)).all()
            assert block[12:].tolist() == [*multiplier[rows], *shift[rows]]


@pytest.mark.parametrize("rows", [1, 4, 5, 8, 11])
def test_rows_that_make_no_block_follow_in_a_stream_of_their_own(rows: int) -> None:
    op = linear(37, rows, "int8")
    y = replace(op.outputs[0], qmin=-32767, zero_point=-5)
    op = replace(op, outputs=(y,), shift=np.arange(rows, dtype=np.int8) % 2)
    words = pack_stream(op)["stream"].view(np.int32)
    for count in (rows // 4, int(rows % 4 > 0)):
        if count:
            size = count * (4 + 4 * 10 + 4 + (4 if rows > 1 else 0))
            head = [
                2,
                3,
                4 * size,
                -5,
                65537,
                int(rows > 1),
            ]  # of ten groups the first round has two
            assert words[:6].tolist() == head
            words = words[6 + size :]
    assert len(words) == 0


def test_outputs_that_no_routine_saturates_take_other_kernels() -> None:
    narrow_y = replace(linear(24, 12, "int8").outputs[0], dtype="int8", qmin=-127, qmax=127)
    shifted = replace(linear(24, 12, "int8"), shift=np.ones(12, np.int8))
    assert select(replace(linear(24, 12, "int8"), outputs=(narrow_y,)), M7).name == "dsp_pairs"
    assert select(shifted, M7).name == "dsp_stream"
    whole_y = replace(narrow_y, qmin=-128)
    assert select(replace(shifted, outputs=(whole_y,)), M7).name == "dsp_pairs"
    rectified = replace(shifted.outputs[0], qmin=0)
    assert select(replace(shifted, outputs=(rectified,)), M7).name == "dsp_pairs"


def factors(op: Linear) -> tuple[np.ndarray, ...]:
    padded = [np.zeros(8, np.int64) for _ in range(3)]
    for room, values in zip(padded, (op.folded_bias, op.multiplier, op.shift), strict=True):
        room[: len(values)] = values
    return tuple(padded)


def test_packed_rows_mean_the_same_weights() -> None:
    weight = np.random.default_rng(0).integers(-127, 127, (6, 7), endpoint=True).astype(np.int8)
    halves = pair_rows(weight).view(np.int16).astype(np.int64).reshape(2, 2, 2, 2, 2)
    low = ((halves + 128) % 256) - 128
    high = (halves - low) // 256
    for o, k in np.ndindex(6, 7):
        block, pair, row = o // 4, o % 4 // 2, o % 2
        place = (block, k // 4, k % 4 // 2, pair, k % 2)
        assert (high if row else low)[place] == weight[o, k]
    words = byte_rows(weight).view(np.int8).reshape(2, 2, 4, 4)
    for o, k in np.ndindex(6, 7):
        assert words[o // 4, k // 4, o % 4, [0, 2, 1, 3][k % 4]] == weight[o, k]
