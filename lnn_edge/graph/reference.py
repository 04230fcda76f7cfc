"""What a model gives in floating point on a few sequences, kept beside its integers.

So a board's error against the model is told without torch and without the user's own class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.files.archives import archive_of, members_of
from lnn_edge.files.arrays import array_of, npy_of
from lnn_edge.files.read import read_whole
from lnn_edge.files.reason import reason_of
from lnn_edge.graph.ir import QTensor

FILE = "reference.npz"
LARGEST_BYTES = 1 << 26


def reference_beside(graph: Path) -> Path:
    """Return where the reference of a graph's file lies."""
    return graph.with_name(f"{graph.name}.{FILE}")


@dataclass(frozen=True)
class TensorFacts:
    """What the integers of a tensor are worth against the values that forward has there.

    Attributes:
        rmse: Root mean square error.
        span: Of forward's values.
        saturated: Part of them that the format does not hold.
    """

    rmse: float
    span: float
    saturated: float

    @classmethod
    def of(
        cls, tensor: QTensor, places: np.ndarray, q: np.ndarray, real: np.ndarray
    ) -> TensorFacts:
        """Return those of some elements of a tensor.

        Args:
            tensor: Whose format.
            places: (K,) flat indices of the elements.
            q: (M, K) integers.
            real: (M, K) values that they stand for.
        """
        scale, zero = (
            np.broadcast_to(v, tensor.shape).ravel()[places]
            for v in (tensor.scales, tensor.zero_points)
        )
        low, high = (scale * (end - zero) for end in (tensor.qmin - 0.5, tensor.qmax + 0.5))
        rmse = float(np.sqrt(np.mean((scale * (q - zero) - real) ** 2)))
        return cls(rmse, float(np.ptp(real)), float(np.mean((real < low) | (real > high))))


@dataclass(frozen=True, eq=False)
class Reference:
    """Sequences of frames, each from a reset, and the outputs of the model in floating point.

    A trained model has none, since `verify` feeds it recordings; its tensors are known yet.

    Attributes:
        frames: (T, C) float64 in real units, of each sequence.
        outputs: (D, K) float64 of its D decisions, all outputs side by side.
        tensors: What is known of tensors and outputs of the graph on them, by name.
        against: What stands for the model there and on what, in words; "" is the model itself, on
            calibration data.
    """

    frames: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    tensors: Mapping[str, TensorFacts] = field(default_factory=dict)
    against: str = ""

    def to_bytes(self, model_sha256: str) -> bytes:
        """Return an .npz file, the same for the same numbers.

        Args:
            model_sha256: Hash of the graph that these are of.
        """
        arrays = {"model_sha256": np.frombuffer(model_sha256.encode(), np.uint8)}
        for index, pair in enumerate(zip(self.frames, self.outputs, strict=True)):
            for kind, array in zip(("frames", "outputs"), pair, strict=True):
                arrays[f"{kind}{index}"] = np.asarray(array, np.float64)
        if self.tensors:
            arrays["names"] = np.frombuffer("\n".join(self.tensors).encode(), np.uint8)
            arrays["facts"] = np.array([astuple(f) for f in self.tensors.values()], np.float64)
        if self.against:
            arrays["against"] = np.frombuffer(self.against.encode(), np.uint8)
        return archive_of({f"{name}.npy": npy_of(array) for name, array in arrays.items()})


def read_reference(where: Path, model_sha256: str, channels: int, outputs: int) -> Reference:
    """Read a reference.

    Raises:
        DataError: It is damaged, or of another graph.
    """
    try:
        members = members_of(read_whole(where, LARGEST_BYTES), LARGEST_BYTES)
        arrays = {name.removesuffix(".npy"): array_of(data) for name, data in members.items()}
        count = sum(name.startswith("frames") for name in arrays)
        digest = arrays["model_sha256"].tobytes()
        frames = [arrays[f"frames{i}"] for i in range(count)]
        values = [arrays[f"outputs{i}"] for i in range(count)]
        tensors = _tensors(arrays) if "facts" in arrays else {}
        against = arrays["against"].tobytes().decode() if "against" in arrays else ""
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{where} is damaged ({reason_of(error)}); quantize the model again"
        ) from None
    if not (count or tensors) or not all(map(_is_table, [*frames, *values])):
        raise DataError(f"{where} holds no sequences of frames; quantize the model again")
    sizes = {(x.shape[1], y.shape[1]) for x, y in zip(frames, values, strict=True)}
    if digest != model_sha256.encode() or not sizes <= {(channels, outputs)}:
        raise DataError(f"{where} is of another graph; delete it, or quantize the model again")
    return Reference(tuple(frames), tuple(values), tensors, against)


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, TensorFacts]:
    """Return what is known of tensors; a ValueError where it is no table of finite numbers."""
    names, facts = arrays["names"].tobytes().decode().split("\n"), arrays["facts"]
    if not _is_table(facts) or facts.shape != (len(names), 3):
        raise ValueError("facts of tensors are no table")
    return {name: TensorFacts(*row) for name, row in zip(names, facts.tolist(), strict=True)}


def _is_table(array: np.ndarray) -> bool:
    return bool(array.ndim == 2 and array.dtype == np.float64 and np.isfinite(array).all())
