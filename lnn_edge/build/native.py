"""A model's generated C, compiled for the tool's own machine: the simulator's bits, sooner."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lnn_edge.build.project import open_project
from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.library import PROVENANCE, call_sources, library_sources
from lnn_edge.codegen.plan import generate
from lnn_edge.errors import BuildError, UsageError
from lnn_edge.files.compiled import compile_here, load_compiled
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.queues import Counters
from lnn_edge.graph.stage import EventTrigger

_ROOM = 1024  # decisions beyond those that are expected
_POINTER, _WORD = ctypes.c_void_p, ctypes.c_uint32
_CALLS = {  # of NAME_library.h and NAME.h: arguments; each returns a word
    "reset": (_POINTER,),
    "run_sequence": (_POINTER, _POINTER, _WORD, _POINTER, _WORD, _POINTER, _WORD),
    "push_frames": (_POINTER, _POINTER, _WORD, _POINTER, _WORD),
    "push_event": (_POINTER, _WORD),
    "skip_frames": (_POINTER, _WORD),
    "get_state": (_POINTER, _WORD, _WORD, _POINTER),
    "set_state": (_POINTER, _WORD, _WORD, _POINTER),
    "get_counters": (_POINTER, _POINTER),
    "info": (),
}
_REFUSED = {-1: "too many undecided events wait", -2: "its stamp is not after the last one"}


class _Info(ctypes.Structure):
    """NAME_info_t up to the size of a context."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("generator", ctypes.c_char_p),
        ("sha256", ctypes.c_void_p),
        *((word, _WORD) for word in ("channels", "outputs", "takes_events", "context_bytes")),
        ("blob_bytes", _WORD),
    )


