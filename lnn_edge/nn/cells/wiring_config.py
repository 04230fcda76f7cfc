"""What get_config() of an ncps wiring returned -> the same wiring, drawn again. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.nn.cells.wirings import (
    NcpConfig,
    Wiring,
    auto_ncp,
    fully_connected,
    ncp,
    random_wiring,
    wiring_of,
)

MOST_SYNAPSES = 1_000_000  # that an NCP may draw among its command neurons


@dataclass(frozen=True)
class _FullyConnected:
    units: int
    output_dim: int
    erev_init_seed: int
    self_connections: bool


@dataclass(frozen=True)
class _Random:
    units: int
    output_dim: int
    sparsity_level: float
    random_seed: int


@dataclass(frozen=True)
class _AutoNcp:
    units: int
    output_size: int
    sparsity_level: float
    seed: int


@dataclass(frozen=True)
class _Ncp:
    inter_neurons: tuple[int, ...]
    command_neurons: tuple[int, ...]
    motor_neurons: tuple[int, ...]
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int

    @property
    def units(self) -> int:
        return len(self.inter_neurons + self.command_neurons + self.motor_neurons)


def _draw_auto_ncp(inputs: int, units: int, outputs: int, sparsity: float, seed: int) -> Wiring:
    return ncp(inputs, auto_ncp(units, outputs, sparsity, seed))


def _draw_ncp(
    inputs: int,
    inter: tuple[int, ...],
    command: tuple[int, ...],
    motor: tuple[int, ...],
    *counts_and_seed: int,
) -> Wiring:
    return ncp(inputs, NcpConfig(len(inter), len(command), len(motor), *counts_and_seed))


_Arguments = _FullyConnected | _Random | _AutoNcp | _Ncp
CLASSES: dict[str, tuple[type[_Arguments], Callable[..., Wiring]]] = {
    "FullyConnected": (_FullyConnected, fully_connected),
    "Random": (_Random, random_wiring),
    "AutoNCP": (_AutoNcp, _draw_auto_ncp),
    "NCP": (_Ncp, _draw_ncp),
}
"""Arguments of each class, in the order in which ours takes them after the number of inputs."""


def draw_again(
    name: str, config: Mapping[str, object], shape: tuple[int, int], where: str
) -> Wiring | None:
    """Return a wiring of ncps.wirings.

    Args:
        name: Its class.
        config: What its get_config() returned, from JSON.
        shape: Inputs and neurons that the weights beside it have.
        where: Where it stands, for messages.

    Returns:
        The wiring; None if it cannot be drawn again, being of another class or without a seed:
        NCP.get_config() of ncps 1.0.1 tells none.

    Raises:
        DataError: An argument is missing, unknown or wrong, or does not fit the shape.
        UsageError: No wiring has such arguments.
    """
    if None in config.values():
        return None
    if name == "Wiring":  # the base class tells each synapse, and all neurons are one layer
        return wiring_of({**config, "layers": [list(range(shape[1]))]}, where)
    if name not in CLASSES:
        return None
    kind, draw = CLASSES[name]
    arguments = tables.build(kind, config, where, DataError)
    if arguments.units != shape[1]:
        raise DataError(
            f"{where} has {arguments.units} neurons, the weights have {shape[1]}; save the model "
            "again"
        )
    if isinstance(arguments, _Ncp) and arguments.recurrent_command_synapses > MOST_SYNAPSES:
        raise DataError(
            f"{where} draws {arguments.recurrent_command_synapses} synapses among its command "
            f"neurons, at most {MOST_SYNAPSES} are known here; give --wiring FILE"
        )
    try:
        return draw(shape[0], *vars(arguments).values())
    except ValueError as error:  # of a seed that is none
        raise DataError(f"{where} cannot be drawn ({error}); give --wiring FILE") from None
