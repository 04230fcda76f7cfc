"""Recipes: everything that defines a training, as TOML. No torch here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from lnn_edge.errors import UsageError
from lnn_edge.files import tables
from lnn_edge.files.names import model_name_fault, shown
from lnn_edge.files.read import read_toml
from lnn_edge.tasks.augmentation import AbstractAugmentation
from lnn_edge.tasks.registry import find_network, find_task
from lnn_edge.tasks.task import Task, resolve
from lnn_edge.train.beside import Beside
from lnn_edge.train.recipe_values import completed, override

Preprocessing = Literal["causal", "whole-record"]
FOLDER = Path(__file__).parent / "recipes"
_LARGEST = sys.float_info.max
LARGEST_SIZE = 4096  # of a layer: its weights alone would fill any board
_RANGES = {  # of numbers that are not just 0 or more
    "epochs": (1, 1 << 20),
    **dict.fromkeys(("batch_size", "sequence_length", "sequences"), (1, 1 << 16)),
    "fibrillating": (0, 1 << 16),
    **dict.fromkeys(("label_smoothing", "average_decay", "splice", "record_share"), (0, 1)),
}


@dataclass(frozen=True)
class Training:
    """Optimisation.

    Attributes:
        epochs: Passes over the data; the learning rate follows one cycle over all of them.
        batch_size: Sequences per step.
        sequence_length: Decisions per sequence; each starts at a random one, from a reset.
        burn_in: First decisions of a sequence without loss: the cell has not settled there.
        learning_rate: Peak of the cycle.
        weight_decay: Of AdamW.
        class_weight_power: Weight of a class in the loss is (all / its count) ** power.
        auxiliary_weight: Weight of the loss of a decision alone, without the cell.
        label_smoothing: Of the cross entropy.
        average_decay: Decay of the exponential average of the weights that is kept.
        merge: Classes that count as another one in the loss, by name: { F = "N" }.
        class_weights: Factors on the weights of classes, by name.
        best_by: Which epoch's weights are kept: "" of the last, else of the best on the recordings
            held out, by "main", the main figure of the task, or by a figure of history.csv.
        patience: Epochs without a better one after which training ends; 0 is never.
        aware_epochs: Last epochs in which the network learns from what its integers say, see
            quantize.aware.
        splice: Chance that a sequence goes on, from a random decision on, with another stretch of
            its recording: so the order of a protocol is not learned. The front end's own memory
            is not spliced.
        record_share: Part of the loss that judges a sequence as a record is judged, by the mean of
            its scores, and not each decision: a sign that shows now and then need not show always.
        recordings: How many are learned from, a random part that is the same each time and in
            which every smaller one lies; 0 is all.
    """

    epochs: int
    batch_size: int
    sequence_length: int
    burn_in: int
    learning_rate: float
    weight_decay: float
    class_weight_power: float
    auxiliary_weight: float
    label_smoothing: float
    average_decay: float
    merge: dict[str, str] = field(default_factory=dict)
    class_weights: dict[str, float] = field(default_factory=dict)
    best_by: str = ""
    patience: int = 0
    aware_epochs: int = 0
    splice: float = 0.0
    record_share: float = 0.0
    recordings: int = 0


@dataclass(frozen=True)
class Recipe:
    """A training from data set to network.

    Attributes:
        name: Name of the model.
        network: Name of a network of a task.
        dataset: Name in the data registry, or a path of own recordings; "" where it must be given.
        model: Sizes, as the network defines them.
        training: Optimisation.
        augmentation: Random changes.
        preprocessing: What the network learns from: "causal" is the front end on the board,
            "whole-record" the published one of 12-lead ECGs, which no stream can have.
        lead: Of ECGs with beats, the lead that comes first; "" is MLII.
        summary: What it is for, in a line.
        task: Name of the task, or its TOML file; "" is the one that the network was made for.
        beside: Another data set that is learned from too.
    """

    name: str
    network: str
    dataset: str = field(default="", kw_only=True)
    model: dict[str, object]
    training: Training
    augmentation: AbstractAugmentation
    preprocessing: Preprocessing = "causal"
    lead: str = ""
    summary: str = ""
    task: str = ""
    beside: Beside = field(default_factory=Beside)


def compressed(recipe: Recipe) -> Recipe:
    """Return the recipe with a smaller front end, whose kernel shrinks with it.

    Raises:
        UsageError: Its network has no spectrum that could be cut.
    """
    network, _ = find_network(recipe.network)
    if not network.compressed:
        raise UsageError(
            f"recipe {recipe.name} cannot be compressed: {recipe.network} reads no spectrum; "
            "choose smaller sizes in its [model]"
        )
    return replace(recipe, model={**recipe.model, **network.compressed})


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """Return a built-in recipe, or the one in a TOML file.

    What the file leaves out is taken from the built-in recipe that is called like its network.

    Args:
        name: Of a built-in recipe, or a .toml file.
        settings: "key=value" in place of what it says; see recipe_values.override.

    Raises:
        UsageError: No such recipe, or a key in it is wrong.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    values = _read(path, name)
    base = FOLDER / f"{values.get('network')}.toml"
    if base.name in {p.name for p in FOLDER.glob("*.toml")}:
        values = completed(values, read_toml(base))
    return recipe_of(override(values, settings), str(path.name))


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileNotFoundError:
        near = get_close_matches(name, builtin_recipes(), cutoff=0) or builtin_recipes()
        raise UsageError(
            f"no recipe {name!r}; built in: {', '.join(near)}; or give a .toml file"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); give a .toml file") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def recipe_of(values: object, where: str) -> Recipe:
    """Return the recipe in a parsed TOML table.

    Raises:
        UsageError: A key, type or value is wrong.
    """
    recipe = tables.build(Recipe, _with_augmentation(values, where), where, UsageError)
    name, plan = recipe.name, recipe.training
    if model_name_fault(name):
        raise UsageError(
            f"{where}: name must be a C identifier such as my_model, no word or header of "
            f"C, not {shown(repr(name))}"
        )
    _check_numbers(plan, f"{where}: training")
    _check_numbers(recipe.augmentation, f"{where}: augmentation")
    _check_numbers(recipe.beside, f"{where}: beside")
    if plan.patience and not plan.best_by:
        raise UsageError(
            f"{where}: training: patience waits for a better epoch; say by which figure, "
            'best_by = "main"'
        )
    if plan.aware_epochs > plan.epochs:
        raise UsageError(
            f"{where}: training: aware_epochs must be at most epochs, which is {plan.epochs}, not "
            f"{plan.aware_epochs}"
        )
    for key, size in recipe.model.items():
        if isinstance(size, int) and abs(size) > LARGEST_SIZE:
            raise UsageError(f"{where}: model: {key} must be at most {LARGEST_SIZE}, not {size}")
    if plan.burn_in >= plan.sequence_length:
        raise UsageError(
            f"{where}: training: burn_in must be less than sequence_length, which is "
            f"{plan.sequence_length}, not {plan.burn_in}"
        )
    return recipe


