"""Readers of published data sets in the folders they are published in: one file a layout."""

from lnn_edge.data.layouts import challenges, uci_har_text
from lnn_edge.data.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    uci_har_text.WINDOWS,
    uci_har_text.RAW,
    challenges.CINC2017,
    challenges.CPSC2018,
)
