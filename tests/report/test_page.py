"""What the sections of a page show, against the simulator, the card and the history."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

import lnn_edge as le
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.errors import UsageError
from lnn_edge.files.model_facts import read_facts
from lnn_edge.files.shipped import shipped_folder
from lnn_edge.graph.reference import Reference, TensorFacts
from lnn_edge.nn.history import Epoch, history_csv
from lnn_edge.report import collect, render, write_report
from lnn_edge.report.facts import Report
from lnn_edge.report.liquid import activity, layers_of
from lnn_edge.report.sections.operators import kernels_of
from lnn_edge.report.words import counted
from lnn_edge.tasks.beats.quality import with_quality
from lnn_edge.tasks.feed import Wish, load_feed
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.tasks.registry import find_task
from tests.report.test_report import RECORDINGS, _Page, add_build, add_verification, model
from tests.support.recordings import twelve_leads

HISTORY = [Epoch(i, 2.0 / i, 0.01 / i, {"validation_loss": 3.0 / i, "main_f1": 0.2 * i})
           for i in (1, 2, 3)]  # fmt: skip


FRAMES = np.random.default_rng(0).integers(-500, 500, (5200, 12)).astype(np.int16)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the shipped model of beats, not built."""
    folder = tmp_path_factory.mktemp("shipped") / "firmware"
    le.export("ecg-beats-cfc", board="stm32f746", to=folder)
    return write_report(folder, folder / "report.html").read_text()


def page_with(folder: Path, graph: object = None, float_model: object = None) -> Report:
    export(graph or model(), load_board("stm32f746"), folder, float_model)  # type: ignore[arg-type]
    return collect(folder, RECORDINGS)


def test_contents_lead_to_every_section(shipped: str) -> None:
    seen = _Page(shipped).seen
    anchors = [str(a["href"])[1:] for tag, a in seen if tag == "a"]
    assert anchors == [a["id"] for tag, a in seen if tag == "section"]
    wanted = ["verification", "outputs", "accuracy", "recordings", "neurons"]
    assert anchors[:5] == wanted


def test_a_page_of_the_shipped_model_is_small(shipped: str) -> None:
    assert 300_000 < len(shipped.encode()) < 1_500_000


def test_tensors_of_a_shipped_model_stand_the_worst_first(shipped: str) -> None:
    part = shipped[shipped.index('id="worth"') : shipped.index('id="operators"')]
    assert "formulas in float64 with the weights as the graph holds them" in part
    shares = [float(s) for s in re.findall(r'class="bar"[^>]*>([0-9.]+) %', part)]
    assert len(shares) == len(le.load("ecg-beats-cfc").deciding_stage.ops)
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("count", "plural", "said"),
    [(1, "people", "1 person"), (1, "recordings", "1 recording"), (1, "bodies", "1 body"),
     (2, "people", "2 people"), (1200, "beats", "1,200 beats"), (1, "Leute", "1 Leute")],
)  # fmt: skip
def test_one_thing_is_said_in_the_singular(count: int, plural: str, said: str) -> None:
    assert counted(count, plural) == said


def test_held_out_figures_of_the_card_stand_beside_those_of_the_minutes(shipped: str) -> None:
    rows = re.findall(r"<tr(?: class=\"beside\")?><th scope=\"row\">mean F1.*?</tr>", shipped)
    facts = read_facts(shipped_folder("ecg-beats-cfc"))
    for row, told in zip(rows, facts.accuracy, strict=False):
        assert told.figure in row
        assert f"<b>{told.value:.3f}</b>" in row
        assert told.split in row
    assert "streamed recordings of this page" in rows[len(facts.accuracy)]


def test_classes_are_explained_in_the_words_of_the_task(shipped: str) -> None:
    meanings = find_task("beats").words.classes
    assert list(meanings) == ["N", "S", "V", "F"]
    for name, meaning in meanings.items():
        assert f"<dt>{name}</dt><dd>{meaning}</dd>" in shipped


def test_scores_of_every_decision_are_those_of_the_simulator(tmp_path: Path) -> None:
    page = render(page_with(tmp_path / "firmware"))
    graph = model()
    assert graph.scores is not None
    _, scores = integer_scores(graph, RECORDINGS)
    rows = re.findall(r"<tr( class=off)?><th>([\d.]+) s</th><td class=word>([^<]*)</td>"
                      r"<td class=word>([^<]*)</td>((?:<td>[\d.]+</td>)+)</tr>", page)  # fmt: skip
    real = np.concatenate([graph.scores.dequantize(s) for s in scores])
    wanted = np.exp(real) / np.exp(real).sum(1, keepdims=True)
    told = np.array([[float(v) for v in re.findall(r">([\d.]+)<", row[4])] for row in rows])
    assert told.shape == wanted.shape
    assert np.abs(told - wanted).max() < 0.00051
    said = [graph.classes[i] for i in real.argmax(1)]
    assert [row[3] for row in rows] == said
    off = [row[2] != row[3] and row[2] != "not scored" for row in rows]
    assert [bool(row[0]) for row in rows] == off


