"""Magnitude of one column of a short-time Fourier transform, in integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.errors import GraphError
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

Complex = tuple[Array, Array]
SIZES = (16, 1024)
WINDOW_ONE = (1 << 31) - 1
TURN_ONE = 1 << 30
MOST = 32767  # what fixed.magnitude can return
SAME_GAIN = 1e-8  # relative: the square of a gain has 31 bits


def hann(size: int) -> np.ndarray:
    """Return the periodic window (1 - cos(2 pi n / N)) / 2, (N,); it sums to N / 2."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return window


def reversed_bits(count: int) -> np.ndarray:
    """Return 0 .. count - 1, a power of two, in the order of their bits read backwards."""
    order = np.zeros(1, np.int64)
    while len(order) < count:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


@dataclass(frozen=True, eq=False)
class StftMagnitude(AbstractOp):
    """y[c, k] = |sum_n x[n, c] w[n] exp(-2 pi i k n / N)| / sum(w), w the periodic Hann window.

    Shapes x (N, C) -> y (C, K), the K <= N / 2 + 1 lowest bins, N a power of two from 16 to 1024:
    the magnitude of
    scipy.signal.stft(window="hann", nperseg=N, scaling="spectrum", boundary=None, padded=False).
    x is int16 with one scale; y int8 or int16 with a scale per bin.

    a[n]   = requantize(x[n], window[n], f + 1)              f = fraction_bits, window[n] in Q31
    z[n]   = a[2 n] + i a[2 n + 1], in the order of reversed bits
    stages of 2, 4, .. N / 2 points (decimation in time), j < points / 4:
             u, v = z[j], t(z[j + points / 2])               t = rotate by -2 pi j / points
             z[j], z[j + points / 2] <- u + v, u - v
             and with -i v a quarter further on: the rotation that is rounded is one of a quadrant
    2 X[k] = E + t(O), 2 X[N / 2 - k] = conj(E - t(O))       k < N / 4, t = rotate by -2 pi k / N
             E = z[k] + conj z[N / 2 - k], O = -i (z[k] - conj z[N / 2 - k])
    y[k]   = min(floor(|2 X[k]| G_k + 1/2), qmax - zy) + zy  see fixed.magnitude

    Error: at most error_of_x steps of x, less than 2 * 2**-f (0.016 for N = 256 and all of int16),
    and half a step of y. Without a multiple of 1 / 4 of a turn nothing is rounded in the first two
    stages.

    Source: Cooley and Tukey 1965; a real transform by a complex one of half its length.

    Attributes:
        window: (N / 2 + 1,) int32, Q31: 0 to N / 2, the rest is its mirror image.
        turn: (N / 4, 2) int32, Q30: cosine and sine of 2 pi k / N.
        multiplier: (K,) int32, shift: (K,) int8: G_k, see fixed.quantize_square.
        fraction_bits: f.
    """

    kind: ClassVar[str] = "stft_magnitude"
    channel_scales: ClassVar[tuple[str, ...]] = ("y0",)
    window: np.ndarray
    turn: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    fraction_bits: int

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor) -> StftMagnitude:
        """Take tables from the length of x, factors from the scales.

        Raises:
            GraphError: The length is not one that the operator has.
            QuantizationError: A step of y is below 2.83 * 2**-f / N steps of x (8.6e-5 for N = 256
                and all of int16), finer than the spectrum itself, or beyond any magnitude.
        """
        size = x.shape[0]
        cls._require_size(name, size)
        largest = max(-x.qmin, x.qmax, 1)
        fraction_bits = 31 - size.bit_length() - (largest - 1).bit_length()
        angle = 2 * np.pi * np.arange(size // 4) / size
        window = np.floor(hann(size)[: size // 2 + 1] * 2.0**31 + 0.5).clip(0, WINDOW_ONE)
        turn = np.floor(np.stack([np.cos(angle), np.sin(angle)], axis=1) * TURN_ONE + 0.5)
        gains = cls._gains(x, y, fraction_bits).tolist()
        multiplier, shift = np.array([fixed.quantize_square(gain) for gain in gains]).T
        return cls(
            name,
            (x,),
            (y,),
            window.astype(np.int32),
            turn.astype(np.int32),
            multiplier.astype(np.int32),
            shift.astype(np.int8),
            fraction_bits,
        )

    @classmethod
    def _require_size(cls, name: str, size: int) -> None:
        if size & (size - 1) or not SIZES[0] <= size <= SIZES[1]:
            raise GraphError(
                f"{cls.kind} {name}: frames must be a power of two from {SIZES[0]} to "
                f"{SIZES[1]}, not {size}"
            )

    @property
    def size(self) -> int:
        """Frames of the window, N."""
        return self.inputs[0].shape[0]

    @property
    def bins(self) -> int:
        """Bins that are wanted, from 0 Hz on."""
        return self.outputs[0].shape[1]

    @property
    def limit(self) -> int:
        """Largest y - zy."""
        y = self.outputs[0]
        return y.qmax - y.zero_points[0]

    def check(self) -> None:
        """Check formats and tables, prove every 32- and 64-bit quantity."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(x.shape) == 2, f"input must be (N, C), not {x.shape}")
        self._require_size(self.name, self.size)
        half = self.size // 2 + 1
        self.require(
            len(y.shape) == 2 and y.shape[0] == x.shape[1] and self.bins <= half,
            f"output must have {x.shape[1]} channels of at most {half} bins, not {y.shape}",
        )
        self.require(
            x.dtype == "int16" and x.zero_points[0] == 0,
            "the input must be int16 around 0 with one scale",
        )
        self.require(y.dtype in ("int8", "int16"), f"output must be int8 or int16, not {y.dtype}")
        self.require(
            y.qmin <= y.zero_points[0] and 1 <= self.limit <= MOST,
            f"the output must hold 0 and at most {MOST} steps above it",
        )
        tables = (self.window, self.turn, self.multiplier, self.shift)
        shapes = [(half,), (self.size // 4, 2), (self.bins,), (self.bins,)]
        self.require(
            [t.shape for t in tables] == shapes
            and [t.dtype for t in tables] == [np.int32, np.int32, np.int32, np.int8],
            f"window, turn, multiplier and shift need shapes {shapes}, int32 and int8 shifts",
        )
        self.require(
            int(self.multiplier.min()) >= 1 << 30
            and 0 <= self.shift.min() <= self.shift.max() <= 62,
            "multipliers must be in [2**30, 2**31) and shifts in [0, 62]",
        )
        lengths = np.hypot(self.turn[:, 0].astype(float), self.turn[:, 1])
        self.require(
            int(self.window.min()) >= 0
            and self.turn[0].tolist() == [TURN_ONE, 0]
            and int(self.turn.min()) >= 0
            and float(abs(lengths - TURN_ONE).max()) <= 1,
            "the window must not be negative, turns must have length 2**30, the first angle 0",
        )
        self.require(
            0 <= self.fraction_bits <= 29,
            f"fraction_bits must be 0 to 29, not {self.fraction_bits}",
        )
        self.require_bound(x.magnitude << (self.fraction_bits + 1), "shifted input")
        # 2 X = E + t(O) is the largest number: |E|, |O| <= 2 |z|, and a rounding. Its square is
        # below 2**62, the products of a rotation below 2**31 * (2**30 + 1).
        self.require_bound(math.ceil(4.01 * self._largest() + 2), "spectrum")
        meant = self._gains(x, y, self.fraction_bits)
        held = np.sqrt(np.ldexp(self.multiplier.astype(float), -34 - self.shift.astype(int)))
        self.require(
            bool((abs(held / meant - 1) < SAME_GAIN).all()),
            f"the factors of {y.name} are not those of its scales",
        )

    @staticmethod
    def _gains(x: QTensor, y: QTensor, fraction_bits: int) -> np.ndarray:
        """Return G of each bin, from the scales."""
        one = x.scales[0] / (x.shape[0] * 2.0**fraction_bits)
        gains: np.ndarray = one / np.broadcast_to(y.scales, y.shape[-1:])
        return gains

    def _largest(self) -> float:
        """Bound |z|, and so its parts, after the last stage: each value sums all of its inputs."""
        mirrored = self.window[np.arange(self.size).clip(None, self.size - np.arange(self.size))]
        scale = self.inputs[0].magnitude * 2.0 ** (self.fraction_bits - 31)
        most = mirrored.astype(float) * scale + 1
        modulus = np.hypot(most[0::2], most[1::2])
        modulus = modulus[reversed_bits(len(modulus))]
        while len(modulus) > 1:  # a turn is at most 2**-30 too long, its rounding less than 1
            modulus = modulus[0::2] + modulus[1::2] * (1 + 2.0**-30) + 1
        return float(modulus[0])

    @property
    def error_of_x(self) -> float:
        """Largest error of |X| / sum(w) before its rounding to y, in steps of x.

        A complex value is rounded by half a diagonal, sqrt(1/2), once by the window and once by
        each rotation; a turn errs half a diagonal of 2**-30.
        """
        diagonal, largest = math.sqrt(0.5), self._largest()
        error = diagonal * (1 + self.inputs[0].magnitude * 2.0 ** (self.fraction_bits - 30))
        points = 2
        while points < self.size:
            points *= 2
            error *= 2
            if points > 8:
                error += diagonal * (1 + largest * points / self.size * 2.0**-30)
        error = 4 * error + diagonal * (1 + 2 * largest * 2.0**-30)
        return float(error / (self.size * 2.0**self.fraction_bits))

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the magnitudes (..., C, K), exactly."""
        (x,), y = inputs, self.outputs[0]
        whole = self._spectrum(self._transform(self._windowed(x)))
        re, im = (part[..., : self.bins] for part in whole)
        multiplier, shift = (
            fixed.like(x, v.astype(np.int64)) for v in (self.multiplier, self.shift)
        )
        return (fixed.magnitude(re, im, multiplier, shift, self.limit) + y.zero_points[0],)

    def _windowed(self, x: Array) -> Complex:
        """Return z (..., C, N / 2), bits reversed."""
        mirrored = np.arange(self.size).clip(None, self.size - np.arange(self.size))
        window = fixed.like(x, self.window.astype(np.int64)[mirrored])
        a = fixed.requantize(x.swapaxes(-1, -2), window, self.fraction_bits + 1)
        order = fixed.like(x, reversed_bits(self.size // 2))
        return a[..., 2 * order], a[..., 2 * order + 1]

    def _turned(self, z: Complex, index: np.ndarray) -> Complex:
        """Return z times exp(-2 pi i index / N), its angle within the first quadrant."""
        cosine, sine = (fixed.like(z[0], v) for v in self.turn[index].astype(np.int64).T)
        re, im = z
        return fixed.rotate(re, cosine, im, sine), fixed.rotate(im, cosine, re, -sine)

    def _transform(self, z: Complex) -> Complex:
        """Return the complex transform (..., C, N / 2)."""
        re, im = z
        xp, shape = array_namespace(re), re.shape
        half = 1
        while half < shape[-1]:
            re, im = (v.reshape(*shape[:-1], -1, 2 * half) for v in (re, im))
            quarter = max(half // 2, 1)
            index = np.arange(half) % quarter * (self.size // (2 * half))
            first, last = self._turned((re[..., half:], im[..., half:]), index)
            second, third = last[..., quarter:], -first[..., quarter:]  # times -i
            last = xp.concat([last[..., :quarter], third], axis=-1)
            first = xp.concat([first[..., :quarter], second], axis=-1)
            re = xp.concat([re[..., :half] + first, re[..., :half] - first], axis=-1)
            im = xp.concat([im[..., :half] + last, im[..., :half] - last], axis=-1)
            re, im = re.reshape(shape), im.reshape(shape)
            half *= 2
        return re, im

    def _spectrum(self, z: Complex) -> Complex:
        """Return 2 X of bins 0 to N / 2, those above N / 4 conjugate."""
        re, im = z
        xp, quarter = array_namespace(re), self.size // 4
        k = np.arange(1, quarter)
        own, other = fixed.like(re, k), fixed.like(re, self.size // 2 - k)
        even = re[..., own] + re[..., other], im[..., own] - im[..., other]
        odd = im[..., own] + im[..., other], re[..., other] - re[..., own]
        turned = self._turned(odd, k)
        back = fixed.like(re, k[::-1] - 1)
        parts = []
        ends = (re[..., :1] + im[..., :1]), (re[..., :1] - im[..., :1])
        for e, t, middle, (first, last) in zip(
            even, turned, (re, im), (ends, (0 * ends[0], 0 * ends[1])), strict=True
        ):
            centre = 2 * middle[..., quarter : quarter + 1]
            parts.append(
                xp.concat([2 * first, e + t, centre, (e - t)[..., back], 2 * last], axis=-1)
            )
        return parts[0], parts[1]
