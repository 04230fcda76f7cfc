"""A report tells what is so, says what is missing, and needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import lnn_edge as le
from lnn_edge.build.size import Limits
from lnn_edge.cli import main
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.device.counters import DecisionCost, LargestCall, WrongCounter
from lnn_edge.errors import UsageError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.report import collect, render, save, verdict
from lnn_edge.report.built import BuildFacts
from lnn_edge.report.drawings.memory_map import segments
from lnn_edge.report.drawings.timeline import draw_timeline
from lnn_edge.report.predictions import Prediction
from lnn_edge.report.timelines import timeline_of
from lnn_edge.report.words import clock_words, time_words
from lnn_edge.verify.result import Mismatch, Spread, Verification, write_verification
from tests.support.modules import make_module
from tests.support.projects import pretend_build
from tests.support.recordings import invented, renamed
from tests.support.signals import sines
from tests.support.toy import toy_graph

ODD_NAME = "<b>&amp\"'"
RECORDINGS = [invented("a", 20, 1), renamed(invented("b", 30, 2), ODD_NAME)]
STEPS = 47


def model() -> QGraph:
    """The toy model with classes that the recordings have."""
    graph = toy_graph()
    return replace(graph, metadata=graph.metadata | {"classes": ["N", "S", "V"]})


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    export(model(), load_board("stm32f746"), tmp_path / "firmware")
    return tmp_path / "firmware"


def add_build(folder: Path, limits: Limits | None = None) -> None:
    """Leave what builds of board and host would have left."""
    pretend_build(folder, "board", limits)
    pretend_build(folder, "host")


def add_verification(folder: Path, link: str = "virtual", **more: Any) -> Path:
    """Write what a verification would have found."""
    result = Verification(
        link,
        "stm32f746g-disco",
        graph_sha256(model()),
        ("a", ODD_NAME),
        STEPS,
        28,
        0,
        None,
        "instructions",
        216_000_000,
        Spread(79_000, 80_000, 81_000),
        None,
        firmware_sha256=sha256(b"firmware").hexdigest(),
    )
    return write_verification(replace(result, **more), folder)


def page_of(folder: Path) -> str:
    return render(collect(folder, RECORDINGS))


def drawn(prediction: Prediction) -> str:
    return "".join(strip.drawing for strip in draw_timeline(timeline_of(prediction, ())))


class _Page(HTMLParser):
    """Collects the text, refuses unbalanced tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.words)

    def row(self, name: str) -> list[str]:
        """Return the texts after a row's name, as many as a row of any table here can have."""
        start = self.words.index(name)
        return self.words[start + 1 : start + 8]


def test_page_needs_nothing_else(exported: Path) -> None:
    add_build(exported)
    add_verification(exported)
    page = page_of(exported)
    for tag, attributes in _Page(page).seen:
        assert tag not in ("link", "img", "iframe", "object", "use", "image")
        assert not {"src", "srcset", "data"} & attributes.keys()
        assert str(attributes.get("href", "#")).startswith("#")
    assert "url(" not in page
    assert "@import" not in page


def test_names_are_escaped(exported: Path) -> None:
    add_build(exported)
    add_verification(exported, "serial:/dev/<i>tty</i>")
    page = page_of(exported)
    assert "<b>" not in page
    assert "<i>" not in page
    shown = _Page(page).text
    assert ODD_NAME in shown
    assert "/dev/<i>tty</i>" in shown


def test_same_facts_same_page(exported: Path, tmp_path: Path) -> None:
    add_build(exported)
    add_verification(exported)
    first = page_of(exported)
    shutil.copytree(exported, tmp_path / "elsewhere" / "firmware")
    assert page_of(tmp_path / "elsewhere" / "firmware") == first
    assert str(tmp_path) not in first


def test_fresh_export_says_what_is_missing(exported: Path) -> None:
    report = collect(exported, RECORDINGS)
    shown = _Page(render(report)).text
    assert verdict(report)[0] == "open"
    assert "has not been built yet" in shown
    assert "has not been verified yet" in shown
    assert "lnn-edge build firmware" in shown


