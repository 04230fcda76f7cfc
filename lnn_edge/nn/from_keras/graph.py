"""Configuration of a saved Keras model -> its layers in the order in which they run.

Sequential and Functional models, one inside the other too, as Keras 3 and Keras 2 write them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lnn_edge.errors import DataError
from lnn_edge.files.names import shown

MODELS = ("Sequential", "Functional", "Model")
DEEPEST, MOST_LAYERS = 20, 4096
STEEP = "steep_hard_sigmoid"
Json = Mapping[str, Any]


@dataclass(frozen=True)
class KerasLayer:
    """A layer where it is applied.

    Attributes:
        name: Its name, those of the models around it before.
        kind: Its class.
        config: What get_config() returned.
        place: Where its variables lie in a file of weights.
        inputs: Of the tensors that it reads.
        output: Of the tensor that it gives.
        where: File and layer, for messages.
    """

    name: str
    kind: str
    config: Json
    place: str
    inputs: tuple[str, ...]
    output: str
    where: str

    def inner(self) -> KerasLayer:
        """Return the layer that a wrapper holds."""
        row = self.config["layer"]
        where = f"{self.where} around {_kind(row)}"
        name = f"{self.name}/{row['config'].get('name', 'layer')}"
        return replace(
            self,
            name=name,
            kind=_kind(row),
            config=row["config"],
            place=f"{self.place}/layer",
            where=where,
        )

    def refuse(self, reason: str) -> DataError:
        """Return an error that names the layer."""
        return DataError(f"{self.where}: {reason}")


@dataclass(frozen=True)
class KerasGraph:
    """A model.

    Attributes:
        shape: Of an input without the batch; None where a size is free.
        layers: In the order in which they run.
        input: Name of the tensor of the frames.
        outputs: Names of the tensors that leave it.
    """

    shape: tuple[int | None, ...]
    layers: tuple[KerasLayer, ...]
    input: str
    outputs: tuple[str, ...]

    @property
    def readers(self) -> Mapping[str, int]:
        """How many layers, or the world, read a tensor."""
        return Counter([*self.outputs, *(t for layer in self.layers for t in layer.inputs)])


def read_graph(where: str, raw: bytes, *, is_old: bool = False) -> KerasGraph:
    """Return the layers of a model.

    Args:
        where: File that the configuration is from, for messages.
        raw: JSON.
        is_old: Whether Keras 2 wrote it, whose hard_sigmoid is x / 5 + 1 / 2; that of Keras 3 is
            x / 6 + 1 / 2.

    Raises:
        DataError: It is damaged, has a form that is not known, or holds code.
    """
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is damaged ({error!r}); save the model again") from None
    try:
        return _Reader(where).read(_steep(values) if is_old else values)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        reason = shown(f"{type(error).__name__}: {error}")
        raise DataError(
            f"{where} is no model as Keras writes it ({reason}); save it again"
        ) from None


@dataclass
class _Reader:
    where: str
    layers: list[KerasLayer] = field(default_factory=list)

    def read(self, model: Json) -> KerasGraph:
        if not isinstance(model, dict):
            raise DataError(f"{self.where} must be a table, not {shown(repr(model))}")
        self._check_model(model)
        shape = _input_shape(model)
        if shape is None:
            raise DataError(
                f"{self.where} does not tell the shape of an input; give the model an Input, or "
                "save it after its first run"
            )
        outputs = self._inside(model, ("input",), "", "layers", 0)
        return KerasGraph(shape, tuple(self.layers), "input", tuple(outputs))

    def _check_model(self, model: Json) -> None:
        kind = model["class_name"]
        if kind not in MODELS or not _is_keras(model):
            raise DataError(
                f"{self.where}: a model of class {shown(str(kind))} holds code of its own, which "
                "is not run; build it of Keras' layers as Sequential or Functional"
            )

    def _inside(
        self, model: Json, inputs: Sequence[str], above: str, place: str, depth: int
    ) -> list[str]:
        """Add the layers of a model; return the tensors that leave it."""
        self._check_model(model)
        if depth > DEEPEST or len(self.layers) > MOST_LAYERS:
            raise DataError(f"{self.where} has more layers than a device could run; save a part")
        config = model["config"]
        rows = config["layers"] if isinstance(config, dict) else config  # Keras 2.2: a list
        places = list(zip(rows, _places(rows, place), strict=True))
        if model["class_name"] == "Sequential":
            return self._in_row(places, inputs, above, depth)
        return self._in_graph(config, places, inputs, above, depth)

    def _in_row(
        self, places: list[tuple[Json, str]], inputs: Sequence[str], above: str, depth: int
    ) -> list[str]:
        given = list(inputs)
        for row, place in places:
            if row["class_name"] != "InputLayer":
                name = f"{above}{row['config']['name']}"
                given = self._apply(row, name, given, f"{name}:0", place, depth)
        return given

    def _in_graph(
        self,
        config: Json,
        places: list[tuple[Json, str]],
        inputs: Sequence[str],
        above: str,
        depth: int,
    ) -> list[str]:
        """Run nodes as soon as all that they read is there."""
        entries = _histories(config["input_layers"])
        if len(entries) != len(inputs):
            raise DataError(
                f"{self.where}: the model has {len(entries)} inputs; join them to one, whose "
                "channels a frame holds"
            )
        known: dict[tuple[str, int, int], str] = dict(zip(entries, inputs, strict=True))
        calls: list[tuple[Json, str, int, list[tuple[str, int, int]]]] = [
            (row, place, index, [_read(t) for t in tensors])
            for row, place in places
            for index, tensors in enumerate(map(_tensors, row.get("inbound_nodes", ())))
        ]
        states = [(row, t) for row, _, _, tensors in calls for t in tensors if t[2] > 0]
        if states:
            row, tensor = states[0]
            raise DataError(
                f"{self.where}: layer {shown(row['name'])} reads the state that layer "
                f"{shown(tensor[0])} returns; a device keeps it, so read the output"
            )
        while calls:
            ready = [call for call in calls if all(t in known for t in call[3])]
            if not ready:
                raise DataError(f"{self.where}: layers read each other in a circle; save it again")
            for row, place, index, tensors in ready:
                name = f"{above}{row['name']}"
                given = [known[t] for t in tensors]
                made = self._apply(row, name, given, f"{name}:{index}", place, depth)
                known |= {(row["name"], index, i): t for i, t in enumerate(made)}
            done = [id(call) for call in ready]
            calls = [call for call in calls if id(call) not in done]
        ends = _histories(config["output_layers"])
        lost = [end for end in ends if end not in known]
        if lost:
            raise DataError(
                f"{self.where}: what layer {shown(lost[0][0])} returns besides its output is an "
                "output; leave return_state away"
            )
        return [known[end] for end in ends]

    def _apply(
        self, row: Json, name: str, inputs: list[str], output: str, place: str, depth: int
    ) -> list[str]:
        if row["class_name"] in MODELS:
            applied = "" if output.endswith(":0") else f" {output.rpartition(':')[2]}"
            return self._inside(row, inputs, f"{name}{applied}/", f"{place}/layers", depth + 1)
        where = f"{self.where.removesuffix('/config.json')}: layer {shown(name)} ({_kind(row)})"
        kind = _kind(row)
        layer = KerasLayer(name, kind, row["config"], place, tuple(inputs), output, where)
        self.layers.append(layer)
        return [output]


def _steep(value: Any) -> Any:
    """Return a configuration that names the hard_sigmoid of Keras 2 by its slope."""
    if isinstance(value, dict):
        return {
            k: STEEP if v == "hard_sigmoid" and str(k).endswith("activation") else _steep(v)
            for k, v in value.items()
        }
    return [_steep(v) for v in value] if isinstance(value, list) else value


def _is_keras(row: Json) -> bool:
    """Return whether a class is Keras' own, and not one that a user registered or wrote."""
    registered, module = row.get("registered_name"), row.get("module")
    name = row["class_name"]
    is_known = registered in (None, name) or str(registered).startswith(("ncps>", "Keras>"))
    return is_known and (
        module is None or str(module).split(".")[0] in ("keras", "ncps", "tf_keras")
    )


