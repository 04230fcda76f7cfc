"""What a sweep runs: settings checked, recordings read once and networks measured beforehand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lnn_edge.data.published import DATA_VARIABLE
from lnn_edge.data.registry import find_dataset
from lnn_edge.device.board import load_board
from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.sweep.settings import Setting, combinations
from lnn_edge.sweep.sizes import Limits, Sizes, sizes_of, untrained_graph
from lnn_edge.sweep.trial import Recordings, Trial, code_version, digest_of
from lnn_edge.tasks.own_split import FOLD_COUNT
from lnn_edge.tasks.registry import make_network
from lnn_edge.tasks.task import Task
from lnn_edge.train.own import plan_own
from lnn_edge.train.plan import adjusted
from lnn_edge.train.recipe import Recipe, task_of_recipe

MOST_SEED = 2**32 - 1
_CALIBRATED = 2  # recordings that a network is measured on: its size does not depend on them


@dataclass(frozen=True)
class Asked:
    """What a user wants of a sweep.

    Attributes:
        recipe: Name of a built-in recipe, or a TOML file.
        recordings: From where.
        choices: "key=value,value" each; see settings.combinations.
        folds: How many, from the first; None is all.
        seeds: Of each setting and fold.
        limits: What a setting may take to be trained.
        board: Whose firmware is measured.
    """

    recipe: str
    recordings: Recordings = Recordings()  # noqa: RUF009
    choices: tuple[str, ...] = ()
    folds: int | None = None
    seeds: tuple[int, ...] = (0,)
    limits: Limits = Limits()  # noqa: RUF009
    board: str = "stm32f746"


@dataclass(frozen=True)
class Planned:
    """One setting of a sweep.

    Attributes:
        setting: What is set.
        recipe: With it.
        sizes: What its network takes.
        refused: Which limit that is over; "" where it is trained.
        trials: Of each seed, a trial a fold; none where it is refused.
    """

    setting: Setting
    recipe: Recipe
    sizes: Sizes
    refused: str
    trials: Mapping[int, tuple[Trial, ...]]


@dataclass(frozen=True)
class Plan:
    """A sweep that can begin.

    Attributes:
        recipe: As it was asked for.
        task: What is judged.
        folds: How many.
        settings: All of them.
    """

    recipe: str
    task: Task
    folds: int
    settings: tuple[Planned, ...]

    def name(self, setting: Setting) -> str:
        """Return what tells a setting from the others, in words."""
        first = self.settings[0].setting
        sets = zip(setting, *(p.setting for p in self.settings), strict=True)
        varied = [mine for mine, *all_ in sets if len(set(all_)) > 1]
        return " ".join(varied or first) or "as the recipe says"

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them: a fold of every setting before the next fold."""
        each = [t for s in self.settings for those in s.trials.values() for t in those]
        return tuple(sorted(each, key=lambda trial: (trial.seed, trial.fold)))


@dataclass(frozen=True)
class _Read:
    """What a sweep must know of recordings: a hash of each fold, and a few to measure on."""

    digests: tuple[str, ...]
    few: tuple[LabelledSignal, ...] = field(repr=False)


def plan_sweep(asked: Asked, on_step: Callable[[str], None] = lambda _: None) -> Plan:
    """Check every setting, read the recordings, and measure what each network takes.

    Args:
        asked: What is wanted.
        on_step: Called before something that takes a while, with words for it.

    Raises:
        UsageError: A setting, fold, seed or limit is wrong, or every setting is over a limit.
        DataError: The recordings cannot be read.
        MissingToolError: A limit is given, and no compiler that could tell.
    """
    _check_seeds(asked.seeds)
    board, data = load_board(asked.board), _everywhere(asked.recordings)
    settings = combinations(asked.choices)
    recipes = [_everywhere_too(adjusted(asked.recipe, setting)) for setting in settings]
    _check_comparable(settings, recipes)
    made = [_made(recipe, data) for recipe in recipes]
    folds = _folds(recipes[0], data, asked.folds)
    read: dict[tuple[object, ...], _Read] = {}
    sizes: dict[str, Sizes] = {}
    planned = []
    for setting, recipe, (made_recipe, task) in zip(settings, recipes, made, strict=True):
        beside, part = recipe.beside, recipe.training.recordings
        which = recipe.network, recipe.lead, beside.dataset, beside.lead, part
        if which not in read:
            on_step("reading recordings")
            read[which] = _read(recipe, data, folds)
        network = repr((recipe.network, sorted(made_recipe.model.items()), recipe.lead))
        if network not in sizes:
            on_step("measuring a network")
            graph = untrained_graph(made_recipe, task, read[which].few)
            sizes[network] = sizes_of(graph, board, is_limited=bool(asked.limits.given))
        refused = "; ".join(asked.limits.exceeded(sizes[network]))
        seeds = () if refused else asked.seeds
        trials = {s: _trials(recipe, data, s, read[which].digests) for s in seeds}
        planned.append(Planned(setting, recipe, sizes[network], refused, trials))
    _check_any(planned)
    return Plan(asked.recipe, made[0][1], folds, tuple(planned))


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError("seeds must be one or more different numbers, as 0,1,2")
    strange = next((s for s in seeds if not 0 <= s <= MOST_SEED), None)
    if strange is not None:
        raise UsageError(f"a seed must be 0 to {MOST_SEED}, not {strange}")


