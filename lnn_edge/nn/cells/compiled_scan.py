"""What training runs where there is a compiler: recurrences in C, a block of sequences at a time.

A block is a fixed set of sequences, whatever the number of threads, and gradients of weights are
summed block by block in their order: one seed gives one result on any number of threads.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import resources

import torch
from torch import Tensor

from lnn_edge.files.compiled import load_compiled
from lnn_edge.nn.threads import threads_of_scans

_LOG = logging.getLogger(__name__)
_FILES = ("lanes.h", "cfc_scan.c", "ltc_scan.c")
_REALS = {  # and an unsigned integer, bits of the mantissa, largest power of 2, terms of a series
    torch.float32: ("float", "uint32_t", 23, 126, 7),
    torch.float64: ("double", "uint64_t", 52, 1022, 13),
}
LANES = (16, 32)  # sequences of a block


@dataclass(frozen=True, eq=False)
class Scans:
    """The compiled recurrences.

    Attributes:
        library: What the C files make for one type and one size of block.
        lanes: Sequences of a block.
    """

    library: ctypes.CDLL
    lanes: int

    def blocks(self, batch: int) -> int:
        """Return how many blocks a batch has."""
        return -(-batch // self.lanes)

    def kept(self, name: str, sizes: Sequence[int], like: Tensor) -> Tensor:
        """Return room for what a forward keeps for its backward, of all blocks.

        Args:
            name: "cfc" or "ltc".
            sizes: As the C file has them; the batch is first.
            like: Whose type it gets.
        """
        function = getattr(self.library, f"{name}_kept")
        function.restype = ctypes.c_int64
        return like.new_empty(self.blocks(sizes[0]), function(_integers(sizes)))

    def run(
        self,
        name: str,
        sizes: Sequence[int],
        arrays: Sequence[Tensor | None],
        wiring: Tensor | None = None,
    ) -> None:
        """Run a function of the library over all blocks, see threads_of_scans.

        Args:
            name: Of the function.
            sizes: As the C file has them; the batch is first.
            arrays: As the C file has them, contiguous; None is NULL.
            wiring: Integers that the function reads besides.

        Raises:
            MemoryError: There is none left.
        """
        function = getattr(self.library, name)
        pointers = (ctypes.c_void_p * len(arrays))(
            *(None if a is None else a.data_ptr() for a in arrays)
        )
        more = () if wiring is None else (ctypes.c_void_p(wiring.data_ptr()),)

        def run(block: int) -> int:
            failed: int = function(_integers(sizes), pointers, ctypes.c_int64(block), *more)
            return failed

        blocks = range(self.blocks(sizes[0]))
        threads = min(threads_of_scans(), len(blocks))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                failed = any(list(pool.map(run, blocks)))
        else:
            failed = any([run(block) for block in blocks])
        if failed:
            raise MemoryError(f"{name} over {sizes[0]} sequences")


def find_scans(cell: str, batch: int, *inputs: Tensor) -> Scans | None:
    """Return the compiled recurrences; None where torch must run them, for a reason that is logged.

    Args:
        cell: Its name, for the log.
        batch: Number of sequences.
        inputs: Whatever the cell reads.
    """
    if not (torch.is_grad_enabled() and any(i.requires_grad for i in inputs)):
        return None  # nothing is trained: not worth the wait for a compiler
    first = inputs[0]
    if any((i.dtype, i.device) != (first.dtype, first.device) for i in inputs):
        refuse(cell, "its inputs differ in type or device")
    elif first.device.type != "cpu" or first.dtype not in _REALS:
        refuse(cell, f"{first.dtype} on {first.device}")
    elif (found := _compiled(first.dtype, _lanes(batch))) is None:
        refuse(cell, "no C compiler works here")
    else:
        return found
    return None


def refuse(cell: str, reason: str) -> None:
    """Log why torch runs a cell's recurrence."""
    _LOG.debug("%s: torch runs the recurrence, not C: %s", cell, reason)


def total_of(parts: Tensor) -> Tensor:
    """Return the sum (P,) of the parts of all blocks (blocks, P), in their order."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _lanes(batch: int) -> int:
    """Return the larger block unless it would leave more lanes empty."""
    small, large = LANES
    return large if -(-batch // large) * large == -(-batch // small) * small else small


@cache
def _compiled(dtype: torch.dtype, lanes: int) -> Scans | None:
    library = load_compiled("cells", sources_of(dtype, lanes), for_this_cpu=True)
    return None if library is None else Scans(library, lanes)


def sources_of(dtype: torch.dtype, lanes: int) -> dict[str, str]:
    """Return the text of all files, by name, for a type and a size of block."""
    real, bits, mantissa, power, terms = _REALS[dtype]
    place = resources.files("lnn_edge.nn.cells")
    sources = {name: place.joinpath(name).read_text() for name in _FILES}
    sources["real.h"] = (
        f"typedef {real} real;\ntypedef {bits} bits;\n#define LANES {lanes}\n"
        f"#define MANTISSA {mantissa}\n#define ROUND (real){3 << mantissa - 1}\n"
        f"#define LARGEST_POWER {power}\n#define TERMS {terms}\n"
    )
    return sources


def _integers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(values))(*values)
