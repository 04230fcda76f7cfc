"""A graph file comes back as it went; one that is damaged or forged is refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import struct
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import FORMAT, OLDEST_FORMAT, graph_sha256, load_graph, save_graph
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.window import MeanAbs
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import Stage
from tests.support.causal import Net
from tests.support.toy import toy_every_graph, toy_graph

Members = dict[str, bytes]
TOY = toy_graph()
BIAS = "constants/beat.head.bias.npy"


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "model.qgraph"
    save_graph(TOY, path)
    return path


@pytest.fixture(scope="module")
def members(toy_file: Path) -> Members:
    return read_members(toy_file)


def read_members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def document_of(members: Members) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(members["graph.json"])
    return document


def with_document(members: Members, document: object) -> Members:
    return {**members, "graph.json": json.dumps(document).encode()}


def with_constant(members: Members, name: str, array: np.ndarray) -> Members:
    """Forge a constant, its hash included."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    document = document_of(members)
    document["constants"][name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    return with_document({**members, name: buffer.getvalue()}, document)


def constant(members: Members, name: str) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(members[name]))
    return array


def refusal(path: Path) -> str:
    with pytest.raises(GraphError) as caught:
        load_graph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def decisions(graph: QGraph) -> list[tuple[int, bytes, bytes, bytes]]:
    """What the graph says to a record, in every bit."""
    rng = np.random.default_rng(3)
    events = np.arange(200, 3000, 333)
    size = (events[-1] + 700, graph.frame.size)
    frames = rng.integers(-900, 900, size).astype(np.int16)
    run = Stream(graph).run(frames, events)
    return [(d.stamp, d.outputs.tobytes(), d.probes, d.state) for d in run]


@pytest.mark.parametrize(
    "make", [toy_graph, toy_every_graph, Net(skip=2).graph, lambda: load_graph(shipped_graph())]
)
def test_a_graph_comes_back_with_the_same_hash_and_the_same_decisions(
    make: Callable[[], QGraph], tmp_path: Path
) -> None:
    graph, path = make(), tmp_path / "model.qgraph"
    digest = save_graph(graph, path)
    again = load_graph(path)
    assert digest == graph_sha256(graph) == graph_sha256(again)
    assert len(decisions(graph)) > 5
    assert decisions(again) == decisions(graph)
    assert (again.name, again.metadata, again.rings) == (graph.name, graph.metadata, graph.rings)
    assert [s.trigger for s in again.stages] == [s.trigger for s in graph.stages]
    assert again.deciding_stage.states == graph.deciding_stage.states


def test_a_start_at_the_edge_is_stored_as_before(tmp_path: Path) -> None:
    """The key is absent, so graphs of before keep their hash."""
    path = tmp_path / "model.qgraph"
    graph = toy_every_graph()
    save_graph(graph, path)
    assert set(document_of(read_members(path))["rings"][0]) == {"name", "frame", "length"}
    zero = replace(graph, rings=(replace(graph.rings[0], start="zero"),))
    assert save_graph(zero, path) != graph_sha256(graph)
    assert load_graph(path).rings == zero.rings
    document = document_of(read_members(path))
    document["rings"][0]["start"] = "mirror"
    message = refusal(write_members(path, with_document(read_members(path), document)))
    assert "ring: start must be ('edge', 'zero'), not 'mirror'" in message


def test_a_firing_on_frames_is_stored_under_its_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    save_graph(toy_every_graph(), path)
    document = document_of(read_members(path))
    assert document["stages"][1]["trigger"] == {
        "kind": "every",
        "ring": "samples",
        "window": "window",
        "hop": 4,
        "first": 6,
    }
    document["stages"][1]["trigger"]["dilation"] = 0
    write_members(path, with_document(read_members(path), document))
    assert "length and dilation must be at least 1 frame, not" in refusal(path)
    document["stages"][1]["trigger"]["hop"] = 0
    write_members(path, with_document(read_members(path), document))
    assert "hop and first must be 1 to 2**31 - 1 frames, not 0 and 6" in refusal(path)