def test_proved_project_is_good(exported: Path) -> None:
    add_build(exported)
    add_verification(exported)
    add_verification(exported, "host", clock_source="none", counts=None)
    report = collect(exported, RECORDINGS)
    assert verdict(report)[0] == "good"
    assert [link.link for link in report.links] == ["host", "virtual"]
    assert "79,000 / 80,000 / 81,000" in render(report)


def test_host_program_alone_proves_no_firmware(exported: Path) -> None:
    add_build(exported)
    add_verification(exported, "host", clock_source="none", counts=None)
    kind, _, sentences = verdict(collect(exported, RECORDINGS))
    assert kind == "open"
    assert any("firmware has not run yet" in s for s in sentences)


def test_one_mismatch_fails_and_is_located(exported: Path) -> None:
    add_build(exported)
    add_verification(exported)
    first = Mismatch("a", 3, 1234, "conv", "features", 7, 12, 13)
    add_verification(exported, "qemu", mismatches=2, first_mismatch=first)
    report = collect(exported, RECORDINGS)
    assert verdict(report)[0] == "bad"
    assert "step 3: operator conv, features[7] is 13, expected 12" in _Page(render(report)).text


def test_no_step_is_no_proof(exported: Path) -> None:
    add_build(exported)
    add_verification(exported, steps=0)
    assert verdict(collect(exported, RECORDINGS))[0] == "bad"


def test_verification_of_another_model_does_not_count(exported: Path) -> None:
    add_build(exported)
    add_verification(exported, model_sha256="0" * 64)
    report = collect(exported, RECORDINGS)
    assert verdict(report)[0] == "open"
    assert "is of another model" in _Page(render(report)).text


def test_exceeded_budget_fails(exported: Path) -> None:
    add_build(exported, Limits(max_flash=9000))
    add_verification(exported)
    report = collect(exported, RECORDINGS)
    assert verdict(report)[0] == "bad"
    assert "flash is 9320 bytes, 320 more than the limit of 9000" in _Page(render(report)).text


@pytest.mark.parametrize("link", ["host", "virtual", "virtual:pty", "qemu"])
@pytest.mark.parametrize("source", ["dwt", "instructions", "none"])
def test_emulated_figures_are_never_measured(exported: Path, link: str, source: str) -> None:
    add_build(exported)
    add_verification(exported, link, clock_source=source)
    (found,) = collect(exported, RECORDINGS).links
    assert "measured" not in clock_words(found)
    assert time_words(found) == "not measured"
    assert "(DWT)" not in page_of(exported)


def test_cycles_of_silicon_are_measured(exported: Path) -> None:
    add_build(exported)
    counts = Spread(215_000, 216_000, 217_000)
    add_verification(exported, "serial:/dev/ttyACM0", clock_source="dwt", counts=counts)
    row = _Page(page_of(exported)).row("board on a serial port (/dev/ttyACM0)")
    assert "cycles, measured (DWT)" in row
    assert "1,000 µs" in row


def test_strips_show_every_wrong_decision(exported: Path) -> None:
    report = collect(exported, RECORDINGS)
    assert report.evaluation is not None
    confusion = np.array(report.evaluation.confusion)
    errors = int(confusion.sum() - np.trace(confusion))
    assert errors > 0  # random weights
    page = render(report)
    assert page.count('class="wrong-box"') == errors
    for prediction, recording in zip(report.predictions, RECORDINGS, strict=True):
        page_of_strips = _Page(drawn(prediction))
        truths = [a for tag, a in page_of_strips.seen if tag == "text" and a["y"] == "14.0"]
        beats = [a for a in truths if str(a["class"]).startswith("beat")]
        assert len(beats) == len(recording.events)


def test_strips_keep_the_extreme_samples(exported: Path) -> None:
    (first, _) = collect(exported, RECORDINGS).predictions
    paths = [a for tag, a in _Page(drawn(first)).seen if a.get("class") == "trace"]
    numbers = [int(n) for n in re.findall(r"-?\d+", str(paths[0]["d"]))]
    assert numbers[0] == 0
    y = np.cumsum([numbers[1], *numbers[3::2]])
    lead = (RECORDINGS[0].frames[: 15 * 360, 0] - 1024) / 200
    px_per_mv = 30 * 10  # path units
    assert np.ptp(y) == pytest.approx(np.ptp(lead) * px_per_mv, abs=1.01)
    assert len(y) == 15 * 360 // 3
    assert abs(int(np.argmin(y)) * 3 - int(np.argmax(lead))) <= 6  # up is small y


