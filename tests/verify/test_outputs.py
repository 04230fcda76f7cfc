"""Each of several outputs is judged, compared and reported by its name, on every link."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.errors import VerificationError
from lnn_edge.graph.reference import Reference
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.report import collect, render
from lnn_edge.tasks.judge import judge
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.result import write_verification
from lnn_edge.verify.sequences import verify_sequences
from lnn_edge.verify.verify import label_judge, verify, verify_project
from tests.cli.command import call, call_json
from tests.support.projects import needs_arm_gcc
from tests.support.toy import motion, toy_every_graph, toy_heads_graph
from tests.support.walks import Walk, walks
from tests.verify.test_verify import FakeLink, damaged

GRAPH = toy_heads_graph()
SIGNALS = [Signal(w.name, w.frames) for w in walks()]


def scores_by_hand() -> np.ndarray:
    """The first three elements of every decision on the first walk."""
    return np.array([d.outputs[:3] for d in Stream(GRAPH).run(walks()[0].frames)])


def test_only_the_scores_are_judged() -> None:
    sequences, scores = integer_scores(GRAPH, walks())
    assert np.array_equal(scores[0], scores_by_hand())
    labels = walks()[0].labels_at(sequences[0].stamps)
    figures = judge(sequences[:1], scores[:1], GRAPH.classes, None)
    assert figures.accuracy == np.mean(scores_by_hand().argmax(1) == labels)


def test_scores_may_lie_behind_other_outputs() -> None:
    gait, pose, strides = GRAPH.heads
    heads = (replace(gait, kind="values"), replace(pose, kind="scores"), strides)
    graph = replace(GRAPH, heads=heads, metadata={**GRAPH.metadata, "classes": ["still", "walk"]})
    _, scores = integer_scores(graph, walks())
    decided = [d.outputs[3:5] for d in Stream(graph).run(walks()[0].frames)]
    assert np.array_equal(scores[0], decided)
    link = FakeLink(graph)
    result = verify(graph, SIGNALS, link, name="fake", judge=label_judge(graph, walks()))  # type: ignore[arg-type]
    assert result.judged is not None
    figures = judge(*integer_scores(graph, walks()), graph.classes, None)
    assert result.judged.confusion == figures.confusion  # type: ignore[union-attr]


def test_a_device_is_judged_by_its_scores() -> None:
    result = verify(
        GRAPH,
        SIGNALS,
        FakeLink(GRAPH),  # type: ignore[arg-type]
        name="fake",
        judge=label_judge(GRAPH, walks()),
    )
    assert result.passed
    assert result.judged is not None
    assert (
        result.judged.accuracy
        == judge(*integer_scores(GRAPH, walks()), GRAPH.classes, None).accuracy
    )
    assert [(c.output.name, c.mismatches) for c in result.outputs] == [
        ("gait", 0),
        ("pose", 0),
        ("strides", 0),
    ]


def test_the_wrong_output_is_named() -> None:
    wrong = damaged(GRAPH, "pose_linear")
    result = verify(GRAPH, SIGNALS, FakeLink(wrong), name="fake")  # type: ignore[arg-type]
    assert result.mismatches > 40
    assert [c.mismatches for c in result.outputs] == [0, result.mismatches, 0]
    told = result.to_json()["outputs"]
    assert told[1] == {  # type: ignore[index]
        "name": "pose",
        "first": 3,
        "size": 2,
        "scale": 0.001,
        "kind": "values",
        "mismatches": result.mismatches,
        "float_error": None,
    }


def test_a_decision_that_is_missing_is_wrong_in_each_output() -> None:
    class Silent(FakeLink):
        def stream(self, *given: object) -> list[ResultRecord]:
            return list(super().stream(*given))[:-1]  # type: ignore[arg-type]

    result = verify(GRAPH, SIGNALS, Silent(GRAPH), name="fake")  # type: ignore[arg-type]
    assert [c.mismatches for c in result.outputs] == [len(SIGNALS)] * 3


def test_one_output_is_told_as_it_was() -> None:
    graph = toy_every_graph()
    result = verify(graph, SIGNALS, FakeLink(graph), name="fake")  # type: ignore[arg-type]
    error = {"rmse": 1.0, "max_abs": 2.0, "range": 3.0}
    checks = tuple(replace(c, float_error=error) for c in result.outputs)
    told = replace(result, outputs=checks).to_json()
    assert told["float_error"] == error
    assert [o["name"] for o in told["outputs"]] == ["scores"]  # type: ignore[attr-defined]
    several = verify(GRAPH, SIGNALS, FakeLink(GRAPH), name="fake")  # type: ignore[arg-type]
    checks = tuple(replace(c, float_error=error) for c in several.outputs)
    assert replace(several, outputs=checks).to_json()["float_error"] is None


# --- the road -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    export(GRAPH, load_board("stm32f746"), tmp_path / "firmware")
    return tmp_path / "firmware"


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("link", ["host", "virtual"])
def test_several_outputs_are_bit_exact_and_reported(link: str, project: Path) -> None:
    result = verify_project(open_project(project), link, walks())
    assert result.passed
    assert [c.mismatches for c in result.outputs] == [0, 0, 0]
    assert result.judged is not None
    assert (
        result.judged.accuracy
        == judge(*integer_scores(GRAPH, walks()), GRAPH.classes, None).accuracy
    )
    write_verification(result, project)
    report = collect(project, walks())
    (seen,) = report.links
    assert [(o.name, o.mismatches, o.error) for o in seen.outputs] == [
        ("gait", 0, None),
        ("pose", 0, None),
        ("strides", 0, None),
    ]


@pytest.mark.target
@needs_arm_gcc
def test_sequences_of_real_frames_prove_classes_and_values_alike(
    project: Path, tmp_path: Path
) -> None:
    """No recording is labelled for such a model: its road is --input."""
    frames = motion(3, 80) / 1000
    np.save(tmp_path / "X.npy", frames[None])
    assert "--input X.npy" in call("verify", project, "--link", "host").err
    proof = call_json("verify", project, "--link", "host", "--input", tmp_path / "X.npy")
    assert (proof["mismatches"], proof["steps"], proof["accuracy"]) == (0, 19, None)
    assert [o["name"] for o in proof["outputs"]] == ["gait", "pose", "strides"]
    assert json.loads((project / "verify.json").read_text()) == proof
    assert "strides" in call("report", project).out
    assert ">strides</th>" in (project / "report.html").read_text()


@pytest.mark.target
@needs_arm_gcc
def test_each_output_has_its_own_error(project: Path) -> None:
    """The model in real numbers is the simulator and what is added to each output here."""
    frames = motion(3, 80)
    off = np.array([0.01, -0.01, 0.01, -500.0, 500.0, 0.0])

    decided = [d.outputs * np.array(GRAPH.output.scales) for d in Stream(GRAPH).run(frames)]
    real = Reference((frames / 1000,), (np.array(decided) + off,))
    opened = open_project(project)
    opened = replace(opened, graph=replace(opened.graph, reference=real))
    result = verify_sequences(opened, "host")
    assert result.passed
    errors = {c.output.name: c.float_error for c in result.outputs}
    assert [e and e["rmse"] for e in errors.values()] == pytest.approx([0.01, 500.0, 0.0])
    (warning,) = (w for w in result.resolution_warnings if "do not follow" in w)
    assert warning.startswith("output pose: the integers do not follow the model: RMSE 500")


def test_a_model_of_recordings_takes_no_real_frames(tmp_path: Path) -> None:
    metadata = {**GRAPH.metadata, "task": "activity"}
    export(replace(GRAPH, metadata=metadata), load_board("stm32f746"), tmp_path / "firmware")
    with pytest.raises(VerificationError, match="takes recordings"):
        verify_sequences(open_project(tmp_path / "firmware"), "host", np.zeros((1, 20, 3)))


# --- the page -------------------------------------------------------------------------------------


def test_the_page_shows_each_output(project: Path) -> None:
    wrong = damaged(GRAPH, "pose_linear")
    result = verify(GRAPH, SIGNALS, FakeLink(wrong), name="serial:X")  # type: ignore[arg-type]
    error = {"rmse": 0.5, "max_abs": 2.0, "range": 10.0}
    gait, pose, strides = result.outputs
    result = replace(result, outputs=(gait, replace(pose, float_error=error), strides))
    write_verification(result, project)
    report = collect(project, [replace(walks()[0], classes=("N", "S", "V"))])
    assert report.links == ()  # of another build: not counted
    page = render(report)
    assert "still, walk, run" in page
    assert "not known" in page
    assert page.count('<th scope="row">pose</th>') == 1
    page = render(replace(report, links=tuple(map(read_link, project.glob("verify-*.json")))))
    row = page[page.index('<th scope="row">pose</th>') :]
    assert '3 to 4</td><td class="number">0.001</td>' in row[:200]
    assert f'<td class="number bad">{result.mismatches}</td>' in row[:260]
    assert "pose on board on a serial port (X), against the float model: RMSE 0.5" in page


class Examined(Walk):
    """A record of which it is known that both findings are present."""

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        return np.ones((len(stamps), 2), np.int64)


def test_findings_behind_other_outputs_have_their_own_probabilities(tmp_path: Path) -> None:
    gait, pose, strides = GRAPH.heads
    heads = (replace(gait, kind="values"), replace(pose, kind="scores"), strides)
    metadata = {**GRAPH.metadata, "classes": ["AF", "PVC"], "task": "findings"}
    export(replace(GRAPH, heads=heads, metadata=metadata), load_board("stm32f746"), tmp_path / "fw")
    record = Examined("a", motion(0, 90), classes=("AF", "PVC"))
    (found,) = collect(tmp_path / "fw", [record]).findings
    mean = np.mean([d.outputs[3:5] for d in Stream(GRAPH).run(record.frames)], axis=0)
    assert found.probabilities == pytest.approx(1 / (1 + np.exp(-mean * 0.001)))
    assert found.known == (1, 1)


def read_link(path: Path) -> object:
    from lnn_edge.report.links import link_of

    return link_of(json.loads(path.read_text()))


def test_a_verification_of_before_is_read(project: Path) -> None:
    result = verify(GRAPH, SIGNALS, FakeLink(GRAPH), name="serial:X")  # type: ignore[arg-type]
    path = write_verification(result, project)
    document = json.loads(path.read_text())
    del document["outputs"]
    path.write_text(json.dumps(document))
    assert read_link(path).outputs == ()  # type: ignore[attr-defined]
