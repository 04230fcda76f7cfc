"""Training: recipe and recordings in; weights, card and history.csv out. Resumable."""

from __future__ import annotations

import io
import math
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.version import VERSION
from lnn_edge.files.write import REMEDY, write_whole
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.nn.history import HISTORY, Epoch, history_csv, kept_epoch
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.model_card import CARD, WEIGHTS
from lnn_edge.nn.threads import fastest_threads, one_thread, scans_on
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.registry import make_network
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import document_of
from lnn_edge.train.batches import make_examples
from lnn_edge.train.best_epoch import check_choice, figure_of, is_better, waited
from lnn_edge.train.checkpoint import (
    ModelCard,
    Preparing,
    Trained,
    float_scores,
    prepare,
    save_trained,
)
from lnn_edge.train.losses import make_loss, unlearned
from lnn_edge.train.mixture import Mixture, make_mixture
from lnn_edge.train.recipe import Recipe, task_of_recipe
from lnn_edge.train.value_scale import ValueScale

GRADIENT_LIMIT = 1.0
CALIBRATED = 32  # recordings by which ranges are chosen while training
FIRST_DECISIONS = 1024  # of each of them
WARM_UP = 0.15  # part of the cycle in which the learning rate rises
CHECKPOINT = "checkpoint.pt"
_OF_ANOTHER = (
    "belongs to another training (recipe, seed, records or version differ); delete it or choose "
    "another folder"
)
_UNREADABLE = (RuntimeError, EOFError, ValueError, OSError, KeyError, pickle.UnpicklingError)


Judging = Callable[..., tuple[Tensor, Tensor]]
"""Inputs by name -> scores, and those of a decision alone; see AbstractStreamNet.judge."""
Through = Callable[[AbstractStreamNet, Sequence[tuple[Tensor, ...]]], Judging]
"""A network and inputs of its forward -> how its integers judge; see quantize.aware."""


@dataclass(frozen=True)
class EpochReport:
    """What is known after an epoch.

    Attributes:
        epoch: Epochs done.
        epochs: Epochs to do.
        loss: Mean loss of the epoch.
        validation: On the recordings held out, if there are any.
        entry: What history.csv has of it.
    """

    epoch: int
    epochs: int
    loss: float
    validation: Figures | None
    entry: Epoch


def train(
    recipe: Recipe,
    training: Sequence[LabelledSignal],
    validation: Sequence[LabelledSignal],
    folder: Path,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[EpochReport], None] = lambda _report: None,
    on_resume: Callable[[int], None] = lambda _done: None,
    force: bool = False,
    task: Task | None = None,
    data: Mapping[str, object] = MappingProxyType({}),
    through: Through | None = None,
    beside: Sequence[LabelledSignal] = (),
    preparing: Preparing = prepare,
) -> Trained:
    """Train a network and write it to a folder.

    An interrupted run in the same folder, of the same recipe, seed and recordings, goes on after
    its last whole epoch and ends as if it had not been interrupted. history.csv has a line for each
    epoch, written as the epoch ends. The weights are those of the last epoch, or of the best on
    `validation` where the recipe says by which figure; see Training.best_by.

    Args:
        recipe: What to train and how.
        training: Recordings to learn from.
        validation: Recordings of other patients, watched and not learned; may be empty.
        folder: Where model.safetensors and model.toml go.
        seed: Of weights, batches, augmentation and dropout.
        device: torch device.
        on_epoch: Called after each epoch.
        on_resume: Called with the epochs done where an interrupted training goes on.
        force: Whether to replace a finished model, and to give up another, interrupted training.
        task: What to train for; None is the recipe's.
        data: Of the card: where own recordings are from.
        through: Gives the integers that the recipe's aware_epochs learn from.
        beside: Recordings of the data set that the recipe names beside its own.
        preparing: How recordings become inputs; one that keeps them, as KeptInputs, gives the same.

    Raises:
        DataError: No recordings, each is shorter than one sequence, or nothing is labelled.
        UsageError: The recipe's network or the device cannot be made, the loss is not finite, the
            folder holds a finished model, another training writes to it, or no recordings are held
            out and the recipe chooses an epoch by them, or it has aware_epochs and they cannot run,
            or a record_share and its task does not decide on a record.
    """
    _check_device(device)
    _check_aware(recipe, device, through)
    _check_record_share(recipe, task or task_of_recipe(recipe))
    most = torch.get_num_threads()
    with alone_in(folder, patience_s=0), torch.random.fork_rng(), one_thread():
        _check_unfinished(folder, force)  # better now than after an epoch
        check_choice(recipe.training, validation)
        torch.manual_seed(seed)
        task = task or task_of_recipe(recipe)
        network = make_network(recipe.network, recipe.model, task).to(device)
        examples = make_examples(network, training, recipe, folder, preparing)
        scale = ValueScale.of(examples.labels, network) if task.is_value else None
        if scale is not None:
            examples = replace(examples, labels=scale.learned(examples.labels))
        mixture = make_mixture(network, examples, beside, recipe, folder, preparing)
        held_out = preparing(network, validation, recipe.preprocessing)
        names = examples.names, tuple(s.name for s in held_out)
        classes = unlearned(mixture.labels, recipe.training, network.classes)
        told = document_of(task), dict(data)
        card = ModelCard(VERSION, seed, "", *names, recipe, classes, examples.patients, *told)
        if mixture.beside is not None:
            others = mixture.beside
            card = replace(card, beside_records=others.names, beside_patients=others.patients)
        run = _Run(recipe, network, mixture, task, scale, through)
        if run.resume(folder, card, force):
            on_resume(len(run.history))
        run.check_through()
        threads = run.choose_threads(most)
        while not run.is_done:
            epoch = len(run.history)
            torch.manual_seed(seed * 1000 + epoch + 1)
            with scans_on(threads):
                loss = run.epoch()
            if not math.isfinite(loss):
                raise UsageError(
                    f"the training diverged in epoch {epoch + 1}: its loss is {loss}; lower "
                    "learning_rate in the recipe"
                )
            judged, metrics = run.judge(held_out)
            run.note(Epoch(epoch + 1, loss, run.learning_rate, metrics), judged)
            run.save(folder, card)
            last = run.history[-1]
            on_epoch(EpochReport(epoch + 1, recipe.training.epochs, loss, judged, last))
        network.load_state_dict(run.kept)
        network.cpu().eval()
        card = save_trained(folder, network, replace(card, result=run.result), force=force)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Trained(network, card)