def test_what_is_wrong_with_the_signal_is_said_in_words(tmp_path: Path) -> None:
    graph = with_quality(le.load("ecg-beats-cfc"), (0, 2047))
    (recording,) = load_feed(graph.metadata, Wish(names=["200_1490"])).recordings
    samples = recording.record.samples.copy()
    samples[len(samples) // 2 :, 1] = 1024
    broken = replace(recording, record=replace(recording.record, samples=samples))
    export(graph, load_board("stm32f746"), tmp_path)
    text = render(collect(tmp_path, [broken]))
    heads = re.findall(r'<th scope="col" class="number">(signal[^<]*)</th>', text)
    assert heads == ["signal", *(f"signal {lead}" for lead in recording.leads)]
    flat = text.count("<td>flat</td><td>good</td><td>flat</td>")
    assert 20 < flat < 60  # half of the beats
    assert f"{flat} decisions on a signal with flaws" in text
    assert ">flat</text>" in text  # in the strips


def test_strips_without_a_wrong_decision_can_be_hidden_without_a_script(tmp_path: Path) -> None:
    page = render(page_with(tmp_path / "firmware"))
    strips = re.findall(r'<div class="wide strip( right)?">(.*?)</svg></div>', page, re.DOTALL)
    assert len(strips) > 3
    for right, drawing in strips:
        assert bool(right) == ("wrong-box" not in drawing)
    assert ":has(#wrong-only:checked) .strip.right { display: none; }" in page


def test_states_are_shaded_by_what_the_simulator_holds(tmp_path: Path) -> None:
    report = page_with(tmp_path / "firmware")
    graph = report.project.graph
    (layer,) = layers_of(graph)
    prediction = report.predictions[0]
    levels = np.round(activity(layer, prediction.values).T * 6).astype(int)
    page = render(report)
    first = page[page.index('<figure class="record">') :]
    first = first[: first.index("</svg>")]
    drawn = {int(k) for k in re.findall(r'class="level(-?\d)"', first)}
    inside = prediction.times_s < 15
    assert set(levels[:, inside].ravel().tolist()) - {0} <= drawn


def test_the_steps_of_the_wiring_are_states_and_probabilities(tmp_path: Path) -> None:
    report = page_with(tmp_path / "firmware")
    page = render(report)
    (document,) = map(json.loads, re.findall(r'id="network-data">(.*?)</script>', page))
    steps = document["steps"]
    (prediction,) = (p for p in report.predictions if len(p.stamps) == len(steps))
    assert f"Wiring of {escape(prediction.recording.name)}," in page
    (layer,) = layers_of(report.project.graph)
    states = np.round(100 * activity(layer, prediction.values))
    ends = np.round(100 * prediction.probabilities)
    told = np.array([step["a"] for step in steps])
    count = layer.size + ends.shape[1]
    assert (told[:, -count : -ends.shape[1]] == states).all()
    assert (told[:, -ends.shape[1] :] == ends).all()


def test_a_history_becomes_curves_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    files = {"history.csv": history_csv(HISTORY).encode()}
    page = render(page_with(tmp_path / "a", float_model=files))
    assert "3 epochs." in page
    assert 'aria-label="Loss over epochs"' in page
    assert '<tr><th scope="row">mean F1</th><td class="number"><b>0.600</b>' in page
    curve = re.search(r'class="curve" d="M58.0 26.0 (\S+) (\S+) 368.0 (\S+)"', page)
    assert curve is not None  # training loss 2, 1, 2/3 of a scale from 2/3 to 3
    assert "no recordings were held out" not in page
    assert 'id="training"' not in render(page_with(tmp_path / "b"))
    with pytest.raises(UsageError, match=r"history\.csv is damaged .*lnn-edge export"):
        page_with(tmp_path / "c", float_model={"history.csv": b"epoch,loss\n1,2\n"})


def test_tensors_are_told_worst_first(tmp_path: Path) -> None:
    graph = model()
    names = [op.outputs[0].name for op in graph.ops][:3]
    facts = [TensorFacts(0.1, 10.0, 0.0), TensorFacts(0.3, 10.0, 0.25), TensorFacts(0.2, 10.0, 0.5)]
    known = Reference((), (), dict(zip(names, facts, strict=True)))
    page = render(page_with(tmp_path / "firmware", replace(graph, reference=known)))
    part = page[page.index('id="worth"') :]
    operators = [op.name for op in graph.ops][:3]
    order = re.findall(r'<th scope="row">(\w+)</th>', part[: part.index("</table>")])
    assert order == [operators[1], operators[2], operators[0]]
    assert '3.00 %</td><td class="number">25.00 %' in part


def test_operators_of_one_kernel_share_a_row_and_most_instructions_come_first(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "firmware"
    export(model(), load_board("stm32f746"), folder)
    add_build(folder)
    operators = json.loads((folder / "export.json").read_text())["operators"]
    functions = [o["function"] for o in operators]
    counted = {functions[0]: 47 * 10, functions[2]: 47 * 500}
    add_verification(folder, functions=counted)
    report = collect(folder, RECORDINGS)
    page = render(report)
    part = page[page.index('id="operators"') :]
    first = re.findall(r'<th scope="row">(.*?)</th>', part)
    assert first[:2] == [operators[2]["name"], operators[0]["name"]]
    assert "98.0 %" in part
    assert report.build is not None
    joined = [replace(o, function="one") for o in report.build.operators[:2]]
    (kernel,) = kernels_of(joined, {"one": 7.0})
    assert kernel.names == f"{joined[0].name}, {joined[1].name}"
    assert kernel.instructions == 7.0


def test_twelve_leads_have_a_lane_each(tmp_path: Path) -> None:
    folder = tmp_path / "firmware"
    le.export("ccfc", board="stm32f746", to=folder)
    page = render(
        collect(folder, [twelve_leads("a", FRAMES, (0, 0, 0, 0, 1, 0))], "synthetic-12lead")
    )
    strip = page[page.index('<figure class="record">') :]
    strip = strip[: strip.index("</svg>")]
    leads = re.findall(r'class="lead"[^>]*>([^<]*) \(mV\)', strip)
    assert leads == "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
    assert strip.count('class="trace"') == 12
