"""The researcher's road: import, quantize, export, verify; nothing of ours is trained."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.command import call, call_json, refusal, untouched
from tests.support.places import SUPPORT
from tests.support.projects import needs_arm_gcc

ncps = pytest.importorskip("ncps.torch")
KERAS = SUPPORT / "keras"
INPUT = 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ncps") / "policy.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(ncps.CfC(INPUT, 6, proj_size=2, backbone_units=12).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("x") / "X.npy"
    np.save(path, np.random.default_rng(0).normal(size=(2, 1000, INPUT)))
    return path


def import_it(checkpoint: Path, folder: Path, *more: object) -> dict[str, object]:
    options = ("--mode", "default", "--activation", "lecun_tanh")
    found: dict[str, object] = call_json("import", checkpoint, "-o", folder, *options, *more)
    return found


@pytest.fixture(scope="module")
def model(checkpoint: Path, sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported model, quantized."""
    folder = tmp_path_factory.mktemp("model") / "policy"
    facts = import_it(checkpoint, folder)
    kinds = [row["kind"] for row in facts["layers"]]  # type: ignore[attr-defined]
    assert (kinds, facts["channels"]) == (["cfc", "linear"], INPUT)
    call_json("quantize", folder, "--calibration", sequences)
    return folder


def test_four_commands_prove_a_checkpoint(model: Path, sequences: Path, tmp_path: Path) -> None:
    project = tmp_path / "firmware"
    call_json("export", model, "--board", "stm32f746", "-o", project)
    proof = call_json("verify", project, "--link", "host", "--input", sequences)
    assert (proof["steps"], proof["mismatches"], proof["longest_run"]) == (2000, 0, 1000)
    error = proof["float_error"]
    assert 0 < error["rmse"] <= 0.01 * error["range"]
    assert error["rmse"] <= error["max_abs"]


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(("link", "board"), [("virtual", "stm32f746"), ("qemu", "stm32f405")])
def test_the_road_ends_on_a_core(
    link: str, board: str, model: Path, sequences: Path, tmp_path: Path
) -> None:
    project, short = tmp_path / "firmware", tmp_path / "short.npy"
    np.save(short, np.load(sequences)[0, :60])
    call_json("export", model, "--board", board, "-o", project)
    proof = call_json("verify", project, "--link", link, "--input", short)
    assert (proof["steps"], proof["mismatches"]) == (60, 0)
    assert proof["float_error"]["max_abs"] < 0.1


def test_time_may_come_with_every_frame(checkpoint: Path, sequences: Path, tmp_path: Path) -> None:
    x = np.load(sequences)
    dt = np.random.default_rng(1).uniform(0.2, 2.0, (*x.shape[:2], 1))
    np.save(tmp_path / "X.npy", np.concatenate((x, dt), axis=-1))
    folder, project = tmp_path / "policy", tmp_path / "firmware"
    assert import_it(checkpoint, folder, "--dt", "input")["channels"] == INPUT + 1
    call_json("quantize", folder, "--calibration", tmp_path / "X.npy")
    call_json("export", folder / "model.qgraph", "--board", "stm32f746", "-o", project)
    proof = call_json("verify", project, "--link", "host", "--input", tmp_path / "X.npy")
    assert proof["mismatches"] == 0
    assert proof["float_error"]["rmse"] <= 0.01 * proof["float_error"]["range"]


def test_values_beyond_the_calibration_are_told(
    model: Path, sequences: Path, tmp_path: Path
) -> None:
    project, large = tmp_path / "firmware", tmp_path / "large.npy"
    np.save(large, 100 * np.load(sequences)[:, :20])
    call_json("export", model, "--board", "stm32f746", "-o", project)
    outcome = call("verify", project, "--link", "host", "--input", large)
    assert outcome.code == 0
    assert "saturate" in outcome.out


