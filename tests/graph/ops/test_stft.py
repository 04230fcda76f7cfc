"""STFT magnitudes against scipy: recordings, and signals that reach the ends of every range."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from lnn_edge.codegen.kernels import KERNELS
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.errors import GraphError, QuantizationError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.stft import StftMagnitude
from tests.graph.ops.batch import Batch, Case, link_for_arm, run_on_host, runtime
from tests.support import arm_core

SIZES = tuple(1 << n for n in range(4, 11))
RECORDS = ("A0001", "A0003", "A0040", "A0200")
FINEST = 2.0**-13  # steps of x that a step of y may be at N = 256: half of it is refused
KERNEL = KERNELS["stft_magnitude"][0]
needs_recordings = pytest.mark.skipif(
    DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} is not set"
)


ROOTS = """#include <stdio.h>
#include "lnn_fixed.h"

static unsigned wrong(const uint32_t roots, const uint32_t most)
{
    unsigned count = 0U;
    for (uint32_t r = 1U; r < roots; r++)
    {
        count += (lnn_isqrt(r * r - 1U, most) != r - 1U) ? 1U : 0U;
        count += (lnn_isqrt(r * r, most) != r) ? 1U : 0U;
        count += (lnn_isqrt(r * r + 2U * r, most) != r) ? 1U : 0U;
    }
    return count;
}

int main(void)
{
    printf("%u %u ", wrong(1U << 14, (1U << 28) - 1U), wrong(1U << 16, UINT32_MAX));
    printf("%u", wrong(1U << 16, 0U));
    return 0;
}
"""


def test_roots_are_exact_around_every_square(tmp_path: Path) -> None:
    """With two steps below 2**14 and three above, where two are too few for one number."""
    (tmp_path / "roots.c").write_text(ROOTS)
    build = ["gcc", "-O1", f"-I{runtime()}", tmp_path / "roots.c", "-o", tmp_path / "roots"]
    subprocess.run(build, check=True)
    told = subprocess.run([tmp_path / "roots"], check=True, capture_output=True, text=True)
    assert told.stdout == "0 0 1"


def operator(
    size: int, channels: int, scale: float | tuple[float, ...], dtype: str = "int8"
) -> StftMagnitude:
    x = QTensor("x", (size, channels), "int16", 1.0)
    shape = (channels, size // 2 + 1)
    y = QTensor("y", shape, dtype, scale, -128 if dtype == "int8" else 0)
    return StftMagnitude.quantize("stft", x, y)


def witness(op: StftMagnitude, x: np.ndarray) -> np.ndarray:
    """Return scipy's magnitudes of windows (..., N, C), in steps of x."""
    _, _, y = signal.stft(
        x.astype(float),
        window="hann",
        nperseg=op.size,
        noverlap=0,
        boundary=None,
        padded=False,
        scaling="spectrum",
        axis=-2,
    )
    return np.abs(y[..., 0]).swapaxes(-1, -2)


def unrounded(op: StftMagnitude, x: np.ndarray) -> np.ndarray:
    """Return what fixed.magnitude is given, as a real magnitude in steps of x."""
    re, im = op._spectrum(op._transform(op._windowed(x)))
    return np.hypot(re.astype(float), im.astype(float)) / (op.size * 2.0**op.fraction_bits)