def _kind(row: Json) -> str:
    """Return the class of a layer; of one that is not Keras' own, its full name."""
    if _is_keras(row):
        return str(row["class_name"])
    return str(row.get("registered_name") or f"{row.get('module')}.{row['class_name']}")


def _places(rows: Iterable[Json], above: str) -> Iterator[str]:
    """Yield where Keras 3 puts the variables of layers: by class, and how often it was there."""
    seen: Counter[str] = Counter()
    for row in rows:
        name = _snake(str(row["class_name"]))
        yield f"{above}/{name}" + (f"_{seen[name]}" if seen[name] else "")
        seen[name] += 1


def _snake(name: str) -> str:
    """Return the name of a class as Keras spells it in a file of weights."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _input_shape(model: Json) -> tuple[int | None, ...] | None:
    """Return the shape of the first input, the batch left out."""
    config = model["config"]
    rows = config["layers"] if isinstance(config, dict) else config
    names = [h[0] for h in _histories(config["input_layers"])] if "input_layers" in config else []
    named = [row for row in rows if row["config"].get("name") in names[:1]]
    for row in [*named, *rows[:1]]:
        if row["class_name"] in MODELS:
            return _input_shape(row)
        found = row["config"].get("batch_shape", row["config"].get("batch_input_shape"))
        if found:
            return _sizes(found)
    built = config.get("build_input_shape") if isinstance(config, dict) else None
    return _sizes(built) if built else None


def _sizes(shape: Sequence[Any]) -> tuple[int | None, ...]:
    sizes = tuple(shape[1:])
    if not sizes or any(n is not None and not (type(n) is int and 0 < n < 1 << 20) for n in sizes):
        raise ValueError(f"a shape {shape}")
    return sizes


def _histories(values: Any) -> list[tuple[str, int, int]]:
    """Return tensors of "input_layers" or "output_layers": one, a list, or a dict of them."""
    if isinstance(values, dict):
        return [h for value in values.values() for h in _histories(value)]
    if len(values) == 3 and isinstance(values[0], str) and isinstance(values[1], int):
        return [(values[0], values[1], int(values[2]))]
    return [h for value in values for h in _histories(value)]


def _tensors(node: Any) -> list[Any]:
    """Return the tensors that a node reads, as Keras 3 or Keras 2 writes them."""
    if not isinstance(node, dict):  # Keras 2: [[layer, node, tensor, arguments], ...]
        rows = [node] if node and isinstance(node[0], str) else node
        for row in rows:
            rows = [*rows, *(v for v in row[3].values() if isinstance(v, list) and v)]
        return list(rows)
    found: list[Any] = []
    left = [node["args"], *(v for k, v in node["kwargs"].items() if k not in ("mask", "training"))]
    while left:
        value = left.pop(0)
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            found.append(value["config"]["keras_history"])
        elif isinstance(value, list):
            left = [*value, *left]
    return found


def _read(history: Any) -> tuple[str, int, int]:
    name, node, tensor = history[:3]
    return str(name), int(node), int(tensor)
