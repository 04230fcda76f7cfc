"""The whole road on the toy model: export, build, verify, report; and where it ends in a failure.

The keys are those that scripts may rely on; more may join.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lnn_edge.build.project import open_project
from lnn_edge.files import resources
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.verify.verify import verify_project
from tests.cli.command import call, call_json, call_process, document, error_line
from tests.firmware.programs import needs_qemu
from tests.firmware.wire import run_virtual
from tests.support.projects import needs_arm_gcc
from tests.support.recordings import invented
from tests.support.wfdb_files import write_small

pytestmark = [pytest.mark.target, needs_arm_gcc]

RECORDS = ("--records", "100_0830,213_0500")


@pytest.fixture(scope="module")
def built(graph_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built project; copy it to change it."""
    project = tmp_path_factory.mktemp("road") / "firmware"
    call_json("export", graph_file, "--board", "stm32f746", "-o", project)
    call_json("build", project)
    return project


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "firmware")
    return tmp_path / "firmware"


@pytest.fixture(scope="module")
def verified(built: Path) -> dict[str, Any]:
    """What a verification on the host says of the project."""
    found: dict[str, Any] = call_json("verify", built, "--link", "host", *RECORDS)
    return found


def test_a_build_says_what_it_takes(built: Path) -> None:
    size = call_json("build", built, "--max-flash", 65536, "--max-ram", 65536)
    keys = "flash_bytes ram_bytes stack_bytes sections operators board budget_ok"
    assert size.keys() >= set(keys.split())
    assert size["budget_ok"] is True
    assert size["board"] == "stm32f746g-disco"
    exported = json.loads((built / "export.json").read_text())["operators"]
    assert list(size["operators"]) == [o["name"] for o in exported]
    held = {name for o in exported for name in o["holds"]}
    assert held == {op.name for op in load_graph(built / "model.qgraph").deciding_stage.ops}
    assert size == json.loads((built / "build" / "board" / "size.json").read_text())
    outcome = call("build", built)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"flash {size['flash_bytes']} bytes, RAM {size['ram_bytes']} bytes" in outcome.out


@pytest.mark.parametrize(
    ("board", "link"), [("stm32f746", "virtual"), ("stm32f405", "qemu"), ("nucleo-f446re", "host")]
)
def test_a_build_names_a_link_that_its_board_has(
    board: str, link: str, graph_file: Path, tmp_path: Path
) -> None:
    project = tmp_path / "firmware"
    call_json("export", graph_file, "--board", board, "-o", project)
    outcome = call("build", project)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"\nnext: lnn-edge verify {project} --link {link}\n")


@pytest.mark.parametrize(
    ("option", "what", "measured"),
    [
        ("--max-flash", "flash", lambda size: size["flash_bytes"]),
        (
            "--max-ram",
            "RAM with the worst-case stack",
            lambda size: size["ram_bytes"] + size["stack_bytes"],
        ),
    ],
)
def test_a_build_over_budget_says_which_and_by_how_much(
    option: str, what: str, measured: Callable[[dict[str, Any]], int], built: Path
) -> None:
    outcome = call("build", built, option, 1000, "--json")
    size = document(outcome, 1)
    count = measured(size)
    sentence = f"{what} is {count} bytes, {count - 1000} more than the limit of 1000"
    assert (size["budget_ok"], size["budget_failures"]) == (False, [sentence])
    assert error_line(outcome) == f"over budget: {sentence}"
    plain = call("build", built, option, 1000)
    assert (plain.code, plain.err) == (1, outcome.err)


def test_scripts_see_a_failed_budget_by_the_exit_code(built: Path) -> None:
    outcome = call_process("build", built, "--max-flash", 1000, "--json", cwd=built.parent)
    assert document(outcome, 1)["budget_ok"] is False
    assert error_line(outcome).startswith("over budget: flash is ")