def signals(size: int) -> np.ndarray:
    """Return hard windows (W, N, 1): what a spectrum is largest, emptiest or sharpest for."""
    n = np.arange(size)
    rng = np.random.default_rng(size)
    rows = [0 * n, 0 * n + 32767, 0 * n - 32768, np.where(n % 2, -32768, 32767)]
    rows += [rng.integers(-32768, 32767, size, endpoint=True) for _ in range(8)]
    rows += [rng.integers(-3, 3, size, endpoint=True) for _ in range(4)]
    rows.append(np.where(n == size // 2, 32767, 0))
    for cycles in (1, 2, 3.5, size / 8, size / 4, size / 3, size / 2 - 1):
        for phase in (0.0, 0.25, 0.6):
            tone = np.cos(2 * np.pi * (cycles * n / size + phase))
            rows += [np.where(tone < 0, -32768, 32767), 32767 * tone, 20 * tone]
    return np.rint(np.stack(rows)).astype(np.int64)[..., None]


def ecg(size: int, hop: int) -> np.ndarray:
    """Return windows (W, N, 12) of recordings, 1 microvolt a step."""
    folder = Path(os.environ[DATA_VARIABLE]) / "cpsc2018"
    windows = []
    for name in RECORDS:
        frames = np.fromfile(folder / f"{name}.dat", "<i2").reshape(-1, 12)
        starts = range(0, len(frames) - size + 1, hop)
        windows += [frames[start : start + size] for start in starts]
    return np.stack(windows).astype(np.int64)


def check_against_scipy(op: StftMagnitude, x: np.ndarray) -> np.ndarray:
    """Check both bounds of the docstring; return the errors before rounding in steps of x."""
    wanted = witness(op, x)
    before = np.abs(unrounded(op, x) - wanted)
    assert before.max() <= op.error_of_x
    y = op.outputs[0]
    scales = np.broadcast_to(y.scales, (op.size // 2 + 1,))
    (got,) = op.reference(x)
    assert got.min() >= y.zero_points[0]
    assert got.max() <= y.qmax
    most = op.limit * scales
    error = np.abs(y.dequantize(got) - np.minimum(wanted, most)) / scales
    assert (error <= 0.5 + op.error_of_x / scales + op.limit * 2.0**-32 + 1e-9).all()
    return before


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("size", SIZES)
def test_hard_signals_stay_within_the_bound(size: int, dtype: str) -> None:
    for scale in (0.3, 1.0, 130.0):
        check_against_scipy(operator(size, 1, scale, dtype), signals(size))


@pytest.mark.parametrize("size", SIZES)
def test_the_error_in_steps_of_the_input_is_what_the_docstring_says(size: int) -> None:
    op = operator(size, 1, 1.0)
    assert op.fraction_bits == 15 - np.log2(size)
    assert 1.6 < op.error_of_x * 2.0**op.fraction_bits < 2


@pytest.mark.parametrize("size", SIZES)
def test_the_bound_counts_each_rounding_once(size: int) -> None:
    """N / 2 windowed values; of 16 points on a rotation, doubled until the end; the last one."""
    op = operator(size, 1, 1.0)
    turn, diagonal = 2.0**-30, np.sqrt(0.5)
    window = diagonal * (1 + 32768 * 2.0**op.fraction_bits * turn)
    weights = op.window[np.minimum(np.arange(size), size - np.arange(size))] / 2.0**31
    pairs = (32768 * 2.0**op.fraction_bits * weights + 1).reshape(-1, 2)
    largest = np.hypot(*pairs.T).sum() + size // 2 - 1
    assert op._largest() == pytest.approx(largest, rel=1e-7)
    points = [16 << i for i in range(int(np.log2(size)) - 3)]
    rotations = sum(diagonal * (size / m + op._largest() * turn) for m in points)
    total = 4 * (size / 2 * window + rotations) + diagonal * (1 + 2 * op._largest() * turn)
    wanted = total / (size * 2.0**op.fraction_bits)
    assert op.error_of_x == pytest.approx(wanted, rel=1e-12)


@needs_recordings
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_recordings_with_a_scale_per_bin_stay_within_the_bound(dtype: str) -> None:
    x = ecg(256, 128)
    plain = operator(256, 12, 1.0)
    largest = witness(plain, x).max(axis=(0, 1)) + 1e-3
    scales = (largest / operator(256, 1, 1.0, dtype).limit).clip(FINEST, None)
    op = operator(256, 12, tuple(scales.tolist()), dtype)
    assert largest.max() > 200 * largest.min()  # bins are that different
    error = check_against_scipy(op, x)
    assert np.sqrt((error**2).mean()) < 1e-3
    if dtype == "int8":
        assert (op.reference(x)[0].max(axis=(0, 1)) == op.outputs[0].qmax).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_largest_inputs_reach_no_more_than_was_proved(size: int) -> None:
    """Signs that follow a turning pointer make each bin as large as it can be."""
    op, n, k = operator(size, 1, 1.0), np.arange(size), np.arange(size // 2 + 1)
    angles = 2 * np.pi * (k[:, None] * n / size + np.linspace(0, 1, 8, False)[:, None, None])
    rows = np.where(np.cos(angles) < 0, -32768, 32767).reshape(-1, size, 1)
    z = op._transform(op._windowed(rows))
    assert 0.9 < np.hypot(z[0], z[1]).max() / op._largest() <= 1
    re, im = op._spectrum(z)
    assert np.hypot(re.astype(float), im.astype(float)).max() <= 4 * op._largest() + 1 < 1 << 31


def test_a_step_of_y_finer_than_the_spectrum_is_refused() -> None:
    assert operator(256, 1, FINEST, "int16").shift.tolist() == [0] * 129
    with pytest.raises(QuantizationError, match="choose scales closer"):
        operator(256, 1, FINEST / 2, "int16")


def test_one_more_fraction_bit_is_refused() -> None:
    op = operator(256, 1, 1.0)
    with pytest.raises(GraphError, match="spectrum can reach"):
        replace(op, fraction_bits=op.fraction_bits + 1)


def test_a_narrow_input_keeps_more_fraction_bits() -> None:
    x = QTensor("x", (64, 1), "int16", 1.0, 0, -2048, 2047)
    op = StftMagnitude.quantize("stft", x, QTensor("y", (1, 33), "int16", 0.25))
    assert op.fraction_bits == 13
    check_against_scipy(op, signals(64) >> 4)


def test_channels_are_transformed_alone() -> None:
    op, one = operator(64, 3, 1.0, "int16"), operator(64, 1, 1.0, "int16")
    x = np.random.default_rng(1).integers(-3000, 3000, (5, 2, 64, 3))
    (got,) = op.reference(x)
    assert got.shape == (5, 2, 3, 33)
    for c in range(3):
        np.testing.assert_array_equal(
            got[..., c, :], one.reference(x[..., c : c + 1])[0][..., 0, :]
        )


def test_equal_scales_of_channels_are_one_scale() -> None:
    op = operator(16, 2, 1.0)
    assert replace(op, inputs=(replace(op.inputs[0], scale=(1.0, 1.0)),)).size == 16
    with pytest.raises(GraphError, match="one scale"):
        replace(op, inputs=(replace(op.inputs[0], scale=(1.0, 2.0)),))


@pytest.fixture(scope="module")
def batch() -> Batch:
    cases = []
    for size, channels, dtype in ((256, 1, "int8"), (256, 1, "int16"), (1024, 1, "int8")):
        scales = tuple((100 * np.exp(-np.arange(size // 2 + 1) / 20) + 0.2).tolist())
        cases.append(Case(operator(size, channels, scales, dtype), KERNEL, (signals(size),)))
    return Batch(tuple(cases))


def test_long_windows_are_bit_exact_on_the_host(batch: Batch, tmp_path: Path) -> None:
    assert batch.first_difference(run_on_host(batch, tmp_path)) == ""


@pytest.mark.target
@pytest.mark.parametrize("core", arm_core.CORES)
def test_long_windows_are_bit_exact_and_cheap_on_arm(
    batch: Batch, core: str, tmp_path: Path
) -> None:
    arm_core.require_emulator()
    program = link_for_arm(batch, core, tmp_path)
    done = arm_core.run(program, batch.tape(), len(batch.expected()), count=True)
    assert batch.first_difference(done.output) == ""
    for i, case in enumerate(batch.cases[:2]):
        assert done.instructions[f"case_{i}"] / case.trials < 22_000


def test_constants_and_memory_of_256_frames_are_small() -> None:
    op = operator(256, 12, 1.0)
    assert sum(a.nbytes for a in KERNEL.pack(op).values()) < 2048
    assert KERNEL.scratch(op) == 4 * 258
