"""Kernels of linear and convolutions: plain C, and four rows at a time with SMLAD (not of groups).

What a kernel needs of four rows lies in one stream where it can: biases, weights, factors.

Where rows are wide, the input is widened and summed a block of columns at a time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.codegen.kernels.kernel import Constants, Core, Kernel, no_scratch, portable
from lnn_edge.graph import fixed
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.convolution import AbstractConvolution
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.rows import AbstractRowOp

BLOCK = 4
"""Rows that are summed together, and columns of a group."""
SPAN = 512
"""Columns of a block of a wide row: the sum of that many int8 products stays below PAIR_LIMIT."""
WIDE_BYTES = 2048
"""Of widened input, above which it is widened a block at a time."""
WORTH_HALVES = 256
"""Weights from which on a matrix on int16 takes 16 bits for each."""
WORTH_WORDS = 64
"""Weights from which on a matrix that no other kernel takes has a loop of its own."""
UNROLLED = {"int8": 8, "int16": 4}
"""Groups in a round of the routines of lnn_rows.h, by dtype of what they write."""
PAIR_LIMIT = 1 << 23
"""The sum of a pair's high row is what 256 leaves of 32 bits."""


def requantization(op: AbstractRowOp) -> Constants:
    """Return bias, multiplier and, where one is needed, shift."""
    constants = {"bias": op.folded_bias, "multiplier": op.multiplier}
    return {**constants, "shift": op.shift} if op.shift.any() else constants


def pack_portable(op: AbstractRowOp) -> Constants:
    """Return the weights row by row."""
    return {"weight": op.weight, **requantization(op)}


def pair_rows(weight: np.ndarray, rows: int = BLOCK) -> np.ndarray:
    """Return two rows per halfword, 256 * w1 + w0, as words for lnn_dot4_pairs.

    Args:
        weight: (O, K) int8; missing rows and columns of the last block count as 0.
        rows: Of a block, even.

    Returns:
        uint32, 4 words per group of 4 columns and 4 rows: {rows 0, 1: columns 0, 1},
        {rows 2, 3: columns 0, 1}, {0, 1: 2, 3}, {2, 3: 2, 3}; the first column is the low half.
        Of blocks with more rows, a word more for each pair of rows and of columns.
    """
    blocks = _blocks(weight, rows)
    pairs = 256 * blocks[..., 1::2, :] + blocks[..., 0::2, :]
    halves = (pairs & 0xFFFF).reshape(*pairs.shape[:-1], 2, 2)
    words = halves[..., 0] | halves[..., 1] << 16
    packed: np.ndarray = words.swapaxes(-1, -2).astype(np.uint32).ravel()
    return packed


def byte_rows(weight: np.ndarray) -> np.ndarray:
    """Return one word per row and group of 4 columns for lnn_dot4_words.

    Args:
        weight: (O, K) int8; missing rows and columns of the last block count as 0.

    Returns:
        uint32, 4 words per group, one a row; bytes from the lowest: columns 0, 2, 1, 3.
    """
    ordered = _blocks(weight)[..., [0, 2, 1, 3]] & 0xFF
    words = ordered << np.array([0, 8, 16, 24])
    packed: np.ndarray = words.sum(axis=-1).astype(np.uint32).ravel()
    return packed


def half_rows(weight: np.ndarray) -> np.ndarray:
    """Return two columns per word for lnn_dot4_halves.

    Args:
        weight: (O, K) int8; missing rows and columns of the last block count as 0.

    Returns:
        uint32, 8 words per group: columns 0, 1 of its rows, then 2, 3; the first is the low half.
    """
    blocks = _blocks(weight) & 0xFFFF
    halves = blocks.reshape(*blocks.shape[:-1], 2, 2)
    words = halves[..., 0] | halves[..., 1] << 16
    packed: np.ndarray = words.swapaxes(-1, -2).astype(np.uint32).ravel()
    return packed