def test_a_board_too_small_to_link_fails_the_build(graph_file: Path, tmp_path: Path) -> None:
    text = (resources.path("boards") / "stm32f405.toml").read_text()
    board, project = tmp_path / "small.toml", tmp_path / "firmware"
    board.write_text(text.replace("size  = 0x100000", "size  = 0x400"))
    call_json("export", graph_file, "--board", board, "-o", project)
    outcome = call("build", project)
    assert (outcome.code, outcome.out) == (1, "")
    said = error_line(outcome)
    assert re.search(r"needs \d+ bytes more than the 1024 bytes of flash on stm32f405", said)


def test_sources_that_do_not_compile_are_no_failed_budget(copy: Path) -> None:
    source = copy / "model" / "toy.c"
    source.write_text(source.read_text() + "\nint x = y;\n")
    outcome = call("build", copy)
    assert (outcome.code, outcome.out) == (2, "")
    assert "model/toy.c" in error_line(outcome)


def test_a_verification_says_what_was_compared(built: Path, verified: dict[str, Any]) -> None:
    keys = """link mismatches steps first_mismatch instructions_per_step cycles_per_step
    clock_source accuracy macro_f1 classes float_error model_sha256 board"""
    assert verified.keys() >= set(keys.split())
    assert (verified["link"], verified["mismatches"], verified["first_mismatch"]) == (
        "host",
        0,
        None,
    )
    assert verified["steps"] > 100
    assert verified["records"] == ["100_0830", "213_0500"]
    assert verified["model_sha256"] == graph_sha256(load_graph(built / "model.qgraph"))
    assert all(f.keys() == {"n", "se", "ppv", "f1"} for f in verified["classes"].values())
    assert verified == json.loads((built / "verify-host.json").read_text())