def test_attributes_at_their_default_are_not_written(tmp_path: Path) -> None:
    """So graphs of before groups, dilation and padding keep their bytes and their hash."""
    x, y = QTensor("more", (6, 4), "int8", 0.1), QTensor("made", (6, 4), "int8", 0.1)
    graph, fill = toy_graph(), Constant.fill("fill", x, 3)
    for groups, keys in ((1, {"kernel_size", "stride"}), (2, {"kernel_size", "stride", "groups"})):
        op = Conv1d.quantize(
            "plain", x, y, np.ones((4, 4 // groups, 1)), np.zeros(4), 1, groups=groups
        )
        stage = graph.deciding_stage
        last = replace(stage, ops=(*stage.ops, fill, op))
        save_graph(replace(graph, stages=(*graph.preparing_stages, last)), tmp_path / "g.qgraph")
        written = document_of(read_members(tmp_path / "g.qgraph"))["stages"][-1]["operators"][-1]
        assert written["attributes"].keys() == keys
        (*_, read) = load_graph(tmp_path / "g.qgraph").deciding_stage.ops
        assert isinstance(read, Conv1d)
        assert (read.groups, read.dilation, read.before) == (groups, 1, 0)


def test_the_shipped_file_is_what_this_version_writes(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    save_graph(load_graph(shipped_graph()), path)
    assert read_members(path) == read_members(shipped_graph())


def test_the_name_of_a_graph_is_the_hash_of_its_document(members: Members) -> None:
    assert hashlib.sha256(members["graph.json"]).hexdigest() == graph_sha256(TOY)


def test_bytes_depend_on_neither_time_nor_place_nor_order(
    toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reordered = replace(TOY, metadata=dict(reversed(TOY.metadata.items())))
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    other = tmp_path / "other name.qgraph"
    save_graph(reordered, other)
    assert list(reordered.metadata) != list(TOY.metadata)
    assert other.read_bytes() == toy_file.read_bytes()
    save_graph(load_graph(other), other)
    assert other.read_bytes() == toy_file.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda g: replace(g, metadata={**g.metadata, "adc_gain": 201}),
        lambda g: replace(g, name="toy2"),
        lambda g: replace(g, rings=(replace(g.rings[0], length=97),)),
        lambda g: toy_graph(seed=1),
    ],
)
def test_another_graph_has_another_hash(change: Callable[[QGraph], QGraph]) -> None:
    assert graph_sha256(change(TOY)) != graph_sha256(TOY)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.qgraph"
    path.write_bytes(toy_file.read_bytes())

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_graph(toy_graph(seed=2), path)
    assert path.read_bytes() == toy_file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    assert "make one with `lnn-edge quantize`" in refusal(tmp_path / "none.qgraph")


def data_span(path: Path, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Return where a member's packed bytes lie in the archive."""
    raw = path.read_bytes()
    name, extra = struct.unpack_from("<HH", raw, info.header_offset + 26)
    start = info.header_offset + 30 + name + extra
    return start, start + info.compress_size


def test_a_flipped_bit_in_the_bytes_of_any_member_is_seen(toy_file: Path, tmp_path: Path) -> None:
    whole, bad = toy_file.read_bytes(), tmp_path / "bad.qgraph"
    with zipfile.ZipFile(toy_file) as archive:
        spans = {i.filename: data_span(toy_file, i) for i in archive.infolist()}
    assert len(spans) > 30
    for first, last in spans.values():
        damaged = bytearray(whole)
        damaged[(first + last) // 2] ^= 0x10
        bad.write_bytes(damaged)
        assert re_quantize(refusal(bad))


def re_quantize(message: str) -> bool:
    return message.endswith("quantize the model again")


def test_a_flipped_bit_anywhere_is_seen_or_harms_nothing(toy_file: Path, tmp_path: Path) -> None:
    """Not every bit of a zip file is read: dates, attributes, the last bits of a packed stream."""
    whole, bad = toy_file.read_bytes(), tmp_path / "bad.qgraph"
    draw, seen = random.Random(5), 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        bad.write_bytes(damaged)
        try:
            assert graph_sha256(load_graph(bad)) == graph_sha256(TOY)
        except GraphError:
            seen += 1
    assert seen > 200


def test_a_truncated_file_is_seen(toy_file: Path, tmp_path: Path) -> None:
    whole, bad = toy_file.read_bytes(), tmp_path / "bad.qgraph"
    for length in range(0, len(whole), 97):
        bad.write_bytes(whole[:length])
        assert "damaged graph file" in refusal(bad)


def test_what_is_no_zip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    path.write_text("name = 'toy'")
    assert "damaged graph file" in refusal(path)
    assert "damaged graph file" in refusal(tmp_path)


def test_each_missing_member_is_named(members: Members, tmp_path: Path) -> None:
    for name in members:
        less = {n: data for n, data in members.items() if n != name}
        message = refusal(write_members(tmp_path / "bad.qgraph", less))
        assert name in message
        assert re_quantize(message)


def test_a_changed_constant_is_named(members: Members, tmp_path: Path) -> None:
    changed = bytearray(members[BIAS])
    changed[-1] ^= 1
    message = refusal(write_members(tmp_path / "bad.qgraph", {**members, BIAS: bytes(changed)}))
    assert f"damaged graph file ({BIAS})" in message


def test_exchanged_constants_are_named(members: Members, tmp_path: Path) -> None:
    other = BIAS.replace("head", "conv")
    swapped = {**members, BIAS: members[other], other: members[BIAS]}
    assert "damaged graph file" in refusal(write_members(tmp_path / "bad.qgraph", swapped))


def test_a_strange_member_is_named(members: Members, tmp_path: Path) -> None:
    path = write_members(tmp_path / "bad.qgraph", {**members, "notes.txt": b"hello"})
    assert "notes.txt does not belong to this graph" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(members: Members, tmp_path: Path) -> None:
    path = write_members(tmp_path / "bad.qgraph", members)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(BIAS, members[BIAS])
    assert "two members have the same name" in refusal(path)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"format": FORMAT + 1}, f"graph format {FORMAT + 1}, this lnn-edge reads up to {FORMAT}"),
        ({"format": OLDEST_FORMAT - 1}, f"graph format must be {OLDEST_FORMAT}, not 0"),
        ({"format": 1, "outputs": [{}]}, "graph format must be 2, not 1; quantize the model again"),
        ({"format": "1"}, "no format number"),
        ({}, "no format number"),
        ([], "no format number"),
        ({"format": OLDEST_FORMAT}, "malformed graph (KeyError('constants'))"),
        ({"format": FORMAT}, "malformed graph (KeyError('constants'))"),
    ],
)
def test_other_formats_are_named(document: object, sentence: str, tmp_path: Path) -> None:
    path = write_members(tmp_path / "bad.qgraph", with_document({}, document))
    assert sentence in refusal(path)


