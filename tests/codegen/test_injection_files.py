"""Nothing that a stranger writes into boards, recipes, cards and projects becomes code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from lnn_edge.build import record
from lnn_edge.build.cmake import build
from lnn_edge.build.project import open_project
from lnn_edge.build.record import read_inputs, write_record
from lnn_edge.build.size import Limits
from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.project import export
from lnn_edge.codegen.render import render_board, render_model
from lnn_edge.device.board import Board, board_of, load_board
from lnn_edge.errors import BoardError, BuildError, GraphError, LnnEdgeError
from lnn_edge.nn.cell_sizes import CfcSizes
from lnn_edge.nn.cells.cfc import CfcConfig
from lnn_edge.nn.imported import ImportCard, Imported, save_imported
from lnn_edge.nn.table import INPUT, Layer, LayerTable
from lnn_edge.quantize.imported import quantize_imported
from lnn_edge.quantize.trained import quantize
from lnn_edge.report import collect, render
from lnn_edge.tasks.augmentation import AbstractAugmentation
from lnn_edge.tasks.registry import builtin_tasks, make_network
from lnn_edge.tasks.task import resolve
from lnn_edge.train.checkpoint import ModelCard, load_trained, prepare, save_trained
from lnn_edge.train.recipe import Recipe, builtin_recipes, load_recipe, recipe_of
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.result import Verification, write_verification
from lnn_edge.verify.verify import verify_signals
from tests.support.c_tokens import integers, tokens
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
from tests.support.projects import needs_arm_gcc
from tests.support.recordings import motion
from tests.support.toy import toy_source_graph

# --- boards ---------------------------------------------------------------------------------------

CMAKE = re.compile(r"#[^\[\n][^\n]*|set\([A-Z_]+( [A-Za-z0-9_./+=-]+)*\)")


def check_board_files(board: Board) -> None:
    files = render_board(board)
    for line in files["lnn_board.cmake"].splitlines():
        assert CMAKE.fullmatch(line), line
        assert MARK not in line or line.startswith("# ")
    for name in ("lnn_board.h", "linker.ld"):
        found = tokens(files[name])
        assert not any(MARK in token for token in found)
        assert max(integers(found)) < 1 << 32


def board_forgeries(board: Board) -> Iterator[tuple[Way, Any, Any]]:
    document = json.loads(board.to_json())
    for way, value in leaves(document):
        for payload in TEXTS if isinstance(value, str) else NUMBERS:
            yield way, payload, changed(document, way, payload)


def test_every_class_of_a_board_is_attacked() -> None:
    assert schema(Board, set()) == instances(load_board("stm32f746"), set())


def test_no_field_of_a_board_reaches_code() -> None:
    taken = set()
    for way, _payload, document in board_forgeries(load_board("stm32f746")):
        try:
            board = board_of(document, "board.json")
        except BoardError as error:
            check_sentence(error)
        else:
            check_board_files(board)
            taken.add(way[-1] if isinstance(way[-1], str) else way[-2])
    assert taken >= {"title", "part", "url", "source"}  # what people read says anything


# --- recipes and cards ----------------------------------------------------------------------------


def test_every_class_of_a_recipe_is_attacked() -> None:
    found = set().union(*(instances(load_recipe(name), set()) for name in builtin_recipes()))
    tasks = {type(load_recipe(name).augmentation) for name in builtin_recipes()}
    assert schema(Recipe, set()) - {AbstractAugmentation} == found - tasks
    assert tasks == {resolve(task.augmentation) for task in builtin_tasks().values()}


@pytest.mark.parametrize("name", ["ecg-beats-demo", "har-demo", "ccfc"])  # an augmentation each
def test_no_field_of_a_recipe_reaches_code(name: str) -> None:
    """What a recipe leaves in a graph is its name, and metadata that people read."""
    document = json.loads(json.dumps(asdict(load_recipe(name))))
    base = toy_source_graph()
    for way, value in leaves(document):
        for payload in TEXTS if isinstance(value, str) else NUMBERS:
            try:
                recipe = recipe_of(changed(document, way, payload), "recipe.toml")
                facts = {"network": recipe.network, "dataset": recipe.dataset}
                graph = replace(base, name=recipe.name, metadata=METADATA | facts)
            except LnnEdgeError as error:
                check_sentence(error)
                continue
            if isinstance(value, str):
                check_c(render_model(generate(graph, HOST)), graph.name)


def card_forgeries(path: Path) -> Iterator[bool]:
    """Write every forgery of a card in its place; yield whether it is a text that was forged."""
    document = tomllib.loads(path.read_text())
    for way, value in leaves(document):
        for payload in TEXTS if isinstance(value, str) else NUMBERS:
            if payload is None or (isinstance(payload, int) and payload > 1):
                continue  # TOML has no null; a size that fills the memory is no code
            path.write_text(tomli_w.dumps(changed(document, way, payload)))
            yield isinstance(value, str)


def test_no_field_of_a_trained_models_card_reaches_code(tmp_path: Path) -> None:
    recipe = load_recipe("har-demo")
    small = {"window": 32, "hop": 16, "filters": [4, 4, 4], "embedding_size": 8, "hidden_size": 6}
    recipe = replace(recipe, model={**recipe.model, **small})
    network = make_network(recipe.network, recipe.model).eval()
    card = ModelCard("0.1.0", 0, "", ("run01",), ("run02",), recipe, ("laying",))
    assert {f.name for f in fields(card)} == asdict(card).keys()
    save_trained(tmp_path, network, card)
    prepared = prepare(network, [motion(1, 10)])
    for is_text in card_forgeries(tmp_path / "model.toml"):
        try:
            trained = load_trained(tmp_path)
            if is_text:
                graph = quantize(trained, [motion(1, 10)], prepared)
                check_c(render_model(generate(graph, HOST)), graph.name)
        except LnnEdgeError as error:
            check_sentence(error)


def test_no_field_of_an_imported_models_card_reaches_code(tmp_path: Path) -> None:
    sizes = CfcSizes(2, 3, 4, CfcConfig())
    rows = (Layer("rnn", "cfc", (INPUT,), asdict(sizes)),)
    card = ImportCard("0.1.0", "policy", "policy.pt", "0" * 64, "", 2, 0.5, rows)
    save_imported(tmp_path, Imported(LayerTable(rows, 0.5), card))
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(0, 1, (2, 20, 2)))
    for is_text in card_forgeries(tmp_path / "model.toml"):
        try:
            graph = quantize_imported(tmp_path, tmp_path / "X.npy")
            if is_text:
                check_c(render_model(generate(graph, HOST)), graph.name)
        except LnnEdgeError as error:
            check_sentence(error)


# --- projects -------------------------------------------------------------------------------------


def poisoned(document: Any, is_taken: Callable[[Any], bool]) -> Any:
    """Return a document with the first payload in every text that takes it, all at once."""
    for number, (_, value) in enumerate(list(leaves(document))):
        if isinstance(value, str):
            trial = renamed(document, value, f"{TEXTS[0]} {number}")
            document = trial if is_taken(trial) else document
    return document


def takes_metadata(metadata: Any) -> bool:
    try:
        replace(toy_source_graph(), metadata=metadata)
    except GraphError:
        return False
    return True


def takes_board(document: Any) -> bool:
    try:
        board_of(document, "board.json")
    except BoardError:
        return False
    return True


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a model and a board that are poisoned wherever they can be."""
    metadata = poisoned(METADATA, takes_metadata)
    board = poisoned(json.loads(load_board("stm32f746").to_json()), takes_board)
    texts = [value for _, value in leaves([metadata, board]) if MARK in str(value)]
    assert len(texts) > 20
    folder = tmp_path_factory.mktemp("poisoned") / "project"
    graph = replace(toy_source_graph(), metadata=metadata)
    export(graph, board_of(board, "board.json"), folder)
    return folder


