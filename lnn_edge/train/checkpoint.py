"""A trained model on disk: `model.safetensors` and `model.toml` side by side; its float scores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.finite import check_finite
from lnn_edge.files.read import LARGEST_ARRAYS, read_toml, read_whole
from lnn_edge.files.write import write_together
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal, run_decisions
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.threads import one_thread
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.recipe import Preprocessing, Recipe, recipe_of

FORMAT = 1
CARD, WEIGHTS = "model.toml", "model.safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What model.toml says.

    Attributes:
        format: Version of this file.
        lnn_edge: Version of the tool that trained.
        seed: Seed of weights, batches and augmentation.
        weights_sha256: Hash of model.safetensors.
        training_records: Names of the recordings trained on.
        validation_records: Names of those held out.
        recipe: The recipe, whole.
        unlearned: Classes that no training data told of; None where that is not recorded.
        training_patients: Who was recorded in those trained on; empty in cards of before.
    """

    format: int
    lnn_edge: str
    seed: int
    weights_sha256: str
    training_records: tuple[str, ...]
    validation_records: tuple[str, ...]
    recipe: Recipe
    unlearned: tuple[str, ...] | None = None
    training_patients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A network with its weights, in evaluation mode, and its card."""

    network: AbstractStreamNet
    card: ModelCard


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
    digest = hashlib.sha256(weights).hexdigest()
    card = ModelCard(**{**card.__dict__, "weights_sha256": digest})
    values = {k: v for k, v in asdict(card).items() if v is not None}
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, {WEIGHTS: weights, CARD: tomli_w.dumps(values)}, force=force)
    return card


def load_trained(folder: Path) -> Trained:
    """Read a trained model.

    Raises:
        DataError: A file is missing, damaged, of another format, or they do not belong together.
    """
    try:
        values = read_toml(folder / "model.toml")
        weights = read_whole(folder / "model.safetensors", LARGEST_ARRAYS)
    except OSError as error:
        raise DataError(
            f"{folder}: no trained model ({error.strerror}: {Path(error.filename).name}); "
            "make one with `lnn-edge train`"
        ) from None
    except ValueError as error:
        raise DataError(f"{folder}/model.toml is damaged ({error}); train again") from None
    if values.get("format") != FORMAT:
        raise DataError(
            f"{folder}/model.toml has format {values.get('format')}, needed {FORMAT}; train again"
        )
    where = f"{folder}/model.toml"
    if "recipe" in values:
        values["recipe"] = _recipe(values["recipe"], where)
    card = tables.build(ModelCard, values, where, DataError)
    if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
        raise DataError(
            f"{folder}/model.safetensors is damaged or not the one of model.toml; train again"
        )
    network = make_network(card.recipe.network, card.recipe.model)
    try:
        tensors = load_tensors(weights)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{folder}/model.safetensors does not fit ({first}); train again") from None
    for name, tensor in tensors.items():
        what = f"{folder / 'model.safetensors'}: {name}"
        check_finite(what, tensor.float().numpy(), "train again, at a lower learning rate")
    network.eval()
    return Trained(network, card)


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