def _with_augmentation(values: object, where: str) -> object:
    """Return the table with its [augmentation] built as the network or its own task has it."""
    if not isinstance(values, dict) or "network" not in values:
        return values
    network, task = find_network(str(values["network"]))
    kind = resolve(network.augmentation or task.augmentation)
    table = values.get("augmentation", {} if not fields(kind) else None)
    if table is None:
        return values
    made = tables.build(kind, table, f"{where}: augmentation", UsageError)
    return {**values, "augmentation": made}


def _check_numbers(table: Training | AbstractAugmentation | Beside, where: str) -> None:
    numbers = {k: v for k, v in vars(table).items() if isinstance(v, int | float)}
    factors = table.class_weights if isinstance(table, Training) else {}
    parts = table.probabilities if isinstance(table, AbstractAugmentation) else ()
    ranges = _RANGES | dict.fromkeys(parts, (0, 1))
    for key, value in [*numbers.items(), *((f"class_weights: {k}", v) for k, v in factors.items())]:
        low, high = ranges.get(key, (0, _LARGEST))
        if not low <= value <= high:
            needed = f"at least {low}" if high == _LARGEST else f"{low} to {high}"
            raise UsageError(f"{where}: {key} must be {needed}, not {value}")


def task_of_recipe(recipe: Recipe) -> Task:
    """Return the task that a recipe names, or the one that its network was made for.

    Raises:
        DataError: There is no such task.
    """
    return find_task(recipe.task) if recipe.task else find_network(recipe.network)[1]


def builtin_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(p.stem for p in FOLDER.glob("*.toml"))
