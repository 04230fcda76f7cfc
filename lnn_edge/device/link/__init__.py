"""The serial link to a board. The only package that imports pyserial (in `port`)."""

from lnn_edge.device.link.exchange import LinkCounters
from lnn_edge.device.link.link import DEFAULT_BAUD, Link
from lnn_edge.device.link.port import Port, find_ports, name_ports
from lnn_edge.device.link.recovery import Checkpoint

__all__ = ["DEFAULT_BAUD", "Checkpoint", "Link", "LinkCounters", "Port", "find_ports", "name_ports"]
