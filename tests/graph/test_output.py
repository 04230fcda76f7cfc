"""Several outputs lie in one vector, each with its own step; what does not fit is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.file import FORMAT, OLDEST_FORMAT, graph_sha256, load_graph, save_graph
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from tests.support.toy import motion, toy_every_graph, toy_graph, toy_heads_graph

HEADS = toy_heads_graph()
GAIT, POSE, STRIDES = HEADS.heads


def with_heads(*heads: Output, **metadata: object) -> QGraph:
    return replace(HEADS, heads=heads, metadata={**HEADS.metadata, **metadata})


def document_of(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        document: dict[str, object] = json.loads(archive.read("graph.json"))
    return document


def rewritten(path: Path, **changes: object) -> Path:
    """Change keys of a graph's document."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = {**json.loads(members["graph.json"]), **changes}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, "graph.json": json.dumps(document)}.items():
            archive.writestr(name, data)
    return path


def test_one_output_is_named_by_its_vector() -> None:
    (scores,) = toy_every_graph().outputs
    vector = toy_every_graph().output
    assert scores == Output("scores", 0, 3, vector.scales[0], "scores")
    values = replace(toy_every_graph(), metadata={})
    assert [o.kind for o in values.outputs] == ["values"]
    assert values.scores is None


def test_each_output_has_the_real_values_of_its_own_head() -> None:
    decisions = list(Stream(HEADS).run(motion(1, 60)))
    assert len(decisions) > 10
    assert HEADS.scores == GAIT
    for d in decisions:
        real = HEADS.output.dequantize(d.outputs)
        for head in HEADS.outputs:
            own = d.values[f"{head.name}_head"]
            assert np.array_equal(head.part(d.outputs), own)
            assert np.array_equal(head.dequantize(own), own * head.scale)
            assert np.array_equal(head.part(real), head.dequantize(own))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: replace(POSE, name="2nd"), "output name '2nd' is not a C identifier; rename it"),
        (lambda: replace(POSE, name="class"), "not a C identifier"),
        (lambda: replace(POSE, first=-1), "output pose: first must be at least 0 and size at"),
        (
            lambda: replace(POSE, size=0),
            "first must be at least 0 and size at least 1, not 3 and 0",
        ),
        (lambda: replace(POSE, scale=0.0), "scale 0.0 must be positive and finite"),
        (lambda: replace(POSE, scale=float("nan")), "scale nan must be positive and finite"),
        (
            lambda: replace(POSE, kind="softmax"),
            "output pose: kind must be one of scores, logits, values, flaws, not 'softmax'",
        ),
        (
            lambda: with_heads(GAIT, replace(POSE, first=2, size=3), STRIDES),
            "output pose must begin at element 3, not 2; put outputs one after the other",
        ),
        (lambda: with_heads(GAIT, STRIDES), "output strides must begin at element 3, not 5"),
        (lambda: with_heads(POSE, GAIT, STRIDES), "output pose must begin at element 0, not 3"),
        (lambda: with_heads(GAIT, POSE), "outputs end at element 5, all_heads has 6; let them"),
        (
            lambda: with_heads(GAIT, POSE, replace(STRIDES, size=2)),
            "outputs end at element 7, all_heads has 6",
        ),
        (
            lambda: with_heads(GAIT, POSE, replace(STRIDES, name="Pose")),
            "two outputs are named Pose in C; rename one",
        ),
        (
            lambda: with_heads(GAIT, replace(POSE, size=3)),
            "output pose must have one scale, not 2; requantize it",
        ),
        (
            lambda: with_heads(GAIT, replace(POSE, scale=0.002), STRIDES),
            "output pose has scale 0.002, its elements of all_heads have 0.001; give theirs",
        ),
        (
            lambda: with_heads(GAIT, POSE, STRIDES, classes=["a", "b"]),
            "metadata: 2 classes for gait of 3 elements; name each of them, or call the output",
        ),
        (
            lambda: with_heads(GAIT, POSE, STRIDES, classes=[]),
            "metadata: 0 classes for gait of 3 elements",
        ),
        (
            lambda: with_heads(replace(GAIT, kind="logits"), POSE, STRIDES),
            "metadata: classes are named and no output is scores; let one be",
        ),
        (
            lambda: with_heads(GAIT, POSE, replace(STRIDES, kind="scores")),
            "one output at most can be scores, not gait, strides; call the others logits",
        ),
        (
            lambda: with_heads(GAIT, replace(POSE, kind="flaws"), STRIDES),
            "output pose: flaws are one of the decision and one of each of 3 channels, of scale 1",
        ),
        (
            lambda: with_heads(GAIT, replace(POSE, kind="flaws"), replace(STRIDES, kind="flaws")),
            "one output at most can be flaws, not pose, strides",
        ),
        (
            lambda: with_heads(),
            "toy_heads: the output needs one scale and zero point 0, so that the largest score is "
            "the largest integer; requantize it, or name its parts as heads",
        ),
        (
            lambda: replace(toy_graph(), heads=toy_graph().outputs),
            "toy: scores is the only output; leave heads out, and it is named scores",
        ),
    ],
)
def test_outputs_that_make_no_sense_are_named(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(GraphError) as caught:
        make()
    assert sentence in str(caught.value)


def test_outputs_without_classes_need_none() -> None:
    graph = with_heads(replace(GAIT, kind="values"), POSE, STRIDES, classes=[])
    assert graph.scores is None
    assert graph.classes == ()


# --- the file -------------------------------------------------------------------------------------


def test_several_outputs_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    digest = save_graph(HEADS, path)
    again = load_graph(path)
    assert again.heads == HEADS.heads
    assert digest == graph_sha256(again)
    document = document_of(path)
    assert document["format"] == FORMAT == 2
    assert document["outputs"][1] == {  # type: ignore[index]
        "name": "pose",
        "first": 3,
        "size": 2,
        "scale": 0.001,
        "kind": "values",
    }


def test_a_whole_scale_is_stored_as_it_is_read(tmp_path: Path) -> None:
    vector = replace(HEADS.output, scale=(*HEADS.output.scales[:5], 1.0))
    stage = HEADS.deciding_stage
    *ops, linear, join = stage.ops
    whole = replace(linear.outputs[0], scale=1)
    ops += [replace(linear, outputs=(whole,))]
    ops += [replace(join, inputs=(*join.inputs[:2], whole), outputs=(vector,))]
    last = replace(stage, ops=tuple(ops), outputs=(vector,))
    heads = (GAIT, POSE, replace(STRIDES, scale=1))
    graph = replace(HEADS, stages=(HEADS.stages[0], last), heads=heads)
    digest = save_graph(graph, tmp_path / "whole.qgraph")
    assert digest == graph_sha256(load_graph(tmp_path / "whole.qgraph"))


def test_one_output_is_written_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    save_graph(toy_every_graph(), path)
    document = document_of(path)
    assert document["format"] == OLDEST_FORMAT == 1
    assert "outputs" not in document


@pytest.mark.parametrize(
    "change",
    [
        lambda: with_heads(replace(GAIT, name="step"), POSE, STRIDES),
        lambda: with_heads(GAIT, replace(POSE, kind="logits"), STRIDES),
        lambda: with_heads(
            GAIT, replace(POSE, size=1), replace(POSE, name="x", first=4, size=1), STRIDES
        ),
    ],
)
def test_other_outputs_make_another_graph(change: Callable[[], QGraph]) -> None:
    assert graph_sha256(change()) != graph_sha256(HEADS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 3}, "graph format 3, this lnn-edge reads up to 2; upgrade lnn-edge"),
        ({"format": 1}, "graph format must be 2, not 1; quantize the model again"),
        ({"outputs": []}, "or name its parts as heads"),
        ({"outputs": [{"name": "a"}]}, "malformed graph"),
        ({"outputs": 5}, "malformed graph"),
    ],
)
def test_a_file_whose_outputs_do_not_fit_is_refused(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    save_graph(HEADS, tmp_path / "model.qgraph")
    with pytest.raises(GraphError) as caught:
        load_graph(rewritten(tmp_path / "model.qgraph", **changes))
    assert sentence in str(caught.value)