def _everywhere(recordings: Recordings) -> Recordings:
    """Return recordings by paths that hold in every process."""
    place = recordings.data_dir or os.environ.get(DATA_VARIABLE)
    source, about = recordings.source, recordings.asked
    if source is not None:
        source = replace(source, path=source.path.absolute())
    if about.labels is not None:
        about = replace(about, labels=about.labels.absolute())
    about = replace(about, task=_path(about.task))
    data_dir = str(Path(place).absolute()) if place else None
    return replace(recordings, source=source, asked=about, data_dir=data_dir)


def _everywhere_too(recipe: Recipe) -> Recipe:
    return replace(recipe, task=_path(recipe.task))


def _path(task: str) -> str:
    """Return the absolute path of a task's file; the name of a task as it is."""
    return str(Path(task).absolute()) if task.endswith(".toml") else task


def _check_comparable(settings: Sequence[Setting], recipes: Sequence[Recipe]) -> None:
    """Refuse settings that are the same, or judged by other labels."""
    first, seen = recipes[0], list[Recipe]()
    for setting, recipe in zip(settings, recipes, strict=True):
        told = " ".join(shown(pair) for pair in setting)
        if recipe in seen:
            raise UsageError(f"--set {told} is the same as another setting; leave one out")
        seen.append(recipe)
        if (recipe.dataset, recipe.task) != (first.dataset, first.task):
            raise UsageError(
                f"--set {told} has other recordings or another task, and figures do not compare; "
                "sweep each by itself"
            )


def _made(recipe: Recipe, data: Recordings) -> tuple[Recipe, Task]:
    """Return the recipe and task of a training, its network seen to be possible."""
    if data.source is None:
        task = task_of_recipe(recipe)
    else:
        recipe, task, _ = plan_own(recipe, data.source, data.asked)
    make_network(recipe.network, recipe.model, task)
    return recipe, task


def _folds(recipe: Recipe, data: Recordings, wanted: int | None) -> int:
    """Return how many folds are held out, one after the other."""
    name = data.dataset or recipe.dataset
    if data.source is None and not name:
        raise UsageError(f"recipe {recipe.name} names no data set; give --data PATH")
    most = FOLD_COUNT if data.source is not None else find_dataset(name).fold_count
    if most == 0:
        raise UsageError(
            f"{name} has no folds to judge settings by; give a data set that has, or "
            "own recordings with --data PATH"
        )
    if wanted is not None and not 1 <= wanted <= most:
        raise UsageError(f"there are 1 to {most} folds, not {wanted}; give --folds {most}")
    return wanted or most


def _read(recipe: Recipe, data: Recordings, folds: int) -> _Read:
    digests, few = [], list[LabelledSignal]()
    for fold in range(folds):
        plan = data.plan(recipe, fold)
        digests.append(digest_of(plan))
        few = few or [plan.training[i] for i in range(min(_CALIBRATED, len(plan.training)))]
    return _Read(tuple(digests), tuple(few))


def _trials(
    recipe: Recipe, data: Recordings, seed: int, digests: Sequence[str]
) -> tuple[Trial, ...]:
    code = code_version()
    return tuple(Trial(recipe, data, f, seed, told, code) for f, told in enumerate(digests))


def _check_any(planned: Sequence[Planned]) -> None:
    if all(p.refused for p in planned):
        raise UsageError(
            f"every setting is over a limit ({planned[0].refused}); raise it, or set smaller sizes"
        )


def pairs(setting: Setting) -> Iterator[tuple[str, str]]:
    """Yield key and value of what is set."""
    for pair in setting:
        key, _, value = pair.partition("=")
        yield key, value
