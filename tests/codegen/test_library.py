"""A model as a C library: the simulator's bits, with the compilers and build systems of others."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

import lnn_edge as le
from lnn_edge.build.native import CModel, load_c
from lnn_edge.codegen.library import CORES, library_files
from lnn_edge.errors import BuildError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_records
from tests.support import arm_core, toy
from tests.support.host_c import REPLAY

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror"
GRAPHS = {
    "events": toy.toy_graph,
    "every": toy.toy_every_graph,
    "heads": toy.toy_heads_graph,
    "staged": toy.toy_staged_graph,
}
DRIVER = """
#include "{name}_library.h"

void run(const uint8_t *in, uint8_t *out);

static {name}_ctx_t ctx;

void run(const uint8_t *in, uint8_t *out) /* counts, frames, events -> results */
{{
    const uint32_t *const counts = (const uint32_t *) (const void *) in;
    const int16_t *const frames = (const int16_t *) (const void *) &in[8];
    const uint32_t *const events = (const uint32_t *) (const void *) &in[8U + {width}U * counts[0]];
    {name}_init(&ctx);
    (void) {name}_run_sequence(&ctx, frames, counts[0], events, counts[1],
        ({name}_result_t *) (void *) out, 64U);
}}
"""
TWO = """
#include <stdio.h>
#include "toy_library.h"
#include "ecg_beats_cfc_library.h"

static toy_ctx_t one;
static ecg_beats_cfc_ctx_t two;

