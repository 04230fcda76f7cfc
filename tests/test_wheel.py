"""The wheel holds what the checkout holds, nothing else, and works without the checkout."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import call_json, tree
from tests.support.projects import needs_arm_gcc

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
DATA = ("templates", "boards", "firmware", "models")
PACKED = ("lnn_edge", *DATA)
IGNORED = (ROOT / ".gitignore").read_text().split()
HOMES = re.compile(rb"/(?:home|Users|root|work)/\w+")


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def plant(folder: Path) -> None:
    """Leave behind one of everything that git ignores."""
    for pattern in IGNORED:
        if pattern.endswith("/"):
            (folder / pattern).mkdir(exist_ok=True)
            (folder / pattern / "left.txt").write_text("left behind")
        else:
            (folder / pattern.replace("*", "left")).write_text("left behind")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of what a wheel is made of."""
    folder = tmp_path_factory.mktemp("sources")
    ignore = shutil.ignore_patterns(*(pattern.rstrip("/") for pattern in IGNORED))
    for name in PACKED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a working copy, in which builds and caches lie about."""
    working = tmp_path_factory.mktemp("working") / "copy"
    shutil.copytree(sources, working)
    for name in PACKED:
        plant(working / name)
    plant(working / "firmware" / "src")
    folder = tmp_path_factory.mktemp("wheel")
    has_backend = importlib.util.find_spec("hatchling") is not None
    how = ["--no-build-isolation"] if has_backend else []
    done = pip("wheel", "--no-deps", *how, "-w", str(folder), str(working))
    if not has_backend and "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("hatchling is neither installed nor to be had from a package index")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    done = pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    assert done.returncode == 0, done.stderr
    return folder


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_installed(folder: Path, work: Path, *code_and_arguments: str) -> str:
    """Run Python in another folder, where only the installed lnn_edge can be found."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", *code_and_arguments],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = "from lnn_edge.cli import main; main()"


def contents(data: bytes) -> Iterator[bytes]:
    """The bytes of a file, and of the files in it where it is an archive itself."""
    yield data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from contents(archive.read(name))


def test_the_wheel_holds_what_the_checkout_holds(sources: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if not n.split("/")[0].endswith(".dist-info")}
    places = {name: f"lnn_edge/_data/{name}" for name in DATA} | {"lnn_edge": "lnn_edge"}
    wanted = {f"{at}/{f}" for name, at in places.items() for f in files_of(sources / name)}
    assert names == wanted
    for name, at in places.items():
        assert sum(n.startswith(f"{at}/") for n in names) > 2, name


def test_the_wheel_names_no_folder_of_this_machine(sources: Path, wheel: Path) -> None:
    here = [str(p).encode() for p in (ROOT, sources.parent, sys.prefix)]
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            for data in contents(archive.read(name)):
                assert not [path for path in here if path in data], name
                assert not HOMES.search(data), name


def test_the_installed_package_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    code = "import lnn_edge.files.resources as r; print(r.__file__); print(r.path('boards'))"
    found = run_installed(installed, tmp_path, code).split()
    package = installed / "lnn_edge"
    assert found == [str(package / "files" / "resources.py"), str(package / "_data" / "boards")]
    assert (installed / "bin" / "lnn-edge").is_file()


def test_an_export_has_the_same_bytes_as_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    call_json("export", "--board", "stm32f746", "-o", tmp_path / "checkout")
    run_installed(installed, tmp_path, COMMAND, "export", "--board", "stm32f746", "-o", "wheel")
    exported = tree(tmp_path / "wheel")
    assert len(exported) > 40
    assert exported == tree(tmp_path / "checkout")


def test_model_and_recordings_are_the_same_as_in_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    output = run_installed(installed, tmp_path, COMMAND, "evaluate", "--json")
    mine, theirs = json.loads(output), call_json("evaluate")
    data = installed / "lnn_edge" / "_data"
    assert mine.pop("model") == str(data / "models" / "ecg-beats-cfc" / "model.qgraph")
    assert theirs.pop("model")
    assert mine == theirs


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment into which the wheel was installed, without extras."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(folder, with_pip=True)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", *constraints, wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and re.search("No matching distribution|NewConnectionError", done.stderr):
        pytest.skip("a package that lnn-edge needs is not to be had from a package index")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run_fresh(fresh: Path, work: Path, line: str, code: int = 0) -> str:
    """Run a command of the new environment; return what it printed, errors included."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LNN_EDGE_DATA")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    program, *words = line.split()
    done = subprocess.run(
        [fresh / program, *words],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.mark.target
@needs_arm_gcc
def test_without_extras_it_goes_from_the_shipped_model_to_a_report(
    fresh: Path, tmp_path: Path
) -> None:
    assert not list(fresh.parent.glob("lib/python*/site-packages/torch"))
    run_fresh(fresh, tmp_path, "lnn-edge export --board stm32f746 -o firmware")
    run_fresh(fresh, tmp_path, "lnn-edge build firmware --max-flash 40960 --max-ram 16384")
    said = run_fresh(fresh, tmp_path, "lnn-edge verify firmware --link virtual --records 100_0830")
    assert "0 mismatches in" in said
    run_fresh(fresh, tmp_path, "lnn-edge report firmware")
    assert (tmp_path / "firmware" / "report.html").is_file()


@pytest.mark.parametrize("line", ["train ecg-beats-cfc -o run", "import x.pt -o x", "demo"])
def test_without_torch_a_command_that_needs_it_says_how_to_get_it(
    fresh: Path, tmp_path: Path, line: str
) -> None:
    said = run_fresh(fresh, tmp_path, f"lnn-edge {line}", code=2)
    assert "pip install 'lnn-edge[train]'" in said.splitlines()[-1]


def test_without_torch_the_library_says_how_to_get_it(fresh: Path, tmp_path: Path) -> None:
    code = (
        "import lnn_edge as le\ntry: le.quantize(None, None)\nexcept Exception as e: print(repr(e))"
    )
    (tmp_path / "call.py").write_text(code)
    said = run_fresh(fresh, tmp_path, "python call.py")
    assert said.startswith("MissingToolError")
    assert "lnn-edge[train]" in said


def test_without_extras_every_dependency_is_found(fresh: Path, tmp_path: Path) -> None:
    found = json.loads(run_fresh(fresh, tmp_path, "lnn-edge doctor --json"))
    names = {check["name"]: check for check in found["checks"]}
    assert not names["torch"]["ok"]
    assert names["torch"]["fix"] == "pip install 'lnn-edge[train]'"
    assert names["h5py"]["fix"] == "pip install 'lnn-edge[hdf5]'"
    assert names["unicorn"]["ok"]
