"""State dicts of several layers, of LSTM and GRU, and checkpoints; torch itself is the witness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from torch import Tensor, nn

from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.nn.imported import load_imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions

INPUT = 3
GATED = ImportOptions(mode="default", activation="lecun_tanh")


class Net(nn.Module):
    """Recurrent layers one behind the other, then a Linear if there is one."""

    def __init__(self, first: nn.Module, second: nn.Module | None, head: nn.Module | None) -> None:
        super().__init__()
        self.zeta, self.alpha, self.head = first, second, head

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.zeta, self.alpha):
            x = x if layer is None else layer(x)[0]
        return x if self.head is None else self.head(x)  # type: ignore[no-any-return]


def net_of(name: str) -> nn.Module:
    ncps = pytest.importorskip("ncps.torch")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        makes: dict[str, Callable[[], nn.Module]] = {
            "lstm": lambda: Net(nn.LSTM(INPUT, 5, 2, batch_first=True), None, nn.Linear(5, 2)),
            "gru": lambda: Net(nn.GRU(INPUT, 5, bias=False), None, nn.Linear(5, 2, bias=False)),
            "gru lstm": lambda: Net(nn.GRU(INPUT, 4, batch_first=True), nn.LSTM(4, 5), None),
            "two cfc": lambda: Net(ncps.CfC(INPUT, 6), ncps.CfC(6, 4), nn.Linear(4, 2)),
            "gru cfc": lambda: Net(nn.GRU(INPUT, 6), ncps.CfC(6, 4, proj_size=3), nn.Linear(3, 2)),
            "same sizes": lambda: Net(nn.GRU(INPUT, INPUT), nn.LSTM(INPUT, INPUT), None),
        }
        net = makes[name]()
    for module in net.modules():
        if isinstance(module, nn.RNNBase):
            module.batch_first = True
    return net.eval()


def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 30, INPUT)).astype(np.float32)


def error_of(path: Path, net: nn.Module, options: ImportOptions) -> float:
    with torch.no_grad():
        wanted = net(torch.from_numpy(frames())).numpy()
    return float(np.abs(import_model(path, options).run(frames()) - wanted).max())


def options_of(name: str) -> ImportOptions:
    return GATED if "cfc" in name else ImportOptions()


WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "state": lambda net: net.state_dict(),
    "parameters": lambda net: dict(net.named_parameters()),
    "variables": lambda net: net.state_dict(keep_vars=True),
    "checkpoint": lambda net: {
        "epoch": 7,
        "model_state_dict": net.state_dict(),
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
    },
    "beside an average": lambda net: {"state_dict": net.state_dict(), "ema": net.state_dict()},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["lstm", "two cfc"])
def test_every_way_to_save_gives_torchs_outputs(name: str, way: str, tmp_path: Path) -> None:
    net = net_of(name)
    torch.save(WAYS[way](net), tmp_path / "net.pt")
    assert error_of(tmp_path / "net.pt", net, options_of(name)) < 1e-5


@pytest.mark.parametrize("name", ["gru", "gru lstm", "gru cfc", "same sizes"])
def test_layers_follow_each_other_as_in_the_module(name: str, tmp_path: Path) -> None:
    net = net_of(name)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert error_of(tmp_path / "net.pt", net, options_of(name)) < 1e-5


def test_a_file_that_sorts_its_layers_is_put_in_order_by_their_sizes(tmp_path: Path) -> None:
    net, path = net_of("gru lstm"), tmp_path / "net.safetensors"
    pytest.importorskip("safetensors.torch").save_file(net.state_dict(), path)
    assert error_of(path, net, ImportOptions()) < 1e-5


def test_an_order_that_no_file_tells_is_asked_for(tmp_path: Path) -> None:
    net, path = net_of("same sizes"), tmp_path / "net.safetensors"
    pytest.importorskip("safetensors.torch").save_file(net.state_dict(), path)
    with pytest.raises(UsageError, match="can follow each other in 2 ways; give --layers"):
        import_model(path, ImportOptions())
    assert error_of(path, net, ImportOptions(layers=("zeta", "alpha"))) < 1e-5
    with pytest.raises(UsageError, match="--layers must name each once"):
        import_model(path, ImportOptions(layers=("zeta",)))


class Ruin:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ruined"),))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "both ways": (lambda: nn.LSTM(3, 4, bidirectional=True).state_dict(), "reads the future"),
    "projected": (lambda: nn.LSTM(3, 4, proj_size=2).state_dict(), "no LSTM or GRU without a proj"),
    "plain rnn": (lambda: nn.RNN(3, 4).state_dict(), "no LSTM or GRU"),
    "two linear": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).state_dict(),
        "such as an activation, no state dict tells",
    ),
    "convolution": (lambda: nn.Conv1d(3, 4, 2).state_dict(), "of such a layer a state dict tells"),
    "two models": (
        lambda: {"a": nn.GRU(3, 4).state_dict(), "b": nn.GRU(3, 4).state_dict()},
        r"holds 2 state dicts \(a, b\)",
    ),
    "no model": (lambda: {"epoch": 3}, r"holds 0 state dicts \(none\)"),
    "code": (lambda: {"state_dict": Ruin()}, "holds code, which is not run"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_known_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = REFUSED[case]
    torch.save(make(), tmp_path / "net.pt")
    with pytest.raises(LnnEdgeError, match=message):
        import_model(tmp_path / "net.pt", ImportOptions())
    assert not (tmp_path / "ruined").exists()


def test_all_questions_are_asked_at_once(tmp_path: Path) -> None:
    torch.save(net_of("two cfc").state_dict(), tmp_path / "net.pt")
    with pytest.raises(UsageError) as caught:
        import_model(tmp_path / "net.pt", ImportOptions())
    said = str(caught.value)
    assert "does not tell its mode and the activation of its backbone; give --mode" in said
    assert said.count("--activation") == said.count("--mode default") == 1


def test_elapsed_time_needs_a_layer_that_reads_it(tmp_path: Path) -> None:
    torch.save(nn.GRU(3, 4).state_dict(), tmp_path / "net.pt")
    with pytest.raises(UsageError, match="no layer reads elapsed time; leave --dt input out"):
        import_model(tmp_path / "net.pt", ImportOptions(dt=None))


@pytest.mark.parametrize("mapping", ["linear", "affine", None])
def test_every_mapping_of_an_ltc_comes_over(mapping: str | None, tmp_path: Path) -> None:
    ncps = pytest.importorskip("ncps.torch")
    layer = ncps.LTC(INPUT, 6, input_mapping=mapping, output_mapping=mapping).eval()
    net = Net(layer, None, None)
    torch.save(layer.state_dict(), tmp_path / "ltc.pt")
    options = ImportOptions(unfolds=6, positivity="softplus")
    assert error_of(tmp_path / "ltc.pt", net, options) < 1e-5


@pytest.mark.parametrize(
    ("file", "given", "name"),
    [
        ("policy.pt", None, "policy"),
        ("my-net v2.pt", None, "my_net_v2"),
        ("2.pt", None, "model_2"),
        ("main.pt", None, "model_main"),
        ("policy.pt", "steer", "steer"),
    ],
)
def test_the_prefix_follows_the_file_or_its_option(
    file: str, given: str | None, name: str, tmp_path: Path
) -> None:
    torch.save(nn.GRU(3, 4).state_dict(), tmp_path / file)
    assert import_model(tmp_path / file, ImportOptions(name=given)).card.name == name


def test_a_name_that_c_keeps_is_refused(tmp_path: Path) -> None:
    torch.save(nn.GRU(3, 4).state_dict(), tmp_path / "net.pt")
    with pytest.raises(UsageError, match="--name int is not a C identifier of your own"):
        import_model(tmp_path / "net.pt", ImportOptions(name="int"))


def test_an_import_of_before_names_the_command_that_renews_it(tmp_path: Path) -> None:
    card = {"format": 1, "cell": "cfc", "source": "policy.pt", "weights_sha256": "00"}
    (tmp_path / "model.toml").write_text(tomli_w.dumps(card))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"format 2, not 1; .*lnn-edge import policy.pt -o .* --force"
    ):
        load_imported(tmp_path)
