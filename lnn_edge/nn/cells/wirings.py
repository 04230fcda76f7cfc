"""Wirings: which neuron feeds which. Same seeds, same adjacency as ncps.wirings; no torch here."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.read import read_json

ANY_SIGN = (-1, 1)
MOSTLY_POSITIVE = (-1, 1, 1)
NEEDED = "it must be JSON with adjacency_matrix, sensory_adjacency_matrix, layers and output_dim"


@dataclass(frozen=True, eq=False)
class Wiring:
    """Signed synapses, and the layers that a wired cell makes of the neurons.

    Attributes:
        adjacency: (N, N) int32 in {-1, 0, 1}, from row to column.
        sensory: (I, N) int32 in {-1, 0, 1}, from input to neuron.
        layers: Neurons of each layer, first to last; the first numbers are the outputs.
        output_size: Number of motor neurons.
    """

    adjacency: np.ndarray
    sensory: np.ndarray
    layers: tuple[tuple[int, ...], ...]
    output_size: int

    @property
    def units(self) -> int:
        """Number of neurons."""
        return len(self.adjacency)

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return len(self.sensory)

    def equals(self, other: Wiring) -> bool:
        """Return whether it is the same wiring."""
        return (
            np.array_equal(self.adjacency, other.adjacency)
            and np.array_equal(self.sensory, other.sensory)
            and (self.layers, self.output_size) == (other.layers, other.output_size)
        )

    def mask(self, layer: int, signed: bool = False) -> np.ndarray:
        """Return what a layer's neurons read, (H, I + H) of 0 and 1; signed also of -1.

        The first columns are the layer before it (or the input); its own state is read whole.
        ncps.torch takes the magnitudes, ncps.keras the signed synapses.
        """
        neurons = list(self.layers[layer])
        before = self.sensory[:, neurons]
        if layer:
            before = self.adjacency[np.ix_(list(self.layers[layer - 1]), neurons)]
        own = np.ones((len(neurons), len(neurons)))
        return np.concatenate((before if signed else np.abs(before), own)).T


def fully_connected(
    input_size: int,
    units: int,
    output_size: int | None = None,
    seed: int = 1111,
    self_connections: bool = True,
) -> Wiring:
    """Return a wiring with every synapse, two thirds of them positive."""
    rng, adjacency, sensory = _start(input_size, units, output_size, seed)
    for source, target in np.ndindex(units, units):
        if source != target or self_connections:
            adjacency[source, target] = rng.choice(MOSTLY_POSITIVE)
    for place in np.ndindex(input_size, units):
        sensory[place] = rng.choice(MOSTLY_POSITIVE)
    return Wiring(adjacency, sensory, (tuple(range(units)),), output_size or units)


def random_wiring(
    input_size: int,
    units: int,
    output_size: int | None = None,
    sparsity_level: float = 0.0,
    seed: int = 1111,
) -> Wiring:
    """Return a wiring with a share 1 - sparsity_level of all synapses.

    Raises:
        UsageError: The level is not in [0, 1).
    """
    if not 0 <= sparsity_level < 1:
        raise UsageError(f"wiring sparsity_level must be 0 to below 1, not {sparsity_level}")
    rng, adjacency, sensory = _start(input_size, units, output_size, seed)
    for matrix, draws in ((adjacency, 1), (sensory, 2)):  # ncps draws sensory signs twice
        count = int(np.round(matrix.size * (1 - sparsity_level)))
        places = rng.choice(list(np.ndindex(matrix.shape)), size=count, replace=False)
        for source, target in places:
            for _ in range(draws):
                matrix[source, target] = rng.choice(MOSTLY_POSITIVE)
    return Wiring(adjacency, sensory, (tuple(range(units)),), output_size or units)


def _start(
    input_size: int, units: int, output_size: int | None, seed: int
) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    if min(input_size, units) < 1 or not 1 <= (output_size or units) <= units:
        raise UsageError(
            "a wiring must have at least 1 input, unit and output and no more outputs than units, "
            f"not {input_size} inputs, {units} units and {output_size} outputs"
        )
    adjacency = np.zeros((units, units), np.int32)
    return np.random.default_rng(seed), adjacency, np.zeros((input_size, units), np.int32)


@dataclass(frozen=True)
class NcpConfig:
    """Neural circuit policy: inputs -> inter -> command (recurrent) -> motor neurons.

    Attributes:
        inter: Inter neurons.
        command: Command neurons.
        motor: Motor neurons, the outputs.
        sensory_fanout: Synapses of each input.
        inter_fanout: Synapses of each inter neuron.
        recurrent_command_synapses: Synapses drawn among command neurons.
        motor_fanin: Synapses into each motor neuron.
        seed: Seed of all draws.
    """

    inter: int
    command: int
    motor: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int = 22222

    def __post_init__(self) -> None:
        """Refuse layers that cannot be wired.

        Raises:
            UsageError: A layer is empty, or too small for a fan-out or fan-in.
        """
        if min(self.inter, self.command, self.motor) < 1:
            raise UsageError(
                "an NCP must have at least 1 neuron of each kind, not "
                f"{self.inter} inter, {self.command} command and {self.motor} motor neurons"
            )
        for name, count, limit in (
            ("motor_fanin", self.motor_fanin, self.command),
            ("sensory_fanout", self.sensory_fanout, self.inter),
            ("inter_fanout", self.inter_fanout, self.command),
        ):
            if not 1 <= count <= limit:
                raise UsageError(f"NCP {name} must be 1 to {limit}, not {count}")


def auto_ncp(
    units: int, output_size: int, sparsity_level: float = 0.5, seed: int = 22222
) -> NcpConfig:
    """Return the neural circuit policy of a number of units and outputs.

    Raises:
        UsageError: There are not three units beyond the outputs, or the level is not 0.1 to 1.
    """
    if not 1 <= output_size < units - 2:
        raise UsageError(
            f"AutoNCP of {units} units must have 1 to {units - 3} outputs, not {output_size}"
        )
    if not 0.1 <= sparsity_level <= 1:
        raise UsageError(f"AutoNCP sparsity_level must be 0.1 to 1, not {sparsity_level}")
    density = 1 - sparsity_level
    command = max(int(0.4 * (units - output_size)), 1)
    inter = units - output_size - command
    return NcpConfig(
        inter,
        command,
        output_size,
        sensory_fanout=max(int(inter * density), 1),
        inter_fanout=max(int(command * density), 1),
        recurrent_command_synapses=max(int(command * density * 2), 1),
        motor_fanin=max(int(command * density), 1),
        seed=seed,
    )


def ncp(input_size: int, config: NcpConfig) -> Wiring:
    """Return the wiring of a neural circuit policy; neuron numbers: motor, command, inter.

    Raises:
        UsageError: There is no input.
    """
    if input_size < 1:
        raise UsageError(f"NCP must have at least 1 input, not {input_size}")
    rng = np.random.RandomState(config.seed)
    ends = np.cumsum((config.motor, config.command, config.inter)).tolist()
    motor, command, inter = (list(range(a, b)) for a, b in zip((0, *ends), ends, strict=False))
    adjacency = np.zeros((ends[-1], ends[-1]), np.int32)
    sensory = np.zeros((input_size, ends[-1]), np.int32)
    _fan(rng, sensory, list(range(input_size)), inter, config.sensory_fanout)
    _fan(rng, adjacency, inter, command, config.inter_fanout)
    for _ in range(config.recurrent_command_synapses):
        source, target = rng.choice(command), rng.choice(command)
        adjacency[source, target] = rng.choice(ANY_SIGN)
    _fan(rng, adjacency.T, motor, command, config.motor_fanin)
    return Wiring(adjacency, sensory, (tuple(inter), tuple(command), tuple(motor)), config.motor)


def _fan(
    rng: np.random.RandomState,
    matrix: np.ndarray,
    sources: list[int],
    targets: list[int],
    count: int,
) -> None:
    """Join each source to `count` targets, and left out targets to a mean number of sources."""
    for source in sources:
        for target in rng.choice(targets, size=count, replace=False):
            matrix[source, target] = rng.choice(ANY_SIGN)
    mean = min(max(len(sources) * count // len(targets), 1), len(sources))
    reached = np.abs(matrix[np.ix_(sources, targets)]).any(axis=0)
    for target in np.asarray(targets)[~reached]:
        for source in rng.choice(sources, size=mean, replace=False):
            matrix[source, target] = rng.choice(ANY_SIGN)


def layered(input_size: int, sizes: tuple[int, ...]) -> Wiring:
    """Return layers in a row, each fed by every neuron of the one before; no other synapses.

    Neuron numbers run from the last layer, the outputs, to the first.

    Raises:
        UsageError: There is no input or layer, or one is empty.
    """
    if not sizes or min(input_size, *sizes) < 1:
        raise UsageError(
            f"there must be at least 1 input, and 1 neuron in each layer, not {input_size} inputs "
            f"and layers of {sizes} neurons"
        )
    starts = np.cumsum((0, *sizes[::-1])).tolist()
    spans = [tuple(range(a, b)) for a, b in pairwise(starts)][::-1]
    adjacency = np.zeros((starts[-1], starts[-1]), np.int32)
    sensory = np.zeros((input_size, starts[-1]), np.int32)
    sensory[:, list(spans[0])] = 1
    for before, after in pairwise(spans):
        adjacency[np.ix_(before, after)] = 1
    return Wiring(adjacency, sensory, tuple(spans), sizes[-1])


def read_wiring(path: Path) -> Wiring:
    """Read a wiring from a JSON file.

    Its keys are attributes of an ncps wiring: adjacency_matrix (N, N), sensory_adjacency_matrix
    (I, N), both with entries -1, 0, 1 from row to column, and output_dim; besides layers, the
    neuron numbers of each layer, first to last (get_neurons_of_layer).

    Raises:
        DataError: The file cannot be read, or is no such wiring.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a wiring file") from None
    except ValueError as error:
        raise DataError(f"{path} is no wiring ({error!r}); {NEEDED}") from None
    return wiring_of(values, str(path))