def test_an_hour_among_the_calibration_times(sequences: Path, tmp_path: Path) -> None:
    """499 of 500 times keep their resolution; the library itself is the witness."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = ncps.CfC(INPUT, 6, backbone_units=12).eval()
        with torch.no_grad():
            theirs.rnn_cell.time_a.weight.mul_(20)
    torch.save(theirs.state_dict(), tmp_path / "policy.pt")
    x = np.load(sequences)[:1, :500]
    dt = np.random.default_rng(1).uniform(0.01, 0.05, (1, 500, 1))
    dt[0, 250] = 3600
    np.save(tmp_path / "X.npy", np.concatenate((x, dt), axis=-1))
    folder, project = tmp_path / "policy", tmp_path / "firmware"
    import_it(tmp_path / "policy.pt", folder, "--dt", "input")
    found = call_json("quantize", folder, "--calibration", tmp_path / "X.npy")
    (time,) = (r for r in found["resolution"] if r["name"] == "dt")
    assert (time["name"], time["lost"], time["clipped"]) == ("dt", 0, 1 / 500)
    assert found["warnings"] == []
    with torch.no_grad():
        wanted, _ = theirs(
            torch.from_numpy(x).float(), timespans=torch.from_numpy(dt[..., 0]).float()
        )
    call_json("export", folder, "--board", "stm32f746", "-o", project)
    proof = call_json("verify", project, "--link", "host", "--input", tmp_path / "X.npy")
    error = proof["float_error"]
    assert error["range"] == pytest.approx(float(np.ptp(wanted.numpy())), rel=1e-5)
    assert (proof["mismatches"], error) == (0, pytest.approx(found["float_error"]))
    assert error["rmse"] <= 0.01 * error["range"]
    assert "1 of 2500 values are outside the range" in proof["warnings"][0]


def test_integers_that_lose_the_model_are_told(model: Path, tmp_path: Path) -> None:
    """Bit-exact is not all: a channel far from 0 keeps nothing of what moves in it."""
    x = 1e5 + np.random.default_rng(0).normal(size=(1, 300, INPUT))
    np.save(tmp_path / "X.npy", x)
    folder = tmp_path / "policy"
    shutil.copytree(model, folder)
    outcome = call("quantize", folder, "--calibration", tmp_path / "X.npy", "--force")
    assert outcome.code == 0, outcome
    assert f"warning: little is left of channel{INPUT - 1}: " in outcome.err
    stored = json.loads((folder / "quantize.json").read_text())
    assert [f"warning: {w}" for w in stored["warnings"]] == outcome.err.splitlines()
    assert stored["resolution"][0]["bits"] < 0


def test_verify_tells_how_far_the_integers_are_from_the_model(
    model: Path, sequences: Path, tmp_path: Path
) -> None:
    project, graph, short = tmp_path / "firmware", tmp_path / "model.qgraph", tmp_path / "X.npy"
    np.save(short, np.load(sequences)[:, :30])
    call_json("export", model, "--board", "stm32f746", "-o", project)
    said = call("verify", project, "--link", "host", "--input", short)
    assert "against the float model: RMSE " in said.out
    assert (said.code, said.err) == (0, "")
    np.save(short, 1000 * np.load(sequences)[:, :30])
    said = call("verify", project, "--link", "host", "--input", short)
    assert said.out.startswith("bit-exact on host")
    assert "saturate" in said.out
    graph.write_bytes((model / "model.qgraph").read_bytes())
    call_json("export", graph, "--board", "stm32f746", "-o", tmp_path / "bare")
    said = call("verify", tmp_path / "bare", "--link", "host", "--input", short)
    assert "against the float model: not known, the project holds none" in said.out


def test_a_graph_by_itself_has_no_float_error(model: Path, sequences: Path, tmp_path: Path) -> None:
    project, graph = tmp_path / "firmware", tmp_path / "model.qgraph"
    graph.write_bytes((model / "model.qgraph").read_bytes())
    call_json("export", graph, "--board", "stm32f746", "-o", project)
    proof = call_json("verify", project, "--link", "host", "--input", sequences)
    assert (proof["mismatches"], proof["float_error"]) == (0, None)


def test_without_input_a_model_runs_what_it_was_calibrated_on(model: Path, tmp_path: Path) -> None:
    call_json("export", model, "--board", "stm32f746", "-o", tmp_path / "firmware")
    proof = call_json("verify", tmp_path / "firmware", "--link", "host")
    told = json.loads((model / "quantize.json").read_text())["float_error"]
    assert (proof["steps"], proof["mismatches"]) == (2000, 0)
    assert proof["float_error"] == pytest.approx(told)


def test_an_imported_model_is_evaluated_as_others_are(
    model: Path, sequences: Path, tmp_path: Path
) -> None:
    told = json.loads((model / "quantize.json").read_text())["float_error"]
    facts = call_json("evaluate", model)
    assert (facts["model"], facts["dataset"]) == (str(model / "model.qgraph"), "calibration data")
    assert facts["float_error"] == pytest.approx(told)
    assert call_json("evaluate", model / "model.qgraph") == facts
    short = tmp_path / "X.npy"
    np.save(short, np.load(sequences)[:, :30])
    facts = call_json("evaluate", model, "--input", short)
    assert (facts["compared_on"], facts["is_generated"]) == ("2 sequences", False)
    assert 0 < facts["float_error"]["rmse"] < 0.02 * facts["float_error"]["range"]
    said = call("evaluate", model, "--input", short)
    assert "2 sequences; without labels there is no accuracy" in said.out
    assert "against the float model, on 2 sequences: RMSE " in said.out


def test_an_evaluation_of_frames_refuses_what_does_not_go_together(
    model: Path, sequences: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "y.npy", np.zeros(2, int))
    said = refusal(call("evaluate", model, "--targets", tmp_path / "y.npy"))
    assert "--targets are the classes of --input" in said
    both = ("--input", sequences, "--dataset", "mitdb")
    assert "--input gives frames and --dataset is of recordings" in refusal(
        call("evaluate", model, *both)
    )
    classes = ("--input", sequences, "--targets", tmp_path / "y.npy")
    assert "names no classes" in refusal(call("evaluate", model, *classes))
    bare = tmp_path / "bare.qgraph"
    bare.write_bytes((model / "model.qgraph").read_bytes())
    assert "--input X.npy" in refusal(call("evaluate", bare))


def test_a_graph_by_itself_asks_for_its_input(model: Path, tmp_path: Path) -> None:
    graph = tmp_path / "model.qgraph"
    graph.write_bytes((model / "model.qgraph").read_bytes())
    call_json("export", graph, "--board", "stm32f746", "-o", tmp_path / "firmware")
    assert "--input X.npy" in refusal(call("verify", tmp_path / "firmware", "--link", "host"))


def test_a_keras_model_needs_no_options(tmp_path: Path) -> None:
    saved = KERAS / "nogate.keras"
    facts = call_json("import", saved, "-o", tmp_path / "policy")
    form = facts["layers"][0]["options"]["config"]
    assert (form["mode"], form["activation"], facts["channels"]) == ("no_gate", "relu", 5)
    with untouched(tmp_path):
        said = refusal(call("import", saved, "-o", tmp_path / "new", "--mode", "default"))
    assert said.endswith("holds a cell of mode no_gate; mode default was given")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_input_that_is_no_number_is_refused(
    value: float, model: Path, sequences: Path, tmp_path: Path
) -> None:
    frames = np.load(sequences)[0, :20]
    frames[7, 2] = value
    np.save(tmp_path / "bad.npy", frames)
    call_json("export", model, "--board", "stm32f746", "-o", tmp_path / "firmware")
    with untouched(tmp_path):
        said = refusal(
            call("verify", tmp_path / "firmware", "--link", "host", "--input", tmp_path / "bad.npy")
        )
    assert "holds 1 NaN or infinite values, the first at [7, 2]" in said


def test_a_refused_checkpoint_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    with untouched(tmp_path):
        said = refusal(call("import", checkpoint, "-o", tmp_path / "policy"))
    assert said.endswith("--activation (ncps takes lecun_tanh unless told otherwise)")


def test_quantizing_needs_sequences(model: Path) -> None:
    with untouched(model):
        assert "give --calibration" in refusal(call("quantize", model))


ARRAYS = {
    "shape": (np.zeros((2, 3, INPUT + 1)), "must be (N, T, 4) or (T, 4)"),
    "flat": (np.zeros(12), "must be (N, T, 4)"),
    "empty": (np.zeros((0, 3, INPUT)), "not (0, 3, 4)"),
    "nan": (np.full((9, INPUT), np.nan), "holds 36 NaN or infinite values, the first at [0, 0]"),
    "infinite": (np.full((1, 9, INPUT), 1e39), "NaN or infinite values, the first at [0, 0, 0]"),
    "text": (np.full((9, INPUT), "a"), "must hold real numbers"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_bad_sequences_are_refused(name: str, model: Path, tmp_path: Path) -> None:
    array, message = ARRAYS[name]
    np.save(tmp_path / "bad.npy", array)
    with untouched(model):
        assert message in refusal(call("quantize", model, "--calibration", tmp_path / "bad.npy"))


def test_pickled_sequences_are_not_loaded(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], object), allow_pickle=True)
    said = refusal(call("quantize", model, "--calibration", tmp_path / "bad.npy"))
    assert "is no .npy file of numbers" in said


def test_a_stale_graph_is_not_exported(
    model: Path, checkpoint: Path, sequences: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "policy"
    import_it(checkpoint, folder)
    call_json("quantize", folder, "--calibration", sequences)
    state = torch.load(checkpoint, weights_only=True)
    torch.save({k: 2 * v for k, v in state.items()}, tmp_path / "other.pt")
    import_it(tmp_path / "other.pt", folder, "--force")
    said = refusal(call("export", folder, "--board", "stm32f746", "-o", tmp_path / "firmware"))
    assert "not made from the weights beside it" in said


@pytest.mark.parametrize("name", ["model.toml", "model.safetensors"])
def test_a_damaged_model_is_refused(
    name: str, checkpoint: Path, sequences: Path, tmp_path: Path
) -> None:
    import_it(checkpoint, tmp_path / "policy")
    path = tmp_path / "policy" / name
    path.write_bytes(path.read_bytes()[:-9])
    said = refusal(call("quantize", tmp_path / "policy", "--calibration", sequences))
    assert "import it again" in said


def test_two_imported_models_link_in_one_program(sequences: Path, tmp_path: Path) -> None:
    """Their C has names of its own: both are compiled, linked and called side by side."""
    objects = []
    for name in ("left", "right"):
        with torch.random.fork_rng():
            torch.manual_seed(len(name))
            torch.save(torch.nn.GRU(INPUT, 4).state_dict(), tmp_path / f"{name}.pt")
        facts = call_json("import", tmp_path / f"{name}.pt", "-o", tmp_path / name)
        assert facts["name"] == name
        call_json("quantize", tmp_path / name, "--calibration", sequences)
        project = tmp_path / f"{name}-fw"
        call_json("export", tmp_path / name, "--board", "stm32f746", "-o", project)
        objects += sorted(project.glob(f"model/{name}*.c"))
    runtime = project / "firmware" / "runtime"
    main = tmp_path / "main.c"
    main.write_text(
        '#include "left.h"\n#include "right.h"\n'
        "static left_ctx_t a; static right_ctx_t b;\n"
        "int main(void) { left_reset(&a); right_reset(&b); return 0; }\n"
    )
    folders = [runtime, *(tmp_path / f"{name}-fw" / "model" for name in ("left", "right"))]
    sources = [main, *objects, *runtime.glob("*.c")]
    flags = [f"-I{folder}" for folder in folders]
    command = ["cc", *flags, *sources, "-lm", "-o", tmp_path / "both"]
    subprocess.run([str(part) for part in command], check=True)
    subprocess.run([str(tmp_path / "both")], check=True)


def test_quantize_tells_the_operators_furthest_from_the_model(
    model: Path, sequences: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(model, folder)
    again = ("quantize", folder, "--calibration", sequences, "--force")
    short, long = call(*again).out, call(*again, "--verbose").out
    rows = short.split("furthest from the model:\n")[1].splitlines()
    shares = [float(row.split()[-1].rstrip("%")) for row in rows[1:6] if row.endswith("%")]
    assert shares
    assert shares == sorted(shares, reverse=True)
    assert "every frame" in long
    assert "every frame" not in short
