"""Models of ncps come over with the same outputs, or are refused with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.cell_folder import load_cell, save_cell
from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.import_ncps import ImportOptions, import_ncps
from lnn_edge.networks.cell_model import run_real

KERAS = Path(__file__).parent / "keras"
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
    save_cell(tmp_path / "ours", *import_ncps(path, TORCH[name][1]))
    ours, _ = load_cell(tmp_path / "ours")
    frames = frames_of(3, 60)
    with torch.no_grad():
        wanted, _ = theirs(torch.from_numpy(frames))
    assert np.abs(run_real(ours, frames) - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize("batch", [1, 8])  # 8 units: there the library mixes up its axes
@pytest.mark.parametrize("name", ["default", "pure", "wired", "ltc"])
def test_elapsed_time_belongs_to_its_own_sequence(name: str, batch: int, tmp_path: Path) -> None:
    theirs, path = write_torch(name, tmp_path)
    ours, _ = import_ncps(path, replace(TORCH[name][1], dt=None))
    frames = frames_of(batch, 30)
    dt = np.random.default_rng(1).uniform(0.1, 3, (batch, 30, 1)).astype(np.float32)
    x, elapsed = torch.from_numpy(frames), torch.from_numpy(dt)
    state, wanted = torch.zeros(batch, theirs.state_size), []
    with torch.no_grad():
        for t in range(x.shape[1]):  # the library's cell, which takes (B, 1)
            output, state = theirs.rnn_cell(x[:, t], state, elapsed[:, t])
            wanted.append(theirs.fc(output) if hasattr(theirs, "fc") else output)
    got = run_real(ours, np.concatenate((frames, dt), axis=-1))
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
    model, _ = import_ncps(KERAS / f"{name}.weights.h5", KERAS_OPTIONS[name])
    assert np.abs(run_real(model, frames) - wanted).max() < 1e-5


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
    "tensor": (lambda path: torch.save(torch.zeros(3), path), "holds Tensor"),
    "stranger": (
        _edited(lambda s: {"conv.weight": torch.zeros(3), **s}),
        "conv.weight besides the cell",
    ),
    "two": (
        _edited(lambda s: {**s, **{f"other.{k}": v for k, v in s.items()}}),
        "holds 2 cells",
    ),
    "no cell": (_edited(lambda s: {"weight": torch.zeros(3)}), "holds 0 cells"),
    "no heads": (
        _edited(lambda s: {k: v for k, v in s.items() if "ff1" not in k}),
        "holds no ff1",
    ),
    "half": (_edited(lambda s: {k: v for k, v in s.items() if "ff2" not in k}), "no cell that"),
    "keras": (_write(b"\x89HDF\r\n\x1a\n" + bytes(50)), "damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    _, path = write_torch("default", tmp_path)
    damage, message = BAD_FILES[name]
    damage(path)
    with pytest.raises(DataError, match=message):
        import_ncps(path, GATED)


BAD_OPTIONS: list[tuple[str, ImportOptions, str]] = [
    ("default", ImportOptions(activation="lecun_tanh"), "does not tell its mode; give --mode"),
    ("default", ImportOptions(mode="default"), "activation of its backbone; give --activation"),
    ("default", replace(GATED, mode="pure"), "holds a gated cell"),
    ("pure", replace(GATED, mode="no_gate"), "holds a cell of mode pure"),
    ("default", replace(GATED, dt=0.0), "dt is 0.0 s"),
    ("default", replace(GATED, dt=float("nan")), "dt is nan s"),
    ("ltc", replace(LTC, unfolds=None), "give --unfolds"),
    ("ltc", replace(LTC, positivity=None), "--positivity"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD_OPTIONS)
def test_what_the_weights_do_not_tell_is_asked_for(
    name: str, options: ImportOptions, message: str, tmp_path: Path
) -> None:
    _, path = write_torch(name, tmp_path)
    with pytest.raises(UsageError, match=message):
        import_ncps(path, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not save its wiring; give --wiring"),
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
        import_ncps(KERAS / "wired.weights.h5", options)
