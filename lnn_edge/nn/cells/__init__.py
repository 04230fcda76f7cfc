"""Liquid cells: torch modules with `step` and `lower`, one file each."""
