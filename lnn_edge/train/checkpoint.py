"""A trained model: its card, its weights, and its scores in floating point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.finite import check_finite
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal, run_decisions
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.model_card import Kind, read_model, write_model
from lnn_edge.nn.threads import one_thread
from lnn_edge.tasks.registry import described_task, find_network, make_network
from lnn_edge.tasks.task import Task
from lnn_edge.train.recipe import Preprocessing, Recipe, recipe_of

KIND: Kind = "trained"
Preparing = Callable[
    [AbstractStreamNet, Sequence[LabelledSignal], Preprocessing], list[DecisionSequence]
]
"""Network, recordings, and by what they are prepared -> its inputs of every decision; prepare."""


@dataclass(frozen=True)
class ModelCard:
    """What model.toml says.

    Attributes:
        lnn_edge: Version of the tool that trained.
        seed: Seed of weights, batches and augmentation.
        weights_sha256: Hash of model.safetensors.
        training_records: Names of the recordings trained on.
        validation_records: Names of those held out.
        recipe: The recipe, whole.
        unlearned: Classes that no training data labelled; None where that is not recorded.
        training_patients: Who was recorded in those trained on; empty in cards of before.
        task: What it was trained for, whole; empty in cards of before.
        data: Own recordings: where, how they were read and what was done to them.
        result: How training ended: `epoch` whose weights these are, `epochs` done, `chosen_by` a
            figure or "last", its `loss`, and `held_out` figures; empty in cards of before.
        beside_records: Names of the recordings of the recipe's other data set.
        beside_patients: Who was recorded in those.
    """

    lnn_edge: str
    seed: int
    weights_sha256: str
    training_records: tuple[str, ...]
    validation_records: tuple[str, ...]
    recipe: Recipe
    unlearned: tuple[str, ...] | None = None
    training_patients: tuple[str, ...] = ()
    task: dict[str, object] = field(default_factory=dict)
    data: dict[str, object] = field(default_factory=dict)
    result: dict[str, object] = field(default_factory=dict)
    beside_records: tuple[str, ...] = ()
    beside_patients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A network with its weights, in evaluation mode, and its card."""

    network: AbstractStreamNet
    card: ModelCard

    @property
    def task(self) -> Task:
        """What it was trained for."""
        return task_of_card(self.card)


def save_trained(
    folder: Path, network: AbstractStreamNet, card: ModelCard, *, force: bool = False
) -> ModelCard:
    """Write both files or none; return the card with the weights' hash.

    Args:
        folder: Where they go; the caller is alone in it.
        network: Whose weights.
        card: Of the model.
        force: Whether to replace another model.

    Raises:
        UsageError: Another model is there.
    """
    weights = save_tensors({k: v.contiguous().cpu() for k, v in network.state_dict().items()})
    values = {k: v for k, v in asdict(card).items() if v is not None and v != {}}
    return replace(card, weights_sha256=write_model(folder, KIND, values, weights, force=force))


def load_trained(folder: Path) -> Trained:
    """Read a trained model.

    Raises:
        DataError: A file is missing, damaged, of another format, or they do not belong together.
    """
    stored = read_model(folder, KIND)
    where, values = stored.where, stored.values
    if "recipe" in values:
        values["recipe"] = _recipe(values["recipe"], where)
    card = tables.build(ModelCard, values, where, DataError)
    task = task_of_card(card)
    network = make_network(card.recipe.network, card.recipe.model, task)
    try:
        tensors = load_tensors(stored.weights)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{folder}/model.safetensors does not fit ({first}); train again") from None
    for name, tensor in tensors.items():
        what = f"{folder / 'model.safetensors'}: {name}"
        check_finite(what, tensor.float().numpy(), "train again, at a lower learning rate")
    network.eval()
    return Trained(network, card)


def task_of_card(card: ModelCard) -> Task:
    """Return the task of a card; one without it is of the task that its network was made for.

    Raises:
        DataError: What the card describes is no task.
    """
    if card.task:
        return described_task(card.task, "task of the card")
    return find_network(card.recipe.network)[1]


def facts_of(trained: Trained) -> dict[str, object]:
    """Return what a user of a model's inputs must know; see AbstractStreamNet.facts."""
    facts, lead = dict(trained.network.facts), trained.card.recipe.lead
    if lead:
        facts["leads"] = [lead, *cast("list[str]", facts["leads"])[1:]]
    return facts


def _recipe(values: object, where: str) -> Recipe:
    try:
        return recipe_of(values, f"{where}: recipe")
    except UsageError as error:
        raise DataError(str(error)) from None


def prepare(
    network: AbstractStreamNet,
    recordings: Sequence[LabelledSignal],
    preprocessing: Preprocessing = "causal",
) -> list[DecisionSequence]:
    """Return the network's integer inputs of every decision.

    Args:
        network: Its front end is the one on the board.
        recordings: Of its task.
        preprocessing: "causal" is that front end, "whole-record" see published_columns.

    Raises:
        UsageError: The network cannot be prepared so, or a package is missing.
    """
    if preprocessing == "whole-record":
        from lnn_edge.tasks.findings.whole_record import prepare_windows

        return prepare_windows(network, recordings)
    return run_decisions(network.front, recordings, tuple(t.name for t in network.inputs))


def real_inputs(network: AbstractStreamNet, sequence: DecisionSequence) -> dict[str, Tensor]:
    """Return the network's inputs of one sequence in real units, (D, *shape) float32."""
    return {t.name: in_real_units(t, sequence.values[t.name]) for t in network.inputs}


def in_real_units(tensor: QTensor, values: np.ndarray) -> Tensor:
    """Return float32 of integers of a tensor, (..., *shape)."""
    return torch.from_numpy(tensor.dequantize(values)).float()


def _scores(network: AbstractStreamNet, sequence: DecisionSequence) -> np.ndarray:
    if not len(sequence.stamps):  # as in a recording without a beat
        return np.zeros((0, len(network.classes)))
    inputs = {k: v[None] for k, v in real_inputs(network, sequence).items()}
    scores: np.ndarray = network(**inputs)[0].double().numpy()
    return scores


def float_scores(
    network: AbstractStreamNet, sequences: Sequence[DecisionSequence]
) -> list[np.ndarray]:
    """Return the scores (D, classes) of each sequence, each from a reset."""
    network.eval()
    with torch.no_grad(), one_thread():
        return [_scores(network, s) for s in sequences]