def test_other_classes_get_no_figures(tmp_path: Path) -> None:
    graph = toy_graph()
    graph = replace(graph, metadata={**graph.metadata, "classes": ["A", "B", "C"]})
    export(graph, load_board("stm32f746"), tmp_path / "firmware")
    report = collect(tmp_path / "firmware", RECORDINGS)
    assert report.evaluation is None
    assert (
        "No recordings of this model's task (A, B, C from lead MLII)" in _Page(render(report)).text
    )


def test_a_module_of_ones_own_has_no_recordings_and_a_summary(tmp_path: Path) -> None:
    graph = le.quantize(make_module("gelu"), sines(2, 24, 6, 1), name="own")
    export(graph, load_board("stm32f746"), tmp_path / "own")
    page = render(collect(tmp_path / "own", RECORDINGS))
    headings = re.findall("<h2>(.*?)</h2>", page)
    wanted = ["Verification", "Outputs", "Calibration sequences", "Float against integer"]
    assert headings[:4] == wanted
    assert "ECG" not in page
    assert "patients" not in page
    assert graph.summary().splitlines()[-1] in page


def test_segments_add_up_to_what_is_used(exported: Path) -> None:
    add_build(exported)
    build = collect(exported, RECORDINGS).build
    assert build is not None
    board = load_board("stm32f746")
    for region in board.memory:
        parts = segments(board, build, region)
        assert sum(p.size for p in parts) == build.used[region.name], region.name
    dtcm = {p.kind: p.size for p in segments(board, build, board.region("dtcm"))}
    assert dtcm == {"stack": 600, "reserve": 3496, "data": 64, "bss": 2000}
    flash = [p.kind for p in segments(board, build, board.region("flash"))]
    assert flash == ["vectors", "text", "rodata", "data", "other"]


def test_stack_over_its_reserve_is_drawn_in_it(exported: Path) -> None:
    add_build(exported)
    build = collect(exported, RECORDINGS).build
    assert isinstance(build, BuildFacts)
    board = load_board("stm32f746")
    parts = segments(board, replace(build, stack_bytes=5000), board.region("dtcm"))
    assert next(p.size for p in parts if p.kind == "stack") == 4096
    assert "reserve" not in [p.kind for p in parts]


def test_instructions_are_shared_out_per_step(exported: Path) -> None:
    add_build(exported)
    function = json.loads((exported / "export.json").read_text())["operators"][0]["function"]
    counted = {function: 1234 * STEPS, "wait_for_frame": 7 * STEPS}
    cost = DecisionCost("instructions", 1300.0, 200.0, 260.0)
    add_verification(exported, functions=counted, decision_cost=cost)
    page = _Page(page_of(exported))
    assert "1,234" in page.row("decimate")
    said = page.text
    assert "operators take 1,234 a decision" in said
    assert "the model's calls, which hold them, 1,500" in said
    assert "which also reads requests, sends results and waits, 1,241." in said
    assert "Most beside the operators: wait_for_frame 7." in said
    done = CliRunner().invoke(main, ["report", str(exported)])
    assert re.search(r"decimate +│ +1,234 │ +100.0 %", done.output)
    assert "Most beside the operators: wait_for_frame 7." in done.output


def test_operators_that_nobody_counted_are_not_made_up(exported: Path) -> None:
    add_build(exported)
    add_verification(exported)
    page = _Page(page_of(exported)).text
    assert "instructions a decision" not in page
    assert "lnn-edge verify firmware --link virtual" in page


def test_costs_and_what_they_count_are_told(exported: Path) -> None:
    add_build(exported)
    cost = DecisionCost("instructions", 81_000.0, 23_900.0, 261.0)
    call = LargestCall("instructions", 619_000, 600_000, 19_000, 432_000.0)
    add_verification(exported, decision_cost=cost, largest_call=call)
    add_verification(exported, "virtual:pty", counts_samples=True)
    page = _Page(page_of(exported))
    sentences = [f"virtual board: {c.sentence}." for c in (cost, call)]
    assert "its 261 samples 23,900, both 104,900" in sentences[0]
    assert all(s in page.words for s in sentences)
    assert page.row("virtual board")[1] == "decision alone"
    assert page.row("virtual board (pty)")[1] == "decision and what its samples led to"
    done = CliRunner().invoke(main, ["report", str(exported)])
    assert all(s in done.output for s in sentences)


