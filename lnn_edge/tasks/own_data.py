"""Where own recordings are, how they are read, and which task they suggest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lnn_edge.data.inspection import inspect
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.task_file import propose
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.read import read_toml
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import task_of_document


@dataclass(frozen=True)
class Source:
    """Where own recordings are and how they are read.

    Attributes:
        path: A file or a folder.
        hints: What the files do not tell.
        channels: Channel of the model -> of the recordings, where the names differ.
    """

    path: Path
    hints: Hints = Hints()  # noqa: RUF009
    channels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what a card keeps; see source_of."""
        told = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.hints).items()}
        return {
            "path": str(self.path.absolute()),
            "hints": {k: v for k, v in told.items() if v is not None},
            "channels": dict(self.channels),
        }


def told_source(
    data: str | Path | None, channels: Mapping[str, str], hints: Mapping[str, Any]
) -> Source | None:
    """Return the source that a user tells; None without a path.

    Args:
        data: The path.
        channels: See Source.
        hints: Those of Hints that are told; None is not.

    Raises:
        UsageError: Something is told about recordings that are not given.
    """
    if data is not None:
        hints = {k: Path(v) if k == "intervals" and v else v for k, v in hints.items()}
        return Source(Path(data), Hints(**hints), channels)
    told = ["channel"] * bool(channels) + [k for k, v in hints.items() if v is not None]
    if told:
        option = told[0].removesuffix("_hz").replace("_", "-")
        raise UsageError(f"--{option} is of own recordings; give --data PATH, or leave it out")
    return None


def is_own(data: Mapping[str, Any]) -> bool:
    """Return whether a card names own recordings; of a data set it keeps the changes alone."""
    return bool(data.keys() - {"changes"})


def source_of(data: Mapping[str, Any]) -> Source:
    """Return the source in a card.

    Raises:
        DataError: It is none.
    """
    if "path" not in data:
        raise DataError("the card names no path of its recordings; give --data PATH")

    def told(hint: Any, value: object, key: str) -> Any:
        return tables.convert(hint, value, f"the card: data: {key}", DataError)

    hints = told(dict[str, Any], data.get("hints", {}), "hints")
    second = hints.pop("intervals", None)
    read = tables.build(Hints, hints, "the card: data: hints", DataError)
    if second is not None:
        read = replace(read, intervals=Path(told(str, second, "hints: intervals")))
    channels = told(dict[str, str], data.get("channels", {}), "channels")
    return Source(Path(told(str, data["path"], "path")), read, channels)


def proposed_task(source: Source, name: str) -> Task:
    """Return the task that the recordings themselves suggest, as `data inspect --toml` does.

    Raises:
        DataError: They have no labels, or cannot be read.
    """
    found = inspect(source.path, source.hints)
    document = propose(found, source.hints.label_column or "value").document
    labels: Any = document["labels"]
    if not labels["kind"]:
        raise DataError(
            f"{source.path} has no labels that are found; name their column or file, or give a "
            "task with --task"
        )
    return task_of_document(document, f"the task proposed for {source.path}", name)


def with_label_map(task: Task, path: Path) -> Task:
    """Return a task with the classes of a TOML file of label = "class", in the order of the file.

    Raises:
        DataError: It is no such file.
    """
    try:
        values = tables.convert(dict[str, str], read_toml(path), str(path.name), DataError)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a .toml file") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}") from None
    classes = tuple(dict.fromkeys(values.values()))
    unscored = tuple(u for u in task.unscored if u not in values)
    spared = tuple(s for s in task.map if s not in values)
    return replace(task, classes=classes, map=values, unscored=unscored + spared, rare=())
