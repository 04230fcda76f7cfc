"""One training of a sweep and its judgement: a function of recipe, recordings, fold and seed."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.files.version import VERSION
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.aware import ThroughIntegers
from lnn_edge.quantize.trained import calibration_records, quantize
from lnn_edge.sweep.outcome import Form, Judged, Outcome
from lnn_edge.sweep.shuffled import is_shuffled, shuffled
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.registry import make_network
from lnn_edge.tasks.task_file import document_of
from lnn_edge.train.checkpoint import Preparing, Trained, float_scores, prepare
from lnn_edge.train.kept_inputs import KeptInputs
from lnn_edge.train.loop import train
from lnn_edge.train.own import Asked
from lnn_edge.train.plan import Plan, plan_training
from lnn_edge.train.recipe import Recipe, task_of_recipe

TRAIN = ("data", "files", "graph", "nn", "quantize", "tasks", "train")
"""Rooms whose code, with this file, makes an outcome."""


@dataclass(frozen=True)
class Recordings:
    """Where recordings are, so that every machine of a sweep reads them itself.

    Attributes:
        source: Own ones; None takes a data set.
        asked: About own ones; of a data set only the lead.
        dataset: Instead of the recipe's.
        data_dir: Where data sets are; absolute.
    """

    source: Source | None = None
    asked: Asked = Asked()  # noqa: RUF009
    dataset: str | None = None
    data_dir: str | None = None

    def plan(self, recipe: Recipe, fold: int) -> Plan:
        """Read them; see plan_training."""
        return plan_training(
            recipe,
            self.source,
            self.asked,
            dataset=self.dataset,
            data_dir=self.data_dir,
            fold=fold,
        )


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        recipe: What to train and how.
        recordings: From where.
        fold: Held out, and judged.
        seed: Of weights, batches, augmentation and dropout.
        data_sha256: What is read; see digest_of.
        code: What trains; see code_version.
    """

    recipe: Recipe
    recordings: Recordings
    fold: int
    seed: int
    data_sha256: str
    code: str

    @property
    def key(self) -> str:
        """Hash of all that the outcome depends on, but for the place of the recordings."""
        facts = [asdict(self.recipe), self.fold, self.seed, self.data_sha256, self.code]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def run(trial: Trial, prepared: Path | None = None, *, is_shared: bool = False) -> Outcome:
    """Train, quantize, and judge what was held out, by floats and integers.

    On one thread of one core, and the same bits wherever it runs. A recipe that chooses its epoch
    does so on what is judged. Where dt is shuffled in training it is in the judgement, by floats
    alone.

    Args:
        trial: What to do.
        prepared: Folder that keeps inputs from one trial to the next, so that each recording is
            prepared once; where there is none, it is prepared in every trial. The outcome is the
            same.
        is_shared: Whether trials in other processes use the folder at the same time; each then
            begins with other recordings, so that they do not all prepare the same.

    Raises:
        DataError: The recordings cannot be read.
        UsageError: Recordings or code on this machine are not those that the sweep began with.
    """
    plan = trial.recordings.plan(trial.recipe, trial.fold)
    _check_same(trial, plan)
    preparing: Preparing = prepare
    if prepared is not None and prepared.is_dir():
        preparing = KeptInputs(prepared, trial.code)
    with one_thread():
        try:
            if is_shared and isinstance(preparing, KeptInputs):
                _prepare_a_part(trial, plan, preparing)
            trained = _trained(trial, plan, preparing)
            forms = _forms(trained, plan, trial, preparing)
        except (UsageError, QuantizationError) as error:  # of these settings, and so each time
            return Outcome(failure=str(error))
    return Outcome(forms)


def digest_of(plan: Plan) -> str:
    """Return the hash of what a training reads: task, recordings, and who is held out."""
    told = hashlib.sha256()
    told.update(json.dumps(document_of(plan.task or task_of_recipe(plan.recipe))).encode())
    for part in (plan.training, plan.held_out, plan.beside, plan.held_out_beside):
        told.update(b"part")
        for recording in part:
            told.update(f"{recording.name}\0{recording.patient}\0".encode())
            for array in (recording.frames, recording.events, recording.labels):
                told.update(f"{array.dtype.str}{array.shape}".encode())
                told.update(array.tobytes())
    return told.hexdigest()


@cache
def code_version() -> str:
    """Return what tells the code that trains from another: versions, and a hash of its sources."""
    here = Path(__file__).resolve()
    package = here.parents[1]
    told = hashlib.sha256()
    for path in sorted([here, *(p for room in TRAIN for p in (package / room).rglob("*.py"))]):
        told.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return f"lnn-edge {VERSION} {told.hexdigest()[:16]}, torch {torch.__version__}"


def calibration_of(recordings: Iterable[LabelledSignal]) -> list[LabelledSignal]:
    """Return the recordings that quantize_trained would calibrate on."""
    by_name = {recording.name: recording for recording in recordings}
    return [by_name[name] for name in calibration_records(tuple(by_name))]


def _check_same(trial: Trial, plan: Plan) -> None:
    if trial.code != code_version():
        raise UsageError(
            f"this machine has {code_version()} and the sweep began with {trial.code}; install "
            "the same on every machine"
        )
    if trial.data_sha256 != digest_of(plan):
        raise UsageError(
            f"the recordings of fold {trial.fold} are others than when the sweep began; give every "
            "machine the same, or begin again"
        )


def _prepare_a_part(trial: Trial, plan: Plan, kept: KeptInputs) -> None:
    """Begin with recordings that the trial's hash chooses."""
    recipe = plan.recipe
    network = make_network(recipe.network, recipe.model, plan.task or task_of_recipe(recipe))
    first = int(trial.key, 16)
    for part in (plan.training, plan.held_out, plan.beside, plan.held_out_beside):
        kept.ahead(network, part, recipe.preprocessing, first)


def _trained(trial: Trial, plan: Plan, preparing: Preparing) -> Trained:
    held_out = plan.held_out if plan.recipe.training.best_by else ()
    with tempfile.TemporaryDirectory() as folder:
        return train(
            plan.recipe,
            plan.training,
            held_out,
            Path(folder),
            seed=trial.seed,
            task=plan.task,
            data=plan.data,
            through=ThroughIntegers,
            beside=plan.beside,
            preparing=preparing,
        )


def _forms(trained: Trained, plan: Plan, trial: Trial, preparing: Preparing) -> dict[Form, Judged]:
    def by_floats(held_out: Sequence[LabelledSignal]) -> Judged:
        sequences = preparing(trained.network, held_out, plan.recipe.preprocessing)
        return _by_floats(trained, sequences, trial)

    forms: dict[Form, Judged] = {"float": by_floats(plan.held_out)}
    if plan.held_out_beside:
        forms["float beside"] = by_floats(plan.held_out_beside)
    if not is_shuffled(plan.recipe):
        calibration = calibration_of(plan.training)
        graph = quantize(trained, calibration, preparing(trained.network, calibration, "causal"))
        forms["integer"] = Judged.of(*integer_scores(graph, plan.held_out))
        if plan.held_out_beside:
            forms["integer beside"] = Judged.of(*integer_scores(graph, plan.held_out_beside))
    return forms


def _by_floats(trained: Trained, sequences: Sequence[DecisionSequence], trial: Trial) -> Judged:
    if is_shuffled(trained.card.recipe):
        sequences = [shuffled(s, trial.seed) for s in sequences]
    return Judged.of(sequences, float_scores(trained.network, sequences))
