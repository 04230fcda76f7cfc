"""Networks in floating point: cells, and what lowers them to integers."""