def wiring_of(values: Mapping[str, Any], where: str) -> Wiring:
    """Return the wiring of values under the keys that read_wiring names.

    Raises:
        DataError: They are no such wiring.
    """
    try:
        adjacency, sensory = (
            _synapses(values[key]) for key in ("adjacency_matrix", "sensory_adjacency_matrix")
        )
        layers = tuple(tuple(operator.index(n) for n in layer) for layer in values["layers"])
        outputs = operator.index(values["output_dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is no wiring ({error!r}); {NEEDED}") from None
    units = len(adjacency)
    if (
        adjacency.shape != (units, units)
        or sensory.shape[1] != units
        or sorted(n for layer in layers for n in layer) != list(range(units))
        or not 1 <= outputs <= units
        or max(np.abs(adjacency).max(), np.abs(sensory).max()) > 1
    ):
        raise DataError(
            f"{where}: adjacency {adjacency.shape}, sensory {sensory.shape} and {len(layers)} "
            "layers do not fit each other; they must be (N, N) and (I, N) with entries -1, 0, 1, "
            "and every neuron must be in one layer"
        )
    return Wiring(adjacency.astype(np.int32), sensory.astype(np.int32), layers, outputs)


def _synapses(values: object) -> np.ndarray:
    """Return a matrix of signed synapses."""
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind != "i":
        raise ValueError("synapses are no matrix of integers")
    return array
