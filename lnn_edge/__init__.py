"""lnn-edge: liquid neural networks on microcontrollers, proved bit by bit.

    import lnn_edge as le

    graph = le.quantize(module, X, name="gesture", rate_hz=50)
    project = le.export(graph, board="stm32f746", to="firmware")
    le.build(project, max_ram=16_384)
    print(le.verify(project, link="virtual").to_json())

torch is imported by `train`, `quantize` and `nn` alone; `pip install 'lnn-edge[train]'` brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from lnn_edge.files.callable_rooms import make_callable
from lnn_edge.files.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    from torch import nn as torch_nn

    from lnn_edge import nn as nn
    from lnn_edge.build.cmake import BuildResult
    from lnn_edge.build.native import CModel
    from lnn_edge.build.project import Project
    from lnn_edge.data.readers.reader import HintOptions
    from lnn_edge.graph.pipeline import Pipeline
    from lnn_edge.graph.qgraph import QGraph
    from lnn_edge.report.comparison import Comparison
    from lnn_edge.report.facts import Report
    from lnn_edge.sweep.result import SweepResult
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.predicted import Predicted
    from lnn_edge.train.loop import EpochReport
    from lnn_edge.train.verdict import How, Verdict
    from lnn_edge.verify.analysis import OnBoard
    from lnn_edge.verify.monitor.events import Event
    from lnn_edge.verify.result import Verification

__version__ = VERSION
__all__ = [
    "analyze",
    "build",
    "compare",
    "evaluate",
    "export",
    "load",
    "load_c",
    "monitor",
    "nn",
    "predict",
    "quantize",
    "report",
    "simulate",
    "sweep",
    "train",
    "verify",
]


def load(path: str | Path) -> QGraph:
    """Return the graph in a file.

    Args:
        path: A model.qgraph, the folder of one, or the name of a shipped model.

    Raises:
        GraphError: It is missing, damaged, of a newer format, or fails a proof.
    """
    from lnn_edge.files.shipped import graph_path
    from lnn_edge.graph.file import load_graph

    return load_graph(graph_path(Path(path)))


def train(
    recipe: str,
    *,
    to: str | Path,
    data: str | Path | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    task: str | None = None,
    labels: str | Path | None = None,
    channels: Mapping[str, str] | None = None,
    lead: str | None = None,
    split: Literal["subject", "folder"] = "subject",
    fold: int | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    best_by: str | None = None,
    patience: int | None = None,
    compress: bool = False,
    preprocessing: Literal["causal", "whole-record"] | None = None,
    seed: int = 0,
    device: str = "cpu",
    force: bool = False,
    on_epoch: Callable[[EpochReport], None] | None = None,
    **hints: Unpack[HintOptions],
) -> Path:
    """Train the network of a recipe; return the folder of the model.

        le.train("har-cfc", to="runs/walks", data="walks", label_column="activity", fold=0)

    Args:
        recipe: Name of a built-in recipe, or a TOML file.
        to: Folder for weights and card. An interrupted training in it goes on.
        data: Own recordings: a file or folder of any format that is read.
        dataset: Name of a data set or a WFDB folder; None takes that of the recipe.
        data_dir: Where data sets lie.
        task: Of own recordings: name of a task, or its TOML file; None takes the recipe's where its
            network was made for one frame, else what the recordings suggest.
        labels: Of own recordings: TOML file of lines label = "class".
        channels: Name of the model's channel -> name of the recordings', where they differ.
        lead: Of an ECG, the lead that comes first.
        split: Of own recordings: folds of subjects, or the folders train, validation and test.
        fold: Of subjects to hold out; None learns from all.
        settings: KEY=VALUE each, instead of what the recipe says.
        epochs: None takes those of the recipe.
        best_by: Keep the epoch that is best on what is held out: "main", or a figure of
            history.csv; "" keeps the last. None takes the recipe's.
        patience: Epochs without a better one after which training ends; None takes the recipe's.
        compress: Whether to take a smaller front end.
        preprocessing: Front end instead of the recipe's.
        seed: Of weights, batches, augmentation and dropout.
        device: Of torch.
        force: Whether to replace a finished model.
        on_epoch: Called after each epoch, with loss and figures on what is held out.
        hints: What the files of own recordings do not tell: rate_hz, time_column, label_column,
            subject_column, record_column, annotator, intervals.

    Raises:
        UsageError: The recipe is wrong, or the folder holds another model.
        DataError: The recordings cannot be read, or do not fit the task.
        MissingToolError: torch is not installed.
    """
    from lnn_edge.files.packages import need_torch

    need_torch()
    from lnn_edge.quantize.aware import ThroughIntegers
    from lnn_edge.tasks.own_data import told_source
    from lnn_edge.train.loop import train as train_plan
    from lnn_edge.train.own import Asked
    from lnn_edge.train.plan import adjusted, plan_training

    plan = plan_training(
        adjusted(
            recipe,
            settings,
            epochs,
            preprocessing,
            compress=compress,
            best_by=best_by,
            patience=patience,
        ),
        told_source(data, channels or {}, hints),
        Asked(task or "", None if labels is None else Path(labels), lead or ""),
        dataset=dataset,
        data_dir=data_dir,
        by=split,
        fold=fold,
    )
    train_plan(
        plan.recipe,
        plan.training,
        plan.held_out,
        Path(to),
        seed=seed,
        device=device,
        on_epoch=on_epoch or (lambda _report: None),
        force=force,
        task=plan.task,
        data=plan.data,
        through=ThroughIntegers,
        beside=plan.beside,
    )
    return Path(to)


def sweep(
    recipe: str,
    *,
    to: str | Path,
    choices: Sequence[str] = (),
    folds: int | None = None,
    seeds: Sequence[int] = (0,),
    max_flash: int | None = None,
    max_ram: int | None = None,
    max_instructions: int | None = None,
    board: str = "stm32f746",
    data: str | Path | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    task: str | None = None,
    labels: str | Path | None = None,
    channels: Mapping[str, str] | None = None,
    lead: str | None = None,
    ray_address: str | None = None,
    force: bool = False,
    on_trial: Callable[[int, int], None] | None = None,
    **hints: Unpack[HintOptions],
) -> SweepResult:
    """Train a recipe with every combination of settings, and judge each on recordings held out.

        le.sweep("har-cfc", to="runs/sizes", choices=["model.hidden_size=8,16,32"], seeds=[0, 1])

    Every fold is held out once and trained without; the folds of a seed are judged together. What
    is finished in the folder is not trained again. With Ray trainings run on all cores, without it
    one after another, with the same results.

    Args:
        recipe: Name of a built-in recipe, or a TOML file.
        to: Folder for results.csv, settings.csv, figures.json, front.svg, best.toml and trials.
        choices: "KEY=VALUE,VALUE" each, instead of what the recipe says.
        folds: The first of them; None is all.
        seeds: Of weights, batches, augmentation and dropout.
        max_flash: Bytes of the firmware above which a network is not trained.
        max_ram: The same, of RAM with the worst-case stack.
        max_instructions: The same, of a decision with its samples.
        board: Whose firmware is measured.
        data: Own recordings, see train; folds are of subjects.
        dataset: Name of a data set with folds; None takes that of the recipe.
        data_dir: Where data sets lie.
        task: See train.
        labels: See train.
        channels: See train.
        lead: See train.
        ray_address: "auto" or HOST:PORT of a Ray cluster that this machine is part of.
        force: Whether to replace files that are in the way.
        on_trial: Called with the number of finished trainings and of all, at first and after each.
        hints: See train.

    Raises:
        UsageError: Before anything is trained: a setting, fold, seed or limit is wrong, or every
            setting is over a limit.
        DataError: The recordings cannot be read, or do not fit the task.
        MissingToolError: torch, or what a limit or a cluster needs, is not installed.
    """
    from lnn_edge.files.packages import need_torch

    need_torch()
    from lnn_edge.sweep.plan import Asked
    from lnn_edge.sweep.run import engine_for, run_sweep
    from lnn_edge.sweep.sizes import Limits
    from lnn_edge.sweep.trial import Recordings
    from lnn_edge.tasks.own_data import told_source
    from lnn_edge.train.own import Asked as About

    about = About(task or "", None if labels is None else Path(labels), lead or "")
    source = told_source(data, channels or {}, hints)
    asked = Asked(
        recipe,
        Recordings(source, about, dataset, data_dir),
        tuple(choices),
        folds,
        tuple(seeds),
        Limits(max_flash, max_ram, max_instructions),
        board,
    )
    report_trial = on_trial or (lambda _done, _all: None)
    return run_sweep(asked, Path(to), engine_for(ray_address), on_trial=report_trial, force=force)


def compare(
    runs: Sequence[str | Path], *, to: str | Path | None = None, figure: str | None = None
) -> Comparison:
    """Return trainings side by side: settings that differ, kept epochs and their figures.

    Args:
        runs: Folders of trainings.
        to: SVG file for a plot of `figure` over the epochs; None draws nothing.
        figure: "loss", or a figure of history.csv; None is the loss on what was held out.

    Raises:
        DataError: A folder holds no training, or one of its files is damaged.
        UsageError: No run has the figure.
    """
    from lnn_edge.report.comparison import compare_runs, write_plot

    found = compare_runs([Path(run) for run in runs])
    if to is not None:
        write_plot(found, Path(to), figure)
    return found


def quantize(
    module: torch_nn.Module,
    data: Any,
    *,
    name: str = "model",
    rate_hz: float | None = None,
    dt: Literal["input"] | None = None,
    hop: int | None = None,
    front: Pipeline | None = None,
    classes: Sequence[str] = (),
) -> QGraph:
    """Return the integer graph of a torch module; see quantize.module.quantize_module.

    Args:
        module: forward reads (B, T, C) and gives (B, T', K), or (B, K) of the last step.
        data: Calibration, never of a test set: (N, T, C); (x, dt); or a list of sequences.
        name: C prefix.
        rate_hz: Frames a second.
        dt: "input" where forward reads elapsed times in seconds, (B, T, 1).
        hop: Frames from one window to the next where forward judges one window.
        front: Integer front end whose outputs forward reads by name.
        classes: Names of the outputs where they are scores.

    Raises:
        LayerError: Something has no place on a device; names the line of forward and the remedy.
        QuantizationError: The data do not fit, or a value never varies in them.
        MissingToolError: torch is not installed.
    """
    from lnn_edge.files.packages import need_torch

    need_torch()
    from lnn_edge.quantize.module import quantize_module

    return quantize_module(
        module,
        data,
        name=name,
        rate_hz=rate_hz,
        dt=dt,
        hop=hop,
        front=front,
        classes=classes,
    )


def simulate(graph: QGraph, data: np.ndarray) -> list[np.ndarray]:
    """Return what a graph decides, bit by bit as a device does.

    Args:
        graph: A model that needs no events from outside.
        data: (T, C) or (N, T, C) in real units; what the frame's format does not hold saturates.

    Returns:
        Of each sequence, which starts from a reset, (D, K) outputs in real units.
    """
    from lnn_edge.graph.sim.predict import run_values

    return run_values(graph, data)


def predict(
    model: QGraph | str | Path,
    data: Any,
    *,
    channels: Mapping[str, str] | None = None,
    marks: bool = False,
    quality: tuple[int, int] | None = None,
    **hints: Unpack[HintOptions],
) -> list[Predicted]:
    """Return what a model decides on each recording; no labels are needed.

    Args:
        model: A graph, or what load() takes.
        data: A file or folder of recordings of any format that is read; a Record or several; or an
            array (T, C) or (N, T, C), int16 in steps of the model, else in its units.
        channels: Name of the model's channel -> name of the recordings', where they differ.
        marks: Whether the recordings' marks are the beats or events to decide on; else the model
            finds beats itself.
        quality: Whether a model of beats judges the signal of each decision too, and the samples at
            which the ADC saturates, the lower first.
        hints: What the files do not tell, see train; rate_hz also of arrays, None is the model's.

    Raises:
        DataError: A recording cannot be read, or does not fit the model.
        UsageError: The model decides on events that it cannot find.
    """
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.tasks.predict import Predictor, open_data

    graph = load(model) if isinstance(model, str | Path) else model
    graph = Additions(quality=quality).to(graph)
    predictor = Predictor.of(graph, channels, marks=marks)
    is_read_here = isinstance(data, str | Path)
    return list(predictor.run(open_data(graph, data, hints), may_overwrite=is_read_here))


def evaluate(
    model: QGraph | str | Path | None,
    data: Wish | str | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None,
    *,
    split: str = "all",
    data_dir: str | None = None,
    how: How | None = None,
) -> Verdict:
    """Say how good a model is: against labels, and its integers against its floats.

    Args:
        model: A graph; a model.qgraph or the folder of an imported model; the name of a shipped
            one; or the folder of a trained model, which is judged in floating point. None is the
            default model.
        data: Name of a data set or a WFDB folder; a Wish, for recordings of any kind; frames
            (T, C) or (N, T, C) in real units; or frames and labels, indices of classes (N,) of the
            last decision of each sequence or (N, D) of every decision, -1 for none. None takes the
            data set shown for its task; of a model that takes frames, those it was quantized on.
        split: Of a named data set: "train", "test" or "all".
        data_dir: Where data sets lie.
        how: Intervals, a front end, a detector of beats, or a judgement of the signal.

    Returns:
        figures where there are labels, and float_errors where the float model lies beside the
        graph or the graph keeps a reference.

    Raises:
        DataError: The data cannot be read, or do not fit the model.
        UsageError: There is no such model, or nothing is known to judge it by.
    """
    from lnn_edge.train.verdict import evaluate_model, told_data

    chosen = Path(model) if isinstance(model, str) else model
    return evaluate_model(chosen, told_data(data, split, data_dir), how)


@overload
def export(
    model: QGraph | str | Path,
    *,
    board: str,
    to: str | Path | None = None,
    find_beats: bool = False,
    quality: tuple[int, int] | None = None,
    force: bool = False,
) -> Project: ...


@overload
def export(
    model: QGraph | str | Path,
    *,
    format: Literal["library"],
    core: str | None = None,
    to: str | Path | None = None,
    find_beats: bool = False,
    quality: tuple[int, int] | None = None,
    force: bool = False,
) -> Path: ...


@overload
def export(
    model: QGraph | str | Path,
    *,
    format: Literal["onnx", "onnx-float", "onnx-qdq", "tflite"],
    to: str | Path | None = None,
    find_beats: bool = False,
    quality: tuple[int, int] | None = None,
    force: bool = False,
) -> Path: ...


def export(
    model: QGraph | str | Path,
    *,
    board: str | None = None,
    format: Literal["project", "library", "onnx", "onnx-float", "onnx-qdq", "tflite"] = "project",
    core: str | None = None,
    to: str | Path | None = None,
    find_beats: bool = False,
    quality: tuple[int, int] | None = None,
    force: bool = False,
) -> Project | Path:
    """Write a project, a C library, ONNX or TFLite, whole or not at all; return it or its folder.

    Args:
        model: A graph; a model.qgraph, the folder of one, or the name of a shipped model. Of a
            model on disk the float model beside it goes along, so that verify can tell the error.
        board: Of a project: name of a board, or its TOML file.
        format: "project"; "library" for C without hardware; "onnx" for the board's integers;
            "onnx-float" for the network in floating point, of a model on disk with its weights;
            "onnx-qdq" for QuantizeLinear and DequantizeLinear around its layers; "tflite" for
            kernels of 16 bits, also as arrays for TFLite Micro.
        core: Of a library, such as "cortex-m4"; None is plain C for any. The bits are the same.
        to: Folder; None is firmware-BOARD, library-MODEL, onnx-MODEL or tflite-MODEL.
        find_beats: Whether a model of beats finds them itself.
        quality: Whether a model of beats judges the signal of each decision in an output more, and
            the samples at which the ADC saturates, the lower first.
        force: Whether to replace files there that lnn-edge did not write.

    Raises:
        BoardError: There is no such board.
        GraphError, LayerError: An operator or a layer has no form in ONNX or TFLite, or TFLite
            decides otherwise than the integers too often.
        MissingToolError: The form needs a package that is not installed.
        UsageError: The folder holds something else.
    """
    from lnn_edge.build.project import open_project
    from lnn_edge.codegen.exporters import export_model
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.tasks.feed import shown_records

    chosen = Path(model) if isinstance(model, str) else model
    folder = None if to is None else Path(to)
    network = None
    if format == "onnx-float":
        from lnn_edge.files.packages import need_torch

        need_torch()
        from lnn_edge.quantize.float_step import float_network

        network = float_network
    made = export_model(
        chosen,
        board,
        folder,
        form=format,
        core=core,
        change=Additions(find_beats, quality).to,
        network=network,
        records=shown_records,
        force=force,
    )
    return made.folder if made.board is None else open_project(made.folder)


def analyze(
    model: QGraph | str | Path,
    boards: Sequence[str | Path] | None = None,
    *,
    find_beats: bool = False,
    quality: tuple[int, int] | None = None,
) -> tuple[OnBoard, ...]:
    """Build a model's firmware for boards, without exporting it; return what it takes on each.

    Args:
        model: A graph; a model.qgraph, the folder of one, or the name of a shipped model.
        boards: Names of boards, or their TOML files; None for all that come with lnn-edge, where
            boards with the same kind of chip share a build.
        find_beats: Whether a model of beats finds them itself.
        quality: Whether a model of beats judges the signal of each decision in an output more, and
            the samples at which the ADC saturates, the lower first.

    Raises:
        BoardError: There is no such board.
        BuildError: The firmware does not build.
        MissingToolError: The compiler or the emulator is not installed.
    """
    from lnn_edge.device.board import list_boards, load_board
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.verify.analysis import analyze as analyze_graph

    graph = load(model) if isinstance(model, str | Path) else model
    graph = Additions(find_beats, quality).to(graph)
    asked = list_boards() if boards is None else [load_board(str(name)) for name in boards]
    return analyze_graph(graph, asked, once_a_chip=boards is None)


def load_c(project: Project | str | Path) -> CModel:
    """Compile the C of an exported project or library for this machine, and load it.

    Args:
        project: Project, or the folder of one or of a library.

    Raises:
        UsageError: The folder is no export.
        BuildError: The C does not compile here.
    """
    from lnn_edge.build.native import load_c as load_folder

    return load_folder(_folder(project))


def build(
    project: Project | str | Path, *, max_ram: int | None = None, max_flash: int | None = None
) -> BuildResult:
    """Build a project's firmware, unless a fresh build of it lies there, and measure it.

    Args:
        project: Project, or its folder.
        max_ram: Budget in bytes.
        max_flash: Budget in bytes.

    Raises:
        BuildError: It does not build.
        OverBudgetError: It takes more than its budget.
        MissingToolError: There is no compiler.
    """
    from lnn_edge.build.cmake import build as build_folder
    from lnn_edge.build.size import Limits

    return build_folder(_folder(project), limits=Limits(max_flash=max_flash, max_ram=max_ram))


def verify(
    project: Project | str | Path,
    *,
    link: str = "host",
    data: Wish | np.ndarray | str | None = None,
) -> Verification:
    """Compare a device with the simulator, bit by bit; what is not built is built first.

    Writes verify-LINK.json into the project, and the same as verify.json, for its report.

    Args:
        project: Project, or its folder.
        link: host, virtual, qemu, qemu:MACHINE, serial:PORT, or a way to flash: openocd, st-flash,
            msd.
        data: (N, T, C) in real units; a data set's name; a Wish, for recordings of any kind; or
            None for the sequences that the graph was made from.

    Raises:
        VerificationError: The data do not fit the model.
        LinkError, MissingToolError: The device or the compiler is not available.
    """
    from contextlib import ExitStack

    from lnn_edge.build.project import open_project
    from lnn_edge.tasks.feed import Wish, load_feed
    from lnn_edge.verify.result import write_verification
    from lnn_edge.verify.sequences import verify_sequences
    from lnn_edge.verify.verify import verify_feed

    opened = open_project(_folder(project))
    wish = Wish(data) if isinstance(data, str) else data
    with ExitStack() as until:
        if isinstance(wish, Wish):
            feed = load_feed(opened.graph.metadata, wish, str(opened.folder), opened.graph)
            result = verify_feed(opened, link, feed, until=until)
        else:
            result = verify_sequences(opened, link, wish, until=until)
        write_verification(result, opened.folder)
    return result


def monitor(
    project: Project | str | Path,
    *,
    link: str = "host",
    data: Any = None,
    rate_hz: float | None = None,
    speed: float = 1.0,
) -> Iterator[Event]:
    """Play recordings through a device and yield what happens; see verify.monitor.events.

    What is not built is built first. Leaving the loop ends the play.

    Args:
        project: Project, or its folder.
        link: See verify.
        data: Recordings as predict() takes them; a model that decides on events takes their marks.
            None plays the recordings that lnn-edge has for the model's task.
        rate_hz: Samples per second of what does not tell it; None takes the model's for arrays.
        speed: Seconds of signal per second; math.inf is as fast as the device takes it.

    Raises:
        DataError, UsageError: The data do not fit the model, or it has none here.
        LinkError, MissingToolError: The device or the compiler is not available.
    """
    from lnn_edge.build.project import open_project
    from lnn_edge.verify.monitor.pace import Pace
    from lnn_edge.verify.monitor.play import monitor as play
    from lnn_edge.verify.monitor.source import given

    opened = open_project(_folder(project))
    return play(opened, link, given(opened.graph, data, rate_hz), Pace(speed))


def report(
    project: Project | str | Path,
    data: Wish | str | None = None,
    *,
    to: str | Path | None = None,
    force: bool = False,
) -> Report:
    """Return what is known of a project, and write it as one HTML page.

    Args:
        project: Project, or its folder.
        data: What the model is shown on: name of a data set or a WFDB folder, or a Wish. None takes
            the embedded recordings of its task.
        to: The page; None is report.html in the folder.
        force: Whether to replace another file.
    """
    from lnn_edge.report import collect_embedded, collect_wished, save
    from lnn_edge.tasks.feed import Wish

    wish = Wish(data) if isinstance(data, str) else data
    folder = _folder(project)
    found = collect_embedded(folder) if wish is None else collect_wished(folder, wish)
    page = Path(to) if to is not None else _folder(project) / "report.html"
    save(found, page, force=force)
    return found


def __getattr__(name: str) -> Any:
    if name != "nn":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.nn")


def _folder(project: Project | str | Path) -> Path:
    return Path(project) if isinstance(project, str | Path) else project.folder


make_callable(__name__, build, quantize, report, sweep, train, verify)