def test_a_newer_format_asks_for_a_newer_tool(members: Members, tmp_path: Path) -> None:
    newer = {**document_of(members), "format": FORMAT + 1}
    path = write_members(tmp_path / "bad.qgraph", with_document(members, newer))
    assert refusal(path).endswith("upgrade lnn-edge")


Edit = Callable[[dict[str, Any]], object]


def first_operator(document: dict[str, Any]) -> dict[str, Any]:
    operator: dict[str, Any] = document["stages"][1]["operators"][0]
    return operator


def attribute(name: str, value: object, operator: int = 0) -> Edit:
    return lambda d: d["stages"][1]["operators"][operator]["attributes"].update({name: value})


def tensor(name: str, **values: object) -> Edit:
    return lambda d: d["tensors"][name].update(values)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: first_operator(d).update(kind="fft"), "unknown kind 'fft'; upgrade lnn-edge"),
        (lambda d: d["stages"][1]["trigger"].update(kind="timer"), "unknown kind 'timer'; upgrade"),
        (attribute("window", 3), "malformed graph"),
        (lambda d: first_operator(d)["attributes"].clear(), "malformed graph"),
        (lambda d: first_operator(d).update(inputs=["ghost"]), "malformed graph"),
        (lambda d: first_operator(d).update(inputs=[]), "malformed graph"),
        (lambda d: d["stages"][1]["operators"][20].update(inputs=["dt"]), "malformed graph"),
        (lambda d: d["tensors"].pop("coarse"), "malformed graph"),
        (tensor("coarse", unit="mV"), "malformed graph"),
        (tensor("coarse", dtype="float32"), "coarse: dtype must be one of"),
        (tensor("coarse", shape=[12.5, 2]), "12.5 where an integer belongs"),
        (tensor("coarse", qmax=True), "True where an integer belongs"),
        (attribute("multiplier", 0), "decimate decimate: multiplier must be 1 to 2**31 - 1"),
        (attribute("multiplier", 1.5), "1.5 where an integer belongs"),
        (attribute("multiplier", 1 << 31), "not 2147483648 and 1"),
        (attribute("shift", -1), "and -1"),
        (attribute("shift", 10**12), "shift must be an integer of 32 bits, not 1000000000000"),
        (attribute("gain", 0, operator=4), "floor and gain must be at least 1"),
        (lambda d: d["constants"].pop(BIAS), f"{BIAS} does not belong to this graph"),
        (lambda d: d.update(constants=[]), "malformed graph"),
    ],
)
def test_a_forged_document_is_refused(
    edit: Edit, sentence: str, members: Members, tmp_path: Path
) -> None:
    document = document_of(members)
    edit(document)
    path = write_members(tmp_path / "bad.qgraph", with_document(members, document))
    assert sentence in refusal(path)


