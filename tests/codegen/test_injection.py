"""Nothing that a stranger writes into a file becomes code, whatever the field.

The fields are found from the schemas: every leaf of a file that holds an instance of every class.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.library import call_sources
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.errors import GraphError
from lnn_edge.files.names import is_text
from lnn_edge.graph.contract import Contract
from lnn_edge.graph.file import LARGEST_BYTES, load_graph, save_graph
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import Reference, TensorFacts
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, InputTrigger
from tests.graph.ops import cases
from tests.graph.ops.cases import Seeded
from tests.support.causal import Net
from tests.support.forgery import (
    MARK,
    METADATA,
    NUMBERS,
    TEXTS,
    Way,
    changed,
    check_c,
    check_sentence,
    instances,
    leaves,
    renamed,
    schema,
)
from tests.support.toy import toy_heads_graph, toy_source_graph, toy_staged_graph


def an_operator_of_each_kind() -> dict[str, AbstractOp]:
    makers = [getattr(cases, name) for name in sorted(dir(cases)) if name.startswith("make_")]
    made = [replace(make(Seeded(1)), name="attacked") for make in makers]
    return {op.kind: op for op in made}


EACH_OPERATOR = an_operator_of_each_kind()


def with_operator(op: AbstractOp) -> QGraph:
    """Return a small graph in whose deciding stage constants feed an operator."""
    base = toy_staged_graph()
    made = []
    for index, tensor in enumerate({t.name: t for t in op.inputs}.values()):
        value = min(max(0, tensor.qmin), tensor.qmax)
        made.append(Constant.fill(f"constant{index}", tensor, value))
    stage = base.deciding_stage
    last = replace(stage, ops=(*made, op, *stage.ops))
    return replace(base, stages=(*base.preparing_stages, last))


def parts_of(path: Path) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(members.pop("graph.json")), members


def written(document: Any, members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("graph.json", json.dumps(document))
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def outcome_of(path: Path) -> bool:
    """Load and render a graph: refuse it in one sentence, or make inert text of it."""
    try:
        graph = load_graph(path)
        code = generate(graph, HOST)
        files = render_model(code) | call_sources(code)
    except GraphError as error:
        check_sentence(error)
        return False
    check_c(files, graph.name)
    return True


def forgeries(document: Any, select: Callable[[Way], bool]) -> Iterator[Any]:
    """Yield a graph's document with payloads in every selected field, one at a time.

    A text is replaced wherever it stands, so that references hold, and where it stands alone. Of
    alike tensors, states and stages the numbers of two are enough.
    """
    seen: Counter[Any] = Counter()
    for way, value in filter(lambda leaf: select(leaf[0]), leaves(document)):
        if isinstance(value, str):
            yield changed(document, way, TEXTS[0])
            for payload in TEXTS if value not in seen else ():
                yield renamed(document, value, payload)
            seen[value] += 1
            continue
        field = ("*", *way[2:]) if way[0] == "tensors" else way
        seen[field := tuple("*" if isinstance(k, int) else k for k in field)] += 1
        for payload in NUMBERS if seen[field] <= 2 else ():
            yield changed(document, way, payload)


def attack(graph: QGraph, folder: Path, select: Callable[[Way], bool]) -> None:
    """Write every forgery of a graph's file, read it, and look at what comes of it."""
    save_graph(graph, folder / "good.qgraph")
    document, members = parts_of(folder / "good.qgraph")
    assert outcome_of(folder / "good.qgraph")
    for forged in forgeries(document, select):
        outcome_of(written(forged, members, folder / "bad.qgraph"))


def test_every_class_of_a_graph_is_attacked() -> None:
    known = schema(QGraph, set()) | {EventTrigger, EveryTrigger, InputTrigger}
    toys = (toy_source_graph(), toy_staged_graph(), toy_heads_graph(), Net(skip=1).graph())
    graphs = [*toys, *map(with_operator, EACH_OPERATOR.values())]
    known -= {AbstractOp, Reference, TensorFacts}  # the latter two are no part of the file
    assert known == set().union(*(instances(graph, set()) for graph in graphs))
    assert {f.name for f in fields(Contract)} <= METADATA.keys()
    assert any(is_text(text) for text in TEXTS if MARK in text)  # or nothing would be tried


@pytest.mark.parametrize("make", [toy_source_graph, toy_staged_graph, toy_heads_graph])
def test_no_field_of_a_graph_reaches_its_code(make: Callable[[], QGraph], tmp_path: Path) -> None:
    graph = make()
    attack(graph, tmp_path, lambda path: path[0] not in ("metadata", "constants"))