def test_a_counter_or_clock_that_is_wrong_fails_the_report(exported: Path) -> None:
    add_build(exported)
    wrong = (WrongCounter("a", "events_rejected", 0, 2),)
    add_verification(exported, wrong_counters=wrong)
    report = collect(exported, RECORDINGS)
    kind, _, sentences = verdict(report)
    assert kind == "bad"
    assert sentences[:2] == (
        f"virtual board: 0 mismatches in {STEPS} steps.",
        "virtual board: a: the board counts 2 events_rejected, the simulator 0.",
    )
    add_verification(exported, clock_warnings=("the PLL did not lock",))
    assert verdict(collect(exported, RECORDINGS))[0] == "bad"
    add_verification(exported, clock_warnings=("the PLL did not lock",), has_clock=False)
    kind, _, sentences = verdict(collect(exported, RECORDINGS))
    assert kind == "good"
    assert "fell back to its slow clock" in sentences[1]


def test_how_a_board_came_up_is_told(exported: Path) -> None:
    add_build(exported)
    add_verification(
        exported,
        "serial:/dev/ttyACM0",
        clock_warnings=("the PLL did not lock",),
        core_clock_hz=16_000_000,
        reset_causes=("pin", "watchdog"),
        is_image_good=False,
        stack_free_bytes=1_234,
    )
    add_verification(exported, "host", clock_source="none", counts=None, core_clock_hz=0)
    page = _Page(page_of(exported))
    rows = page.words[page.words.index("How each came up") :]
    board = rows.index("board on a serial port (/dev/ttyACM0)")
    told = ["16 MHz, fell back: the PLL did not lock", "pin, watchdog", "damaged", "1,234 bytes"]
    assert rows[board + 1 : board + 5] == told
    host = rows.index("host program")
    assert rows[host + 1 : host + 5] == ["none", "not known", "not sealed", "not known"]
    done = CliRunner().invoke(main, ["report", str(exported)])
    assert all(words in done.output for words in told)


def test_figures_say_what_the_model_learned_from(exported: Path) -> None:
    report = collect(exported, RECORDINGS, "excerpts")
    assert report.trained_on is not None
    assert report.trained_on.sentence in _Page(render(report)).text


def test_generated_recordings_have_decisions_and_no_figures(exported: Path) -> None:
    report = collect(exported, RECORDINGS, "synthetic")
    assert (report.evaluation, len(report.predictions)) == (None, len(RECORDINGS))
    shown = _Page(render(report)).text
    assert "figures over them would mean nothing" in shown
    assert "Accuracy 0." not in shown


def test_damaged_file_is_named(exported: Path) -> None:
    path = add_verification(exported)
    path.write_text(path.read_text()[:100])
    with pytest.raises(UsageError, match=r"verify-virtual\.json is damaged.*lnn-edge verify"):
        collect(exported, RECORDINGS)
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"KeyError.*'instructions_per_step'"):
        collect(exported, RECORDINGS)


def test_unwritable_path_leaves_nothing(exported: Path, tmp_path: Path) -> None:
    report = collect(exported, RECORDINGS)
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "absent" / "report.html", tmp_path / "taken"):
        with pytest.raises(UsageError, match="cannot be written"):
            save(report, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["firmware", "taken"]


def test_command_writes_the_page_of_the_embedded_recordings(exported: Path) -> None:
    add_build(exported)
    add_verification(exported)
    done = CliRunner().invoke(main, ["report", str(exported)])
    assert done.exit_code == 0, done.output
    assert "Bit-exact" in done.output
    assert "100_0830" in (exported / "report.html").read_text()
    other = exported.parent / "other.html"
    done = CliRunner().invoke(main, ["report", str(exported), "-o", str(other), "--json"])
    facts = json.loads(done.output)
    assert facts["verdict"] == "good"
    assert facts["links"] == {"virtual": 0}
    assert facts["report"] == str(other)
    assert other.read_bytes() == (exported / "report.html").read_bytes()


def test_command_refuses_a_folder_that_is_no_export(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert "no exported project" in done.output
    assert list(tmp_path.iterdir()) == []
