"""What the network of a recipe takes on a board, told before it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from lnn_edge.codegen.library import core_named
from lnn_edge.codegen.plan import generate
from lnn_edge.device.board import Board
from lnn_edge.errors import MissingToolError, UsageError
from lnn_edge.files.version import VERSION
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.registry import make_network
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import document_of
from lnn_edge.train.checkpoint import ModelCard, Trained
from lnn_edge.train.recipe import Recipe
from lnn_edge.verify.analysis import analyze

_SPREAD = 0.05  # of weights that are not trained


@dataclass(frozen=True)
class Sizes:
    """What a model takes, in bytes; what a compiler must tell is None without one.

    Attributes:
        constants: Weights, factors and tables.
        flash: Of the whole firmware.
        ram: Of the whole firmware, with its worst-case stack.
        instructions: Of a decision with its samples; None also where they cannot be counted.
    """

    constants: int
    flash: int | None = None
    ram: int | None = None
    instructions: int | None = None


@dataclass(frozen=True)
class Limits:
    """What a model may take.

    Attributes:
        flash: Bytes; None for no limit.
        ram: Bytes, with the worst-case stack.
        instructions: Of a decision.
    """

    flash: int | None = None
    ram: int | None = None
    instructions: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep."""
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise UsageError(f"the limit of {name} must be positive, not {value}")

    @property
    def given(self) -> dict[str, int]:
        """Those that there are, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def exceeded(self, sizes: Sizes) -> Iterator[str]:
        """Yield a sentence for each limit that a model is over.

        Raises:
            UsageError: It is not known what a limit is about.
        """
        for name, limit in self.given.items():
            size: int | None = getattr(sizes, name)
            if size is None:
                raise UsageError(f"{name} cannot be counted here; leave --max-{name} out")
            if size > limit:
                yield f"{name} {size:,}, {size - limit:,} more than the limit"


def untrained_graph(recipe: Recipe, task: Task, recordings: Sequence[LabelledSignal]) -> QGraph:
    """Return the integer graph of a network with fresh weights: it has the shapes of a trained one.

    Args:
        recipe: Of a plan.
        task: Of the plan.
        recordings: A few to calibrate on.

    Raises:
        UsageError: The network cannot be made.
        QuantizationError: It has no place on a device.
    """
    with torch.random.fork_rng(), one_thread():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model, task)
        _scatter(network)
        network.eval()
        card = ModelCard(VERSION, 0, "", (), (), recipe, task=document_of(task))
        return quantize(Trained(network, card), recordings)


def _scatter(network: torch.nn.Module) -> None:
    """Move every weight a little: of equal arrays, such as biases of 0, C has one for all."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(_SPREAD * torch.randn_like(weight))
        for name, value in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.add_(_SPREAD * torch.rand_like(value))


def sizes_of(graph: QGraph, board: Board, *, is_limited: bool) -> Sizes:
    """Return what a model takes.

    Args:
        graph: The model.
        board: Whose firmware is built and measured, see verify.analysis.
        is_limited: Whether what the compiler tells must be known.

    Raises:
        MissingToolError: It must be, and there is no compiler or no emulator.
    """
    code = generate(graph, core_named(board.mcu.cpu))
    known = Sizes(sum(array.nbytes for array in code.constants.values()))
    try:
        (found,) = analyze(graph, [board])
    except MissingToolError:
        if is_limited:
            raise
        return known
    ram = found.ram_bytes + found.stack_bytes
    return replace(known, flash=found.flash_bytes, ram=ram, instructions=found.instructions)