def test_no_field_of_rings_and_triggers_reaches_the_code(tmp_path: Path) -> None:
    """Of a graph with zeros before the record, dilations and a window on an earlier ring."""
    graph = Net(dilations=(1, 2), skip=2).graph()
    attack(graph, tmp_path, lambda way: way[0] == "rings" or way[2:3] == ("trigger",))


def test_no_metadata_reach_the_code(tmp_path: Path) -> None:
    graph = replace(toy_source_graph(), metadata=METADATA)
    attack(graph, tmp_path, lambda path: path[0] == "metadata")


@pytest.mark.parametrize("kind", OPERATORS)
def test_no_attribute_of_an_operator_reaches_its_code(kind: str, tmp_path: Path) -> None:
    graph = with_operator(EACH_OPERATOR[kind])
    place = [op.name for op in graph.deciding_stage.ops].index("attacked")
    own = ("stages", len(graph.stages) - 1, "operators", place, "attributes")
    attack(graph, tmp_path, lambda way: way[:5] == own)


@pytest.mark.parametrize("kind", OPERATORS)
def test_no_constant_of_an_operator_reaches_its_code(kind: str, tmp_path: Path) -> None:
    save_graph(with_operator(EACH_OPERATOR[kind]), tmp_path / "good.qgraph")
    document, members = parts_of(tmp_path / "good.qgraph")
    for name in (n for n in members if ".attacked." in n):
        for data in forged_arrays(members[name]):
            hashes = {**document["constants"], name: hashlib.sha256(data).hexdigest()}
            forged, files = {**document, "constants": hashes}, {**members, name: data}
            with pytest.raises(GraphError, match=r"malformed graph") as caught:
                load_graph(written(forged, files, tmp_path / "bad.qgraph"))
            check_sentence(caught.value)


def forged_arrays(data: bytes) -> Iterator[bytes]:
    """Yield a constant as texts, records, floats, in another byte order, and of a false size."""
    array = np.load(io.BytesIO(data))
    yield npy(np.full(array.shape, f"1}}; {MARK}"))
    yield npy(np.zeros(array.shape, [(MARK, "<i4")]))
    yield npy(array.astype(np.float32))
    if array.itemsize > 1:
        yield npy(array.astype(array.dtype.newbyteorder(">")))
    yield data.replace(b"'shape': (", b"'shape': (9999999999,", 1)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0))
    return buffer.getvalue()


# --- what else a graph's file can be --------------------------------------------------------------


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    save_graph(toy_source_graph(), tmp_path / "good.qgraph")
    document, members = parts_of(tmp_path / "good.qgraph")
    path = tmp_path / "bomb.qgraph"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("graph.json", json.dumps(document))
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("constants/bomb.npy", bytes(LARGEST_BYTES))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(GraphError, match=f"its members have more than {LARGEST_BYTES} bytes"):
        load_graph(path)


def test_a_deep_document_is_refused(tmp_path: Path) -> None:
    save_graph(toy_source_graph(), tmp_path / "good.qgraph")
    document, members = parts_of(tmp_path / "good.qgraph")
    for depth in (200, 900, 5000):
        text = json.dumps({**document, "rings": 0}).replace(
            '"rings": 0', f'"rings": {"[" * depth}{"]" * depth}'
        )
        with zipfile.ZipFile(tmp_path / "deep.qgraph", "w") as archive:
            archive.writestr("graph.json", text)
            for name, data in members.items():
                archive.writestr(name, data)
        with pytest.raises(GraphError) as caught:
            load_graph(tmp_path / "deep.qgraph")
        check_sentence(caught.value)


@pytest.mark.parametrize("name", ["../../evil.npy", "/tmp/evil.npy", "constants/../../evil.npy"])
def test_a_member_is_never_written_anywhere(name: str, tmp_path: Path) -> None:
    """Members are read in memory; one that the document does not name is refused."""
    save_graph(toy_source_graph(), tmp_path / "good.qgraph")
    document, members = parts_of(tmp_path / "good.qgraph")
    before = sorted(tmp_path.parent.parent.rglob("evil*"))
    with pytest.raises(GraphError, match="does not belong to this graph"):
        load_graph(written(document, {**members, name: b"x"}, tmp_path / "bad.qgraph"))
    assert sorted(tmp_path.parent.parent.rglob("evil*")) == before
