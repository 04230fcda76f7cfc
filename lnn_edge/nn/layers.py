"""Recurrent layers of torch and ncps as cells, and layers that other packages register."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from lnn_edge.errors import DataError, LayerError, UsageError
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.ncps import ImportOptions, NcpsFile, liquid_of
from lnn_edge.nn.recurrent import Recurrent

MakeLayer = Callable[[Any], Recurrent]
"""Makes the recurrent layer, in evaluation mode, that a module of some type stands for."""
REGISTERED: dict[Any, Any] = {}
"""Rules of other packages, by type of layer or function."""
ACTIVATIONS = {
    "LeCun": "lecun_tanh",
    "Tanh": "tanh",
    "ReLU": "relu",
    "SiLU": "silu",
    "GELU": "gelu",
}


def with_cells(module: nn.Module) -> nn.Module:
    """Return a copy for evaluation in float32 whose recurrent layers are Recurrent.

    Raises:
        LayerError: A layer has a form that no device can run, or that is not known here.
    """
    module = copy.deepcopy(module).cpu().float().eval()
    for child in list(module.modules()):
        _settle_parametrizations(child)
    for name, child in list(module.named_modules()):
        make = MAKERS.get(_name_of(type(child)))
        if make is None:
            continue
        try:
            layer = make(child).eval()
        except (UsageError, DataError) as error:
            where = f"layer {name}" if name else "the module"
            raise LayerError(f"{where} ({type(child).__name__}): {error}") from None
        if not name:
            return layer
        owner, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(owner), attribute, layer)
    return module


def register(layer: Any, rule: Any) -> None:
    """Let a layer or function of another package become integer operators.

    Args:
        layer: Type of the layer, which then stays whole, or the function.
        rule: How it is lowered, a quantize.lowering.Rule.
    """
    REGISTERED[layer] = rule


def register_cell(layer: type[nn.Module], make: MakeLayer) -> None:
    """Let modules of a type become cells.

    Args:
        layer: The type itself; subclasses are not meant, since their forward may differ.
        make: Returns the layer of cells that computes the same.
    """
    MAKERS[_name_of(layer)] = make


def _name_of(layer: type) -> str:
    return f"{layer.__module__}.{layer.__qualname__}"


def _settle_parametrizations(module: nn.Module) -> None:
    """Make what weight_norm and its like compute the weight itself."""
    if not parametrize.is_parametrized(module):
        return
    names = list(module.parametrizations)  # type: ignore[arg-type]
    values = {name: getattr(module, name).detach() for name in names}
    # remove_parametrizations would change the class that the original shares with its copy.
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _of_ncps(layer: Any) -> Recurrent:
    """Return an ncps.torch CfC or LTC: its sizes and form are in the layer."""
    if not layer.batch_first:
        raise UsageError("batch_first is False; make it with batch_first=True")
    arrays = {k: v.detach().double().numpy() for k, v in layer.state_dict().items()}
    file = NcpsFile("torch", arrays)
    liquid = liquid_of(Path(type(layer).__name__), file, _form_of_ncps(layer.rnn_cell))
    cell, readout = liquid.make()
    last = not layer.return_sequences
    return Recurrent([cell], readout, last=last, dtype=liquid.sizes.dtype)


def _form_of_ncps(cell: Any) -> ImportOptions:
    if hasattr(cell, "_ode_unfolds"):
        positivity = "softplus" if cell._implicit_param_constraints else "clip"
        return ImportOptions(unfolds=cell._ode_unfolds, positivity=positivity)  # type: ignore[arg-type]
    first = cell._layers[0] if hasattr(cell, "_layers") else cell
    backbone = getattr(first, "backbone", None)
    activation = ACTIVATIONS[type(backbone[1]).__name__] if backbone else None
    return ImportOptions(mode=first.mode, activation=activation)  # type: ignore[arg-type]


def _of_torch(layer: nn.RNNBase) -> Recurrent:
    """Return an nn.LSTM or nn.GRU, a cell for each of its layers."""
    if layer.bidirectional:
        raise UsageError("bidirectional=True reads the future; make it with bidirectional=False")
    if not layer.batch_first:
        raise UsageError("batch_first is False; make it with batch_first=True")
    if layer.proj_size:
        raise UsageError("proj_size is not known here; put an nn.Linear behind the layer")
    is_lstm = isinstance(layer, nn.LSTM)
    cells = [_cell_of_torch(layer, index) for index in range(layer.num_layers)]
    return Recurrent(cells, result="with_memory" if is_lstm else "with_states")


def _of_elman(layer: nn.RNN) -> Recurrent:
    raise UsageError("its cell is not known here; take nn.GRU, nn.LSTM or a CfC")


def _cell_of_torch(layer: nn.RNNBase, index: int) -> nn.Module:
    sizes = (layer.hidden_size if index else layer.input_size, layer.hidden_size)
    cell = LstmCell(*sizes) if isinstance(layer, nn.LSTM) else Gru(*sizes)
    one: nn.RNNBase = (nn.LSTM if isinstance(layer, nn.LSTM) else nn.GRU)(*sizes)
    zeros = {name: torch.zeros_like(value) for name, value in one.state_dict().items()}
    own = {
        name.removesuffix(f"_l{index}") + "_l0": value
        for name, value in layer.state_dict().items()
        if name.endswith(f"_l{index}")
    }
    one.load_state_dict(zeros | own)  # a layer without bias has one of zeros
    cell.load_torch(one)  # type: ignore[arg-type]
    return cell


MAKERS: dict[str, MakeLayer] = {
    _name_of(nn.LSTM): _of_torch,
    _name_of(nn.GRU): _of_torch,
    _name_of(nn.RNN): _of_elman,
    "ncps.torch.cfc.CfC": _of_ncps,  # by name: ncps is no dependency
    "ncps.torch.ltc.LTC": _of_ncps,
}
"""How a module of a type, by its name, becomes a recurrent layer."""
