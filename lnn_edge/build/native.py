"""A model's generated C, compiled for the tool's own machine: the simulator's bits, sooner."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.files.compiled import load_compiled
from lnn_edge.graph.qgraph import QGraph

_DRIVER = "port/native/record.c"
_ROOM = 1024  # decisions, before it is known how many there are


@dataclass(frozen=True, eq=False)
class NativeModel:
    """A graph and its compiled C.

    Attributes:
        graph: The model.
        library: What `load_native` made of it.
    """

    graph: QGraph
    library: ctypes.CDLL

    def decide(
        self, frames: np.ndarray, events: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Run a recording from a reset.

        Args:
            frames: (N, C) int16.
            events: (M,) stamps, ascending; not read by a model that finds its own.

        Returns:
            Stamps (D,) int64 and outputs (D, K) int64 of all decisions; None where the C's queue
            of events was too short for the recording.
        """
        given = np.ascontiguousarray(frames, np.int16)
        taken = events if self.graph.takes_events else events[:0]
        stamps_in = np.ascontiguousarray(taken, np.uint32)
        context = ctypes.create_string_buffer(self.library.lnn_record_context_bytes() + 8)
        room = max(len(stamps_in), _ROOM)
        while True:
            stamps = np.zeros(room, np.uint32)
            outputs = np.zeros((room, self.graph.output.size), np.int16)
            count = self.library.lnn_record_run(
                _aligned(context),
                _address(given),
                len(given),
                _address(stamps_in),
                len(stamps_in),
                _address(stamps),
                _address(outputs),
                room,
            )
            if count <= room:
                break
            room = count
        if self.library.lnn_record_losses(_aligned(context)):
            return None
        return stamps[:count].astype(np.int64), outputs[:count].astype(np.int64)


def load_native(graph: QGraph) -> NativeModel | None:
    """Compile a model, or find it compiled; None where this machine cannot."""
    runtime = resources.path("firmware")
    files = [*sorted((runtime / "runtime").glob("*.[ch]")), runtime / _DRIVER]
    sources = render_model(generate(graph, HOST)) | {f.name: f.read_text() for f in files}
    library = load_compiled("model", sources)
    if library is None:
        return None
    pointer, word = ctypes.c_void_p, ctypes.c_uint32
    library.lnn_record_run.argtypes = (
        *(pointer, pointer, word, pointer, word),
        *(pointer, pointer, word),
    )
    library.lnn_record_run.restype = word
    library.lnn_record_context_bytes.restype = word
    library.lnn_record_losses.argtypes = (pointer,)
    library.lnn_record_losses.restype = word
    return NativeModel(graph, library)


def _aligned(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Return the first address in a buffer that 8 bytes divide."""
    return -(-ctypes.addressof(buffer) // 8) * 8


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)