def _blocks(weight: np.ndarray, rows: int = BLOCK) -> np.ndarray:
    """Return (row blocks, column groups, rows, 4 columns) int64."""
    blocks, columns = -(-weight.shape[0] // rows), -(-weight.shape[1] // BLOCK)
    padded = np.zeros((blocks * rows, columns * BLOCK), np.int64)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    return padded.reshape(blocks, rows, columns, BLOCK).swapaxes(1, 2)


def pack_pairs(op: AbstractRowOp) -> Constants:
    """Return the weights two rows a halfword."""
    return {"pairs": pair_rows(op.weight), **requantization(op)}


def stream(op: AbstractRowOp, is_crossed: bool) -> np.ndarray:
    """Return what the routines of lnn_rows.h read of four rows, four after four.

    Args:
        op: The operator.
        is_crossed: Whether each four columns lie in the order 0, 2, 1, 3.

    Returns:
        (blocks, words) uint32: 256 b1 + b0, b0, 256 b3 + b2, b2; the words of pair_rows; four
        multipliers; four shifts if any is not 0.
    """
    return blocks_of(op.weight, requantization(op), is_crossed)


def blocks_of(
    weight: np.ndarray, factors: Constants, is_crossed: bool, rows: int = BLOCK
) -> np.ndarray:
    """Return the stream of rows (O, K) with their bias, multiplier and shift, (O,) each."""
    count, columns = -(-weight.shape[0] // rows) * rows, -(-weight.shape[1] // BLOCK) * BLOCK
    padded = np.zeros((count, columns), np.int64)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    padded = crossed(padded) if is_crossed else padded
    bias, *others = (_by_block(v, rows) for v in factors.values())
    low, high = bias[:, 0::2], bias[:, 1::2]
    start = np.stack((256 * high + low, low), axis=-1).reshape(-1, rows)
    blocks = pair_rows(padded, rows).reshape(len(start), -1)
    words: np.ndarray = np.concatenate((start, blocks, *others), axis=1).astype(np.uint32)
    return words


def crossed(weight: np.ndarray) -> np.ndarray:
    """Return whole groups of columns (O, K) in the order 0, 2, 1, 3."""
    ordered: np.ndarray = weight.reshape(len(weight), -1, BLOCK)[..., [0, 2, 1, 3]]
    return ordered.reshape(weight.shape)


def _heads(op: AbstractRowOp, blocks: np.ndarray) -> list[int]:
    """Return what is in front of blocks in a stream."""
    y, groups = op.outputs[0], -(-op.weight.shape[1] // BLOCK)
    unrolled = UNROLLED[y.dtype]
    heads = [-groups % unrolled, -(-groups // unrolled), blocks.nbytes, y.zero_points[0]]
    if y.dtype == "int8":
        return heads
    margin = y.qmin - fixed.RANGES["int16"][0]
    return [*heads, margin << 16 | margin, int(op.shift.any())]


def _by_block(values: np.ndarray, rows: int) -> np.ndarray:
    """Return values of rows as int64, (blocks, rows); missing rows count as 0."""
    padded = np.zeros(-(-len(values) // rows) * rows, np.int64)
    padded[: len(values)] = values
    return padded.reshape(-1, rows)


def is_crossed(op: AbstractRowOp) -> bool:
    """Return whether what a kernel reads can lie in the order in which bytes are widened."""
    if isinstance(op, Conv1d):
        return op.is_contiguous and _step(op) % BLOCK == 0
    return isinstance(op, Linear) and op.inputs[0].dtype == "int8"


def _step(op: Conv1d) -> int:
    step: int = op.stride * op.inputs[0].shape[1]
    return step


def pack_stream(op: AbstractRowOp) -> Constants:
    """Return the whole blocks of four rows as one stream, and what is left as another behind it."""
    blocks, whole = stream(op, is_crossed(op)), op.weight.shape[0] // BLOCK
    parts = [part for part in (blocks[:whole], blocks[whole:]) if len(part)]
    heads = (np.array(_heads(op, part)).astype(np.uint32) for part in parts)
    words = [each for head, part in zip(heads, parts, strict=True) for each in (head, part.ravel())]
    return {"stream": np.concatenate(words)}


def pack_crossed_pairs(op: AbstractRowOp) -> Constants:
    """Return the weights two rows a halfword, columns in the order in which bytes are widened."""
    columns = -op.weight.shape[1] % BLOCK
    weight = crossed(np.pad(op.weight, ((0, 0), (0, columns))))
    return {"pairs": pair_rows(weight), **requantization(op)}


def pack_words(op: AbstractRowOp) -> Constants:
    """Return the weights four columns a word."""
    return {"words": byte_rows(op.weight), **requantization(op)}


def pack_halves(op: AbstractRowOp) -> Constants:
    """Return the weights two columns a word: twice the memory, nothing to unpack."""
    return {"halves": half_rows(op.weight), **requantization(op)}


def is_grouped(op: AbstractOp) -> bool:
    """Return whether filters read a part of the channels each."""
    return isinstance(op, AbstractConvolution) and op.groups > 1


def pays(op: AbstractRowOp) -> bool:
    """Return whether whole blocks cost less than the plain loop; tiny matrices are mostly padding.

    Groups have no blocks: few of their rows read the same columns.

    Counted on Cortex-M7 and M4: 17 instructions a group, about 55 around four rows, against 5 for
    each weight in plain C.
    """
    rows, columns = (-(-n // BLOCK) for n in op.weight.shape)
    return not is_grouped(op) and bool(rows * (17 * columns + 55) < 5 * op.weight.size)


def stays_below(op: AbstractRowOp, has_bias: bool = False) -> bool:
    """Return whether the sums of the high rows, with biases or without, stay below PAIR_LIMIT."""
    bias = op.folded_bias if has_bias else np.zeros(len(op.weight), np.int64)
    return int(high_sums(op.weight, op.inputs[0], bias).max(initial=0)) < PAIR_LIMIT


def high_sums(weight: np.ndarray, x: QTensor, bias: np.ndarray) -> np.ndarray:
    """Return bounds of the sums of the high rows of (O, K) over a vector, with biases (O,)."""
    high: np.ndarray = np.abs(weight[1::2].astype(np.int64)).sum(axis=1)
    return high * max(abs(x.qmin), abs(x.qmax)) + np.abs(bias[1::2].astype(np.int64))


def fits_pairs(op: AbstractRowOp, core: Core) -> bool:
    """Fit int8 inputs on DSP cores while the high rows' sums stay below 2**23."""
    return core.dsp and op.inputs[0].dtype == "int8" and stays_below(op) and pays(op)


def fits_stream(op: AbstractRowOp, core: Core) -> bool:
    """Fit pairs with small biases whose frames begin at whole words, if a routine writes y."""
    in_words = not isinstance(op, Conv1d) or not op.is_contiguous or _step(op) % 2 == 0
    return fits_pairs(op, core) and in_words and is_streamed(op)


def is_streamed(op: AbstractRowOp) -> bool:
    """Return whether a routine of lnn_rows.h keeps the sums exact, and saturates as y needs it."""
    y, (low, high) = op.outputs[0], fixed.RANGES[op.outputs[0].dtype]
    if y.dtype == "int8":
        is_written = (y.qmin, y.qmax) == (low, high) and not op.shift.any()
    else:
        is_written = y.dtype == "int16" and y.qmin < 0 and y.qmax == high
    return is_written and stays_below(op, has_bias=True)


def fits_narrow(op: AbstractRowOp, core: Core) -> bool:
    """Fit what fits pairs but for its type: int16 that holds int8 needs no widening."""
    x = op.inputs[0]
    is_narrow = x.dtype == "int16" and -128 <= x.qmin <= x.qmax <= 127
    whole_groups = x.size % BLOCK == 0
    return is_narrow and whole_groups and core.dsp and is_streamed(op) and pays(op)


def fits_halves(op: AbstractRowOp, core: Core) -> bool:
    """Fit int16 inputs of whole groups on DSP cores: 14 instructions a group, not 21."""
    x = op.inputs[0]
    whole = x.dtype == "int16" and x.size % BLOCK == 0 and not is_wide(op)
    return whole and op.weight.size >= WORTH_HALVES and core.dsp and pays(op)


def fits_words(op: AbstractRowOp, core: Core) -> bool:
    """Fit every input on DSP cores; of few weights the plain loop is three times as short."""
    return core.dsp and pays(op) and op.weight.size >= WORTH_WORDS


def is_wide(op: AbstractRowOp) -> bool:
    """Return whether the widened columns of a row would take much memory."""
    return patch_bytes(op) > WIDE_BYTES


def fits_pair_blocks(op: AbstractRowOp, core: Core) -> bool:
    """Fit wide rows of int8 inputs on DSP cores: each block is unpacked, then added in 32 bits."""
    return core.dsp and op.inputs[0].dtype == "int8" and is_wide(op) and pays(op)


def fits_word_blocks(op: AbstractRowOp, core: Core) -> bool:
    """Fit wide rows on DSP cores."""
    return core.dsp and is_wide(op) and pays(op)


def block_bytes(op: AbstractRowOp) -> int:
    """Return the bytes of a block of columns as int16, and of one sum per row."""
    rows: int = -(-op.weight.shape[0] // BLOCK) * BLOCK
    return 2 * SPAN + 4 * rows


def widened_bytes(op: AbstractRowOp) -> int:
    """Return the bytes of the input as int16, as far as the last group of the last frame reads."""
    x, columns = op.inputs[0], -(-op.weight.shape[1] // BLOCK) * BLOCK
    start = 0
    if isinstance(op, Conv1d):
        start = (op.outputs[0].shape[0] - 1) * op.stride * x.shape[1]
    count: int = 2 * max(x.size, start + columns)
    return count


def patch_bytes(op: AbstractRowOp) -> int:
    """Return the bytes of what a kernel of a convolution sees, in whole groups of columns."""
    groups: int = -(-op.rows.shape[1] // BLOCK)
    return 2 * BLOCK * groups


def seen_bytes(op: AbstractConvolution) -> int:
    """Return the bytes of what a grouped kernel sees, where it must be copied."""
    return 0 if op.walk.stays_inside else patch_bytes(op)


def fits_grouped(op: AbstractOp, _core: Core) -> bool:
    """Fit groups on every core."""
    return is_grouped(op)


def fits_ungrouped(op: AbstractOp, _core: Core) -> bool:
    """Fit what has no groups on every core."""
    return not is_grouped(op)


def _of_frames(kernel: Kernel, is_contiguous: bool) -> Kernel:
    """Return a kernel for Conv1d whose columns lie side by side, or do not."""

    def fits(op: Conv1d, core: Core) -> bool:
        return op.is_contiguous == is_contiguous and kernel.fits(op, core)

    return replace(kernel, fits=fits)


_BLOCKS = (
    Kernel(
        "dsp_pair_blocks",
        "linear_dsp_blocks.c.j2",
        fits_pair_blocks,
        pack_crossed_pairs,
        block_bytes,
    ),
    Kernel("dsp_word_blocks", "linear_dsp_blocks.c.j2", fits_word_blocks, pack_words, block_bytes),
)


def _of_whole(kernel: Kernel) -> Kernel:
    """Return a kernel of Linear for a Conv2d that sees all of its input at once."""

    def fits(op: Conv2d, core: Core) -> bool:
        g = op.walk.geometry
        is_whole = g.output == (1, 1) and g.kernel_size == op.walk.image[:2]
        return is_whole and op.walk.stays_inside and kernel.fits(op, core)

    return replace(kernel, name=f"{kernel.name}_of_whole", fits=fits)


def _row_kernels(kind: str) -> tuple[Kernel, ...]:
    template = f"{kind}_dsp.c.j2"
    return (
        Kernel("dsp_stream", f"{kind}_dsp_stream.c.j2", fits_stream, pack_stream, widened_bytes),
        Kernel("dsp_pairs", template, fits_pairs, pack_pairs, widened_bytes),
        Kernel("dsp_words", template, fits_words, pack_words, widened_bytes),
        portable(f"{kind}.c.j2", pack_portable),
    )


_GROUPED = Kernel("portable_groups", "conv_groups.c.j2", fits_grouped, pack_portable, seen_bytes)
_PATCHES = (
    Kernel("dsp_stream", "conv2d_dsp_stream.c.j2", fits_stream, pack_stream, patch_bytes),
    Kernel("dsp_words", "conv2d_dsp.c.j2", fits_words, pack_words, patch_bytes),
    Kernel("portable", "conv2d.c.j2", fits_ungrouped, pack_portable, patch_bytes),
)

_PATCH_BLOCKS = "conv2d_dsp_blocks.c.j2"
_DIRECT, _STREAM = "linear_dsp_direct.c.j2", "linear_dsp_stream.c.j2"

KERNELS: dict[str, tuple[Kernel, ...]] = {
    "linear": (
        Kernel("dsp_narrow_stream", _STREAM, fits_narrow, pack_stream, no_scratch),
        Kernel("dsp_halves", _DIRECT, fits_halves, pack_halves, no_scratch),
        *_BLOCKS,
        *_row_kernels("linear"),
    ),
    "conv1d": (
        *(_of_frames(kernel, True) for kernel in _row_kernels("conv1d")),
        *(_of_frames(replace(k, name=f"{k.name}_of_patches"), False) for k in _PATCHES),
        _GROUPED,
    ),
    "conv2d": (
        *(_of_whole(kernel) for kernel in _BLOCKS),
        Kernel("dsp_pair_blocks", _PATCH_BLOCKS, fits_pair_blocks, pack_pairs, block_bytes),
        Kernel("dsp_word_blocks", _PATCH_BLOCKS, fits_word_blocks, pack_words, block_bytes),
        *_PATCHES,
        _GROUPED,
    ),
}