int main(void)
{
    toy_init(&one);
    ecg_beats_cfc_init(&two);
    printf("%s %s", toy_info()->name, ecg_beats_cfc_info()->name);
    return 0;
}
"""


def write(graph: QGraph, folder: Path, core: str = "any") -> Path:
    return Path(le.export(graph, format="library", core=core, to=folder))


def signal(graph: QGraph, frames: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = frames, graph.frame.size
    samples = rng.integers(-32768, 32767, shape, endpoint=True).astype(np.int16)
    return samples, np.arange(40, frames, 45)


def simulated(
    graph: QGraph, frames: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    name = graph.output.name
    ((stamps, values),) = run_records(graph, [(frames, events)], (name,))
    return stamps, values[name]


def call(*command: str | Path, at: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=at)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compiler(command: str) -> list[str]:
    words = command.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


def sources(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted((folder / "src").glob("*.c"))]


def includes(*folders: Path) -> list[str]:
    return [f"-I{folder / 'src'}" for folder in folders]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(le.load("ecg-beats-cfc"), tmp_path_factory.mktemp("shipped") / "l", "cortex-m4")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(toy.toy_graph(), tmp_path_factory.mktemp("library") / "toy")


# --- bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", ["any", "cortex-m7"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_loaded_library_decides_as_the_simulator_does(
    name: str, core: str, tmp_path: Path
) -> None:
    graph = GRAPHS[name]()
    frames, events = signal(graph, 1500)
    expected = simulated(graph, frames, events)
    model = load_c(write(graph, tmp_path / "l", core))
    assert len(expected[0]) > 20
    for got, right in zip(model.run(frames, events), expected, strict=True):
        np.testing.assert_array_equal(got, right)


def test_frames_may_come_in_pieces(tmp_path: Path) -> None:
    graph = toy.toy_every_graph()
    frames, _ = signal(graph, 700)
    model = load_c(write(graph, tmp_path / "l"))
    stamps, outputs = model.run(frames)
    assert len(stamps) > 100
    model.reset()
    parts = [model.push(part) for part in np.array_split(frames, (1, 2, 99, 430))]
    np.testing.assert_array_equal(np.concatenate([s for s, _ in parts]), stamps)
    np.testing.assert_array_equal(np.concatenate([o for _, o in parts]), outputs)


def pushed(model: CModel, frames: np.ndarray, events: np.ndarray, first: int) -> list[np.ndarray]:
    """Push frames from `first` on, each event right after its frame."""
    outputs = []
    for i, frame in enumerate(frames, start=first):
        outputs.append(model.push(frame[None])[1])
        if i in events:
            model.push_event(i)
    return outputs


def test_events_and_a_state_go_from_one_instance_to_another(library: Path) -> None:
    graph = toy.toy_graph()
    frames, events = signal(graph, 600)
    model = load_c(library)
    _, expected = model.run(frames, events)
    model.reset()
    before = pushed(model, frames[:333], events, 0)
    other = load_c(library)
    other.set_state(model.get_state())
    after = pushed(other, frames[333:], events, 333)
    np.testing.assert_array_equal(np.concatenate(before + after), expected)


def test_the_c_of_a_project_loads_as_well(tmp_path: Path) -> None:
    graph = toy.toy_graph()
    frames, events = signal(graph, 600)
    project = le.export(graph, board="stm32f746", to=tmp_path / "p")
    stamps, outputs = le.load_c(project).run(frames, events)
    right = simulated(graph, frames, events)
    np.testing.assert_array_equal(stamps, right[0])
    np.testing.assert_array_equal(outputs, right[1])


@pytest.mark.target
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_a_core_gives_the_simulators_bits(core: str, tmp_path: Path) -> None:
    arm_core.require_emulator()
    graph = toy.toy_graph()
    frames, events = signal(graph, 500)
    stamps, outputs = simulated(graph, frames, events)
    folder = write(graph, tmp_path / "l", core)
    driver = tmp_path / "driver.c"
    driver.write_text(DRIVER.format(name="toy", width=2 * graph.frame.size))
    files = [*sources(folder), driver, REPLAY.parent / "guard.c"]
    program = arm_core.link(core, tmp_path, files, [REPLAY.parent / "tape", folder / "src"])
    tape = np.array([len(frames), len(events)], np.uint32).tobytes()
    tape += frames.tobytes() + events.astype(np.uint32).tobytes()
    result = np.dtype([("stamp", "<u4"), ("outputs", "<i2", (outputs.shape[1],))], align=True)
    got = arm_core.run(program, tape, len(stamps) * result.itemsize).output
    read = np.frombuffer(got, result)
    np.testing.assert_array_equal(read["stamp"], stamps)
    np.testing.assert_array_equal(read["outputs"], outputs)


# --- calls --------------------------------------------------------------------------------------


def test_what_a_call_cannot_take_is_said(library: Path, tmp_path: Path) -> None:
    model = load_c(library)
    with pytest.raises(UsageError, match=r"frames must be \(N, 2\) int16, not \(5, 2\) float64"):
        model.push(np.zeros((5, 2)))
    with pytest.raises(UsageError, match="a state of toy must be"):
        model.set_state(b"nothing")
    with pytest.raises(UsageError, match="a state of toy must be"):
        model.set_state(bytes(len(model.get_state())))
    model.push_event(7)
    with pytest.raises(UsageError, match="event 7 was dropped: its stamp is not after"):
        model.push_event(7)
    with pytest.raises(UsageError, match="is no exported project"):
        load_c(tmp_path)


def test_c_that_was_damaged_is_not_loaded(tmp_path: Path) -> None:
    folder = write(toy.toy_graph(), tmp_path / "l")
    source = folder / "src" / "toy.c"
    source.write_bytes(b"this is not C, nor text: \xff\n" + source.read_bytes())
    with pytest.raises(BuildError, match="does not compile on this machine"):
        load_c(folder)


@pytest.mark.parametrize("other", [toy.toy_graph(seed=1), toy.toy_every_graph()])
def test_c_of_another_graph_is_not_loaded(other: QGraph, tmp_path: Path) -> None:
    """Of the same name, and of another."""
    folder = write(toy.toy_graph(), tmp_path / "l")
    (folder / "model.qgraph").write_bytes(library_files(other, CORES["any"])["model.qgraph"])
    with pytest.raises(UsageError, match="is not that of its model"):
        load_c(folder)


def test_facts_are_those_of_the_graph(shipped: Path) -> None:
    graph, model = le.load("ecg-beats-cfc"), load_c(shipped)
    facts = json.loads((shipped / "provenance.json").read_text())
    assert model.sha256 == facts["model_sha256"]
    assert facts["core"] == "cortex-m4"
    assert model.graph.classes == graph.classes


# --- compilers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["gcc -std=c11", "clang -std=c11", "g++ -std=c++17 -x c++"])
def test_two_models_link_into_one_program(
    command: str, library: Path, shipped: Path, tmp_path: Path
) -> None:
    words = [*compiler(command), *WARNINGS.split()]
    main = tmp_path / "main.c"
    main.write_text(TWO)
    files = [main, *sources(library, shipped)]
    call(*words, *includes(library, shipped), *files, "-o", tmp_path / "two")
    assert call(tmp_path / "two") == "toy ecg_beats_cfc"


@pytest.mark.target
@pytest.mark.parametrize("core", [core for core in CORES if core != "any"])
def test_every_core_compiles_it(core: str, shipped: Path, tmp_path: Path) -> None:
    """The library of a core with DSP compiles for one without, and the other way around."""
    words = [*compiler("arm-none-eabi-gcc"), "-mthumb", "-std=c11", "-O2", *WARNINGS.split()]
    for number, file in enumerate(sources(shipped)):
        made = tmp_path / f"{number}.o"
        call(*words, f"-mcpu={core}", *includes(shipped), "-c", file, "-o", made)
        undefined = call("arm-none-eabi-nm", "-u", made).split()
        assert not {u for u in undefined if "f" in u and u.startswith("__aeabi_f")}


def test_no_name_is_anothers(library: Path, tmp_path: Path) -> None:
    files = sources(library)
    call(*compiler("gcc -c"), *includes(library), *files, at=tmp_path)
    symbols = call("nm", "-g", "--defined-only", *tmp_path.glob("*.o"))
    names = re.findall(r"^[0-9a-f]+ \w (\w+)$", symbols, re.MULTILINE)
    assert len(names) > 20
    assert [name for name in names if not name.startswith("toy_")] == []


def test_the_coat_for_cpp_gives_the_same(shipped: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include <cstdio>\n#include "ecg_beats_cfc.hpp"\n'
        "int main()\n{\n    static ecg_beats_cfc::Model model, other;\n"
        "    for (int i = 0; i < 1500; i++)\n    {\n"
        "        const auto x = static_cast<std::int16_t>(1024 + (i * 37) % 200);\n"
        "        if (i == 900) { (void) other.set_state(model.state()); }\n"
        "        auto &m = (i < 900) ? model : other;\n        auto result = m.step({x, x});\n"
        "        if (i % 300 == 0) { (void) m.push_event(static_cast<std::uint32_t>(i)); }\n"
        '        if (result) { std::printf("%u %d\\n", result->stamp, result->outputs[0]); }\n'
        "    }\n    return 0;\n}\n"
    )
    words = [*compiler("g++ -std=c++17"), *WARNINGS.split()]
    call(*words, *includes(shipped), main, *sources(shipped), "-o", tmp_path / "program")
    x = (1024 + np.arange(1500) * 37 % 200).astype(np.int16)
    stamps, outputs = load_c(shipped).run(np.stack([x, x], axis=1), np.arange(0, 1500, 300))
    lines = [f"{s} {o}" for s, o in zip(stamps, outputs[:, 0], strict=True)]
    assert len(lines) >= 3
    assert call(tmp_path / "program").splitlines() == lines


@pytest.mark.parametrize("example", ["dma", "thread"])
def test_an_example_compiles_and_is_short(example: str, shipped: Path, tmp_path: Path) -> None:
    file = shipped / "examples" / example / f"{example}.c"
    words = [*compiler("gcc -std=c11"), *WARNINGS.split(), "-Wno-undef", *includes(shipped)]
    call(*words, "-c", file, "-o", tmp_path / "o.o")
    lines = [line for line in file.read_text().splitlines() if line.strip(" {}") != ""]
    assert len(lines) <= 30


def test_the_sketch_compiles_against_a_bare_arduino(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "Arduino.h").write_text(
        "struct Port { void begin(long) {} void print(int) {} void print(char) {} };\n"
        "static Port Serial;\nenum { A0 = 14 };\n"
        "inline int analogRead(int) { return 0; }\n"
        "inline void delayMicroseconds(unsigned long) {}\n"
    )
    sketch = shipped / "examples" / "ecg_beats_cfc" / "ecg_beats_cfc.ino"
    words = compiler("g++ -std=c++17 -fsyntax-only -Wall -Wextra -Werror -x c++")
    call(*words, "-include", tmp_path / "Arduino.h", *includes(shipped), sketch)


# --- build systems ------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("way", ["subdirectory", "installed"])
def test_cmake_finds_it(way: str, library: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text(
        '#include "toy_library.h"\nint main(void) { return toy_info()->channels == 2U ? 0 : 1; }\n'
    )
    prefix = tmp_path / "prefix"
    if way == "installed":
        call("cmake", "-G", "Ninja", "-S", library, "-B", tmp_path / "own")
        call("cmake", "--build", tmp_path / "own")
        call("cmake", "--install", tmp_path / "own", "--prefix", prefix)
        found = "find_package(toy REQUIRED)"
    else:
        found = f'add_subdirectory("{library}" toy)'
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\n{found}\n"
        "add_executable(user main.c)\ntarget_link_libraries(user PRIVATE lnn_edge::toy)\n"
    )
    at = tmp_path / "build"
    call("cmake", "-G", "Ninja", "-S", tmp_path, "-B", at, f"-DCMAKE_PREFIX_PATH={prefix}")
    call("cmake", "--build", at)
    call(at / "user")


def test_manifests_name_what_is_there(shipped: Path) -> None:
    present = {path.name for path in (shipped / "src").iterdir()}
    pack = ElementTree.parse(shipped / "lnn-edge.ecg_beats_cfc.pdsc").getroot()
    named = [shipped / str(file.get("name")) for file in pack.iter("file")]
    assert all(path.exists() for path in named)
    assert {path.name for path in named} == {"src"} | present
    assert [child.tag for child in pack][:4] == ["vendor", "name", "description", "url"]
    module = yaml.safe_load((shipped / "zephyr" / "module.yml").read_text())
    assert module["name"] == "ecg_beats_cfc"
    assert (shipped / module["build"]["kconfig"]).is_file()
    cmake = shipped / module["build"]["cmake"] / "CMakeLists.txt"
    listed = re.findall(r"\.\./src/(\w+\.c)", cmake.read_text())
    assert set(listed) == {name for name in present if name.endswith(".c")}
    assert "CONFIG_LNN_ECG_BEATS_CFC" in cmake.read_text()
    assert "config LNN_ECG_BEATS_CFC\n" in (shipped / module["build"]["kconfig"]).read_text()


def test_arduino_and_platformio_read_their_manifests(shipped: Path) -> None:
    """Keys that https://arduino.github.io/arduino-cli/latest/library-specification/ demands."""
    text = "[library]\n" + (shipped / "library.properties").read_text()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    known = dict(parser["library"])
    demanded = "name version author maintainer sentence paragraph category url architectures"
    assert set(demanded.split()) <= known.keys()
    assert re.fullmatch(r"\d+\.\d+\.\d+", known["version"])
    assert (shipped / "src" / known["includes"]).is_file()
    schema = pytest.importorskip(
        "platformio.package.manifest.schema", reason="PlatformIO is not installed"
    )
    loaded = schema.ManifestSchema().load_manifest(
        json.loads((shipped / "library.json").read_text())
    )
    assert loaded["name"] == "ecg_beats_cfc"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, partial(os.symlink, "/nowhere")])
def test_c_that_is_no_file_is_named(make: Callable[[Path], None], tmp_path: Path) -> None:
    library = write(toy.toy_graph(), tmp_path / "lib")
    make(library / "src" / "z.c")
    with pytest.raises(UsageError, match=r"z\.c cannot be read \(.*\); export the model again"):
        load_c(library)