def places(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside."""
    inside = node.items() if isinstance(node, dict) else enumerate(node)  # type: ignore[call-overload]
    found = []
    for key, value in inside:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def test_a_forged_value_anywhere_gives_a_sound_graph_or_a_named_error(
    members: Members, tmp_path: Path
) -> None:
    document = document_of(members)
    draw, ways = random.Random(9), [p for p in places(document) if p[0] != "metadata"]
    refused = 0
    for _ in range(400):
        forged, way = json.loads(members["graph.json"]), draw.choice(ways)
        node = forged
        for key in way[:-1]:
            node = node[key]
        node[way[-1]] = draw.choice([None, "x", -1, 0, 1.5, 10**12, [], {}, True])
        path = write_members(tmp_path / "bad.qgraph", with_document(members, forged))
        try:
            load_graph(path)
        except GraphError:
            refused += 1
    assert refused > 300


@pytest.mark.parametrize("change", [lambda a: a.astype(np.float64), lambda a: a.astype(np.int64)])
def test_constants_of_another_dtype_are_refused(
    change: Callable[[np.ndarray], np.ndarray], members: Members, tmp_path: Path
) -> None:
    names = [n for n in members if n.endswith(".npy")]
    assert {n.split(".")[-2] for n in names} > {"weight", "bias", "shift", "table", "edges"}
    for name in names:
        forged = with_constant(members, name, change(constant(members, name)))
        assert name.split(".")[1] in refusal(write_members(tmp_path / "bad.qgraph", forged))


def test_constants_of_another_shape_are_refused(members: Members, tmp_path: Path) -> None:
    for name in (n for n in members if n.endswith(".npy")):
        array = constant(members, name)
        longer = np.concatenate([array, array[-1:]])
        forged = with_constant(members, name, longer)
        assert name.split(".")[1] in refusal(write_members(tmp_path / "bad.qgraph", forged))


def test_a_constant_that_would_run_code_is_not_read(members: Members, tmp_path: Path) -> None:
    forged = with_constant(members, BIAS, np.array([print, print, print], dtype=object))
    assert "malformed graph" in refusal(write_members(tmp_path / "bad.qgraph", forged))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bias_that_breaks_the_overflow_proof_is_refused(
    sign: int, members: Members, tmp_path: Path
) -> None:
    bias = constant(members, BIAS)
    bias[1] = sign * ((1 << 31) - 1)
    path = write_members(tmp_path / "bad.qgraph", with_constant(members, BIAS, bias))
    assert "linear head: accumulator can reach" in refusal(path)


def test_a_shift_that_breaks_the_overflow_proof_is_refused(
    members: Members, tmp_path: Path
) -> None:
    name = BIAS.replace("bias", "shift")
    shift = np.full_like(constant(members, name), 30)
    path = write_members(tmp_path / "bad.qgraph", with_constant(members, name, shift))
    assert "linear head: accumulator can reach" in refusal(path)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [  # each range would make a later proof count with values that do not hold
        (tensor("window", qmin=-9, qmax=9), "does not hold the ring's frames"),
        (tensor("joined", qmin=-1, qmax=1), "values in [-128, 127] are copied to [-1, 1]"),
        (tensor("average_next", qmin=0), "the state must hold"),
        (tensor("usual_next", qmin=0), "the template must hold"),
        (tensor("gate", qmax=99), "table values must be in [0, 99], not [11, 32757]"),
    ],
)
def test_a_range_that_is_not_kept_is_refused(
    edit: Edit, sentence: str, members: Members, tmp_path: Path
) -> None:
    document = document_of(members)
    edit(document)
    path = write_members(tmp_path / "bad.qgraph", with_document(members, document))
    assert sentence in refusal(path)


def test_a_whole_scale_names_the_same_graph_before_and_after(tmp_path: Path) -> None:
    """1 is read as 1.0, and a project is known by its hash."""
    frame = replace(TOY.frame, scale=1)
    whole = replace(TOY.deciding_trigger.window, scale=1)
    level = QTensor("level", (2,), "int16", 1)
    op = MeanAbs.quantize("mean_abs", whole, level)
    trigger = replace(TOY.deciding_trigger, window=whole)
    first = replace(TOY.stages[0], trigger=replace(TOY.stages[0].trigger, frame=frame))
    last = Stage("beat", trigger, (op,), (), (level,))
    graph = QGraph((first, last), (replace(TOY.rings[0], frame=frame),), "toy", {})
    digest = save_graph(graph, tmp_path / "whole.qgraph")
    assert digest == graph_sha256(graph) == graph_sha256(load_graph(tmp_path / "whole.qgraph"))