@pytest.mark.usefixtures("verified")
def test_a_report_says_what_is_known(built: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    facts = call_json("report", built, "-o", page)
    assert facts.keys() >= {"report", "board", "model_sha256", "verdict", "links"}
    assert facts["report"] == str(page)
    assert facts["links"] == {"host": 0}
    assert page.read_text().startswith("<!DOCTYPE html>")
    outcome = call("report", built)
    assert (outcome.code, outcome.err) == (0, "")
    assert "toy on STM32F746G-DISCO" in outcome.out
    assert (built / "report.html").is_file()


def test_people_are_told_that_it_is_bit_exact(copy: Path) -> None:
    outcome = call("verify", copy, "--link", "host", "--records", "100_0830")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("bit-exact on host (")
    assert "): 0 mismatches in 75 steps, longest run without a reset 75\n" in outcome.out
    assert f"written: {copy}/verify-host.json\n" in outcome.out


def test_a_wrong_build_fails_and_the_operator_is_named(copy: Path) -> None:
    weights = copy / "model" / "toy_weights.c"
    text = weights.read_text()
    start = text.index("{", text.index("toy_beat_head_stream["))
    place = list(re.compile(r"\d+(?=,)").finditer(text, start))[7]  # the first row's bias
    changed = str(int(place[0]) - 1)
    weights.write_text(text[: place.start()] + changed + text[place.end() :])
    outcome = call("verify", copy, "--link", "host", "--records", "100_0830", "--json")
    found = document(outcome, 1)
    assert 0 < found["mismatches"] <= found["steps"]
    assert (found["first_mismatch"]["operator"], found["first_mismatch"]["element"]) == ("head", 0)
    said = f"{found['mismatches']} of {found['steps']} steps differ from the simulator"
    assert error_line(outcome) == said
    plain = call("verify", copy, "--link", "host", "--records", "100_0830")
    assert (plain.code, plain.err) == (1, outcome.err)
    assert "NOT bit-exact on host" in plain.out
    assert "operator head, scores[0] is" in plain.out


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A folder with six seconds of ECG."""
    return write_small(tmp_path / "short")


def test_the_virtual_board_tells_what_each_operator_takes(copy: Path, short: Path) -> None:
    found = call_json("verify", copy, "--link", "virtual", "--dataset", short)
    exported = json.loads((copy / "export.json").read_text())
    counted = found["instructions_by_function"]
    functions = {o["function"] for o in exported["operators"]}
    assert functions <= counted.keys()
    assert not any(name.startswith("lnn_op_") for name in counted)
    cost, call_of = found["decision_cost"], found["largest_call"]
    inside = sum(counted[f] for f in functions)
    deciding, samples = (found["steps"] * cost[key] for key in ("decision", "samples"))
    assert 0.5 * deciding < inside < deciding < deciding + samples < sum(counted.values())
    assert found["instructions_per_step"]["max"] == call_of["poll"] < call_of["count"]
    assert call_of["sample_period_clocks"] == 216e6 / 360
    plain = call("report", copy)
    assert (plain.code, plain.err) == (0, "")
    assert "the costliest of " in plain.out
    page = (copy / "report.html").read_text()
    assert "instructions a decision" in page
    assert "Most beside the operators: " in page
    assert page.count("the largest call, one sample with all that it leads to") == 1


def test_a_board_whose_crystal_is_dead_fails(copy: Path, short: Path, tmp_path: Path) -> None:
    with run_virtual(copy / "build" / "board" / "firmware.elf", tmp_path, hse_hz=0) as address:
        arguments = ("verify", copy, "--link", f"serial:{address}", "--dataset", short)
        outcome = call(*arguments, "--json")
    found = document(outcome, 1)
    assert (found["mismatches"], found["passed"], found["core_clock_hz"]) == (0, False, 16_000_000)
    assert found["clock_warnings"] == ["the oscillator that feeds the PLL did not start"]
    said = error_line(outcome)
    assert said.startswith("the core fell back to its slow clock, 16 MHz (the oscillator that ")
    facts = call_json("report", copy)
    assert facts["verdict"] == "bad"
    assert [failures for failures in facts["failures"].values() if failures] == [[said]]
    assert said in (copy / "report.html").read_text()


@needs_qemu
def test_qemu_has_no_crystal_and_fails_nothing(
    graph_file: Path, short: Path, tmp_path: Path
) -> None:
    project = tmp_path / "firmware"
    call_json("export", graph_file, "--board", "stm32f405", "-o", project)
    call_json("build", project)
    outcome = call("verify", project, "--link", "qemu", "--dataset", short)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("bit-exact on qemu ")
    assert "warning: the core fell back to its slow clock, 16 MHz" in outcome.out
    found = json.loads((project / "verify-qemu.json").read_text())
    assert found["passed"]
    lost = [w for w in found["warnings"] if w.startswith("the line lost data")]  # a busy machine
    assert len(found["warnings"]) == 1 + len(lost)
    assert (found["largest_call"], found["decision_cost"]) == (None, None)
    assert call_json("report", project)["verdict"] == "good"


def test_verify_tells_what_the_model_learned_and_which_figures_mean_something(
    copy: Path, tmp_path: Path
) -> None:
    """The toy says nothing of what it learned, and nobody would believe figures of inventions."""
    calm = write_small(tmp_path / "calm", symbols=("+", "N", "N", "N", "A", "Q"))
    found = call_json("verify", copy, "--link", "host", "--dataset", calm)
    assert found["trained_on"]["is_known"] is False
    assert (found["main_classes"], found["absent_classes"]) == (["N", "S"], ["V"])
    assert found["classes"]["V"] == {"n": 0, "se": None, "ppv": None, "f1": None}
    outcome = call("verify", copy, "--link", "host", "--dataset", calm)
    assert "mean F1 of N, S " in outcome.out
    assert "(V cannot be judged here), on 4 judged\n" in outcome.out
    assert "Whether the model learned from this recording is not known" in outcome.out
    project = open_project(copy)
    result = verify_project(project, "host", [invented("a", 12, 1)], dataset="synthetic")
    assert result.passed
    assert (result.judged, result.is_invented) == (None, True)
    assert result.to_json()["accuracy"] is None