def verified(project: Path) -> Verification:
    frames = np.random.default_rng(0).integers(0, 60, (200, 3)).astype(np.int16)
    return verify_signals(open_project(project), "host", [Signal("noise", frames)])


@pytest.mark.target
@needs_arm_gcc
def test_a_project_poisoned_everywhere_builds_and_runs_as_any_other(project: Path) -> None:
    assert verified(project).passed
    elf = build(project, "board").elf
    assert MARK.encode() not in elf.read_bytes()
    assert not list(project.parent.rglob(f"*{MARK}*"))


class Shape(HTMLParser):
    """Elements of a page with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, *(name for name, _ in attrs)))


@pytest.mark.target
@needs_arm_gcc
def test_no_field_of_a_projects_files_reaches_the_report(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read back: what a build and a verification left, and the export itself."""
    result = verify_signals(
        open_project(project), "host", [Signal("0", np.zeros((99, 3), "i2") + 5)]
    )
    write_verification(result, project)
    build(project, "board")
    usual = Shape(render(collect(project, [motion(1, 5)]))).found
    assert not any(word == "script" or word.startswith("on") for tag in usual for word in tag)
    # The toolchain stays as it is, however often a build asks for it.
    monkeypatch.setattr(record, "_toolchain", cache(record._toolchain))
    for name in ("export.json", "verify-host.json"):  # size.json is built anew where it is forged
        path = project / name
        good = path.read_text()
        for forged in project_forgeries(json.loads(good)):
            path.write_text(json.dumps(forged))
            # As if it had been built so, which spares a build for each.
            write_record(project, "board", read_inputs(project, "board"), Limits())
            try:
                assert Shape(render(collect(project, [motion(1, 5)]))).found <= usual
            except LnnEdgeError as error:
                check_sentence(error)
        path.write_text(good)


def project_forgeries(document: Any) -> Iterator[Any]:
    """Yield the document with payloads in the first of alike fields."""
    seen = set()
    for way, value in leaves(document):
        field = tuple("*" if isinstance(key, int) else key for key in way)
        payloads = TEXTS[:2] if isinstance(value, str) else NUMBERS[:5]
        for payload in () if field in seen else payloads:
            yield changed(document, way, payload)
        seen.add(field)


@pytest.mark.parametrize("character", ['"', ";", "[", "]", "<", ">", "|", "\\", "\n"])
def test_no_folder_is_built_whose_path_cmake_would_run(character: str, tmp_path: Path) -> None:
    folder = tmp_path / f"a{character}b"
    export(toy_source_graph(), load_board("stm32f746"), folder)
    with pytest.raises(BuildError, match="cannot be built: the tools do not read"):
        build(folder, "host")
    assert not (folder / "build").exists()