class _Run:
    """State of a training: network, optimiser, schedule, average of the weights, history."""

    def __init__(
        self,
        recipe: Recipe,
        network: AbstractStreamNet,
        mixture: Mixture,
        task: Task,
        scale: ValueScale | None,
        through: Through | None,
    ) -> None:
        self.recipe, self.network, self.mixture, self.task = recipe, network, mixture, task
        self.examples = examples = mixture.own
        self.scale, self.through = scale, through
        self.judging: Judging = network.judge
        self.history: list[Epoch] = []
        plan = recipe.training
        whole = plan.batch_size * plan.sequence_length
        self.steps = max(1, len(examples.labels) // whole)
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.chosen_by = ""
        self.optimizer = torch.optim.AdamW(
            network.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            plan.learning_rate,
            total_steps=plan.epochs * self.steps + 1,
            pct_start=WARM_UP,
        )
        self.device = next(network.parameters()).device
        self.loss = make_loss(examples.labels.to(self.device), plan, network.classes)

    def epoch(self) -> float:
        """Take every optimiser step of an epoch; return the mean loss."""
        plan = self.recipe.training
        is_aware = self.through and len(self.history) >= plan.epochs - plan.aware_epochs
        self.network.train(not is_aware)  # no integer drops out
        if self.through and is_aware:
            some = self.examples.some(CALIBRATED, FIRST_DECISIONS)
            self.judging = self.through(self.network, some)
        return sum(self._step() for _ in range(self.steps)) / self.steps

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def said(self) -> dict[str, Tensor]:
        """Return the averaged weights, of a value so that they say it in its unit."""
        return dict(self.average) if self.scale is None else self.scale.said(self.average)

    @property
    def kept(self) -> dict[str, Tensor]:
        """The weights of the model: of the best epoch where one is chosen, or else of the last."""
        return self.best or self.said()

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or enough without a better one."""
        plan = self.recipe.training
        is_tired = bool(plan.patience and self.history) and waited(self.history) >= plan.patience
        return is_tired or len(self.history) >= plan.epochs

    @property
    def result(self) -> dict[str, object]:
        """What the card says of how training ended."""
        kept = kept_epoch(self.history)
        return {
            "epoch": kept.epoch,
            "epochs": len(self.history),
            "chosen_by": self.chosen_by or "last",
            "loss": kept.loss,
            "held_out": dict(kept.metrics),
        }

    def note(self, epoch: Epoch, judged: Figures | None) -> None:
        """Take an epoch down, and its weights where they are the best so far."""
        best_by = self.recipe.training.best_by
        if best_by and judged is not None:
            self.chosen_by = name = figure_of(best_by, judged, epoch.metrics)
            before = next((e for e in self.history if e.is_kept), None)
            if before is None or is_better(name, epoch.metrics[name], before.metrics[name]):
                self.best = {k: v.clone() for k, v in self.said().items()}
                self.history = [replace(e, is_kept=False) for e in self.history]
                epoch = replace(epoch, is_kept=True)
        self.history.append(epoch)

    def check_through(self) -> None:
        """See that the network can learn through its integers: better now than in its last epochs.

        Raises:
            LayerError: A layer has no operator.
            UsageError: Training would not reach the weights of its integers.
        """
        plan = self.recipe.training
        if self.through and plan.aware_epochs:
            self.network.eval()
            self.through(self.network, self.examples.some(1, plan.sequence_length))

    def choose_threads(self, most: int) -> int:
        """Time steps that change nothing; return the number of threads that is fastest."""
        before = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.train()
        found = fastest_threads(self._back, most)
        self.network.load_state_dict(before)
        return found

    def judge(self, held_out: list[DecisionSequence]) -> tuple[Figures | None, dict[str, float]]:
        """Evaluate the averaged weights; return all figures, and those of the history."""
        if not held_out:
            return None, {}
        current = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.said())
        scores = float_scores(self.network.cpu(), held_out)
        self.network.load_state_dict(current)
        self.network.to(self.device)
        judged = judge(held_out, scores, self.network.classes, self.task)
        metrics = {"validation_loss": self._loss_of(held_out, scores)}
        known = judged.history.items()
        metrics |= {name: value for name, value in known if value is not None}
        return judged, {name: value for name, value in metrics.items() if math.isfinite(value)}

    def _loss_of(self, held_out: list[DecisionSequence], scores: list[np.ndarray]) -> float:
        """Return the loss of all decisions as one sequence, or the mean loss of records."""
        labels = [s.labels for s in held_out]
        if not self.recipe.training.record_share:
            return self._loss_over(np.concatenate(labels), np.concatenate(scores))
        least = self.recipe.training.burn_in
        pairs = [(a, b) for a, b in zip(labels, scores, strict=True) if len(b) > least]
        return sum(self._loss_over(*pair) for pair in pairs) / max(1, len(pairs))

    def _loss_over(self, truth: np.ndarray, said: np.ndarray) -> float:
        labels, given = torch.from_numpy(truth), torch.from_numpy(said)
        if self.scale is not None:
            labels, given = self.scale.learned(labels), self.scale.learned(given)
        given = given.float()
        return float(self.loss(given[None].to(self.device), labels[None].to(self.device)))

    def save(self, folder: Path, card: ModelCard) -> None:
        """Write the history, and a checkpoint that resume() takes up."""
        states = [
            self.network.state_dict(),
            self.optimizer.state_dict(),
            self.schedule.state_dict(),
        ]
        document = {
            "card": repr(card),
            "history": [asdict(epoch) for epoch in self.history],
            "states": states,
            "average": self.average,
            "best": self.best,
            "chosen_by": self.chosen_by,
        }
        buffer = io.BytesIO()
        torch.save(document, buffer)
        write_whole(folder / CHECKPOINT, buffer.getvalue())
        write_whole(folder / HISTORY, history_csv(self.history))

    def resume(self, folder: Path, card: ModelCard, force: bool) -> int:
        """Take up a checkpoint of the same training; return the epochs that are done.

        Raises:
            DataError: It is damaged or of another training, and not given up by force.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return 0
        try:
            saved = torch.load(path, weights_only=True)
            found = saved["card"] if isinstance(saved, dict) else None
            trouble = "" if found == repr(card) else _OF_ANOTHER
        except _UNREADABLE:
            trouble = "is damaged; delete it to train from the start"
        if trouble and force:
            return 0
        if trouble:
            raise DataError(f"{path} {trouble}")
        network, optimizer, schedule = saved["states"]
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        self.schedule.load_state_dict(schedule)
        self.average, self.best = saved["average"], saved["best"]
        self.chosen_by = saved["chosen_by"]
        self.history = [Epoch(**epoch) for epoch in saved["history"]]
        write_whole(folder / HISTORY, history_csv(self.history))  # it may be a line behind
        return len(self.history)

    def _step(self) -> float:
        loss = self._back()
        clip_grad_norm_(self.network.parameters(), GRADIENT_LIMIT)
        self.optimizer.step()
        self.schedule.step()
        self._average_weights()
        return loss

    def _back(self) -> float:
        """Leave the gradients of a batch's loss in the network; return the loss."""
        plan = self.recipe.training
        inputs, labels = self.mixture.batch()
        inputs = {name: x.to(self.device) for name, x in inputs.items()}
        labels = labels.to(self.device)
        judged = self.judging(**self.recipe.augmentation.apply(inputs))
        scores, alone = (self.mixture.moved(each) for each in judged)
        loss = self.loss(scores, labels)
        if plan.auxiliary_weight:
            loss = loss + plan.auxiliary_weight * self.loss(alone, labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())

    def _average_weights(self) -> None:
        decay = self.recipe.training.average_decay
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)


def _check_unfinished(folder: Path, force: bool) -> None:
    """See that no model is there; weights beside a checkpoint are those of a killed training."""
    is_interrupted = (folder / CHECKPOINT).exists()
    for name in (CARD,) if is_interrupted else (CARD, WEIGHTS):
        if os.path.lexists(folder / name) and not force:
            raise UsageError(f"{folder} holds a model already ({name}); {REMEDY}")


def _check_aware(recipe: Recipe, device: str, through: Through | None) -> None:
    """See that there is what gives the integers, where the recipe learns from them."""
    if not recipe.training.aware_epochs:
        return
    if through is None:
        raise UsageError("a recipe with aware_epochs needs through=, as le.train gives it")
    if torch.device(device).type != "cpu":
        raise UsageError(f"aware_epochs run on the CPU, not on {device!r}; leave --device out")


def _check_record_share(recipe: Recipe, task: Task) -> None:
    if recipe.training.record_share and task.decide != "record":
        raise UsageError(
            f"record_share judges sequences as records are judged, and task {task.name} decides on "
            f"{task.decide}; it must be 0"
        )


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used ({reason}); take cpu") from None
