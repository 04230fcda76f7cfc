"""A factor that the weights behind it take in, so that no operator multiplies."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx, nn

from lnn_edge.nn.cells.convlstm2d import ConvLstm2d
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.quantize.lowering import Lowering
from lnn_edge.quantize.rules import views

Gains = dict[str, np.ndarray]


def take_in(lowering: Lowering, node: fx.Node, factor: np.ndarray) -> bool:
    """Let all that read a product with a constant take the factor into their weights.

    They do so where each is a matrix, or a convolution whose channels have one factor each. Views
    may lie between.

    Args:
        lowering: Its `gains` are set; the value of the node becomes that of what it multiplies.
        node: The product.
        factor: Broadcast as torch does.

    Returns:
        Whether they took it in.
    """
    first = next(n for n in node.all_input_nodes if n.op != "get_attr")
    sizes, found = lowering.plan.axes[first.name].sizes, Gains()
    try:
        whole = torch.from_numpy(np.broadcast_to(factor, sizes).copy())
    except ValueError:  # it differs from step to step
        return False
    if not _reach(lowering, node, whole, found):
        return False
    lowering.gains.update(found)
    lowering.values[node.name] = lowering.value(first)
    return True


def _reach(lowering: Lowering, node: fx.Node, gain: Tensor, found: Gains) -> bool:
    """Find the factors of all readers behind a node; return whether each takes them in."""
    plan = lowering.plan
    if node in plan.outputs.values() or any(node is stage.source for stage in plan.stages[1:]):
        return False
    readers = [n for n in node.users if n.name in plan.axes]  # the others ask for sizes
    return all(_read(lowering, reader, gain, found) for reader in readers)


def _read(lowering: Lowering, user: fx.Node, gain: Tensor, found: Gains) -> bool:
    plan, rule = lowering.plan, views.RULES.get(lowering.key(user))
    if any(user.name in stage.reads for stage in plan.stages):
        return False
    if rule is views.VIEW:
        return _reach(lowering, user, views.apply(lowering, user, gain), found)
    if rule is not None:
        return _reach(lowering, user, gain, found)
    static = plan.axes[user.all_input_nodes[0].name].static
    own = _of_channels(lowering.layer(user), gain.reshape(static).numpy())
    if own is None:
        return False
    found[user.name] = own
    return True


def _of_channels(layer: nn.Module | None, gain: np.ndarray) -> np.ndarray | None:
    """Return the factors (I,) of a layer's input channels; None where it takes none in."""
    if isinstance(layer, nn.Linear):
        return gain if gain.ndim == 1 else None
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.groups == 1:
        rows = gain.reshape(len(gain), -1)
    elif isinstance(layer, Recurrent) and isinstance(layer.cells[0], ConvLstm2d):
        rows = gain.reshape(-1, gain.shape[-1]).T
    else:
        return None
    return rows[:, 0].copy() if (rows == rows[:, :1]).all() else None