class CModel:
    """One instance of a compiled model; numpy in, numpy out.

    Attributes:
        graph: The model that the C was generated from.
    """

    def __init__(self, graph: QGraph, library: ctypes.CDLL) -> None:
        self.graph = graph
        self._calls = {verb: library[f"{graph.name}_{verb}"] for verb in _CALLS}
        for verb, arguments in _CALLS.items():
            self._calls[verb].argtypes, self._calls[verb].restype = arguments, ctypes.c_int32
        self._calls["info"].restype = ctypes.POINTER(_Info)
        self._info: _Info = self._calls["info"]().contents
        self._result = np.dtype(
            [("stamp", np.uint32), ("outputs", np.int16, (self._info.outputs,))], align=True
        )
        self._context = np.zeros(self._info.context_bytes // 8 + 1, np.uint64)
        self.reset()

    def reset(self) -> None:
        """Start a record."""
        self._call("reset", self._context)

    def push(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Push frames, (N, C) int16; return stamps (D,) and outputs (D, K) of what they decide."""
        given = self._frames(frames)
        results = np.zeros(len(given) + _ROOM, self._result)
        made = self._call("push_frames", self._context, given, len(given), results, len(results))
        return _split(results[:made])

    def push_event(self, stamp: int) -> None:
        """Queue an event; it is decided on by the next push that makes it ready.

        Raises:
            UsageError: It is dropped: out of order, too far ahead, or no place is left.
        """
        status = self._call("push_event", self._context, *_words([stamp], "a stamp").tolist())
        if status != 0:
            why = _REFUSED.get(status, "the model takes none, or it lies too far ahead")
            raise UsageError(f"event {stamp} was dropped: {why}")

    def skip(self, count: int) -> None:
        """Skip lost frames, fewer than 2^32."""
        self._call("skip_frames", self._context, *_words([count], "a count of frames").tolist())

    def run(
        self, frames: np.ndarray, events: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run a whole recording from a reset.

        Args:
            frames: (N, C) int16.
            events: (M,) ascending stamps, for a model that takes events.

        Returns:
            Stamps (D,) and outputs (D, K) int64 of all decisions.
        """
        given = self._frames(frames)
        taken = events if events is not None and self.graph.takes_events else ()
        stamps = _words(taken, "events")
        arguments = self._context, given, len(given), stamps, len(stamps)
        results = np.zeros(max(len(stamps), self._expected(len(given))), self._result)
        made = self._call("run_sequence", *arguments, results, len(results))
        if made > len(results):
            results = np.zeros(made, self._result)
            self._call("run_sequence", *arguments, results, made)
        return _split(results[:made])

    @property
    def sha256(self) -> str:
        """Of the graph that the C was generated from."""
        return ctypes.string_at(self._info.sha256, 32).hex()

    @property
    def counters(self) -> Counters:
        """What was dropped, skipped or saturated since the reset."""
        words = np.zeros(4, np.uint32)
        self._call("get_counters", self._context, words)
        return Counters(*map(int, words))

    def get_state(self) -> bytes:
        """Return everything that outlives a step."""
        blob = np.zeros(self._info.blob_bytes, np.uint8)
        self._call("get_state", self._context, 0, len(blob), blob)
        return blob.tobytes()

    def set_state(self, state: bytes) -> None:
        """Take a state.

        Raises:
            UsageError: It is not one of this model's.
        """
        blob = np.frombuffer(state, np.uint8)
        if len(blob) != self._info.blob_bytes or self._call(
            "set_state", self._context, 0, len(blob), blob
        ):
            raise UsageError(
                f"a state of {self.graph.name} must be {self._info.blob_bytes} bytes that "
                "get_state() returned"
            )

    def _frames(self, frames: np.ndarray) -> np.ndarray:
        channels, frames = self.graph.frame.size, np.asarray(frames)
        if frames.ndim != 2 or frames.shape[1] != channels or frames.dtype != np.int16:
            raise UsageError(
                f"frames must be (N, {channels}) int16, not {frames.shape} {frames.dtype}; "
                "graph.frame.quantize() makes them of real values"
            )
        return np.ascontiguousarray(frames)

    def _expected(self, frames: int) -> int:
        """Return how many decisions a recording has, roughly where events decide."""
        stage = self.graph.deciding_stage
        on_events = isinstance(stage.trigger, EventTrigger)
        return frames // (64 if on_events else self.graph.stage_pace(stage)[1]) + _ROOM

    def _call(self, verb: str, *arguments: np.ndarray | int) -> int:
        given = (a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments)
        return int(self._calls[verb](*given))


def load_native(graph: QGraph) -> CModel | None:
    """Compile a model, or find it compiled; None where this machine cannot."""
    library = load_compiled("model", library_sources(generate(graph, HOST)))
    return None if library is None else CModel(graph, library)


def load_c(folder: Path) -> CModel:
    """Compile the C of an export as it lies in its folder, and load it.

    Args:
        folder: A project, or a library.

    Raises:
        UsageError: The folder is neither, or its C is that of another graph.
        BuildError: The C does not compile here, there is no compiler, or no room for what it makes.
    """
    if (folder / PROVENANCE).is_file():
        graph, sources = load_graph(folder / "model.qgraph"), _texts(folder / "src")
    else:
        graph = open_project(folder).graph
        sources = _texts(folder / "model") | _texts(folder / "firmware" / "runtime")
        sources |= call_sources(generate(graph, HOST))
    library = _compiled(folder, sources)
    other = UsageError(f"the C in {folder} is not that of its model.qgraph; export it again")
    try:
        model = CModel(graph, library)
    except AttributeError:  # a call is missing: the C is of a model of another name
        raise other from None
    if model.sha256 != graph_sha256(graph):
        raise other
    return model


def _compiled(folder: Path, sources: Mapping[str, str]) -> ctypes.CDLL:
    try:
        return compile_here("exported", sources)
    except BuildError as error:
        raise BuildError(
            f"the C in {folder} does not compile on this machine ({error}); `lnn-edge doctor` says "
            "whether a compiler is missing"
        ) from None
    except OSError as error:
        raise BuildError(
            f"the C in {folder} compiles in {error.filename}, which cannot be written "
            f"({error.strerror}); make room there, or name another folder by XDG_CACHE_HOME"
        ) from None


def _texts(folder: Path) -> dict[str, str]:
    try:
        return {
            p.name: read_whole(p, LARGEST_ARRAYS).decode(errors="replace")
            for p in sorted(folder.glob("*.[ch]"))
        }
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read ({error.strerror}); export the model again"
        ) from None


def _words(values: object, what: str) -> np.ndarray:
    """Return whole numbers of 32 bits, (N,) uint32.

    Raises:
        UsageError: They are no such numbers.
    """
    given = np.asarray(values)
    whole = given.astype(np.int64) if not given.size else given
    is_whole = whole.dtype.kind in "iu" and whole.ndim == 1
    if not is_whole or (whole.size and not 0 <= int(whole.min()) <= int(whole.max()) < 1 << 32):
        raise UsageError(f"{what} must be whole, from 0 to 2^32 - 1, not {str(values)[:60]}")
    return np.ascontiguousarray(whole, np.uint32)


def _split(results: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return results["stamp"].astype(np.int64), results["outputs"].astype(np.int64)
