"""A model's own C, compiled for this machine, decides as the simulator does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lnn_edge.build import decide as decide_module
from lnn_edge.build.decide import decide
from lnn_edge.build.native import load_native
from lnn_edge.errors import UsageError
from lnn_edge.files import compiled
from lnn_edge.files.compiled import cache_dir, load_compiled
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_records
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.recordings import load_labelled
from tests.support import toy

GRAPHS = {
    "events": toy.toy_graph,
    "every": toy.toy_every_graph,
    "heads": toy.toy_heads_graph,
    "staged": toy.toy_staged_graph,
}
ONE = "int one(void);\nint one(void) { return 1; }\n"


def signal(graph: QGraph, frames: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    samples = rng.integers(-32768, 32767, (frames, graph.frame.size), endpoint=True)
    return samples.astype(np.int16), np.arange(40, frames, 45)


def recording(graph: QGraph, frames: int, events: np.ndarray | None = None) -> SimpleNamespace:
    samples, stamps = signal(graph, frames)
    return SimpleNamespace(
        name="r",
        patient="p",
        classes=(),
        frames=samples,
        events=stamps if events is None else events,
        labels_at=lambda at: np.zeros(len(at), np.int64),
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decide_module, "_WORTH_COMPILING", 0)
    return tmp_path / "cache" / "lnn-edge"


@pytest.mark.parametrize("name", GRAPHS)
def test_it_decides_as_the_simulator_does(name: str) -> None:
    graph = GRAPHS[name]()
    frames, events = signal(graph, 3000)
    native = load_native(graph)
    assert native is not None
    decided = native.run(frames, events)
    ((stamps, values),) = run_records(graph, [(frames, events)], (graph.output.name,))
    assert len(stamps) > 20
    np.testing.assert_array_equal(decided[0], stamps)
    np.testing.assert_array_equal(decided[1], values[graph.output.name])


def test_a_model_that_finds_its_beats_reads_no_events() -> None:
    graph = find_beats(load_graph(shipped_graph()))
    (record,) = load_labelled("excerpts", records=["100_0830"])
    native = load_native(graph)
    assert native is not None
    decided = native.run(record.frames, record.events)
    ((stamps, values),) = run_records(graph, [(record.frames, record.events)], (graph.output.name,))
    np.testing.assert_array_equal(decided[0], stamps)
    np.testing.assert_array_equal(decided[1], values[graph.output.name])


def test_more_decisions_than_were_expected_come_whole() -> None:
    graph = toy.toy_every_graph()
    native = load_native(graph)
    assert native is not None
    frames, _ = signal(graph, 9000)
    decided = native.run(frames)
    assert len(decided[0]) == len(decided[1]) > 2000


def test_a_recording_that_overflows_the_queue_is_simulated() -> None:
    graph = toy.toy_graph()
    crowded = np.arange(100, 140)
    decided = decide(graph, [recording(graph, 400, crowded), recording(graph, 3000)])
    assert decided.engine == "simulator"
    assert [len(s.stamps) for s in decided.sequences] == [40, 65]


def test_each_engine_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = toy.toy_graph()
    assert decide(graph, [recording(graph, 3000)]).engine == "c"
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    assert load_native(graph) is None
    assert decide(graph, [recording(graph, 3000)]).engine == "simulator"


def test_a_short_recording_starts_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_module, "_WORTH_COMPILING", 10**9)
    graph = toy.toy_graph()
    assert decide(graph, [recording(graph, 3000)]).engine == "simulator"


@pytest.mark.parametrize("wrong", [-1, 1.5, 1 << 32, (1 << 32) + 5, True, "5", None, float("nan")])
def test_a_number_that_c_would_take_for_another_is_refused(wrong: object) -> None:
    graph = toy.toy_graph()
    model = load_native(graph)
    assert model is not None
    frames, _ = signal(graph, 300)
    with pytest.raises(UsageError, match="must be whole, from 0 to 2"):
        model.push_event(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be whole, from 0 to 2"):
        model.skip(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be whole, from 0 to 2"):
        model.run(frames, np.array([wrong]))
    with pytest.raises(UsageError, match="frames must be"):
        model.push(wrong)  # type: ignore[arg-type]
    assert len(model.run(frames, np.array([], np.int64))[0]) == 0


# --- the cache ----------------------------------------------------------------------------------


def test_what_is_compiled_is_compiled_once(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_compiled("one", {"one.c": ONE})
    assert first is not None
    assert first.one() == 1
    assert own_cache.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(compiled, "_compile", None)
    assert load_compiled("one", {"one.c": ONE}) is not None


def test_nothing_is_taken_from_a_cache_that_others_can_write(own_cache: Path) -> None:
    assert load_compiled("one", {"one.c": ONE}) is not None
    (planted,) = own_cache.glob("one-*.so")
    planted.unlink()  # what is loaded is not written to
    planted.write_bytes(b"not what was compiled")
    own_cache.chmod(0o777)
    library = load_compiled("one", {"one.c": ONE})
    assert library is not None
    assert library.one() == 1
    assert planted.read_bytes() == b"not what was compiled"


def test_a_damaged_library_is_compiled_anew(own_cache: Path) -> None:
    assert load_compiled("one", {"one.c": ONE}) is not None
    (made,) = own_cache.glob("one-*.so")
    made.unlink()  # what is loaded is not written to
    made.write_bytes(b"not what was compiled")
    again = load_compiled("one", {"one.c": ONE})
    assert again is not None
    assert again.one() == 1


def test_c_that_does_not_compile_is_no_library(own_cache: Path) -> None:
    assert load_compiled("one", {"one.c": "int one(void { return 1; }\n"}) is None
    assert not list(own_cache.iterdir())


def test_only_the_newest_libraries_are_kept(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_MOST", 2)
    for number in range(4):
        load_compiled("one", {"one.c": ONE.replace("1", str(number))})
    assert len(list(own_cache.iterdir())) == 2
    assert cache_dir() == own_cache
