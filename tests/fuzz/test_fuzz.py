"""The harnesses run for a while, with each engine; and they see a fault that was put in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lnn_edge.files import resources
from tests.fuzz.harness import (
    LIBFUZZER_LIMITS,
    TARGETS,
    Target,
    compile_driver,
    compile_libfuzzer,
    run,
    why_no_libfuzzer,
    write_seeds,
)

SECONDS = 6  # of libFuzzer, for each target
RUNS = 3_000  # of the driver

FAULTS = [  # harness and model that must notice, file of the firmware, line, fault
    ("frames-events", "src/frame.c", "most > LNN_BODY_BYTES - frame->length", "0"),
    ("frames-events", "src/frame.c", "reader->left -= taken;", "reader->left = 0U;"),
    ("commands-events", "src/protocol.c", "(seq == p->last_seq)", "(seq != p->last_seq)"),
    ("commands-events", "src/protocol.c", "put_u8(p, p->in.frame.body[1]);", "put_u8(p, 0U);"),
    ("commands-staged", "src/protocol.c", "p->last_crc = crc;", ""),
    ("runtime-events", "runtime/lnn_runtime.c", "== trigger->capacity", "== trigger->wait"),
    ("runtime-staged", "runtime/lnn_runtime.c", "*due = frames;", "*due = frames + 1U;"),
    ("runtime-every", "runtime/lnn_state.c", "(due == 0U) ||", "(due != 0U) &&"),
    ("runtime-source", "runtime/lnn_runtime.c", "stamps[events->count] = 0U;", ""),
]


def target_of(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)


def drive(target: Target, folder: Path, runs: int) -> int:
    seeds = write_seeds(target, folder / "seeds")
    options = [f"-runs={runs}", f"-max_len={target.longest}", "-seed=7"]
    return run(compile_driver(target, folder), [*options, *map(str, seeds)])[0]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_driver_finds_nothing(target: Target, tmp_path: Path) -> None:
    assert drive(target, tmp_path, RUNS) == RUNS


@pytest.mark.slow
@pytest.mark.skipif(bool(why_no_libfuzzer()), reason=why_no_libfuzzer())
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_libfuzzer_finds_nothing(target: Target, tmp_path: Path) -> None:
    program = compile_libfuzzer(target, tmp_path)
    seeds, corpus = write_seeds(target, tmp_path / "seeds"), tmp_path / "corpus"
    corpus.mkdir()
    options = [f"-max_total_time={SECONDS}", f"-max_len={target.longest}", "-seed=7"]
    done, _ = run(program, [*options, *LIBFUZZER_LIMITS, str(corpus), str(seeds[0].parent)])
    assert done > len(seeds)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file", "line", "fault"), FAULTS, ids=lambda value: str(value))
def test_a_fault_is_found(
    name: str,
    file: str,
    line: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    firmware = tmp_path / "firmware"
    shutil.copytree(resources.path("firmware"), firmware)
    text = (firmware / file).read_text()
    assert text.count(line) == 1
    (firmware / file).write_text(text.replace(line, fault))
    real = resources.path
    monkeypatch.setattr(
        resources, "path", lambda part: firmware if part == "firmware" else real(part)
    )
    with pytest.raises(AssertionError, match=r"not so|ERROR|runtime error"):
        drive(target_of(name), tmp_path, 30 * RUNS)
    assert (tmp_path / name / "crash").is_file()
