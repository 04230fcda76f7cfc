"""Readers of published data sets in the folders they are published in: one file a layout."""

from lnn_edge.data.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = ()
