"""Models of ncps come over with the same outputs, or are refused with one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.data.readers import apart
from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.nn.from_keras import files
from lnn_edge.nn.imported import load_imported, save_imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.apart import write_program
from tests.support.places import SUPPORT

pytestmark = pytest.mark.usefixtures("readers_here")
KERAS = SUPPORT / "keras"
INPUT = 5
GATED = ImportOptions(mode="default", activation="lecun_tanh")
LTC = ImportOptions(unfolds=6, positivity="softplus")
Make = Callable[[Any], Any]

TORCH: dict[str, tuple[Make, ImportOptions]] = {
    "default": (lambda n: n.CfC(INPUT, 8, backbone_units=16), GATED),
    "no_gate": (
        lambda n: n.CfC(INPUT, 8, mode="no_gate", activation="silu", backbone_layers=3),
        ImportOptions(mode="no_gate", activation="silu"),
    ),
    "pure": (lambda n: n.CfC(INPUT, 8, mode="pure"), ImportOptions(activation="lecun_tanh")),
    "no_backbone": (
        lambda n: n.CfC(INPUT, 8, backbone_layers=0, backbone_units=0),
        ImportOptions(mode="default"),
    ),
    "dropout": (lambda n: n.CfC(INPUT, 8, backbone_layers=2, backbone_dropout=0.5), GATED),
    "projected": (lambda n: n.CfC(INPUT, 8, proj_size=2), GATED),
    "mixed": (lambda n: n.CfC(INPUT, 8, mixed_memory=True), GATED),
    "wired": (lambda n: n.CfC(INPUT, _wiring(12, 3)), ImportOptions(mode="default")),
    "ltc": (lambda n: n.LTC(INPUT, _wiring(12, 3)), LTC),
    "ltc_dense": (lambda n: n.LTC(INPUT, 8, ode_unfolds=2), replace(LTC, unfolds=2)),
    "ltc_clipped": (
        lambda n: n.LTC(INPUT, _wiring(12, 3), implicit_param_constraints=False),
        replace(LTC, positivity="clip"),
    ),
    "wired_no_gate": (
        lambda n: n.CfC(INPUT, _wiring(12, 3), mode="no_gate"),
        ImportOptions(mode="no_gate"),
    ),
}


def _wiring(units: int, outputs: int) -> Any:
    wirings = pytest.importorskip("ncps.wirings")
    return wirings.AutoNCP(units, outputs)


def write_torch(name: str, folder: Path) -> tuple[Any, Path]:
    """Return a model of the library and the file of its state dict."""
    ncps = pytest.importorskip("ncps.torch")
    with torch.random.fork_rng():
        torch.manual_seed(4)
        theirs = TORCH[name][0](ncps).eval()
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter)
        if name == "ltc_clipped":
            theirs.rnn_cell.apply_weight_constraints()
    torch.save(theirs.state_dict(), folder / "model.pt")
    return theirs, folder / "model.pt"


def frames_of(batch: int, steps: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (batch, steps, INPUT)).astype(np.float32)


@pytest.mark.parametrize("name", TORCH)
def test_a_state_dict_gives_the_librarys_outputs(name: str, tmp_path: Path) -> None:
    theirs, path = write_torch(name, tmp_path)
    save_imported(tmp_path / "ours", import_model(path, TORCH[name][1]))
    ours = load_imported(tmp_path / "ours")
    frames = frames_of(3, 60)
    with torch.no_grad():
        wanted, _ = theirs(torch.from_numpy(frames))
    assert np.abs(ours.run(frames) - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize("batch", [1, 8])  # 8 units: there the library mixes up its axes
@pytest.mark.parametrize("name", ["default", "pure", "wired", "ltc"])
def test_elapsed_time_belongs_to_its_own_sequence(name: str, batch: int, tmp_path: Path) -> None:
    theirs, path = write_torch(name, tmp_path)
    ours = import_model(path, replace(TORCH[name][1], dt=None))
    frames = frames_of(batch, 30)
    dt = np.random.default_rng(1).uniform(0.1, 3, (batch, 30, 1)).astype(np.float32)
    x, elapsed = torch.from_numpy(frames), torch.from_numpy(dt)
    state, wanted = torch.zeros(batch, theirs.state_size), []
    with torch.no_grad():
        for t in range(x.shape[1]):  # the library's cell, which takes (B, 1)
            output, state = theirs.rnn_cell(x[:, t], state, elapsed[:, t])
            wanted.append(theirs.fc(output) if hasattr(theirs, "fc") else output)
    got = ours.run(np.concatenate((frames, dt), axis=-1))
    assert np.abs(got - torch.stack(wanted, 1).numpy()).max() < 1e-5


KERAS_OPTIONS = {
    "default": GATED,
    "no_gate": ImportOptions(mode="no_gate", activation="tanh"),
    "pure": ImportOptions(activation="lecun_tanh"),
    "mixed": GATED,
    "wired": ImportOptions(mode="default", wiring=KERAS / "wiring.json"),
    "ltc": ImportOptions(unfolds=4, wiring=KERAS / "wiring.json"),
}


@pytest.mark.parametrize("name", KERAS_OPTIONS)
def test_keras_weights_give_the_librarys_outputs(name: str) -> None:
    with np.load(KERAS / "outputs.npz") as saved:
        frames, wanted = saved["frames"], saved[name]
    model = import_model(KERAS / f"{name}.weights.h5", KERAS_OPTIONS[name])
    assert np.abs(model.run(frames) - wanted).max() < 1e-5


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        torch.save(change(state), path)

    return edit


def _write(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent": (lambda path: path.unlink(), "cannot be read"),
    "empty": (_write(b""), "damaged or no torch file"),
    "noise": (_write(b"no state dict at all"), "state dict"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:2000]) and None, "damaged"),
    "module": (lambda path: torch.save(torch.nn.Linear(2, 2), path), "which is not run"),
    "tensor": (lambda path: torch.save(torch.zeros(3), path), "must hold a state dict, not Tensor"),
    "stranger": (
        _edited(lambda s: {"conv.weight": torch.zeros(3), **s}),
        "holds conv.weight: of such a layer",
    ),
    "two": (
        _edited(lambda s: {**s, **{f"other.{k}": v for k, v in s.items()}}),
        "can follow each other in 0 ways",
    ),
    "no cell": (_edited(lambda s: {"weight": torch.zeros(3)}), "holds weight: of such"),
    "no heads": (
        _edited(lambda s: {k: v for k, v in s.items() if "ff1" not in k}),
        "holds no ff1",
    ),
    "half": (_edited(lambda s: {k: v for k, v in s.items() if "ff2" not in k}), "no model that"),
    "keras": (_write(b"\x89HDF\r\n\x1a\n" + bytes(50)), "damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    _, path = write_torch("default", tmp_path)
    damage, message = BAD_FILES[name]
    damage(path)
    with pytest.raises(LnnEdgeError, match=message):
        import_model(path, GATED)


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5", "X.HDF5"])
def test_a_damaged_file_of_keras_is_not_called_one_of_torch(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4" + bytes(90))
    with pytest.raises(DataError, match=f"{name} is damaged or no file of Keras; save the model"):
        import_model(tmp_path / name, GATED)


BAD_OPTIONS: list[tuple[str, ImportOptions, str]] = [
    ("default", ImportOptions(activation="lecun_tanh"), "does not tell its mode; give --mode"),
    ("default", ImportOptions(mode="default"), "activation of its backbone; give --activation"),
    ("default", replace(GATED, mode="pure"), "holds a gated cell"),
    ("pure", replace(GATED, mode="no_gate"), "holds a cell of mode pure"),
    ("default", replace(GATED, dt=0.0), "not 0.0 s"),
    ("default", replace(GATED, dt=float("nan")), "not nan s"),
    ("ltc", replace(LTC, unfolds=None), "give --unfolds"),
    ("ltc", replace(LTC, positivity=None), "--positivity"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD_OPTIONS)
def test_what_the_weights_do_not_tell_is_asked_for(
    name: str, options: ImportOptions, message: str, tmp_path: Path
) -> None:
    _, path = write_torch(name, tmp_path)
    with pytest.raises(UsageError, match=message):
        import_model(path, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not tell its wiring; give --wiring"),
        ("{", "is no wiring"),
        ("{}", "is no wiring"),
        (
            '{"adjacency_matrix": [[1]], "sensory_adjacency_matrix": [[2]], "layers": [[0]], '
            '"output_dim": 1}',
            "do not fit each other",
        ),
        (
            '{"adjacency_matrix": [[1]], "sensory_adjacency_matrix": [[1]], "layers": [[0]], '
            '"output_dim": 1}',
            "give the wiring of this cell",
        ),
    ],
)
def test_a_wired_cell_of_keras_needs_its_wiring(
    text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "wiring.json"
    if text is not None:
        path.write_text(text)
    options = ImportOptions(mode="default", wiring=path if text is not None else None)
    with pytest.raises(LnnEdgeError, match=message):
        import_model(KERAS / "wired.weights.h5", options)


MODELS = {  # and the npz of its frames and outputs
    "nogate": "nogate.npz",  # Input(20, 5) -> CfC(8, mode="no_gate", activation="relu")
    "trained": "models.npz",
    "wired_first_two": "models.npz",
    "ltc_auto": "models.npz",
    "ltc_random": "models.npz",
    "memory": "models.npz",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_keras_model_tells_its_form_and_gives_keras_outputs(name: str, tmp_path: Path) -> None:
    with np.load(KERAS / MODELS[name]) as saved:
        frames, wanted = saved["frames"], saved[name]
    save_imported(tmp_path, import_model(KERAS / f"{name}.keras", ImportOptions()))
    model = load_imported(tmp_path)
    assert np.abs(model.run(frames) - wanted).max() < 1e-5


def write_keras(path: Path, config: object, weights: Path) -> Path:
    """Write a .keras file of a configuration, JSON or bytes, and saved weights."""
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", raw)
        archive.writestr("model.weights.h5", weights.read_bytes())
    return path


def edited_keras(name: str, folder: Path, edit: Callable[[Any, Any], object]) -> Path:
    """Return a model of MODELS in which `edit` changed the configuration and that of its layer."""
    with zipfile.ZipFile(KERAS / f"{name}.keras") as archive:
        config = json.loads(archive.read("config.json"))
        (folder / "weights.h5").write_bytes(archive.read("model.weights.h5"))
    edit(config["config"]["layers"], config["config"]["layers"][1])
    return write_keras(folder / f"{name}.keras", config, folder / "weights.h5")


AGREEING = {
    "nogate": ImportOptions(mode="no_gate", activation="relu"),
    "wired_first_two": ImportOptions(mode="pure", activation="lecun_tanh"),
    "ltc_auto": ImportOptions(unfolds=4, positivity="clip"),
}


@pytest.mark.parametrize("name", AGREEING)
def test_an_option_may_agree_with_the_file(name: str) -> None:
    said = import_model(KERAS / f"{name}.keras", AGREEING[name])
    read = import_model(KERAS / f"{name}.keras", ImportOptions())
    frames = np.random.default_rng(0).normal(size=(1, 9, read.channels))
    np.testing.assert_array_equal(said.run(frames), read.run(frames))


def test_the_wiring_of_a_keras_model_may_be_given_again(tmp_path: Path) -> None:
    wiring = pytest.importorskip("ncps.wirings").AutoNCP(9, 2, 0.3, 5)
    wiring.build(3)
    document = {
        "adjacency_matrix": wiring.adjacency_matrix.tolist(),
        "sensory_adjacency_matrix": wiring.sensory_adjacency_matrix.tolist(),
        "layers": [wiring.get_neurons_of_layer(i) for i in range(wiring.num_layers)],
        "output_dim": wiring.output_dim,
    }
    path = tmp_path / "wiring.json"
    path.write_text(json.dumps(document))
    import_model(KERAS / "ltc_auto.keras", ImportOptions(wiring=path))
    path.write_text(json.dumps(document | {"output_dim": 1}), encoding="utf-8-sig")
    with pytest.raises(UsageError, match=r"another wiring than AutoNCP\(.*'seed': 5"):
        import_model(KERAS / "ltc_auto.keras", ImportOptions(wiring=path))


CONTRADICTIONS = [
    ("nogate", ImportOptions(mode="default"), "of mode no_gate; mode default was given"),
    ("nogate", ImportOptions(mode="pure"), "of mode no_gate; mode pure was given"),
    ("nogate", ImportOptions(activation="tanh"), "of activation relu; activation tanh was given"),
    ("nogate", ImportOptions(unfolds=6), "takes no --unfolds"),
    ("wired_first_two", ImportOptions(activation="tanh"), "of activation lecun_tanh; activation"),
    ("ltc_auto", ImportOptions(unfolds=6), "of unfolds 4; unfolds 6 was given"),
    ("ltc_auto", ImportOptions(positivity="softplus"), "of positivity clip; positivity softplus"),
    ("ltc_auto", ImportOptions(mode="default"), "takes no --mode"),
    ("ltc_auto", ImportOptions(wiring=KERAS / "wiring.json"), "another wiring than AutoNCP"),
    ("ltc_no_seed", ImportOptions(), "does not tell its wiring .of class NCP. in full; give --wir"),
]


@pytest.mark.parametrize(("name", "options", "message"), CONTRADICTIONS)
def test_an_option_against_the_file_is_refused(
    name: str, options: ImportOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        import_model(KERAS / f"{name}.keras", options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("default", replace(GATED, unfolds=6), "takes no --unfolds"),
        ("default", replace(GATED, wiring=KERAS / "wiring.json"), "takes no --wiring"),
        ("no_backbone", GATED, "takes no --activation"),
        ("ltc", replace(LTC, mode="default"), "takes no --mode"),
    ],
)
def test_an_option_that_the_cell_has_not_is_refused(
    name: str, options: ImportOptions, message: str, tmp_path: Path
) -> None:
    _, path = write_torch(name, tmp_path)
    with pytest.raises(UsageError, match=message):
        import_model(path, options)


def _object(class_name: str, **config: object) -> dict[str, object]:
    return {"class_name": class_name, "config": config}


EDITS: dict[str, tuple[str, Callable[[Any, Any], object], str]] = {
    "backwards": (
        "nogate",
        lambda _, layer: layer["config"].update(go_backwards=True),
        r"cf_c \(CfC\): has go_backwards",
    ),
    "both ways": (
        "nogate",
        lambda _, layer: layer.update(class_name="Bidirectional"),
        "reads from the end as well, which no stream can",
    ),
    "another cell": (
        "nogate",
        lambda _, layer: layer["config"]["cell"].update(registered_name="mine>CfCCell"),
        "cell mine>CfCCell is no liquid cell",
    ),
    "activation": (
        "nogate",
        lambda _, layer: layer["config"]["cell"]["config"]["activation"].update(config="elu"),
        "activation elu is not known",
    ),
    "own function": (
        "nogate",
        lambda _, layer: layer["config"]["cell"]["config"]["activation"].update(config="mine>relu"),
        "activation mine>relu is not known",
    ),
    "mask": (
        "nogate",
        lambda _, layer: layer["config"]["cell"]["config"].update(sparsity_mask={"a": 1}),
        "sparsity_mask",
    ),
    "sparse recurrence": (
        "wired_first_two",
        lambda _, layer: layer["config"]["cell"]["config"].update(fully_recurrent=False),
        "fully_recurrent is false",
    ),
    "other weights": (
        "nogate",
        lambda _, layer: layer["config"]["cell"]["config"].update(mode="pure"),
        "which has other weights",
    ),
    "text": (
        "ltc_auto",
        lambda _, layer: layer["config"]["cell"]["config"].update(ode_unfolds="4"),
        "ode_unfolds must be int, not '4'",
    ),
    "no unfold": (
        "ltc_auto",
        lambda _, layer: layer["config"]["cell"]["config"].update(ode_unfolds=0),
        "unfolds must be at least 1, not 0",
    ),
    "mapping": (
        "ltc_auto",
        lambda _, layer: layer["config"]["cell"]["config"].update(input_mapping="linear"),
        "15 variables, 14 were expected",
    ),
    "many neurons": (
        "ltc_auto",
        lambda _, layer: layer["config"]["units"]["config"].update(units=10**9),
        "has 1000000000 neurons, the weights have 9",
    ),
    "no seed at all": (
        "ltc_auto",
        lambda _, layer: layer["config"]["units"]["config"].update(seed=-1),
        "cannot be drawn",
    ),
    "own wiring": (
        "ltc_auto",
        lambda _, layer: layer["config"]["units"].update(module="mine"),
        "does not tell its wiring",
    ),
    "no cell": ("nogate", lambda _, layer: layer["config"].pop("cell"), "key 'cell' is missing"),
}


@pytest.mark.parametrize("case", EDITS)
def test_what_keras_tells_of_another_model_is_refused(case: str, tmp_path: Path) -> None:
    name, edit, message = EDITS[case]
    path = edited_keras(name, tmp_path, edit)
    with pytest.raises(LnnEdgeError, match=message):
        import_model(path, ImportOptions())


def test_what_changes_no_output_is_no_obstacle(tmp_path: Path) -> None:
    def edit(layers: Any, layer: Any) -> None:
        layer["config"].update(stateful=True, unroll=True, return_sequences=False)
        layers.append(_object("Dropout"))

    frames = np.random.default_rng(0).normal(size=(1, 9, 5))
    model = import_model(edited_keras("nogate", tmp_path, edit), ImportOptions())
    read = import_model(KERAS / "nogate.keras", ImportOptions())
    np.testing.assert_array_equal(model.run(frames), read.run(frames))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{", "config.json is damaged"),
        (b"[" * 100_000, "config.json is damaged"),
        (b"[1, 2]", "must be a table"),
        (b'{"class_name": "Mine", "config": {}}', "model of class Mine"),
        (b" " * (1 << 24) + b"{}", "config.json has 16777218 bytes"),
    ],
    ids=["cut", "deep", "list", "own class", "large"],
)
def test_a_damaged_configuration_is_refused(config: bytes, message: str, tmp_path: Path) -> None:
    path = write_keras(tmp_path / "model.keras", config, KERAS / "default.weights.h5")
    with pytest.raises(DataError, match=message):
        import_model(path, GATED)


def test_a_keras_file_without_configuration_is_asked_for(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.write(KERAS / "default.weights.h5", "model.weights.h5")
    import_model(tmp_path / "model.keras", GATED)
    with pytest.raises(UsageError, match="give --activation"):
        import_model(tmp_path / "model.keras", ImportOptions(mode="default"))


FILES = {"memory.keras": ImportOptions(), "default.weights.h5": GATED}


@pytest.mark.parametrize("name", FILES)
def test_a_process_of_its_own_reads_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = import_model(KERAS / name, FILES[name]).module.state_dict()
    monkeypatch.setattr(files, "read_apart", apart.read_apart)
    there = import_model(KERAS / name, FILES[name]).module.state_dict()
    torch.testing.assert_close(there, here, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("does", "said"), [("hang", "does not come to an end with it"), ("crash", "crashes on it")]
)
@pytest.mark.parametrize("name", FILES)
def test_a_library_that_fails_reaches_nobody_else(
    name: str, does: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "read_apart", apart.read_apart)
    monkeypatch.setattr(apart.sys, "executable", write_program(tmp_path / "python", does))
    monkeypatch.setattr(apart, "_SECONDS", 0.5)
    with pytest.raises(DataError, match=rf"{name} is damaged \(its .*{said}\); save the weights"):
        import_model(KERAS / name, FILES[name])


def test_a_sentence_of_the_other_process_arrives_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "read_apart", apart.read_apart)
    path = damaged_hdf5(tmp_path, HDF5["nan"][0])
    with pytest.raises(DataError, match=rf"^{path}: {FF1} holds 1 NaN .* at \[1, 2\]; train it"):
        import_model(path, GATED)


def damaged_hdf5(folder: Path, edit: Callable[[Any], object]) -> Path:
    """Return weights.h5 of "default" that `edit` changed."""
    h5py = pytest.importorskip("h5py")
    raw = io.BytesIO((KERAS / "default.weights.h5").read_bytes())
    with h5py.File(raw, "r+") as file:
        edit(file)
    (folder / "model.weights.h5").write_bytes(raw.getvalue())
    return folder / "model.weights.h5"


FF1 = "layers/cf_c/cell/vars/0"


def _retype(file: Any, name: str, dtype: str) -> None:
    values = file[name][()]
    del file[name]
    file[name] = (100 * values).astype(dtype)


HDF5: dict[str, tuple[Callable[[Any], object], str]] = {
    "nan": (lambda f: f[FF1].__setitem__((1, 2), np.nan), rf"{FF1} holds 1 NaN .* at \[1, 2\]"),
    "infinite": (lambda f: f[FF1].__setitem__(0, -np.inf), f"{FF1} holds 4 NaN or infinite"),
    "integers": (lambda f: _retype(f, FF1, "int8"), f"{FF1} must be floats .* not int8"),
    "a softmax": (lambda f: f.create_group("layers/softmax"), "layers/softmax besides the cell"),
    "two inputs": (lambda f: f.create_group("layers/input_layer_1"), "input_layer_1 besides"),
    "a GRU": (lambda f: f.__delitem__("layers/cf_c/cell/vars/3"), "cell without vars/3"),
}


@pytest.mark.parametrize("case", HDF5)
def test_keras_weights_of_another_model_are_refused(case: str, tmp_path: Path) -> None:
    edit, message = HDF5[case]
    with pytest.raises(DataError, match=message):
        import_model(damaged_hdf5(tmp_path, edit), GATED)


def test_optimizer_and_dropout_are_no_obstacle(tmp_path: Path) -> None:
    def edit(file: Any) -> None:
        file["optimizer/vars/0"] = 3
        file["layers/dropout_1/seed_generator/vars/0"] = np.zeros(2, "uint32")

    import_model(damaged_hdf5(tmp_path, edit), GATED)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e300])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_weight_that_is_no_number_is_refused(suffix: str, value: float, tmp_path: Path) -> None:
    _, path = write_torch("default", tmp_path)
    state = {k: v.double() for k, v in torch.load(path, weights_only=True).items()}
    state["rnn_cell.time_b.bias"][3] = value
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    with pytest.raises(DataError, match=r"rnn_cell.time_b.bias holds 1 NaN .* at \[3\]"):
        import_model(path, GATED)


def test_a_stored_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    model = import_model(KERAS / "nogate.keras", ImportOptions())
    weights = dict(model.module.named_parameters())
    (name,) = (n for n in weights if n.endswith("time_a.bias"))
    weights[name].data[5] = float("nan")
    save_imported(tmp_path, model)
    with pytest.raises(DataError, match=rf"{name} holds 1 NaN .* at \[5\]; import it"):
        load_imported(tmp_path)


def test_negative_conductances_of_keras_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(KERAS / "ltc_auto.keras") as archive:
        config, raw = archive.read("config.json"), io.BytesIO(archive.read("model.weights.h5"))
    with pytest.importorskip("h5py").File(raw, "r+") as file:
        file["layers/ltc/cell/vars/2"][0] = -0.5
    (tmp_path / "weights").write_bytes(raw.getvalue())
    path = write_keras(tmp_path / "model.keras", config, tmp_path / "weights")
    with pytest.raises(DataError, match=r"negative conductances.*its constraints clip them"):
        import_model(path, ImportOptions())


def test_weights_that_are_no_floats_are_refused(tmp_path: Path) -> None:
    _, path = write_torch("default", tmp_path)
    state = torch.load(path, weights_only=True)
    torch.save({**state, "rnn_cell.ff1.bias": state["rnn_cell.ff1.bias"].char()}, path)
    with pytest.raises(DataError, match=r"rnn_cell.ff1.bias must be plain floats, not torch.int8"):
        import_model(path, GATED)
